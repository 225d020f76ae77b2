"""One unit of work on one connection. Rows that it read can be saved; outbox rows are written in the same commit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from asyncpg import UniqueViolationError

from ringback.adapters.postgres import statements as sql
from ringback.adapters.postgres.person_hash import READ_KEYS_IN_USE, PersonHashes, marks_of
from ringback.adapters.postgres.pool import Connection, encode_json
from ringback.adapters.postgres.rows import (
    COMPARED,
    TABLES,
    Columns,
    Row,
    attempt_from,
    call_from,
    columns_of,
    contact_from,
    inbound_call_from,
    same_instant,
    task_from,
)
from ringback.domain.abt_event import AbtEvent
from ringback.domain.attempt import Attempt
from ringback.domain.call import Call, InboundCall, Task
from ringback.domain.contact import Contact, FieldsWrite, Note
from ringback.domain.eligibility import CapacityFacts, PersonFacts
from ringback.domain.errors import Retryable
from ringback.domain.provider_report import ProviderReport
from ringback.ports import ActionResult, Disposition, OutboxKind, Suppression

R = TypeVar("R", bound=Row)


@dataclass(slots=True)
class _Pending:
    """Rows for the outbox and the decision log, written with one statement each before the commit."""

    outbox: list[tuple[str, str, str | None, str | None, str]] = field(default_factory=list)
    decisions: list[tuple[str, str | None, str, str]] = field(default_factory=list)
    now: datetime | None = None


class PostgresTransaction:
    """Implements `ports.Transaction`. `clock_is_real` False: a test sets the time, so skew is not measured."""

    def __init__(self, connection: Connection, hashes: PersonHashes, *, clock_is_real: bool) -> None:
        self._connection = connection
        self._hashes = hashes
        self._clock_is_real = clock_is_real
        self._read: dict[int, tuple[Row, Columns]] = {}  # the object is kept, so that its id() stays its own
        self._pending = _Pending()

    @property
    def wrote_outbox(self) -> bool:
        return bool(self._pending.outbox)

    async def flush(self) -> None:
        """Write the collected rows. Called once, as the last statement before the commit."""
        pending = self._pending
        if pending.outbox:
            await self._connection.execute(sql.INSERT_OUTBOX, *zip(*pending.outbox, strict=True), pending.now)
        if pending.decisions:
            await self._connection.execute(sql.INSERT_DECISIONS, *zip(*pending.decisions, strict=True), pending.now)

    async def lock_contacts(self, phones: Sequence[str], contact_id: str | None) -> None:
        for phone in sorted(set(phones)):
            await self._connection.execute(sql.LOCK_PHONE, phone)
        if contact_id is not None:
            await self._connection.execute(sql.LOCK_CONTACT, contact_id)

    async def lock_call(self, call_id: str) -> Call | None:
        # Two statements: the snapshot of the second must begin after the lock was granted.
        if not await self._connection.fetch(sql.LOCK_CONTACTS_OF_CALL, call_id):
            return None
        record = await self._connection.fetchrow(sql.CALL_FOR_UPDATE, call_id)
        return self._remember(call_from(record)) if record else None

    def _remember(self, row: R) -> R:
        self._read[id(row)] = (row, columns_of(row))
        return row

    async def insert(self, row: Row) -> None:
        table, _ = TABLES[type(row)]
        columns = columns_of(row)
        names = ", ".join(f'"{name}"' for name in columns)
        values = ", ".join(f"${position}" for position in range(1, len(columns) + 1))
        await self._connection.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", *columns.values())
        self._remember(row)

    async def save(self, row: Row) -> None:
        known, before = self._read[id(row)]
        assert known is row, "only a row read or inserted by this transaction can be saved"
        after = columns_of(row)
        changed = {name: value for name, value in after.items() if not same_instant(value, before[name])}
        if not changed:
            return
        table, key = TABLES[type(row)]
        compared = {key: before[key], **{name: before[name] for name in COMPARED[type(row)]}}
        sets = ", ".join(f'"{name}" = ${position}' for position, name in enumerate(changed, 1))
        where = " AND ".join(f'"{name}" = ${position}' for position, name in enumerate(compared, len(changed) + 1))
        try:
            status = await self._connection.execute(
                f"UPDATE {table} SET {sets} WHERE {where}", *changed.values(), *compared.values()
            )
        except UniqueViolationError:
            # Another transaction has given the provider's call, or the contact, to another row.
            raise Retryable(f"{table} row lost a race", 0.1) from None
        if status != "UPDATE 1":
            raise Retryable(f"{table} row changed since it was read", 0.1)
        self._remember(row)

    async def contact(self, contact_id: str) -> Contact | None:
        record = await self._connection.fetchrow(sql.CONTACT, contact_id)
        return contact_from(record) if record else None

    async def open_task(self, call_id: str) -> Task | None:
        record = await self._connection.fetchrow(sql.OPEN_TASK, call_id)
        return self._remember(task_from(record)) if record else None

    async def task(self, task_id: str) -> Task | None:
        record = await self._connection.fetchrow(sql.TASK, task_id)
        return self._remember(task_from(record)) if record else None

    async def attempt(self, attempt_id: str) -> Attempt | None:
        record = await self._connection.fetchrow(sql.ATTEMPT, attempt_id)
        return self._remember(attempt_from(record)) if record else None

    async def is_call_of_another(self, provider_call_id: str, attempt_id: str) -> bool:
        return bool(await self._connection.fetchval(sql.IS_CALL_OF_ANOTHER, provider_call_id, attempt_id))

    async def latest_attempt(self, call_id: str) -> Attempt | None:
        record = await self._connection.fetchrow(sql.LATEST_ATTEMPT, call_id)
        return self._remember(attempt_from(record)) if record else None

    async def is_suppressed(self, phone: str, contact_id: str) -> bool:
        record = await self._connection.fetchrow(sql.IS_SUPPRESSED, phone, contact_id, self._forms(phone, contact_id))
        assert record is not None
        self._hashes.check(record["keys_in_use"])
        return bool(record["suppressed"])

    async def is_erased(self, ids: Sequence[str | None]) -> bool:
        return bool(await self._connection.fetchval(sql.IS_ERASED, marks_of(ids)))

    def _forms(self, phone: str, contact_id: str) -> list[str]:
        return [*self._hashes.known_as(phone), *self._hashes.known_as(contact_id)]

    async def person_facts(self, call: Call, own_attempt: str | None, now: datetime) -> PersonFacts:
        forms = self._forms(call.phone, call.contact_id)
        record = await self._connection.fetchrow(sql.PERSON_FACTS, call.phone, call.contact_id, own_attempt, now, forms)
        assert record is not None
        self._hashes.check(record["keys_in_use"])
        skew_s = (now - record["database_now"]).total_seconds() if self._clock_is_real else 0.0
        return PersonFacts(
            suppressed=record["suppressed"],
            held_by_attempt=record["held_by_attempt"],
            attempts_last_day=record["attempts_last_day"],
            oldest_attempt_in_day=record["oldest_attempt_in_day"],
            last_attempt_at=record["last_attempt_at"],
            on_inbound_call_until=record["on_inbound_call_until"],
            clock_skew_s=skew_s,
        )

    async def capacity(self, now: datetime) -> CapacityFacts:
        await self._connection.execute(sql.LOCK_CAPACITY)
        record = await self._connection.fetchrow(sql.CAPACITY, now)
        assert record is not None, "the installation row is made by the migration"
        return CapacityFacts(**record)

    async def open_breaker(self, reason: str, now: datetime) -> datetime:
        until: datetime | None = await self._connection.fetchval(sql.OPEN_BREAKER, reason, now)
        return until or await self._connection.fetchval(sql.BREAKER_UNTIL) or now

    async def close_breaker(self) -> None:
        await self._connection.execute(sql.CLOSE_BREAKER)

    async def probe_breaker(self, until: datetime) -> None:
        await self._connection.execute(sql.PROBE_BREAKER, until)

    async def enqueue_event(self, event: AbtEvent, now: datetime) -> None:
        self._enqueue("abt_event", event.event_id, f"call:{event.call_id}", event.call_id, event.envelope(), now)

    async def enqueue(
        self, kind: OutboxKind, message_id: str, payload: Mapping[str, Any], order_key: str | None, now: datetime
    ) -> None:
        self._enqueue(kind, message_id, order_key, payload.get("call_id"), payload, now)

    def _enqueue(
        self,
        kind: OutboxKind,
        message_id: str,
        order_key: str | None,
        call_id: str | None,
        payload: Mapping[str, Any],
        now: datetime,
    ) -> None:
        self._pending.now = now
        self._pending.outbox.append((kind, message_id, order_key, call_id, encode_json(payload)))

    async def log_decision(
        self, call_id: str, attempt_id: str | None, kind: str, detail: Mapping[str, Any], now: datetime
    ) -> None:
        self._pending.now = now
        self._pending.decisions.append((call_id, attempt_id, kind, encode_json(detail)))

    async def record_provider_event(
        self,
        report: ProviderReport,
        attempt: Attempt | None,
        identity: bytes,
        body: str | None,
        handling: str,
        now: datetime,
    ) -> bool:
        status = await self._connection.execute(
            sql.RECORD_PROVIDER_EVENT,
            report.provider_call_id,
            report.event_name,
            identity,
            now,
            attempt.attempt_id if attempt else report.attempt_id,
            attempt.call_id if attempt else report.call_id,
            handling,
            body,
        )
        return bool(status == "INSERT 0 1")

    async def add_suppression(self, suppression: Suppression) -> None:
        phone = suppression.phone
        phone_hash = None
        if suppression.of_erased and phone is not None:
            in_use = await self._connection.fetchval(READ_KEYS_IN_USE)
            phone_hash = self._hashes.under_keys_in_use(phone, in_use)
        await self._connection.execute(
            sql.ADD_SUPPRESSION,
            suppression.suppression_id,
            phone if phone_hash is None else None,
            suppression.contact_id,
            suppression.reason,
            suppression.source,
            suppression.created_at,
            phone_hash,
        )

    async def lift_suppression(self, suppression_id: str, reason: str, now: datetime) -> bool:
        status = await self._connection.execute(sql.LIFT_SUPPRESSION, suppression_id, reason, now)
        return bool(status == "UPDATE 1")

    async def phones_of_open_calls(self, phone: str | None, contact_id: str | None) -> list[str]:
        return [row[0] for row in await self._connection.fetch(sql.PHONES_OF_OPEN_CALLS, phone, contact_id)]

    async def unfinished_calls(self, phone: str | None, contact_id: str | None) -> list[str]:
        return [row[0] for row in await self._connection.fetch(sql.UNFINISHED_CALLS, phone, contact_id)]

    async def attempts_possibly_ringing(self, phone: str | None, contact_id: str | None) -> list[str]:
        return [row[0] for row in await self._connection.fetch(sql.ATTEMPTS_POSSIBLY_RINGING, phone, contact_id)]

    async def action_result(self, scope: str, key: str) -> tuple[str, dict[str, Any]] | None:
        record = await self._connection.fetchrow(
            "SELECT request_hash, reply FROM action_results WHERE door = $1 AND key = $2", scope, key
        )
        return (record["request_hash"], record["reply"]) if record else None

    async def free_content_key(self, scope: str, key: str, since: datetime, undone_by: tuple[str, ...]) -> None:
        await self._connection.execute(sql.FREE_CONTENT_KEY, scope, key, since, undone_by)

    async def store_action(self, result: ActionResult) -> bool:
        status = await self._connection.execute(
            sql.STORE_ACTION,
            result.scope,
            result.key,
            result.action,
            result.request_hash,
            result.call_id,
            result.contact_id,
            result.at,
            result.reply,
        )
        return bool(status == "INSERT 0 1")

    async def add_disposition(self, disposition: Disposition) -> None:
        await self._connection.execute(
            sql.ADD_DISPOSITION,
            disposition.disposition_id,
            disposition.call_id,
            disposition.attempt_id,
            disposition.contact_id,
            disposition.code,
            disposition.note,
            disposition.at,
        )

    async def write_fields(self, write: FieldsWrite) -> None:
        origin = write.origin
        await self._connection.execute(
            sql.WRITE_FIELDS,
            write.write_id,
            origin.contact_id,
            origin.call_id,
            origin.attempt_id,
            origin.source,
            dict(write.values),
            write.at,
        )

    async def add_note(self, note: Note) -> None:
        origin = note.origin
        await self._connection.execute(
            sql.ADD_NOTE,
            note.note_id,
            origin.contact_id,
            origin.call_id,
            origin.attempt_id,
            origin.source,
            note.text,
            note.at,
        )

    async def set_time_zone(self, contact_id: str, time_zone: str, source: str, now: datetime) -> None:
        await self._connection.execute(sql.SET_TIME_ZONE, contact_id, time_zone, source, now)

    async def instance(self) -> str:
        return str(await self._connection.fetchval("SELECT instance FROM installation"))

    async def contact_by_phone(self, phone: str) -> str | None:
        found: str | None = await self._connection.fetchval(sql.CONTACT_BY_PHONE, phone)
        return found

    async def next_or_last_call(self, contact_id: str) -> str | None:
        found: str | None = await self._connection.fetchval(sql.NEXT_OR_LAST_CALL, contact_id)
        return found

    async def inbound_call(self, inbound_id: str | None, provider_call_id: str | None) -> InboundCall | None:
        record = await self._connection.fetchrow(sql.INBOUND_CALL, inbound_id, provider_call_id)
        return self._remember(inbound_call_from(record)) if record else None

    async def find_ringing(self, phone: str, to_number: str, since: datetime) -> InboundCall | None:
        record = await self._connection.fetchrow(sql.RINGING_INBOUND_CALL, phone, to_number, since)
        return self._remember(inbound_call_from(record)) if record else None
