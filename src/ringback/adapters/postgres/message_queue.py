"""The embedded MessageQueue: one table with the semantics of Amazon SQS, outside every business transaction."""

import asyncio
import json
import re
from collections.abc import Sequence

import asyncpg

from ringback.adapters.message_limits import MAX_LETTERS, MAX_REASON_CHARACTERS, all_rejected, clean, rejections
from ringback.adapters.postgres.pool import connection_of
from ringback.adapters.postgres.wake import Listener
from ringback.domain.errors import QueueUnavailable, Retryable
from ringback.failpoints import Failpoint, reach
from ringback.loops import Loops
from ringback.messages import MAX_MESSAGE_BYTES
from ringback.ports import DeadLetter, MessageQueue, OutgoingMessage, ReceivedMessage

STATEMENT_TIMEOUT_S = 10.0

#: Polling finds the messages without a notification: delayed ones, and those whose visibility timeout ended.
POLL_S = 0.5

_NAME = re.compile(r"[A-Za-z0-9_\-]{1,40}")

_SEND = """
    WITH sent AS (
        INSERT INTO queue_messages (queue, body, attributes, sent_at, visible_at, ready_at)
        SELECT $1, body, attributes, now, visible_at, visible_at
        FROM unnest($2::text[], $3::text[], $4::int[]) AS message (body, attributes, delay_s),
             clock_timestamp() AS now, LATERAL (SELECT now + make_interval(secs => delay_s) AS visible_at) AS delayed
    )
    SELECT pg_notify($5, '')
"""

# The sub-select makes the clock a constant of the statement, so the index can be used. The index has `ready_at`, which
# a receive leaves as it is: the row is updated within its page. `visible_at` hides the messages in progress.
_RECEIVE = """
    WITH next AS (
        SELECT id FROM queue_messages
        WHERE queue = $1 AND dead_at IS NULL AND ready_at <= (SELECT clock_timestamp())
          AND visible_at <= (SELECT clock_timestamp())
        ORDER BY ready_at LIMIT $2 FOR UPDATE SKIP LOCKED
    )
    UPDATE queue_messages AS message SET
        visible_at = clock_timestamp() + make_interval(secs => $3),
        receive_count = receive_count + (receive_count < $4)::int,
        receipt = gen_random_uuid(),
        dead_at = CASE WHEN receive_count >= $4 THEN clock_timestamp() END,
        dead_reason = CASE WHEN receive_count >= $4 THEN 'received too often' END
    FROM next WHERE message.id = next.id
    RETURNING message.id, receipt, body, attributes, receive_count, dead_at IS NOT NULL AS dead
"""

_DELETE = """
    DELETE FROM queue_messages AS message USING unnest($1::bigint[], $2::uuid[]) AS done (id, receipt)
    WHERE message.id = done.id AND message.receipt = done.receipt AND message.dead_at IS NULL
"""

# Another process receives or deletes a locked row, so this receipt is stale or moot. Waiting could deadlock.
_CHANGE_VISIBILITY = """
    WITH held AS (
        SELECT message.id FROM queue_messages AS message
        JOIN unnest($1::bigint[], $2::uuid[]) AS wanted (id, receipt) USING (id)
        WHERE message.receipt = wanted.receipt AND message.dead_at IS NULL
        FOR UPDATE OF message SKIP LOCKED
    )
    UPDATE queue_messages AS message SET visible_at = later, ready_at = CASE WHEN $3 > 0 THEN later ELSE ready_at END
    FROM held, (SELECT clock_timestamp() + make_interval(secs => $3) AS later) AS given_back WHERE message.id = held.id
"""

_DEAD_LETTER = """
    UPDATE queue_messages SET dead_at = clock_timestamp(), dead_reason = $3
    WHERE id = $1 AND receipt = $2::uuid AND dead_at IS NULL
"""

_DEPTH = """
    SELECT count(*) FROM queue_messages
    WHERE queue = $1 AND dead_at IS NULL AND ready_at <= (SELECT clock_timestamp())
      AND visible_at <= (SELECT clock_timestamp())
"""

_OLDEST = """
    SELECT coalesce(extract(epoch FROM clock_timestamp() - min(sent_at)), 0)::float FROM queue_messages
    WHERE queue = $1 AND dead_at IS NULL AND ready_at <= (SELECT clock_timestamp())
      AND visible_at <= (SELECT clock_timestamp())
"""

_DEAD_COUNT = """
SELECT count(*) FROM (SELECT FROM queue_messages WHERE queue = $1 AND dead_at IS NOT NULL LIMIT $2) AS dead
"""
_DEAD_LETTERS = """
    SELECT id::text AS letter_id, body, dead_reason AS reason, dead_at FROM queue_messages
    WHERE queue = $1 AND dead_at IS NOT NULL ORDER BY dead_at, id LIMIT $2
"""

# The receipt is cleared: a consumer with an old delivery can neither delete nor move a replayed message.
_REPLAY = """
    WITH replayed AS (
        UPDATE queue_messages
        SET dead_at = NULL, dead_reason = NULL, receipt = NULL, receive_count = 0, visible_at = clock_timestamp(),
            ready_at = clock_timestamp()
        WHERE queue = $1 AND dead_at IS NOT NULL AND ($2::text IS NULL OR id::text = $2) RETURNING id
    )
    SELECT count(*), pg_notify($3, '') FROM replayed
"""


class PostgresQueue(MessageQueue):
    """One named queue of the table `queue_messages`. All times are the database's, so all processes agree.

    A waiting receive keeps one connection of the pool for LISTEN: close the queue before the pool.
    Every method raises QueueUnavailable while the database is unavailable, and works again once it has recovered.
    """

    def __init__(
        self,
        pool: "asyncpg.Pool[asyncpg.Record]",
        name: str,
        *,
        max_receives: int = 5,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        loops: Loops | None = None,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError("a queue's name is 1 to 40 letters, digits, hyphens and underscores")
        self.name = name
        self._pool = pool
        self._max_receives = max_receives
        self._max_message_bytes = max_message_bytes
        self._channel = f"ringback_queue_{name}"
        self._listener = Listener(pool, self._channel, (loops or Loops()).named("listener", name))

    @property
    def max_message_bytes(self) -> int:
        return self._max_message_bytes

    async def send(self, messages: Sequence[OutgoingMessage]) -> list[int]:
        rejected = rejections(messages, self._max_message_bytes)
        valid = [message for position, message in enumerate(messages) if position not in rejected]
        if valid:
            attributes = [json.dumps(dict(m.attributes)) if m.attributes else None for m in valid]
            bodies, delays_s = [m.body for m in valid], [m.delay_s for m in valid]
            await self._fetch(_SEND, self.name, bodies, attributes, delays_s, self._channel)
            reach(Failpoint.QUEUE_SENT)
        elif rejected:
            raise all_rejected(rejected)
        return list(rejected)

    async def receive(self, limit: int, wait_s: float, visibility_s: int) -> list[ReceivedMessage]:
        clock = asyncio.get_running_loop().time
        deadline = clock() + min(wait_s, 20.0)
        limit = min(limit, 10)
        while True:
            rows = await self._fetch(_RECEIVE, self.name, limit, float(visibility_s), self._max_receives)
            if len(rows) == limit:
                # One notification may announce many messages, so a receive with a full batch wakes the next one.
                self._listener.wake_up.notify()
            messages = [
                ReceivedMessage(
                    message_id=str(row["id"]),
                    receipt=f"{row['id']}.{row['receipt']}",
                    body=row["body"],
                    receive_count=row["receive_count"],
                    attributes=json.loads(row["attributes"]) if row["attributes"] else {},
                )
                for row in rows
                if not row["dead"]
            ]
            left_s = deadline - clock()
            if messages or left_s <= 0:
                if messages:
                    reach(Failpoint.QUEUE_RECEIVED)
                return messages
            if not rows:
                self._listener.start()
                await self._listener.wake_up.wait(min(left_s, POLL_S))

    async def delete(self, receipts: Sequence[str]) -> None:
        ids, marks = _split(receipts)
        await self._fetch(_DELETE, ids, marks)
        reach(Failpoint.QUEUE_DELETED)

    async def change_visibility(self, receipts: Sequence[str], visibility_s: int) -> None:
        ids, marks = _split(receipts)
        await self._fetch(_CHANGE_VISIBILITY, ids, marks, float(visibility_s))
        reach(Failpoint.QUEUE_GIVEN_BACK)
        if visibility_s == 0:
            await self._fetch("SELECT pg_notify($1, '')", self._channel)

    async def dead_letter(self, message: ReceivedMessage, reason: str) -> None:
        ids, marks = _split([message.receipt])
        await self._fetch(_DEAD_LETTER, ids[0], marks[0], clean(reason)[:MAX_REASON_CHARACTERS])
        reach(Failpoint.QUEUE_DEAD_LETTERED)

    async def depth(self) -> int:
        rows = await self._fetch(_DEPTH, self.name)
        return int(rows[0]["count"])

    async def oldest_age_s(self) -> float | None:
        rows = await self._fetch(_OLDEST, self.name)
        return float(rows[0]["coalesce"])

    async def dead_letter_count(self) -> int:
        rows = await self._fetch(_DEAD_COUNT, self.name, MAX_LETTERS + 1)
        return int(rows[0]["count"])

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        return [DeadLetter(**row) for row in await self._fetch(_DEAD_LETTERS, self.name, min(limit, MAX_LETTERS))]

    async def replay(self, letter_id: str | None) -> int:
        rows = await self._fetch(_REPLAY, self.name, letter_id, self._channel)
        return int(rows[0]["count"])

    async def close(self) -> None:
        """Return the listening connection to the pool. The pool itself stays open."""
        await self._listener.stop()

    async def _fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        try:
            async with connection_of(self._pool, STATEMENT_TIMEOUT_S) as connection:
                return await connection.fetch(statement, *arguments, timeout=STATEMENT_TIMEOUT_S)
        except Retryable as error:
            raise QueueUnavailable(f"the queue's database is unavailable: {error}") from error
        except asyncpg.UndefinedTableError as error:
            raise QueueUnavailable("the queue's database is not upgraded: run ringback db upgrade") from error


def _split(receipts: Sequence[str]) -> tuple[list[int], list[str]]:
    """Split receipts into row ids and delivery marks, in the order of the ids: all statements lock in that order."""
    parts = sorted((int(row), mark) for row, _, mark in (receipt.partition(".") for receipt in receipts))
    return [row for row, _ in parts], [mark for _, mark in parts]
