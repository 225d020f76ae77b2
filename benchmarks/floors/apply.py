"""Floor of applying events: JSON decoded, one statement for the events that arrived together."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from benchmarks.floors.arguments import read_arguments
from benchmarks.floors.draining import drain
from benchmarks.floors.grouping import Grouped
from benchmarks.floors.queue_calls import QueueCalls, Row, open_floor_pool

IN_FLIGHT = 60
#: Events of one statement, and statements at once. With one at a time, no two of them update the same attempt.
GROUP, AT_ONCE = 32, 1

_STATES = {"call_started": "ongoing", "call_ended": "ended", "call_analyzed": "analyzed"}
#: Of the events of one attempt in a group, the one that advances it most counts.
_APPLY = """
WITH event AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[],
                         $8::text[], $9::text[], $10::text[])
             AS one (provider_call_id, event, content_hash, attempt_id, call_id, body, state, transcript, recording_url,
                     payload)),
recorded AS (
    INSERT INTO provider_events (provider_call_id, event, content_hash, received_at, attempt_id, call_id, fate, body)
    SELECT provider_call_id, event, content_hash, $11, attempt_id, call_id, 'applied', body FROM event
    ON CONFLICT DO NOTHING),
last AS (
    SELECT DISTINCT ON (attempt_id) * FROM event
    ORDER BY attempt_id, array_position(ARRAY['analyzed', 'ended', 'ongoing'], state)),
advanced AS (
    UPDATE attempts SET state = last.state, transcript = last.transcript, recording_url = last.recording_url,
           holds_slot = false
    FROM last WHERE attempts.attempt_id = last.attempt_id)
INSERT INTO outbox (kind, message_id, order_key, call_id, payload, created_at, due_at)
SELECT 'abt_event', attempt_id || event, 'call:' || call_id, call_id, payload::json, $11, $11 FROM event
ON CONFLICT DO NOTHING
"""


class Message(msgspec.Struct):
    body: str


class Marks(msgspec.Struct):
    ringback_call_id: str
    ringback_attempt_id: str


class Call(msgspec.Struct):
    call_id: str
    transcript: str
    metadata: Marks
    recording_url: str | None = None


class Webhook(msgspec.Struct):
    event: str
    call: Call


_decode_message = msgspec.json.Decoder(Message).decode
_decode_webhook = msgspec.json.Decoder(Webhook).decode


class Floor:
    """What handling one message of the event queue takes at least."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._write = Grouped(self._write_events, GROUP, AT_ONCE)

    async def apply(self, row: Row) -> None:
        body = _decode_message(row["body"]).body
        webhook = _decode_webhook(body)
        event, call, marks = webhook.event, webhook.call, webhook.call.metadata
        outcome = {"type": event, "call_id": marks.ringback_call_id, "provider_call_id": call.call_id}
        await self._write(
            (
                call.call_id,
                event,
                hashlib.sha256(body.encode()).digest(),
                marks.ringback_attempt_id,
                marks.ringback_call_id,
                body,
                _STATES[event],
                call.transcript,
                call.recording_url,
                msgspec.json.encode(outcome).decode(),
            )
        )

    async def _write_events(self, events: list[tuple[Any, ...]]) -> Sequence[None]:
        async with self._pool.acquire() as connection:
            await connection.execute(_APPLY, *map(list, zip(*events, strict=True)), datetime.now(UTC))
        return [None] * len(events)


async def run_floor(database_url: str, counts: Path) -> None:
    pool = await open_floor_pool(database_url)
    queue = QueueCalls(pool, "events")
    await drain(queue, Floor(pool).apply, IN_FLIGHT)
    queue.write_counts(counts)
    pool.terminate()


def main() -> None:
    asked = read_arguments(__doc__)
    uvloop.run(run_floor(asked.database_url, asked.counts))


if __name__ == "__main__":
    main()
