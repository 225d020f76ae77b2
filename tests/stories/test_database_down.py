"""PostgreSQL is killed or unavailable for seconds: requests are refused in time, and no call is lost."""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ringback.embedded.server import PostgresServer

from .running_system import Answer, RunningSystem, SystemClient, new_call, wait_until

#: The limit for a response without a database, far below the timeout of a client.
ANSWERED_WITHIN_S = 8.0
#: Mostly a tenth of it. But rows in flight at that moment are sent again only after their lease of 60 s.
ENDED_WITHIN_S = 66.0
#: A talk takes four seconds, and the database stops in the middle of it. The webhooks of its end are lost, so every
#: deadline for look-ups is short.
SETTINGS = {
    "RINGBACK_EMULATOR_SPEED": "5",
    "RINGBACK_SILENCE_DEADLINE_S": "3",
    "RINGBACK_MAX_CALL_S": "6",
    "RINGBACK_ANALYSIS_DEADLINE_S": "3",
}


def _timed(client: SystemClient, phone: str) -> tuple[Answer, float]:
    began = time.monotonic()
    answer = client.ask("POST", "/v1/calls", new_call(phone))
    return answer, time.monotonic() - began


def _talking(client: SystemClient, *phones: str) -> list[str]:
    """Place calls, and wait until they are answered and Engage has their events."""
    call_ids = [client.place(new_call(phone)) for phone in phones]
    for call_id in call_ids:
        client.wait_for(call_id, lambda call: call["status"] in ("in_progress", "completed"))
        client.wait_delivered(call_id)
    return call_ids


def _is_clear(answer: Answer, took_s: float) -> None:
    """Check that the request was accepted, or refused with a Retry-After."""
    assert took_s < ANSWERED_WITHIN_S
    assert answer.status in (202, 503), answer.body
    if answer.status == 503:
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.body["code"] == "unavailable"


def test_a_killed_postgres_is_restarted_and_calls_are_accepted_again(
    make_system: Callable[..., RunningSystem],
) -> None:
    system = make_system(**SETTINGS)
    system.start()
    client = system.client
    in_flight = _talking(client, "+12015550100", "+12025550100", "+12035550100")
    system.kill_postgres()
    accepted: list[str] = []
    give_up_at = time.monotonic() + 20
    while len(accepted) < 3 and time.monotonic() < give_up_at:
        answer, took_s = _timed(client, f"+1{(205, 206, 207)[len(accepted)]}5550100")
        _is_clear(answer, took_s)
        if answer.status == 202:
            accepted.append(answer.body["call_id"])
    assert len(accepted) == 3
    for call_id in in_flight + accepted:
        assert client.wait_final(call_id, ENDED_WITHIN_S)["status"] == "completed"
        client.wait_delivered(call_id, ENDED_WITHIN_S)
        assert len(client.rings_of(call_id)) == 1
    assert [entry["event"] for entry in system.logged("error")] == ["postgres.died"]
    assert system.process is not None
    assert system.process.poll() is None
    assert system.stop() == 0


@pytest.fixture
def database() -> Iterator[PostgresServer]:
    """A PostgreSQL that `up` does not manage, on a short path, so its URL stays the same."""
    with tempfile.TemporaryDirectory(prefix="ringback-", ignore_cleanup_errors=True) as directory:
        server = PostgresServer(Path(directory))
        server.start()
        yield server
        server.stop()


def test_requests_are_refused_while_the_database_is_unavailable_and_calls_end_later(
    make_system: Callable[..., RunningSystem], database: PostgresServer
) -> None:
    system = make_system(RINGBACK_DATABASE_URL=database.start(), **SETTINGS)
    system.start()
    client = system.client
    in_flight = _talking(client, "+12085550100", "+12095550100", "+12105550100")
    database.stop()
    for _ in range(4):
        answer, took_s = _timed(client, "+12125550100")
        _is_clear(answer, took_s)
        assert answer.status == 503
    assert client.ask("GET", "/healthz").status == 200
    assert client.ask("GET", "/readyz").status == 503
    database.start()
    wait_until(lambda: client.ask("GET", "/readyz").status == 200, 10, "ready again")
    later = client.place(new_call("+12135550100"))
    for call_id in [*in_flight, later]:
        assert client.wait_final(call_id, ENDED_WITHIN_S)["status"] == "completed"
        client.wait_delivered(call_id, ENDED_WITHIN_S)
        assert len(client.rings_of(call_id)) == 1
    assert system.logged("error") == []
    assert system.stop() == 0
