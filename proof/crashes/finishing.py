"""Wait until nothing is left to do, and leap over the time in which nothing would happen."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from proof.crashes.ledgers import Ledger
from proof.crashes.on_sqs import TrialQueues
from proof.crashes.shared_page import SharedPage

LOOK_EVERY_S = 0.04
#: Nothing may have moved for this long before the time is leaped over, or the trial is over.
STILL_S = 0.1
#: The database's clock and the testbed's are read one after the other.
SAME_MOMENT = timedelta(seconds=0.2)
LONGEST_LEAP_S = 1200.0
#: Callbacks of tomorrow: they are cancelled at the end instead.
FAR_S = 1500.0

# Rows of an order key whose earlier row is still open are not due, even after their due time. While dialing is
# paused, no worker polls for call messages and nothing is released.
_STATE = """
WITH moment AS (SELECT $1::timestamptz AS now, (SELECT paused_at IS NOT NULL FROM installation) AS paused),
messages AS (SELECT * FROM queue_messages WHERE dead_at IS NULL),
rows AS (SELECT * FROM outbox AS row WHERE delivered_at IS NULL AND dead_at IS NULL),
first_rows AS (
    SELECT * FROM rows WHERE order_key IS NULL
        OR NOT EXISTS (SELECT FROM rows AS earlier WHERE earlier.order_key = rows.order_key AND earlier.id < rows.id)),
awaited AS (SELECT * FROM messages, moment WHERE NOT (paused AND queue = 'calls')),
open_tasks AS (SELECT * FROM tasks, moment WHERE status = 'held' OR (status = 'pending' AND NOT paused)),
silent AS (
    SELECT dispatched_at + interval '61 seconds' AS at FROM tasks, moment WHERE status = 'dispatched' AND NOT paused
      AND NOT EXISTS (SELECT FROM messages WHERE queue = 'calls')),
moments AS (
    SELECT due_at AS at FROM open_tasks UNION ALL
    SELECT next_check_at FROM attempts WHERE next_check_at IS NOT NULL UNION ALL
    SELECT due_at FROM first_rows UNION ALL
    SELECT expires_at FROM calls WHERE NOT final UNION ALL
    SELECT visible_at - clock_timestamp() + now FROM awaited UNION ALL
    SELECT at FROM silent)
SELECT
    (SELECT array_agg(call_id) FROM calls WHERE NOT final) AS open_calls,
    (SELECT array_agg(call_id) FROM calls JOIN tasks USING (call_id), moment
      WHERE NOT final AND tasks.status = 'pending' AND due_at > now + make_interval(secs => $3)) AS far_calls,
    (SELECT count(*) FROM attempts WHERE state = 'dialing' AND claimed_at >= $2) AS being_dialed,
    (SELECT count(*) FROM attempts WHERE next_check_at IS NOT NULL OR holds_person OR holds_slot) AS open_attempts,
    (SELECT count(*) FROM messages) AS queued,
    (SELECT paused FROM moment) AS paused,
    (SELECT count(*) FROM rows) AS open_rows,
    (SELECT count(*) FROM moments, moment WHERE at <= now) AS due,
    (SELECT min(at) FROM moments, moment WHERE at > now) AS next_at,
    concat_ws(':',
        (SELECT max(id) FROM gate_decisions), (SELECT count(*) FROM provider_events),
        (SELECT concat(sum(tries), ' ', count(delivered_at), ' ', count(*)) FROM outbox),
        (SELECT concat(sum(receive_count), ' ', count(*), ' ', count(dead_at)) FROM queue_messages),
        (SELECT sum(fence + lookups + polls) FROM attempts), (SELECT sum(dispatch) FROM tasks),
        (SELECT concat(count(*), ' ', sum(sequence), ' ', count(*) FILTER (WHERE final)) FROM calls),
        (SELECT count(*) FROM inbound_calls WHERE released_at IS NOT NULL)) AS progress
"""
# The pollers are woken, or they would look again only after half a second of real time.
_QUEUE_LEAPS = """
WITH moved AS (
    UPDATE queue_messages SET visible_at = visible_at - make_interval(secs => $1),
        ready_at = ready_at - make_interval(secs => $1) WHERE dead_at IS NULL RETURNING queue)
SELECT pg_notify('ringback_queue_' || queue, '') FROM (SELECT DISTINCT queue FROM moved) AS queues
"""


async def leap(database: "asyncpg.Pool[asyncpg.Record]", page: SharedPage, seconds: float) -> None:
    """The testbed's clock goes forward; the embedded queue keeps the database's, so there the messages go back."""
    page.leap(seconds)
    await database.execute(_QUEUE_LEAPS, seconds)


@dataclass
class Watch:
    """Looks at the database and the emulator's journal. `life_began`: claims from before it are a dead process's.

    While a request is on its way there is no leap: it would break a promise of the dial protocol, that the lease
    outlives the request, or make one look-up count for many.
    """

    database: "asyncpg.Pool[asyncpg.Record]"
    page: SharedPage
    ledger: Ledger
    life_began: Callable[[], datetime | None]
    queues: TrialQueues | None
    _progress: str = ""
    _moved_at: float = 0.0
    _look_s: float = 0.0

    def pause_s(self) -> float:
        """On a busy machine a look takes longer, and is not to take more than a quarter of the time."""
        return max(LOOK_EVERY_S, 3 * self._look_s)

    async def look(self) -> "Snapshot":
        now, began = self.page.now(), self.life_began()
        asked_s = time.monotonic()
        row = await self.database.fetchrow(_STATE, now, began or now, FAR_S)
        assert row is not None
        seen = dict(row)
        if self.queues is not None:
            # The time of SQS cannot be leaped over, so every message there counts as due until it is handled.
            names = ("events",) if seen["paused"] else ("calls", "events")
            queued = await asyncio.to_thread(self.queues.messages, names)
            seen["queued"] += queued
            seen["due"] += queued
        self._look_s = time.monotonic() - asked_s
        quiet = self.ledger.is_quiet()
        progress = f"{seen['progress']} {seen['queued']} {quiet} {began}"
        clock_s = asyncio.get_running_loop().time()
        if progress != self._progress:
            self._progress, self._moved_at = progress, clock_s
        return Snapshot(seen, quiet, clock_s - self._moved_at >= STILL_S)

    async def pass_time(self, snapshot: "Snapshot") -> None:
        """Leaps to the next due moment, if nothing is to be done before it. It looks twice, with nothing in progress in
        between, because a pass that ends in between has just written its next time."""
        if self._may_leap(snapshot) and (again := await self.look()).next_at is not None and self._may_leap(again):
            assert snapshot.next_at is not None and again.next_at is not None
            if abs(again.next_at - snapshot.next_at) < SAME_MOMENT:
                seconds = (again.next_at - self.page.now()) / timedelta(seconds=1) + 0.005
                if 0 < seconds <= LONGEST_LEAP_S:
                    await leap(self.database, self.page, seconds)

    def _may_leap(self, snapshot: "Snapshot") -> bool:
        is_alive = self.life_began() is not None
        return is_alive and snapshot.next_at is not None and snapshot.is_idle and not self.page.in_progress


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The database at one moment, whether the emulators are quiet, and whether nothing has moved for a while."""

    row: dict[str, Any]
    quiet: bool
    still: bool

    @property
    def next_at(self) -> datetime | None:
        at: datetime | None = self.row["next_at"]
        return at

    @property
    def is_idle(self) -> bool:
        return self.still and self.quiet and not self.row["due"] and not self.row["being_dialed"]

    @property
    def far_calls(self) -> list[str]:
        """The far calls, if nothing else is left."""
        far = self.row["far_calls"] or []
        return far if self._is_empty and len(far) == len(self.row["open_calls"] or []) else []

    @property
    def is_finished(self) -> bool:
        return self._is_empty and not self.row["open_calls"]

    @property
    def _is_empty(self) -> bool:
        left = self.row["queued"] + self.row["open_rows"] + self.row["open_attempts"] + self.row["being_dialed"]
        return self.still and self.quiet and not left

    def what_is_left(self) -> str:
        names = ("open_calls", "being_dialed", "open_attempts", "queued", "open_rows", "due", "next_at")
        told = " ".join(f"{name}={self.row[name]}" for name in names if self.row[name])
        return f"{told} emulators={'quiet' if self.quiet else 'busy'}"
