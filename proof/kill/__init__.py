"""kill -9 of everything but the emulators with calls in flight: the next start finishes them all.

The judgement does not depend on the machine's load. 2,000 calls take 50 s on two quiet cores and three minutes on busy
ones, so a limit in seconds would judge the machine. A call is lost if nothing at all changes for `STUCK_S` while it is
open, or if it is still open after many times the time that the same run needed before its kill.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import ringback
from proof.findings import Findings, Say, Size
from proof.harness.clients import place
from proof.harness.databases import rows
from proof.harness.oracle import Blame, Expected, Observed, Problem, judge, observe, report
from proof.invariants import Invariant
from proof.kill.calls import Json, draw_calls
from proof.planted.bug import TextPatch
from proof.planted.trial import copy_package
from tests.stories.running_system import RunningSystem, SystemClient, wait_until

CLIENTS = 16
#: The longest wait of the product is that for the end of a dead worker's lease, 31.5 or 36 s.
STUCK_S = 150.0
#: Times the time from the start to the kill, which on a busy machine is as slow as everything after it.
OPEN_AT_MOST_TIMES = 20.0
#: 2,000 calls in flight on two quiet cores. It is shown beside the measured time and decides nothing.
SECONDS_ON_A_QUIET_MACHINE = 60.0
PLACE_WITHIN_S = 600.0
POLL_S = 0.5
REPORT_EVERY_S = 5.0
LOG_CHARACTERS = 4000
LOOKED_AT = (Invariant.I1, Invariant.I2, Invariant.I14, Invariant.I20)
BLAME = Blame(binding=Invariant.I20, unresolved=Invariant.I20, stranger=Invariant.I20)
#: The analysis of a call that was not answered adds nothing, and may come when everything is finished.
OVER = ("ended", "analyzed")

#: A claim whose worker died is looked up when its lease (the create timeout and 30 s) is over, and dialed again after
#: three look-ups that found nothing. The many others are for those that a busy machine did not answer in time. The last
#: is far off, so that no call is given up before. A call takes 13 s; the deadlines of lost webhooks are a bit longer.
SETTINGS = {
    "RINGBACK_EMULATOR_SPEED": "2",
    "RINGBACK_MAX_LIVE_CALLS": "4000",
    "RINGBACK_CALLS_PER_SECOND": "400",
    "RINGBACK_CREATE_TIMEOUT_S": "1.5",
    "RINGBACK_UNKNOWN_LOOKUPS_S": ",".join(map(str, (0, 1, 2, 4, *range(8, 600, 8), 3600))),
    "RINGBACK_SILENCE_DEADLINE_S": "6",
    "RINGBACK_NOT_CONNECTED_DEADLINE_S": "4",
    "RINGBACK_ANALYSIS_DEADLINE_S": "4",
    "RINGBACK_MAX_CALL_S": "20",
}
#: Of few calls: the machine does nearly nothing but wait for the lease. The five dials that hang are seen long before
#: they time out: after that they would need no end of their lease.
_FEW = {
    "RINGBACK_EMULATOR_SPEED": "10",
    "RINGBACK_CALLS_PER_SECOND": "60",
    "RINGBACK_CREATE_TIMEOUT_S": "6",
    "RINGBACK_SILENCE_DEADLINE_S": "3",
    "RINGBACK_MAX_CALL_S": "6",
}

BUG = TextPatch(
    name="a lease that is over is left alone",
    aims=(Invariant.I20,),
    file="flows/reconciliation.py",
    old="                await self._lease_is_over(attempt)\n",
    new="                return\n",
    why="a living worker always comes back from its dial, so only a kill shows it",
    tests=(),
)
#: More than a lease: by then the good product has moved.
BUG_IS_STUCK_S = 60.0

_STATES = """
SELECT coalesce(attempt.state, 'queued') AS state, count(*) AS count
FROM calls LEFT JOIN LATERAL
     (SELECT state FROM attempts WHERE attempts.call_id = calls.call_id ORDER BY number DESC LIMIT 1) AS attempt ON true
WHERE NOT final GROUP BY 1 ORDER BY 2 DESC
"""
_PLACED = "SELECT count(provider_call_id) AS placed FROM attempts"
_IN_DIALING = """
SELECT attempt_id FROM attempts WHERE state = 'dialing' AND claimed_at < clock_timestamp() - interval '0.5 s'
"""
_OPEN = """
SELECT (SELECT count(*) FROM calls WHERE NOT final) AS calls_not_final,
       (SELECT count(*) FROM outbox WHERE delivered_at IS NULL) AS not_delivered,
       (SELECT count(*) FROM queue_messages WHERE dead_at IS NULL) AS messages_waiting
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """`calls` are accepted, due `accepting_s` later. The kill comes when `placed` are known to the provider and
    `hanging` dials get no answer. `source` is a folder whose `ringback` runs instead of the installed one."""

    calls: int
    placed: int
    hanging: int
    accepting_s: float
    seed: int
    settings: Mapping[str, str]
    stuck_s: float = STUCK_S
    source: Path | None = None

    def __str__(self) -> str:
        return f"seed {self.seed}, {self.calls} calls, killed when {self.placed} were placed"


@dataclass(frozen=True, slots=True)
class KillResult:
    """Seconds are counted from the restart. `finished_s` is None if calls were left open."""

    killed_at: Mapping[str, int]
    rings_at_kill: int
    up_s: float
    finished_s: float | None
    expected: Mapping[str, Expected]
    seen: Observed

    @property
    def repeats(self) -> int:
        """Deliveries of an event that Engage had received before, which its contract permits."""
        return len(self.seen.deliveries) - len({delivery["id"] for delivery in self.seen.deliveries})

    def counts(self) -> dict[str, object]:
        return {
            "in_flight": sum(self.killed_at.values()),
            "killed_at": dict(self.killed_at),
            "rings_at_kill": self.rings_at_kill,
            "up_after_s": round(self.up_s, 1),
            "settled_after_s": self.finished_s and round(self.finished_s, 1),
            "rings": len(self.seen.rings),
            "deliveries": len(self.seen.deliveries),
            "repeats": self.repeats,
        }


def small_plan(seed: int) -> Plan:
    return Plan(calls=100, placed=50, hanging=5, accepting_s=1.0, seed=seed, settings=SETTINGS | _FEW)


def full_plans(seed: int) -> list[Plan]:
    """Two moments; on a quiet machine of two cores nearly all calls that were placed are still in progress at each."""
    first = Plan(calls=2000, placed=1700, hanging=50, accepting_s=12.0, seed=seed, settings=SETTINGS)
    return [first, replace(first, placed=1550, seed=seed + 1)]


def run(size: Size, seed: int, say: Say) -> Findings:
    plans = full_plans(seed) if size is Size.FULL else [small_plan(seed)]
    found = Findings("kill", seed, settings=plans[0].settings)
    say("settings: " + _listed(plans[0].settings))
    for number, plan in enumerate(plans, 1):
        told = play(plan, say)
        found.tried(*LOOKED_AT, cases=len(told.expected))
        report(found, judge_kill(told), f"round {number}: {plan}")
        found.counts[f"round {number}"] = told.counts()
        took = "never" if told.finished_s is None else f"{told.finished_s:.1f} s after the restart"
        say(f"settled: {took} (quiet machine: {SECONDS_ON_A_QUIET_MACHINE:g} s); repeats {told.repeats}")
    if size is Size.FULL:
        found.plant(BUG.name, is_caught(small_plan(seed), say), *BUG.aims)
    return found


def judge_kill(told: KillResult) -> list[Problem]:
    """Each call has its outcome, and nothing is left in the database."""
    found = judge(told.seen, told.expected, BLAME)
    if told.finished_s is None:
        found.append(Problem(Invariant.I20, "calls were open and nothing changed any more"))
    for attempt in told.seen.attempts:
        name = f"attempt {attempt['attempt_id']}"
        if attempt["state"] not in OVER:
            found.append(Problem(Invariant.I20, f"{name} is left {attempt['state']}"))
        if attempt["lease_is_over"]:
            found.append(Problem(Invariant.I20, f"{name} has a lease that is over"))
        if attempt["holds_person"] or attempt["holds_slot"]:
            found.append(Problem(Invariant.I20, f"{name} still holds its contact or a slot"))
    if told.seen.dead_letters:
        found.append(Problem(Invariant.I20, f"{told.seen.dead_letters} dead letters"))
    return found


def is_caught(plan: Plan, say: Say) -> bool:
    """Whether the oracle notices the planted bug."""
    with TemporaryDirectory(prefix="ringback-kill-bug-") as folder:
        source = copy_package(Path(ringback.__file__).parents[1], Path(folder))
        BUG.plant(source / "ringback")
        told = play(replace(plan, source=source, stuck_s=BUG_IS_STUCK_S), say)
    # Other problems could be a slow machine's.
    return told.finished_s is None and any("still dialing" in problem.what for problem in judge_kill(told))


def play(plan: Plan, say: Say) -> KillResult:
    """Raises AssertionError when the system cannot be used at all."""
    with _system(plan) as system:
        began = time.monotonic()
        system.start()
        database_url = system.ready["database_url"]
        accepted, killed_at = _until_in_flight(system.client, database_url, plan)
        rings_at_kill = len(system.client.rings())
        system.kill_all_but_emulators()
        # Hangs that are left would be those of resends, and a second unclear answer rightly ends a call.
        system.client.change_retell_faults(create=[])
        say(f"killed at {_listed(killed_at)}, {rings_at_kill} rings")
        restarted = time.monotonic()
        system.start()
        up_s = time.monotonic() - restarted
        open_at_most_s = plan.stuck_s + OPEN_AT_MOST_TIMES * (restarted - began)
        finished_s = _watch(system, accepted, restarted, (plan.stuck_s, open_at_most_s), say)
        return KillResult(killed_at, rings_at_kill, up_s, finished_s, accepted, observe(system.client, database_url))


@contextmanager
def _system(plan: Plan) -> Iterator[RunningSystem]:
    """Not started yet; nothing of it is left running afterwards."""
    own = {} if plan.source is None else {"PYTHONPATH": str(plan.source)}
    with TemporaryDirectory(prefix="ringback-kill-") as folder:
        system = RunningSystem(Path(folder), {**plan.settings, **own})
        try:
            yield system
        except Exception as error:
            error.add_note(f"the end of its log:\n{system.log_file.read_text()[-LOG_CHARACTERS:]}")
            raise
        finally:
            system.discard()


def _until_in_flight(client: SystemClient, database_url: str, plan: Plan) -> tuple[dict[str, Expected], dict[str, int]]:
    """The accepted calls, and the states in flight at the kill. Further calls make up for those that are final."""
    drawn = iter(draw_calls(3 * plan.calls, plan.seed))
    # All are accepted before the first is due: as many as possible are on the phone at once.
    accepted = _place(client, plan, list(islice(drawn, plan.calls)), later_s=plan.accepting_s)
    wait_until(
        lambda: rows(database_url, _PLACED)[0]["placed"] >= plan.placed, PLACE_WITHIN_S, f"{plan.placed} calls placed"
    )
    # Sent, without an answer and without a webhook: only the end of the lease finds such a call.
    client.change_retell_faults(create=[{"status": None, "times": plan.hanging}])
    enough = max(1, plan.hanging // 5)
    wait_until(lambda: _hanging(client, database_url) >= enough, PLACE_WITHIN_S, "dials that hang")
    later_s = 0.0
    while (missing := plan.calls - sum((states := _states(database_url)).values())) > 0:
        more = list(islice(drawn, missing))
        assert more, "no calls are left to make up for those that have ended"
        accepted |= _place(client, plan, more, later_s)
        # On a busy machine calls can end faster than others are accepted. So further ones are due a little later.
        later_s = plan.accepting_s
    return accepted, states


def _place(
    client: SystemClient, plan: Plan, asked: Sequence[tuple[Json, Expected]], later_s: float
) -> dict[str, Expected]:
    due = {"not_before": (datetime.now(UTC) + timedelta(seconds=later_s)).isoformat()} if later_s else {}
    with ThreadPoolExecutor(CLIENTS) as threads:
        call_ids = list(threads.map(lambda one: place(client, {**one[0], **due}), asked))
    return {call_id: outcome for call_id, (_, outcome) in zip(call_ids, asked, strict=True)}


def _hanging(client: SystemClient, database_url: str) -> int:
    """Dials that have begun and not rung. Of a busy machine an answer that is late is none of them."""
    begun = {row["attempt_id"] for row in rows(database_url, _IN_DIALING)}
    return len(begun - {ring["metadata"]["ringback_attempt_id"] for ring in client.rings()})


def _states(database_url: str) -> dict[str, int]:
    """Calls accepted and not final, by the state of their latest attempt; `queued` are those without one."""
    return {row["state"]: row["count"] for row in rows(database_url, _STATES)}


def _watch(
    system: RunningSystem, accepted: Mapping[str, Expected], began: float, limits_s: tuple[float, float], say: Say
) -> float | None:
    """Seconds until every call is final and Engage has every event; None if calls stay open. `limits_s` are those of
    the time without any change and of the whole time."""
    database_url, report_at, (stuck_s, open_at_most_s) = system.ready["database_url"], REPORT_EVERY_S, limits_s
    moved_at, before = time.monotonic(), ""
    while (now := time.monotonic()) - began < open_at_most_s and now - moved_at < stuck_s:
        [left] = rows(database_url, _OPEN)
        # Engage's ledger is long, so it is read only when nothing is left to be delivered.
        is_told = not (left["calls_not_final"] or left["not_delivered"])
        if is_told and engage_has_all(system.client.deliveries(), accepted):
            return time.monotonic() - began
        states = f"{_listed(left)}; in flight: {_listed(_states(database_url)) or 'none'}"
        if states != before:
            moved_at, before = now, states
        if now - began > report_at:
            say(f"{now - began:.0f} s after the restart: {states}")
            report_at = now - began + REPORT_EVERY_S
        time.sleep(POLL_S)
    return None


def engage_has_all(deliveries: Sequence[Json], accepted: Mapping[str, Expected]) -> bool:
    """Whether Engage has as many events of every call as its outcome has."""
    heard: dict[str, set[str]] = {call_id: set() for call_id in accepted}
    for delivery in deliveries:
        heard.setdefault(delivery["event"]["subject"], set()).add(delivery["id"])
    return all(len(heard[call_id]) >= len(outcome.events or ()) for call_id, outcome in accepted.items())


def _listed(counts: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in counts.items())
