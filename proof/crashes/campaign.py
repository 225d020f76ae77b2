"""The whole suite: testbeds side by side, the recording, the kills, the planted bugs, and the counts."""

import asyncio
import os
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from proof.crashes import on_sqs
from proof.crashes.acts import ACTS
from proof.crashes.cases import OF_GROUPS, Case, Kill, Mode, Recording, Route, killing, recordings
from proof.crashes.oracle import Judgement, Played
from proof.crashes.testbed import Testbed
from proof.findings import Findings, Say, Size
from proof.harness.databases import INSTANCE, migrated
from proof.harness.forks import start_server
from proof.harness.oracle import Kind
from proof.invariants import Invariant
from ringback.failpoints import Failpoint
from tests.postgresql import copy_database, execute, server_without_fsync

SAY_EVERY_S = 30.0
#: Of the kills at a point in a mode, so many at least are what their cases are about: at any hit, in a life without a
#: death before it.
FIRST_SHARE = 0.25
TRIES = 3  # of a kill that did not fire, because a run is never quite like the recorded one


class SmallKill(NamedTuple):
    point: Failpoint
    act: str


@dataclass(frozen=True, slots=True)
class Extent:
    """A kill at every point with each of so many seeds, in each mode that reaches it; without seeds, a few points once
    each."""

    testbeds: int
    seeds: int


EXTENTS = {Size.SMALL: Extent(3, 0), Size.FULL: Extent(6, 34)}
#: The kills of the small size: around each place where a message or a request leaves or comes in, and in a group. They
#: take the modes in turn.
FEW = (
    SmallKill(Failpoint.ACCEPT_COMMITTED, "answered"),
    SmallKill(Failpoint.CALL_MESSAGE_SENT, "answered"),
    SmallKill(Failpoint.CLAIM_COMMITTED, "answered"),
    SmallKill(Failpoint.DIAL_ACCEPTED, "silent"),
    SmallKill(Failpoint.WEBHOOK_ENQUEUED, "busy"),
    SmallKill(Failpoint.EVENT_APPLIED, "pair"),
    SmallKill(Failpoint.OUTBOX_CARRIED, "answered"),
    SmallKill(Failpoint.ACTION_COMMITTED, "functions"),
    SmallKill(Failpoint.GROUP_FLUSHED, "answered"),
)


@dataclass(frozen=True, slots=True)
class PlantedCase:
    """The case in which a planted bug must be noticed, and the invariants that notice it."""

    bug: str
    act: str
    mode: Mode
    kills: tuple[tuple[Failpoint, int], ...]
    caught_by: frozenset[Invariant]


PLANTED = (
    PlantedCase(
        "the request leaves before the claim is committed",
        "answered",
        Mode.REMEMBERS,
        (),
        frozenset({Invariant.I4}),
    ),
    PlantedCase(
        "outbox rows are marked before they are sent",
        "answered",
        Mode.REMEMBERS,
        ((Failpoint.ENGAGE_ASKING, 1),),
        frozenset({Invariant.I1, Invariant.I14}),
    ),
    PlantedCase(
        "a dead worker's claim counts as never sent",
        "silent",
        Mode.FORGETFUL,
        ((Failpoint.DIAL_ACCEPTED, 1),),
        frozenset({Invariant.I2}),
    ),
)


@dataclass
class Campaign:
    """Plays cases on the free testbeds, and gathers the findings."""

    testbeds: "asyncio.Queue[Testbed]"
    findings: Findings
    say: Say
    killed_at: Counter[tuple[Failpoint, Mode]] = field(default_factory=Counter)
    killed_first_at: Counter[tuple[Failpoint, Mode]] = field(
        default_factory=Counter
    )  # the point that the case is about
    faults: Counter[Kind] = field(default_factory=Counter)
    trials: int = 0
    missed: int = 0
    began_s: float = field(default_factory=time.monotonic)
    _said_s: float = field(default_factory=time.monotonic)

    async def play(self, case: Case) -> tuple[Played, Judgement]:
        testbed = await self.testbeds.get()
        try:
            played = await testbed.play(case)
            judgement = await testbed.judge(played)
        finally:
            self.testbeds.put_nowait(testbed)
        self.trials += 1
        return played, judgement

    async def try_case(self, case: Case) -> Played:
        """Play a case and record its findings. One whose kills did not all fire is judged too, and counts as missed."""
        played, judgement = await self.play(case)
        self._keep_saying()
        if not played.all_kills_fired and played.problem is None:
            self.missed += 1
        self.findings.tried(*judgement.looked_at)
        if played.killed:
            self.findings.tried(Invariant.I20)
            self.killed_at.update((point, case.mode) for point, _ in played.killed)
        if case.kills and played.all_kills_fired:
            self.killed_first_at[case.kills[-1][0], case.mode] += 1
        for problem in judgement.problems:
            self.faults[problem.kind] += 1
            self.findings.broke(problem.invariant, f"{problem.kind}: {problem.what}", reproduce(case, played.killed))
            self.say(f"{problem.invariant} {problem.kind}: {problem.what} ({case})")
        broken = {problem.invariant for problem in judgement.problems}
        if broken and played.killed and Invariant.I20 not in broken:
            self.findings.broke(Invariant.I20, "not intact after a kill", reproduce(case, played.killed))
        return played

    async def record(self, cases: Iterable[tuple[Route, Case]]) -> Recording:
        recording = Recording()

        async def one(route: Route, case: Case) -> None:
            played = await self.try_case(case)
            if played.problem is None and played.all_kills_fired:
                recording.note(route, case.mode, played.hits[-1])

        await asyncio.gather(*(one(route, case) for route, case in cases))
        return recording

    async def kill(self, recording: Recording, point: Failpoint, mode: Mode, seed: int, wanted: int) -> None:
        """One kill there, if it can be reached in this mode; tried again if it did not fire. More kills follow in the
        same trial, at points that have had fewer than `wanted` in this mode."""
        for attempt in range(TRIES):
            few = [other for other in Failpoint if self.killed_at[other, mode] < wanted]
            seed_now = seed + attempt * 1_000_003
            case = killing(recording, point, mode, seed_now, wanted=few, surely=attempt > 0)
            if case is None:
                return
            played = await self.try_case(case)
            for hits in played.hits[1:]:
                recording.after_death[mode, case.acts[0]] |= hits
            if played.all_kills_fired or played.problem is not None:
                return

    async def catch(self, planted: PlantedCase, seed: int) -> None:
        """Record whether the planted bug is caught within `TRIES` trials."""
        caught = False
        for attempt in range(TRIES):
            case = Case(seed + attempt, planted.mode, (planted.act,), planted.kills, planted.bug)
            _, judgement = await self.play(case)
            caught = caught or any(problem.invariant in planted.caught_by for problem in judgement.problems)
            if caught:
                break
        self.findings.plant(planted.bug, caught, *planted.caught_by)

    def _keep_saying(self) -> None:
        now_s = time.monotonic()
        if now_s - self._said_s > SAY_EVERY_S:
            self._said_s = now_s
            self.say(f"{self.trials} trials, {self.killed_at.total()} kills, {self.faults.total()} faults")

    def _kills_in(self, mode: Mode) -> int:
        return sum(count for (_, known), count in self.killed_at.items() if known is mode)

    def conclude(self, reached: Iterable[Failpoint]) -> None:
        """The counts, and the points that nothing ever reached."""
        known = set(reached)
        for point in Failpoint:
            if point not in known:
                self.findings.broke(Invariant.I20, f"the failpoint {point} was never reached", "any seed")
        took_s = time.monotonic() - self.began_s
        self.findings.counts |= {
            "failpoints": len(Failpoint),
            "failpoints_killed_at": len({point for point, _ in self.killed_at}),
            "failpoints_and_modes_killed_at": len(self.killed_at),
            "fewest_kills_at_a_failpoint_in_a_mode": min(self.killed_at.values()),
            "fewest_first_kills_at_a_failpoint_in_a_mode": min(self.killed_first_at[place] for place in self.killed_at),
            "kills": self.killed_at.total(),
            **{f"kills_{mode.name.lower()}": self._kills_in(mode) for mode in Mode},
            **{str(kind): self.faults[kind] for kind in Kind},
            "kills_that_did_not_fire": self.missed,
            "trials": self.trials,
            "trials_per_s": round(self.trials / took_s, 2),
        }


def reproduce(case: Case, killed: Iterable[Kill]) -> str:
    kills = ",".join(f"{point}:{hit}" for point, hit in killed) or "none"
    queues = f"{on_sqs.VARIABLE}=sqs " if on_sqs.VARIABLE in os.environ else ""
    return f"{queues}python -m proof.crashes {kills} {case.seed} {case.mode.name.lower()} {'+'.join(case.acts)}"


@asynccontextmanager
async def open_testbeds(
    url: str, home: Path, number: int, template: str | None = None, sqs: str | None = None
) -> "AsyncIterator[asyncio.Queue[Testbed]]":
    """Free testbeds, each on its own copy of the migrated template, with one fork server for all of them.

    `sqs` is the endpoint of the server that has the queues. Without it they are in the database.
    """
    free: asyncio.Queue[Testbed] = asyncio.Queue()
    async with AsyncExitStack() as stack:
        prefix = f"crashes_{uuid.uuid4().hex[:8]}"
        if template is None:
            template = prefix
            await migrated(url, template)
            stack.push_async_callback(execute, url, f"DROP DATABASE {template} WITH (FORCE)")
        await start_server("proof.crashes.product", "proof.crashes.emulated")
        for index in range(number):
            copy = await copy_database(url, template, f"{prefix}_{index}")
            stack.push_async_callback(execute, url, f"DROP DATABASE {prefix}_{index} WITH (FORCE)")
            # A life's connections are too young to plan each statement five times before they keep a plan.
            keep_plans = f"ALTER DATABASE {prefix}_{index} SET plan_cache_mode = force_generic_plan"
            await execute(copy, f"UPDATE installation SET instance = '{INSTANCE}'", keep_plans)
            queues = None if sqs is None else on_sqs.TrialQueues(sqs)
            testbed = Testbed(home / f"testbed-{index}", copy, queues)
            await testbed.open()
            stack.push_async_callback(testbed.close)
            free.put_nowait(testbed)
        yield free


async def _full(campaign: Campaign, seed: int, seeds: int) -> None:
    recording = await campaign.record(recordings(seed))
    campaign.say(f"recorded: {len(Failpoint) - len(recording.unreached())} of {len(Failpoint)} points are reached")
    await asyncio.gather(*(campaign.catch(planted, seed) for planted in PLANTED))
    places = [(point, mode) for point in Failpoint for mode in Mode if recording.routes_to(point, mode)]
    work = iter([(point, mode, number) for number in range(seeds) for point, mode in places])

    async def work_on() -> None:
        for point, mode, number in work:
            few_first = campaign.killed_first_at[point, mode] < seeds * FIRST_SHARE
            if few_first or campaign.killed_at[point, mode] <= number:
                await campaign.kill(recording, point, mode, seed + number, seeds)

    await asyncio.gather(*(work_on() for _ in range(campaign.testbeds.qsize())))
    campaign.conclude(set(Failpoint) - set(recording.unreached()))


async def _small(campaign: Campaign, seed: int) -> None:
    """Every act in one trial, which reaches all points but those after a dead worker and in a group; a few kills; a
    planted bug."""
    modes = cycle(Mode)
    few = [Case(seed + number, next(modes), (kill.act,), ((kill.point, 1),)) for number, kill in enumerate(FEW)]
    async with asyncio.TaskGroup() as group:
        everything = group.create_task(_reach_everything(campaign, seed))
        group.create_task(campaign.catch(PLANTED[-1], seed))
        killed = [group.create_task(campaign.try_case(case)) for case in few]
    campaign.conclude(everything.result().union(*(hits for task in killed for hits in task.result().hits)))


async def _reach_everything(campaign: Campaign, seed: int) -> set[Failpoint]:
    """The points that were reached; once more if one act was in another's way."""
    reached: set[Failpoint] = set()
    for number in range(TRIES):
        played = await campaign.try_case(Case(seed + number, Mode.REMEMBERS, tuple(ACTS)))
        reached = reached.union(*played.hits)
        if reached | {Failpoint.LEASE_OVER} | OF_GROUPS == set(Failpoint) or played.problem is not None:
            break
    return reached


def run(size: Size, seed: int, say: Say) -> Findings:
    with tempfile.TemporaryDirectory(prefix="ringback-crashes-") as home:
        with server_without_fsync(Path(home) / "postgres") as url:
            return run_on(url, Path(home), (size, seed), say)


def run_on(url: str, home: Path, what: tuple[Size, int], say: Say, template: str | None = None) -> Findings:
    """On a PostgreSQL that is there already, perhaps with a migrated database to copy; `home` is an empty place for
    logs and ledgers."""
    size, seed = what
    extent = EXTENTS[size]
    findings = Findings("crashes", seed, {"seeds": extent.seeds, "testbeds": extent.testbeds})

    async def run_all(sqs: str | None) -> None:
        async with open_testbeds(url, home, extent.testbeds, template, sqs) as free:
            campaign = Campaign(free, findings, say)
            if extent.seeds:
                await _full(campaign, seed, extent.seeds)
            else:
                await _small(campaign, seed)

    with on_sqs.server_if_asked(home) as sqs:
        asyncio.run(run_all(sqs))
    return findings
