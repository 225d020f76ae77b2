"""The store: transactions, and statements that are a unit of work by themselves."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, tzinfo
from typing import Any, ClassVar

import asyncpg

from ringback.adapters.postgres import acceptance, attempts, calls, inbound_calls, outbox, tasks
from ringback.adapters.postgres.capacity import FREE_SLOTS
from ringback.adapters.postgres.groups import Grouping, Groups
from ringback.adapters.postgres.person_hash import IS_ERASED, Hashing, marks_of
from ringback.adapters.postgres.pool import Connection, Pool, connection_of, translated
from ringback.adapters.postgres.questions import Question, ask_together, question
from ringback.adapters.postgres.rows import attempt_from
from ringback.adapters.postgres.unit_connection import UnitConnection
from ringback.adapters.postgres.unit_of_work import PostgresUnitOfWork
from ringback.batching import Batcher
from ringback.domain.attempt import Attempt
from ringback.domain.eligibility import MAX_CLOCK_SKEW_S
from ringback.domain.errors import ClockIsOff
from ringback.domain.operations import INCIDENTS
from ringback.storage import AcceptedCall, OutboxKind, OutboxRow, PersonNow

MOST_REDISPATCHES = 5
READ_TOGETHER = 50


class PostgresStore:
    """Implements `storage.Store`, `Acceptance`, `DueWork` and `OutboxRows`.

    `on_outbox` is called with the kinds of rows after each commit that wrote outbox rows, to wake their channels.
    `on_final` is called after each commit that ended a call, with the event's type and the seconds since the call was
    accepted.

    The methods that find due, lost or expired rows raise ClockIsOff if the caller's time differs from the database's.
    """

    #: Proofs and tests set another value for all stores of their process.
    grouping: ClassVar[Grouping] = Grouping.WHEN_BUSY

    def __init__(
        self,
        pool: Pool,
        *,
        on_outbox: Callable[[Collection[str]], None] = lambda _: None,
        on_final: Callable[[str, float], None] = lambda *_: None,
        clock_is_real: bool = True,
        hashing: Hashing | None = None,
        report_zone: tzinfo = UTC,
    ) -> None:
        self._pool = pool
        self._groups = Groups(pool, self.grouping)
        self._reads: Batcher[Question, asyncpg.Record | None] = Batcher(
            self._read_together, limit=READ_TOGETHER, parallel=2
        )
        self._hashing = hashing or Hashing()
        self._on_outbox = on_outbox
        self._on_final = on_final
        self._clock_is_real = clock_is_real
        self._report_zone = report_zone
        self._instance: str | None = None
        # Counts of this process's commits. Prometheus sees a first incident only if its count was 0 before.
        self.accepted_calls = 0
        self.final_events: Counter[tuple[str, str]] = Counter()  # by type and reason
        self.incidents: Counter[str] = Counter(dict.fromkeys(INCIDENTS, 0))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresUnitOfWork]:
        async with self._unit() as unit:
            yield unit
            await unit.finish()
        if unit.outbox.written:
            self._on_outbox(unit.outbox.written)
        self.incidents.update(unit.decisions.incidents)
        for final, call_id, at in unit.outbox.finals:
            # The unit is committed, so nothing here may fail: an event without a locked call is counted all the same.
            call = unit.locked.get(call_id)
            self._count_final(final, (at - call.accepted_at).total_seconds() if call is not None else None)
        for report in unit.reports:
            report()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[PostgresUnitOfWork]:
        async with self._unit(begins=False) as unit:
            yield unit

    @asynccontextmanager
    async def _unit(self, *, begins: bool = True) -> AsyncIterator[PostgresUnitOfWork]:
        async with translated(), AsyncExitStack() as stack:
            connection = UnitConnection(self._pool, self._groups, stack, begins=begins)
            hashes = await self._hashing.ready(self._pool)
            yield PostgresUnitOfWork(
                connection,
                hashes,
                clock_is_real=self._clock_is_real,
                report_zone=self._report_zone,
                instance=self._instance,
            )

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        async with connection_of(self._pool) as connection:
            yield connection

    @asynccontextmanager
    async def _connection_in_time(self, now: datetime) -> AsyncIterator[Connection]:
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        async with self._connection() as connection:
            if self._clock_is_real:
                waited_s = loop.time() - asked_at
                skew_s = (now - await connection.fetchval("SELECT clock_timestamp()")).total_seconds() + waited_s
                if abs(skew_s) > MAX_CLOCK_SKEW_S:
                    raise ClockIsOff(f"the database's clock is {-skew_s:+.1f} s off ours")
            yield connection

    async def stored_answers(self, asked: Mapping[str, str]) -> dict[str, dict[str, Any] | None]:
        return await acceptance.read_answers(self._pool, self._hashing, asked)

    async def people_now(self, people: Sequence[tuple[str, str]], most: int) -> tuple[dict[str, PersonNow], int]:
        return await acceptance.read_people(self._pool, self._hashing, people, most)

    async def insert_accepted(self, accepted: Sequence[AcceptedCall], now: datetime) -> set[str]:
        written = await acceptance.insert_accepted(self._pool, accepted, now, self._report_zone)
        self.accepted_calls += len(written)
        for one in accepted:
            if one.closing is None or one.call.call_id not in written:
                continue
            if (final := outbox.final_event_of(one.closing)) is not None:
                self._count_final(final, 0.0)
        self._on_outbox(acceptance.kinds_of_outbox_rows(accepted))
        return written

    def _count_final(self, final: tuple[str, str], after_s: float | None) -> None:
        self.final_events[final] += 1
        if after_s is not None:
            self._on_final(final[0], after_s)

    async def attempt_of(self, attempt_id: str | None, provider_call_id: str | None) -> Attempt | None:
        record = owner = None
        if attempt_id is not None:
            asked = question(attempts.ATTEMPT, (attempt_id,))
            record = await self._reads(asked) if asked is not None else None  # no id has a character that is refused
        if provider_call_id is not None and (record is None or record["provider_call_id"] != provider_call_id):
            async with self._connection() as connection:
                owner = await connection.fetchrow(attempts.ATTEMPT_OF_PROVIDER_CALL, provider_call_id)
                if record is not None and await connection.fetchval(
                    attempts.IS_CALL_OF_ANOTHER, provider_call_id, attempt_id
                ):
                    return None
        record = record or owner
        return attempt_from(record) if record else None

    async def _read_together(self, questions: Sequence[Question]) -> list[asyncpg.Record | None]:
        async with self._connection() as connection:
            return await ask_together(connection, questions)

    async def is_erased(self, ids: Sequence[str | None]) -> bool:
        async with self._connection() as connection:
            return bool(await connection.fetchval(IS_ERASED, marks_of(ids)))

    async def instance(self) -> str:
        if self._instance is None:
            async with self._connection() as connection:
                self._instance = await connection.fetchval("SELECT instance FROM installation")
        assert self._instance is not None, "the installation row is made by the migration"
        return self._instance

    async def emulated(self) -> bool | None:
        """Return the installation's mark. It is read each time: only look-ups need it, and they cost more."""
        async with self._connection() as connection:
            mark: bool | None = await connection.fetchval("SELECT emulated FROM installation")
        return mark

    async def free_slots(self, max_live: int, per_second: int, now: datetime) -> int:
        async with self._connection() as connection:
            return int(await connection.fetchval(FREE_SLOTS, max_live, per_second, now))

    async def release_due(self, now: datetime, limit: int, most_dispatched: int) -> int:
        async with self._connection_in_time(now) as connection:
            await connection.execute(inbound_calls.GIVE_UP_INBOUND, now)
            await connection.execute(tasks.END_HOLDS, now, limit)
            status = await connection.execute(tasks.RELEASE_DUE, now, limit, most_dispatched)
        return self._count_published(status)

    async def redispatch_lost(self, dispatched_before: datetime, now: datetime, limit: int) -> int:
        most = MOST_REDISPATCHES
        async with self._connection_in_time(now) as connection:
            status = await connection.execute(tasks.REDISPATCH_LOST, dispatched_before, now, limit, most)
        return self._count_published(status)

    def _count_published(self, status: str) -> int:
        """Return the number in a status such as `INSERT 0 12`, and wake the relay if it is not zero."""
        count = int(status.rpartition(" ")[2])
        if count:
            self._on_outbox({"call_message"})
        return count

    async def calls_past_expiry(self, now: datetime, limit: int) -> list[str]:
        async with self._connection_in_time(now) as connection:
            return [row[0] for row in await connection.fetch(calls.PAST_EXPIRY, now, limit)]

    async def attempts_to_check(self, now: datetime, busy_until: datetime, limit: int) -> list[Attempt]:
        async with self._connection_in_time(now) as connection:
            records = await connection.fetch(attempts.TAKE_CHECKS, now, busy_until, limit)
        return [attempt_from(record) for record in records]

    async def take_outbox(
        self, kinds: Sequence[OutboxKind], now: datetime, busy_until: datetime, limit: int
    ) -> list[OutboxRow]:
        async with self._connection() as connection:
            records = await connection.fetch(outbox.TAKE, list(kinds), now, busy_until, limit)
        return [
            OutboxRow(
                record["id"],
                record["kind"],
                record["message_id"],
                record["call_id"],
                record["payload"],
                record["created_at"],
                record["tries"],
                record["refusals"],
            )
            for record in sorted(records, key=lambda record: int(record["id"]))
        ]

    async def outbox_delivered(self, row_ids: Sequence[int], now: datetime) -> None:
        async with self._connection() as connection:
            await connection.execute(outbox.DELIVERED, list(row_ids), now)

    async def outbox_failed(
        self, row_id: int, error: str, due_at: datetime | None, now: datetime, *, refused: bool = False
    ) -> None:
        async with self._connection() as connection:
            await connection.execute(outbox.FAILED, row_id, error, due_at, now, int(refused))
