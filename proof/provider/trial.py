"""One system under every case of a mode: place, wait until each has met its fate, judge."""

import asyncio
import contextlib
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from proof.findings import Findings, Say, Size
from proof.invariants import Invariant
from proof.provider.acts import End, Forward, Plan, as_it_is
from proof.provider.cases import Drafts, Setting, cuts, every_family, repeated_answers
from proof.provider.fates import Case, Evidence, Problem, answered, judge
from proof.provider.house import Blueprint, House, HouseClock, open_house
from proof.provider.proxy import CASE_KEY, CREATE, Door, Seen

HOUR_S = 3600.0
#: The product's clock begins so far behind the world's, so that both agree when the account works again: a webhook is
#: refused when its signature is five minutes old. The breaker's longest pause is on top of the hour.
BEHIND_S = HOUR_S + 700.0
FROM_NUMBER = "+14155550199"
SCENARIO_KEY = "emulator_scenario"
AREAS = (
    *(201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225, 228, 229, 231),
    *(234, 239, 240, 248, 251, 252, 253, 254, 256, 260, 262, 267, 269, 270, 276, 281, 301, 302, 303, 304, 305, 307),
)
CREATE_TIMEOUT_S = {Size.SMALL: 1.0, Size.FULL: 2.0}
#: The last look-up, behind which an attempt is given up, is leaped to once nothing else is left to do.
LOOKUPS_S = "1,2,3,4,5,6,7,8,200"
LEAP_S = 200.0
PER_FAMILY = 1
#: Calls are placed in waves, so that no resend waits behind hundreds of them in the queue.
WAVE = 40
AT_ONCE = 10
#: Given up when for so long no case has come further.
PATIENCE_S = {Size.SMALL: 40.0, Size.FULL: 90.0}
LOOK_EVERY_S = {Size.SMALL: 0.25, Size.FULL: 2.0}
QUIET_S = {Size.SMALL: 0.3, Size.FULL: 4.0}
EMULATOR_SPEED = 40.0
REACHED_WITHIN_S = 120.0
SLAMS_FOR_S = 3.0
#: What every case looks at: its rings, its requests, its rows and its events.
ALWAYS = (Invariant.I1, Invariant.I2, Invariant.I5, Invariant.I6, Invariant.I14)


def environment(size: Size, remembers: bool) -> dict[str, str]:
    return {
        "RINGBACK_CREATE_TIMEOUT_S": f"{CREATE_TIMEOUT_S[size]:g}",
        "RINGBACK_UNKNOWN_LOOKUPS_S": LOOKUPS_S,
        "RINGBACK_SAME_KEY_WINDOW_S": "2700" if remembers else "0",
        "RINGBACK_MAX_LIVE_CALLS": "1000",
        "RINGBACK_CALLS_PER_SECOND": "1000",
        "RINGBACK_SILENCE_DEADLINE_S": "1",
        "RINGBACK_NOT_CONNECTED_DEADLINE_S": "1",
        "RINGBACK_ANALYSIS_DEADLINE_S": "1",
        "RINGBACK_ANALYSIS_GIVE_UP_S": "3600",  # longer than the leap, which no call's analysis takes
    }


class Trial:
    """The cases of one system, in the order in which they were placed."""

    def __init__(self, house: House, plans: dict[str, Plan], setting: Setting, seed: int) -> None:
        self.house = house
        self.setting = setting
        self.drafts = Drafts(setting, seed)
        self.cases: dict[str, Case] = {}
        self.call_ids: dict[str, str] = {}
        self._plans = plans
        self._seed = seed

    @property
    def mode(self) -> str:
        return "idempotency on" if self.setting.remembers else "idempotency off"

    async def place(self, cases: Iterable[Case]) -> None:
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(case: Case) -> None:
            async with turn:
                self.call_ids[case.name] = await self.house.place(self._body(case))

        async with asyncio.TaskGroup() as group:
            for case in cases:
                self.cases[case.name] = case
                self._plans[case.name] = case.plan
                group.create_task(one(case))

    def _body(self, case: Case) -> dict[str, Any]:
        number = int(case.name[-5:])
        phone = f"+1{AREAS[number // 100]}55501{number % 100:02d}"
        contact = {"contact_id": f"crm-{case.name}", "phone": phone, "time_zone": "America/Los_Angeles"}
        metadata = {CASE_KEY: case.name, SCENARIO_KEY: case.scenario}
        return {"contact": contact, "agent_id": "agent_sales", "from_number": FROM_NUMBER, "metadata": metadata}

    async def until_attempts(self, cases: list[Case], *states: str, within_s: float = REACHED_WITHIN_S) -> None:
        """Until each has an attempt in one of these states. Raises TimeoutError."""
        ids = [self.call_ids[case.name] for case in cases]
        query = "SELECT count(*) AS reached FROM attempts WHERE call_id = ANY($1) AND state = ANY($2)"
        async with asyncio.timeout(within_s):
            while (await self.house.rows(query, ids, states))[0]["reached"] < len(ids):
                await asyncio.sleep(0.05)

    async def until_dialed(self, but: int) -> None:
        """Until all calls but so many have an attempt. Raises TimeoutError."""
        async with asyncio.timeout(REACHED_WITHIN_S):
            while len(self.cases) - (await self.house.rows("SELECT count(*) FROM attempts"))[0]["count"] > but:
                await asyncio.sleep(0.1)

    async def settle(self) -> dict[str, list[Problem]]:
        """What is wrong with each case once nothing changes any more, or the patience is over."""
        patience_s = PATIENCE_S[self.setting.size]
        give_up_at, fewest, may_leap = time.monotonic() + patience_s, len(self.cases), True
        while time.monotonic() < give_up_at:
            problems = await self.problems()
            if not problems and not self.house.proxy.busy:
                break
            if len(problems) < fewest:
                give_up_at, fewest = time.monotonic() + patience_s, len(problems)
            await self._release_late()
            # A case that is stuck must not make all those look stuck that wait for the leap.
            is_stuck = time.monotonic() > give_up_at - patience_s / 2
            if may_leap and (is_stuck or await self._all_wait_to_be_given_up(problems)):
                self.house.clock.leap(LEAP_S)
                give_up_at, may_leap = time.monotonic() + patience_s, False
            await asyncio.sleep(LOOK_EVERY_S[self.setting.size])
        await asyncio.sleep(QUIET_S[self.setting.size])
        return await self.problems()

    async def _all_wait_to_be_given_up(self, problems: dict[str, list[Problem]]) -> bool:
        """Nothing is open but what will be abandoned, and of that every request has been sent that may be."""
        waiting = [self.cases[name] for name in problems]
        if any(not _may_be_given_up(case) for case in waiting):
            return False
        sure = [case for case in waiting if case.otherwise is None]
        if any(len(self.house.proxy.creates(case.name)) not in case.fate.creates for case in sure):
            return False
        ids = [self.call_ids[case.name] for case in waiting]
        query = "SELECT count(*) AS busy FROM attempts WHERE call_id = ANY($1) AND state <> 'unknown'"
        return not (await self.house.rows(query, ids))[0]["busy"]

    async def _release_late(self) -> None:
        rows = await self.house.rows("SELECT call_id FROM calls WHERE status = 'abandoned'")
        abandoned = {row["call_id"] for row in rows}
        for name, case in self.cases.items():
            if self.call_ids[name] in abandoned and any(a.forward is Forward.ON_RELEASE for a in case.plan.creates):
                self.house.proxy.release(name)

    async def problems(self) -> dict[str, list[Problem]]:
        gathered = await self.gather()
        found = {name: judge(case, gathered[name]) for name, case in self.cases.items()}
        return {name: problems for name, problems in found.items() if problems}

    async def gather(self) -> dict[str, Evidence]:
        """Everything that the outside has seen so far, by case."""
        house, names = self.house, {call_id: name for name, call_id in self.call_ids.items()}
        seen: dict[str, Evidence] = defaultdict(Evidence)
        for ring in await house.rings():
            seen[ring["metadata"][CASE_KEY]].rings.append(ring)
        for request in tuple(house.proxy.log):
            if request.path == CREATE:
                evidence = seen[request.case]
                evidence.create_bodies.append(request.body)
                evidence.create_keys.append(request.key)
                evidence.create_times.append(request.at)
        for delivery in await house.deliveries():
            seen[names[delivery["event"]["subject"]]].deliveries.append(delivery)
        for call in await house.rows("SELECT call_id, status, final FROM calls"):
            seen[names[call["call_id"]]].call = call
        for attempt in await house.rows("SELECT call_id, state, provider_call_id, number FROM attempts"):
            seen[names[attempt["call_id"]]].attempts.append(attempt)
        for name in self.cases:
            seen[name].evidence_at = house.proxy.evidence_at(name)
        return seen


@asynccontextmanager
async def open_trial(database_url: str, home: Path, size: Size, remembers: bool, seed: int) -> AsyncIterator[Trial]:
    plans: dict[str, Plan] = {}
    plan = Blueprint(
        database_url=database_url,
        home=home,
        environment=environment(size, remembers),
        plans=plans,
        clock=HouseClock(BEHIND_S),
        speed=EMULATOR_SPEED,
        idempotency=remembers,
        seed=seed,
    )
    async with open_house(plan) as house:
        setting = Setting(size, remembers, CREATE_TIMEOUT_S[size], house.proxy.url)
        yield Trial(house, plans, setting, seed)


async def play(trial: Trial, findings: Findings, say: Say) -> None:
    """Every case of the mode, judged into the findings."""
    mode = trial.mode
    measure = trial.drafts.plain()
    await trial.place([measure])
    answer_bytes = await _answer_bytes(trial, measure)
    await _behind_closed_doors(trial)
    await _repeat_answers(trial)
    cases = [*_thinned(trial), *cuts(trial.drafts, answer_bytes)]
    random.Random(f"order {trial.drafts.setting} {findings.seed}").shuffle(cases)
    say(f"{mode}: {len(cases)} cases; the create answer has {answer_bytes} bytes")
    for first in range(0, len(cases), WAVE):
        await trial.place(cases[first : first + WAVE])
        await trial.until_dialed(WAVE)
    say(f"{mode}: all are placed")
    problems = await trial.settle()
    _report(trial, problems, findings, mode, answer_bytes)


async def _answer_bytes(trial: Trial, measure: Case) -> int:
    async with asyncio.timeout(REACHED_WITHIN_S):
        while True:
            for seen in trial.house.proxy.creates(measure.name):
                if seen.answer_bytes is not None:
                    return seen.answer_bytes
            await asyncio.sleep(0.02)


async def _behind_closed_doors(trial: Trial) -> None:
    """Connections that are refused, and such as are closed before anything was read of them."""
    proxy, drafts = trial.house.proxy, trial.drafts
    not_sent = [drafts.case("connection", "refused", Plan(), answered("00", 1)) for _ in range(2)]
    await asyncio.to_thread(proxy.set_door, Door.REFUSES)
    await trial.place(not_sent)
    await trial.until_attempts(not_sent, "waiting")
    await asyncio.to_thread(proxy.set_door, Door.OPEN)
    # Look-ups of theirs would fail at the next door, and only the clean ones count.
    await trial.until_attempts(not_sent, "analyzed")
    unread = replace(drafts.setting.not_rung(), creates=frozenset({1 if drafts.setting.remembers else 0}))
    slammed = [drafts.case("connection", "closed before it was read", Plan(), unread) for _ in range(3)]
    # Their look-ups fail at this door as well, so it opens again soon, and one that comes late for it gets through.
    slammed = [replace(case, otherwise=answered("00", 1)) for case in slammed]
    await asyncio.to_thread(proxy.set_door, Door.SLAMS)
    await trial.place(slammed)
    with contextlib.suppress(TimeoutError):
        await trial.until_attempts(slammed, "unknown", within_s=SLAMS_FOR_S)
    await asyncio.to_thread(proxy.set_door, Door.OPEN)


async def _repeat_answers(trial: Trial) -> None:
    """Alone, so that nobody else is given what is left over on the connections."""
    first, next_ones = repeated_answers(trial.drafts)
    await trial.place(first)
    await trial.until_attempts(first, "analyzed")
    await trial.place(next_ones)
    await trial.until_attempts(next_ones, "unknown", "ongoing", "ended", "analyzed", "abandoned")
    await asyncio.to_thread(trial.house.proxy.set_door, Door.OPEN)  # ends every connection


def _thinned(trial: Trial) -> Iterator[Case]:
    """All cases, or a few of each family; in the small size those that are silent for long are left out."""
    if trial.setting.size is Size.FULL:
        yield from every_family(trial.drafts)
        return
    families: dict[str, list[Case]] = defaultdict(list)
    for case in every_family(trial.drafts):
        acts = (*case.plan.lookups, *case.plan.polls)
        if not any(act.end is End.SILENCE for act in acts):
            families[case.family].append(case)
    for members in families.values():
        yield from trial.drafts.rng.sample(members, min(PER_FAMILY, len(members)))


def _report(trial: Trial, problems: dict[str, list[Problem]], findings: Findings, mode: str, answer_bytes: int) -> None:
    proxy = trial.house.proxy
    settings = f"seed {findings.seed}, {trial.setting.size}, {mode}"
    for name, case in trial.cases.items():
        findings.tried(*ALWAYS, *case.invariants)
        if case.fate.rings and Invariant.I7 not in case.invariants:
            findings.tried(Invariant.I7)  # bound to the call that rang
        for invariant, what in problems.get(name, ()):
            findings.broke(invariant, what, f"{settings}: {case}")
    for stray in proxy.strays():
        findings.broke(Invariant.I2, f"a redirect was followed: {stray.path}", settings)
    sent = Counter(len(proxy.creates(name)) for name in trial.cases)
    key = mode.replace(" ", "_")
    findings.counts |= {
        f"{key}_calls": len(trial.cases),
        f"{key}_calls_by_family": dict(Counter(case.family for case in trial.cases.values())),
        f"{key}_answer_bytes": answer_bytes,
        f"{key}_cuts_of_the_answer": len(_bytes_cut(trial)),
        f"{key}_create_requests": sum(number * times for number, times in sent.items()),
        f"{key}_look_ups": sum(proxy.lookups(name) for name in trial.cases),
        f"{key}_webhooks_lost": proxy.webhooks_lost,
        f"{key}_connections_slammed": proxy.slammed,
    }


def _may_be_given_up(case: Case) -> bool:
    fates = [case.fate, case.otherwise] if case.otherwise is not None else [case.fate]
    return any(fate.surfaced or fate.corrected for fate in fates)


def _bytes_cut(trial: Trial) -> set[int]:
    """After how many bytes an answer that was longer was cut, as the proxy saw it."""
    cases = trial.cases.items()
    cut = {name for name, case in cases if case.family == "cut" and case.plan.creates[0].form is as_it_is}
    ended = [seen for seen in trial.house.proxy.log_of_creates() if seen.case in cut]
    return {seen.sent_bytes for seen in ended if seen.sent_bytes is not None and _is_cut(seen)}


def _is_cut(seen: Seen) -> bool:
    return seen.answer_bytes is not None and (seen.sent_bytes or 0) < seen.answer_bytes
