"""One system under every case of a mode: place, wait until each has its outcome, judge."""

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
from proof.harness.clock import LeapingClock
from proof.harness.oracle import CallSeen, Observed, Problem, report
from proof.harness.waiting import until
from proof.invariants import Invariant
from proof.provider.acts import End, Forward, Plan, as_it_is
from proof.provider.cases import Drafts, Setting, cuts, every_family, repeated_answers
from proof.provider.outcomes import Case, Evidence, answered, judge
from proof.provider.proxy import CASE_KEY, CREATE, Entrance, Seen
from proof.provider.system import System, open_system

HOUR_S = 3600.0
#: The product's clock begins so much earlier than the emulators', and both agree when the account works again. A
#: webhook is refused when its signature is five minutes old. The breaker's longest pause is on top of the hour.
BEHIND_S = HOUR_S + 700.0
FROM_NUMBER = "+14155550199"
SCENARIO_KEY = "emulator_scenario"
AREAS = (
    *(201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225, 228, 229, 231),
    *(234, 239, 240, 248, 251, 252, 253, 254, 256, 260, 262, 267, 269, 270, 276, 281, 301, 302, 303, 304, 305, 307),
)
CREATE_TIMEOUT_S = {Size.SMALL: 1.0, Size.FULL: 2.0}
#: After the last look-up an attempt is given up. The clock leaps to it once nothing else is left to do.
LOOKUPS_S = "1,2,3,4,5,6,7,8,200"
LEAP_S = 200.0
PER_FAMILY = 1
#: Calls are placed in waves, or a resend would wait for hundreds of them in the queue.
WAVE = 40
AT_ONCE = 10
#: Without any progress. A busy machine dials some calls after the leap, and their last look-up is 200 s later. A second
#: leap would make the signatures of their webhooks older than five minutes.
STUCK_AFTER_S = 270.0
#: Without progress the clock leaps after so long, even if some case is still open.
LEAP_AFTER_S = {Size.SMALL: 20.0, Size.FULL: 45.0}
LOOK_EVERY_S = {Size.SMALL: 0.25, Size.FULL: 2.0}
QUIET_S = {Size.SMALL: 0.3, Size.FULL: 4.0}
EMULATOR_SPEED = 40.0
REACHED_WITHIN_S = 300.0
SLAMS_FOR_S = 3.0
#: Every case looks at its rings, its requests, its rows and its events.
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

    def __init__(self, system: System, plans: dict[str, Plan], setting: Setting, seed: int) -> None:
        self.system = system
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
                self.call_ids[case.name] = await self.system.place(self._body(case))

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
        """Until each has an attempt in one of these states. Raises AssertionError."""
        ids = [self.call_ids[case.name] for case in cases]
        query = "SELECT count(*) AS reached FROM attempts WHERE call_id = ANY($1) AND state = ANY($2)"

        async def have_reached() -> bool:
            return bool((await self.system.rows(query, ids, states))[0]["reached"] >= len(ids))

        await until(have_reached, f"{len(ids)} attempts are {' or '.join(states)}", within_s)

    async def until_dialed(self, but: int) -> None:
        """Until all calls but so many have an attempt. Raises AssertionError."""

        async def are_dialed() -> bool:
            [attempts] = await self.system.rows("SELECT count(*) FROM attempts")
            return len(self.cases) - int(attempts["count"]) <= but

        await until(are_dialed, f"all calls but {but} are dialed", REACHED_WITHIN_S)

    async def finish(self) -> dict[str, list[Problem]]:
        """The problems of each case once all have their outcome, or once nothing has changed for long."""
        leap_after_s = LEAP_AFTER_S[self.setting.size]
        moved_at, fewest, may_leap = time.monotonic(), len(self.cases), True
        while time.monotonic() - moved_at < STUCK_AFTER_S:
            problems = await self.problems()
            if not problems and not self.system.proxy.busy:
                break
            if len(problems) < fewest:
                moved_at, fewest = time.monotonic(), len(problems)
            await self._release_late()
            # One case that is stuck must not keep the others from their leap.
            is_stuck = time.monotonic() - moved_at > leap_after_s
            if may_leap and (is_stuck or await self._all_wait_to_be_given_up(problems)):
                self.system.clock.leap(LEAP_S)
                moved_at, may_leap = time.monotonic(), False
            await asyncio.sleep(LOOK_EVERY_S[self.setting.size])
        await asyncio.sleep(QUIET_S[self.setting.size])
        return await self.problems()

    async def _all_wait_to_be_given_up(self, problems: dict[str, list[Problem]]) -> bool:
        """Whether only cases are open that will be abandoned, and each has sent all its requests."""
        waiting = [self.cases[name] for name in problems]
        if any(not _may_be_given_up(case) for case in waiting):
            return False
        sure = [case for case in waiting if case.otherwise is None]
        if any(len(self.system.proxy.creates(case.name)) not in case.outcome.creates for case in sure):
            return False
        ids = [self.call_ids[case.name] for case in waiting]
        query = "SELECT count(*) AS busy FROM attempts WHERE call_id = ANY($1) AND state <> 'unknown'"
        return not (await self.system.rows(query, ids))[0]["busy"]

    async def _release_late(self) -> None:
        rows = await self.system.rows("SELECT call_id FROM calls WHERE status = 'abandoned'")
        abandoned = {row["call_id"] for row in rows}
        for name, case in self.cases.items():
            if self.call_ids[name] in abandoned and any(a.forward is Forward.ON_RELEASE for a in case.plan.creates):
                self.system.proxy.release(name)

    async def problems(self) -> dict[str, list[Problem]]:
        gathered = await self.gather()
        found = {name: judge(case, gathered[name]) for name, case in self.cases.items()}
        return {name: problems for name, problems in found.items() if problems}

    async def gather(self) -> dict[str, Evidence]:
        """Everything that the outside has seen so far, by case."""
        system = self.system
        calls = await system.rows("SELECT call_id, status, final FROM calls")
        attempts = await system.rows(
            "SELECT call_id, attempt_id, state, provider_call_id FROM attempts ORDER BY number"
        )
        by_call = Observed(await system.rings(), await system.deliveries(), calls, attempts).by_call()
        seen = {name: Evidence(by_call.get(id_) or CallSeen(id_)) for name, id_ in self.call_ids.items()}
        for request in tuple(system.proxy.log):
            if request.path == CREATE and request.case in seen:
                evidence = seen[request.case]
                evidence.create_bodies.append(request.body)
                evidence.create_keys.append(request.key)
                evidence.create_times.append(request.at)
        for name, evidence in seen.items():
            evidence.evidence_at = system.proxy.evidence_at(name)
        return seen


@asynccontextmanager
async def open_trial(database_url: str, home: Path, size: Size, remembers: bool, seed: int) -> AsyncIterator[Trial]:
    plans: dict[str, Plan] = {}
    retell = {"speed": EMULATOR_SPEED, "idempotency": remembers, "seed": seed}
    settings, clock = environment(size, remembers), LeapingClock(-BEHIND_S)
    async with open_system(database_url, home, settings, retell, plans, clock) as system:
        setting = Setting(size, remembers, CREATE_TIMEOUT_S[size], system.proxy.url)
        yield Trial(system, plans, setting, seed)


async def play(trial: Trial, findings: Findings, say: Say) -> None:
    """Every case of the mode, judged into the findings."""
    mode = trial.mode
    measure = trial.drafts.plain()
    await trial.place([measure])
    answer_bytes = await _answer_bytes(trial, measure)
    await _without_connections(trial)
    await _repeat_answers(trial)
    cases = [*_thinned(trial), *cuts(trial.drafts, answer_bytes)]
    random.Random(f"order {trial.drafts.setting} {findings.seed}").shuffle(cases)
    say(f"{mode}: {len(cases)} cases; the create answer has {answer_bytes} bytes")
    for first in range(0, len(cases), WAVE):
        await trial.place(cases[first : first + WAVE])
        await trial.until_dialed(WAVE)
    say(f"{mode}: all are placed")
    problems = await trial.finish()
    _report(trial, problems, findings, answer_bytes)


async def _answer_bytes(trial: Trial, measure: Case) -> int:
    async def length() -> int | None:
        return next((seen.answer_bytes for seen in trial.system.proxy.creates(measure.name) if seen.answer_bytes), None)

    return await until(length, "the first create answer", REACHED_WITHIN_S)


async def _without_connections(trial: Trial) -> None:
    """Connections that are refused, and such as are closed before anything was read of them."""
    proxy, drafts = trial.system.proxy, trial.drafts
    not_sent = [drafts.case("connection", "refused", Plan(), answered("00", 1)) for _ in range(2)]
    await asyncio.to_thread(proxy.set_entrance, Entrance.REFUSES)
    await trial.place(not_sent)
    await trial.until_attempts(not_sent, "waiting")
    await asyncio.to_thread(proxy.set_entrance, Entrance.OPEN)
    # Their look-ups would fail at the next entrance, and only the clean ones count.
    await trial.until_attempts(not_sent, "analyzed")
    unread = replace(drafts.setting.not_rung(), creates=frozenset({1 if drafts.setting.remembers else 0}))
    slammed = [drafts.case("connection", "closed before it was read", Plan(), unread) for _ in range(3)]
    # Their look-ups fail as well, so the entrance opens again soon, and a late request gets through.
    slammed = [replace(case, otherwise=answered("00", 1)) for case in slammed]
    await asyncio.to_thread(proxy.set_entrance, Entrance.SLAMS)
    await trial.place(slammed)
    with contextlib.suppress(AssertionError):
        await trial.until_attempts(slammed, "unknown", within_s=SLAMS_FOR_S)
    await asyncio.to_thread(proxy.set_entrance, Entrance.OPEN)


async def _repeat_answers(trial: Trial) -> None:
    """Alone: no other case may read the rest on the connections."""
    first, next_ones = repeated_answers(trial.drafts)
    await trial.place(first)
    await trial.until_attempts(first, "analyzed")
    await trial.place(next_ones)
    await trial.until_attempts(next_ones, "unknown", "ongoing", "ended", "analyzed", "abandoned")
    await asyncio.to_thread(trial.system.proxy.set_entrance, Entrance.OPEN)  # ends every connection


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


def _report(trial: Trial, problems: dict[str, list[Problem]], findings: Findings, answer_bytes: int) -> None:
    proxy, mode = trial.system.proxy, trial.mode
    settings = f"seed {findings.seed}, {trial.setting.size}, {mode}"
    for name, case in trial.cases.items():
        findings.tried(*ALWAYS, *case.invariants)
        if case.outcome.rings and Invariant.I7 not in case.invariants:
            findings.tried(Invariant.I7)  # bound to the call that rang
        report(findings, problems.get(name, ()), f"{settings}: {case}")
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
    return any(outcome.surfaced or outcome.corrected for outcome in case.outcomes)


def _bytes_cut(trial: Trial) -> set[int]:
    """After how many bytes an answer that was longer was cut, as the proxy saw it."""
    cases = trial.cases.items()
    cut = {name for name, case in cases if case.family == "cut" and case.plan.creates[0].form is as_it_is}
    ended = [seen for seen in trial.system.proxy.log_of_creates() if seen.case in cut]
    return {seen.sent_bytes for seen in ended if seen.sent_bytes is not None and _is_cut(seen)}


def _is_cut(seen: Seen) -> bool:
    return seen.answer_bytes is not None and (seen.sent_bytes or 0) < seen.answer_bytes
