"""Invariant I11: whatever the order and the number of an attempt's webhooks, the same rows and the same events.

Compared are whole rows of calls and attempts, whole events with their ids and order keys, whole suppressions, and
tasks but for `created_at`.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

from ringback.adapters.postgres.pool import _prepare_connection
from ringback.adapters.postgres.store import PostgresStore
from ringback.domain.attempt import VoicemailAction
from ringback.domain.call import RetryPolicy

from . import recordings as r
from .conftest import EventStack, Talk

HANGUP, MESSAGE = VoicemailAction.HANGUP, VoicemailAction.MESSAGE
RETRY = RetryPolicy(max_attempts=2, delay_s=(600,))


@dataclass(frozen=True)
class Case:
    recording: dict[str, r.Body]
    told: list[str]
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    agent: VoicemailAction = MESSAGE


CASES = {
    "completed": Case(r.COMPLETED, ["initiated", "started", "completed"]),
    "partially": Case(r.PARTIAL, ["initiated", "started", "partially_completed"]),
    "withheld": Case(r.connected("user_hangup", r.analysis(True), **r.WITHHELD), ["initiated", "started", "completed"]),
    "message_left": Case(r.VOICEMAIL, ["initiated", "started", "left_voicemail"]),
    "hung_up": Case(r.VOICEMAIL, ["initiated", "started", "failed voicemail_no_message"], agent=HANGUP),
    "undetected_voicemail": Case(
        r.connected("user_hangup", r.analysis(False, in_voicemail=True), **r.LEFT_MESSAGE),
        ["initiated", "started", "left_voicemail"],
        retry=RetryPolicy(max_attempts=3, rules={"voicemail": (86400,)}),
    ),
    "no_answer": Case(r.NO_ANSWER, ["initiated", "failed no_answer"], retry=RETRY),
    "busy": Case(r.BUSY, ["initiated", "failed busy"]),
    "invalid": Case(r.INVALID, ["initiated", "failed invalid_number"]),
    "capacity": Case(r.CAPACITY, ["initiated", "failed capacity"]),
    "transferred": Case(r.TRANSFERRED, ["initiated", "started", "completed"]),
    "opt_out": Case(r.OPT_OUT, ["initiated", "started", "partially_completed"], retry=RETRY),
    "broken_talk": Case(r.BROKEN_TALK, ["initiated", "started", "partially_completed"]),
    "broken_dial": Case(r.BROKEN_DIAL, ["initiated", "failed provider_error"]),
    "start_untold_at_first": Case(
        r.COMPLETED | {"call_started": {**r.COMPLETED["call_started"], "start_timestamp": None}},
        ["initiated", "started", "completed"],
    ),
    "the_analysis_knows_better": Case(
        r.COMPLETED | {"call_ended": {**r.COMPLETED["call_ended"], **r.LEFT_MESSAGE, "duration_ms": 82000}},
        ["initiated", "started", "completed"],
    ),
    "reason_untold_by_the_analysis": Case(
        r.COMPLETED | {"call_analyzed": {**r.COMPLETED["call_analyzed"], "disconnection_reason": None}},
        ["initiated", "started", "completed"],
    ),
}


class OneConnection:
    """A pool of one, so that a transaction of the product is a savepoint and can be taken back."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def acquire(self, timeout: float | None = None) -> AsyncIterator[asyncpg.Connection]:
        async with self._turn:
            yield self.connection


class Player:
    """Plays webhooks in any order, never at the same moment twice: nothing compared may depend on when one arrives."""

    def __init__(self, stack: EventStack, connection: asyncpg.Connection, case: Case) -> None:
        self.stack, self.connection, self.case = stack, connection, case
        stack.provider.action = case.agent
        self.names = list(case.recording)
        self.outcomes: dict[str, list[str]] = {}

    async def accept(self) -> str:
        """The call, and another one of the same contact at another phone, due tomorrow."""
        tomorrow = self.stack.clock.now().replace(day=2)
        await self.stack.accept(phone=1, not_before=tomorrow, expires_at=tomorrow.replace(day=5))
        return await self.stack.accept(phone=0, retry=self.case.retry)

    async def hear(self, talk: Talk, path: tuple[str, ...]) -> None:
        """The last webhook of the path. Its repeat is worded anew, so that the inbox does not take it for the same."""
        name = path[-1]
        self.stack.clock.advance(17.3 * len(path) * (self.names.index(name) + 1))
        worded = {"delivery": 2} if path.count(name) > 1 else {}
        await self.stack.play(talk, self.case.recording, name, **worded)

    async def grow(self, talk: Talk, path: tuple[str, ...] = ()) -> None:
        """Every sequence in which each webhook occurs once or twice. They share their beginnings: behind each webhook
        the tree branches, and a branch that was played is taken back."""
        for name in self.names:
            if path.count(name) == 2:
                continue
            async with self.taken_back():
                await self.hear(talk, (*path, name))
                if {*path, name} == set(self.names):
                    await self.note(talk.call_id, " ".join((*path, name)))
                await self.grow(talk, (*path, name))

    @property
    def tried(self) -> int:
        """Sequences that were played to their end."""
        return sum(map(len, self.outcomes.values()))

    async def note(self, call_id: str, how: str) -> None:
        self.outcomes.setdefault(await self.outcome(call_id), []).append(how)

    async def outcome(self, call_id: str) -> str:
        mine = f"{self.stack.person:05d}-%"
        queries = (
            "SELECT row_to_json(calls)::text AS row FROM calls WHERE call_id LIKE $1 ORDER BY call_id",
            "SELECT row_to_json(attempts)::text AS row FROM attempts WHERE call_id LIKE $1 ORDER BY attempt_id",
            "SELECT row_to_json(suppressions)::text AS row FROM suppressions WHERE suppression_id LIKE $1 ORDER BY 1",
            "SELECT (to_jsonb(tasks) - 'created_at')::text AS row FROM tasks WHERE call_id LIKE $1 ORDER BY task_id",
            "SELECT message_id || order_key || payload AS row FROM outbox "
            "WHERE kind = 'abt_event' AND call_id LIKE $1 ORDER BY call_id, id",
        )
        rows = [row["row"] for query in queries for row in await self.stack.all(query, mine)]
        return "\n".join(rows)

    @asynccontextmanager
    async def taken_back(self) -> AsyncIterator[None]:
        now, last_id = self.stack.clock.now(), self.stack.last_id
        savepoint = self.connection.transaction()
        await savepoint.start()
        yield
        await savepoint.rollback()
        self.stack.clock.advance((now - self.stack.clock.now()).total_seconds())
        self.stack.last_id = last_id


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await asyncpg.connect(database_url)
    await _prepare_connection(opened)
    # One transaction lasts for the whole test here, which takes longer than the product's limit on a busy machine.
    if opened.get_server_version() >= (17, 0):
        await opened.execute("SET transaction_timeout = 0")
    transaction = opened.transaction()
    await transaction.start()
    yield opened
    opened.terminate()


@pytest.fixture(params=list(CASES))
def player(request: pytest.FixtureRequest, connection: asyncpg.Connection, clock: Any) -> Player:
    pool: Any = OneConnection(connection)
    stack = EventStack(PostgresStore(pool, clock_is_real=False), pool, clock)
    return Player(stack, connection, CASES[request.param])


@pytest.mark.matrix
async def test_every_order_and_repetition_gives_the_same_rows_and_events(
    player: Player, record_property: Callable[[str, object], None]
) -> None:
    talk = await player.stack.dial(await player.accept())
    await player.grow(talk)
    record_property("cases", player.tried)
    assert player.tried == {3: 6 + 36 + 90 + 90, 2: 2 + 6 + 6}[len(player.names)]
    assert [how[:4] for how in player.outcomes.values()][1:] == []
    await player.stack.play(talk, player.case.recording)
    assert await player.stack.told(talk.call_id) == player.case.told


@pytest.mark.matrix
async def test_the_answer_to_the_dial_may_come_before_between_or_after_them(
    player: Player, record_property: Callable[[str, object], None]
) -> None:
    stack, call_id = player.stack, await player.accept()
    for order in itertools.permutations(player.names):
        for heard_first in range(len(order) + 1):
            async with player.taken_back():

                async def listen(request: Any, provider_call_id: str, order: Any = order[:heard_first]) -> None:
                    talk = Talk(call_id, request.idempotency_key, provider_call_id)
                    for length in range(1, len(order) + 1):
                        await player.hear(talk, order[:length])

                stack.provider.during_dial = listen
                talk = await stack.dial(call_id)
                for length in range(heard_first + 1, len(order) + 1):
                    await player.hear(talk, order[:length])
                await player.note(call_id, f"{order} with the answer at {heard_first}")
    record_property("cases", player.tried)
    assert [how[:4] for how in player.outcomes.values()][1:] == []


async def test_the_very_same_webhook_twice_changes_no_row_at_all(player: Player) -> None:
    talk = await player.stack.dial(await player.accept())
    await player.stack.play(talk, player.case.recording)
    once = await player.outcome(talk.call_id)
    decisions = await player.stack.all("SELECT * FROM gate_decisions")
    await player.stack.play(talk, player.case.recording)
    assert await player.outcome(talk.call_id) == once
    assert await player.stack.all("SELECT * FROM gate_decisions") == decisions
    assert player.stack.counts.repeated == len(player.names)


@pytest.mark.parametrize("player", ["completed", "no_answer"], indirect=True)
async def test_an_event_that_decides_nothing_changes_nothing_wherever_it_comes(
    player: Player, record_property: Callable[[str, object], None]
) -> None:
    talk = await player.stack.dial(await player.accept())
    last = player.case.recording[player.names[-2]]
    for order in itertools.permutations(player.names):
        for position in range(len(order) + 1):
            async with player.taken_back():
                for length, name in enumerate(order):
                    if length == position:
                        await player.stack.play(talk, {"transcript_updated": last})
                    await player.hear(talk, (*order[:length], name))
                if position == len(order):
                    await player.stack.play(talk, {"transcript_updated": last})
                await player.note(talk.call_id, f"{order} with another event at {position}")
    record_property("cases", player.tried)
    assert [how[:4] for how in player.outcomes.values()][1:] == []
