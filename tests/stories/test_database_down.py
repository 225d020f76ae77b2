"""PostgreSQL is killed, or gone for seconds: requests are refused in time, nothing is lost, no restart is needed."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ringback.embedded.server import PostgresServer

from .running_system import Answer, Doors, RunningSystem, new_call, wait_until

#: Far below what a client waits; a request that meets a dead database is answered in this time at the latest.
ANSWERED_WITHIN_S = 8.0
#: Mostly a tenth of it; but what the outbox was sending at that moment goes out again when its lease of 60 s is over.
SETTLED_WITHIN_S = 66.0
#: A talk of four seconds, so that the database goes away in the middle of it; the webhooks of its end are lost, so
#: every deadline of the watchdog is short.
SETTINGS = {
    "RINGBACK_EMULATOR_SPEED": "5",
    "RINGBACK_SILENCE_DEADLINE_S": "3",
    "RINGBACK_MAX_CALL_S": "6",
    "RINGBACK_ANALYSIS_DEADLINE_S": "3",
}


def _timed(doors: Doors, phone: str) -> tuple[Answer, float]:
    began = time.monotonic()
    answer = doors.ask("POST", "/v1/calls", new_call(phone))
    return answer, time.monotonic() - began


def _talking(doors: Doors, *phones: str) -> list[str]:
    """Calls that have been answered and that Engage knows to have been."""
    call_ids = [doors.place(new_call(phone)) for phone in phones]
    for call_id in call_ids:
        doors.wait_for(call_id, lambda call: call["status"] in ("in_progress", "completed"))
        doors.wait_delivered(call_id)
    return call_ids


def _is_clear(answer: Answer, took_s: float) -> None:
    """Accepted, or refused in a way that says when to come again."""
    assert took_s < ANSWERED_WITHIN_S
    assert answer.status in (202, 503), answer.body
    if answer.status == 503:
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.body["code"] == "unavailable"


def test_a_killed_postgres_is_started_again_and_nobody_notices_for_long(
    make_system: Callable[..., RunningSystem],
) -> None:
    system = make_system(**SETTINGS)
    system.start()
    doors = system.doors
    in_flight = _talking(doors, "+12015550100", "+12025550100", "+12035550100")
    system.kill_postgres()
    accepted: list[str] = []
    give_up_at = time.monotonic() + 20
    while len(accepted) < 3 and time.monotonic() < give_up_at:
        answer, took_s = _timed(doors, f"+1{(205, 206, 207)[len(accepted)]}5550100")
        _is_clear(answer, took_s)
        if answer.status == 202:
            accepted.append(answer.body["call_id"])
    assert len(accepted) == 3
    for call_id in in_flight + accepted:
        assert doors.wait_final(call_id, SETTLED_WITHIN_S)["status"] == "completed"
        doors.wait_delivered(call_id, SETTLED_WITHIN_S)
        assert len(doors.rings_of(call_id)) == 1
    assert [entry["event"] for entry in system.logged("error")] == ["postgres.died"]
    assert system.process is not None
    assert system.process.poll() is None
    assert system.stop() == 0


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    """A PostgreSQL that `up` neither starts nor starts again; on a short path, so that its URL stays the same."""
    with tempfile.TemporaryDirectory(prefix="ringback-", ignore_cleanup_errors=True) as directory:
        server = PostgresServer(Path(directory))
        server.start()
        yield server
        server.stop()


def test_while_the_database_is_away_requests_are_refused_and_calls_settle_afterwards(
    make_system: Callable[..., RunningSystem], database: PostgresServer
) -> None:
    system = make_system(RINGBACK_DATABASE_URL=database.start(), **SETTINGS)
    system.start()
    doors = system.doors
    in_flight = _talking(doors, "+12085550100", "+12095550100", "+12105550100")
    database.stop()
    for _ in range(4):
        answer, took_s = _timed(doors, "+12125550100")
        _is_clear(answer, took_s)
        assert answer.status == 503
    assert doors.ask("GET", "/healthz").status == 200
    assert doors.ask("GET", "/readyz").status == 503
    database.start()
    wait_until(lambda: doors.ask("GET", "/readyz").status == 200, 10, "ready again")
    later = doors.place(new_call("+12135550100"))
    for call_id in [*in_flight, later]:
        assert doors.wait_final(call_id, SETTLED_WITHIN_S)["status"] == "completed"
        doors.wait_delivered(call_id, SETTLED_WITHIN_S)
        assert len(doors.rings_of(call_id)) == 1
    assert system.logged("error") == []
    assert system.stop() == 0
