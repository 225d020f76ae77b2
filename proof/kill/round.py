"""One round: calls are placed, everything but the outside world is killed, and the next start is watched."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from proof.findings import Say
from proof.kill.aftermath import Aftermath, dialed_so_far, engage_knows_all, see, states_in_flight, what_is_open
from proof.kill.fates import Fate, Json, draw_calls
from tests.stories.running_system import RunningSystem, SystemClient, wait_until

PLACE_WITHIN_S = 300.0
POLL_S = 0.5
REPORT_EVERY_S = 5.0
LOG_CHARACTERS = 4000


@dataclass(frozen=True, slots=True)
class Plan:
    """`calls` are asked for, due `accepting_s` later; when `placed` are known to the provider, `hanging` dials get no
    answer, and the kill comes. `give_up_s` after the restart the wait for the rest ends. `source` is a folder whose
    `ringback` runs instead of the installed one."""

    calls: int
    placed: int
    seed: int
    give_up_s: float
    hanging: int
    accepting_s: float
    settings: dict[str, str]
    clients: int = 16
    source: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        return self.settings | ({"PYTHONPATH": str(self.source)} if self.source is not None else {})


@dataclass(frozen=True, slots=True)
class Told:
    """Seconds are counted from the restart; `settled_s` is None if that was given up."""

    killed_at: dict[str, int]
    rings_at_kill: int
    up_s: float
    settled_s: float | None
    seen: Aftermath

    @property
    def in_flight(self) -> int:
        return sum(self.killed_at.values())


def play(plan: Plan, say: Say) -> Told:
    """Raises AssertionError when the system cannot be used at all."""
    with _system(plan) as system:
        system.start()
        accepted, killed_at = _until_in_flight(system, plan)
        rings_at_kill = len(system.client.rings())
        system.kill_all_but_emulators()
        say(f"killed at {_listed(killed_at)}, {rings_at_kill} rings")
        began = time.monotonic()
        system.start()
        up_s = time.monotonic() - began
        settled_s = _watch(system, accepted, began, plan.give_up_s, say)
        seen = see(system.client, system.ready["database_url"], accepted)
        return Told(killed_at, rings_at_kill, up_s, settled_s, seen)


@contextmanager
def _system(plan: Plan) -> Iterator[RunningSystem]:
    """Not started yet; nothing of it is left running afterwards."""
    with TemporaryDirectory(prefix="ringback-kill-") as folder:
        system = RunningSystem(Path(folder), plan.environment)
        try:
            yield system
        except Exception as error:
            error.add_note(f"the end of its log:\n{system.log_file.read_text()[-LOG_CHARACTERS:]}")
            raise
        finally:
            system.discard()


def _until_in_flight(system: RunningSystem, plan: Plan) -> tuple[dict[str, Fate], dict[str, int]]:
    """What was accepted, and the states in flight at the moment of the kill: what is final by then, on whatever
    machine, is made up for by further calls."""
    drawn = iter(draw_calls(2 * plan.calls, plan.seed))
    doors, database_url, states = system.client, system.ready["database_url"], {}
    # All are accepted before the first is due, so that as many as can be are on the phone at once.
    accepted = _place(doors, plan, list(islice(drawn, plan.calls)), not_before=_due(plan))
    wait_until(
        lambda: dialed_so_far(database_url)["placed"] >= plan.placed, PLACE_WITHIN_S, f"{plan.placed} calls placed"
    )
    # Sent and neither answered nor heard of: what only the end of a lease can tell from a call.
    doors.change_retell_faults(create=[{"status": None, "times": plan.hanging}])
    enough = max(1, plan.hanging // 5)
    wait_until(lambda: dialed_so_far(database_url)["dialing"] >= enough, PLACE_WITHIN_S, "dials that hang")
    while (missing := plan.calls - sum((states := states_in_flight(database_url)).values())) > 0:
        more = list(islice(drawn, missing))
        assert more, "calls end faster than they can be asked for: this machine is too busy"
        accepted |= _place(doors, plan, more)
    return accepted, states


def _due(plan: Plan) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=plan.accepting_s)


def _place(
    doors: SystemClient, plan: Plan, asked: Sequence[tuple[Json, Fate]], not_before: datetime | None = None
) -> dict[str, Fate]:
    later = {} if not_before is None else {"not_before": not_before.isoformat()}
    with ThreadPoolExecutor(plan.clients) as threads:
        call_ids = list(threads.map(doors.place, [{**body, **later} for body, _ in asked]))
    return {call_id: fate for call_id, (_, fate) in zip(call_ids, asked, strict=True)}


def _watch(system: RunningSystem, accepted: dict[str, Fate], began: float, give_up_s: float, say: Say) -> float | None:
    """Seconds until every call is final and Engage has every event. Engage's ledger, which is long, is read only when
    nothing is left to be delivered."""
    database_url, report_at = system.ready["database_url"], REPORT_EVERY_S
    while (waited_s := time.monotonic() - began) < give_up_s:
        still_open = what_is_open(database_url)
        is_told = not (still_open["calls_not_final"] or still_open["not_delivered"])
        if is_told and engage_knows_all(system.client.deliveries(), accepted):
            return time.monotonic() - began
        if waited_s > report_at:
            states = _listed(states_in_flight(database_url))
            say(f"{waited_s:.0f} s after the restart: {_listed(still_open)}; in flight: {states or 'none'}")
            report_at = waited_s + REPORT_EVERY_S
        time.sleep(POLL_S)
    return None


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
