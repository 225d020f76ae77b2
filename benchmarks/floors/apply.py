"""Floor of applying events: JSON decoded, one statement per message that writes inbox, attempt and outbox."""

import argparse
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from benchmarks.floors.draining import drain
from benchmarks.floors.queue_calls import QueueCalls, Row, open_floor_pool

#: Two batches, so that one is on its way while the other is decoded; the product has 16 messages.
IN_FLIGHT = 20

_STATES = {"call_started": "ongoing", "call_ended": "ended", "call_analyzed": "analyzed"}
_APPLY = """
WITH inbox AS (
    INSERT INTO provider_events (provider_call_id, event, content_hash, received_at, attempt_id, call_id, fate, body)
    VALUES ($1, $2, $3, $4, $5, $6, 'applied', $7) ON CONFLICT DO NOTHING),
advanced AS (
    UPDATE attempts SET state = $8, transcript = $9, recording_url = $10, holds_slot = false WHERE attempt_id = $5)
INSERT INTO outbox (kind, message_id, order_key, call_id, payload, created_at, due_at)
VALUES ('abt_event', $5 || $2, 'call:' || $6, $6, $11, $4, $4) ON CONFLICT DO NOTHING
"""


class Floor:
    """What handling one message of the event queue takes at least."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def apply(self, row: Row) -> None:
        body = msgspec.json.decode(row["body"])["body"]
        webhook = msgspec.json.decode(body)
        event, call = webhook["event"], webhook["call"]
        marks = call["metadata"]
        outcome = {"type": event, "call_id": marks["ringback_call_id"], "provider_call_id": call["call_id"]}
        async with self._pool.acquire() as connection:
            await connection.execute(
                _APPLY,
                call["call_id"],
                event,
                hashlib.sha256(body.encode()).digest(),
                datetime.now(UTC),
                marks["ringback_attempt_id"],
                marks["ringback_call_id"],
                body,
                _STATES[event],
                call["transcript"],
                call.get("recording_url"),
                msgspec.json.encode(outcome).decode(),
            )


async def run_floor(database_url: str, counts: Path) -> None:
    pool = await open_floor_pool(database_url)
    queue = QueueCalls(pool, "events")
    await drain(queue, Floor(pool).apply, IN_FLIGHT)
    queue.write_counts(counts)
    pool.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--counts", type=Path, required=True)
    asked = parser.parse_args()
    uvloop.run(run_floor(asked.database_url, asked.counts))


if __name__ == "__main__":
    main()
