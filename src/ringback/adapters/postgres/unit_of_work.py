"""One unit of work on one connection: its locks, and its repositories by table."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo

from ringback.adapters.postgres import action_results, attempts, calls, contacts, inbound_calls, suppressions, tasks
from ringback.adapters.postgres.action_results import PostgresActionResults
from ringback.adapters.postgres.attempts import PostgresAttempts
from ringback.adapters.postgres.audit import PostgresUnitAudit
from ringback.adapters.postgres.calls import CALL_FOR_UPDATE, PostgresCalls
from ringback.adapters.postgres.capacity import PostgresCapacity
from ringback.adapters.postgres.contacts import PostgresContacts
from ringback.adapters.postgres.decisions import PostgresDecisions
from ringback.adapters.postgres.inbound_calls import PostgresInboundCalls
from ringback.adapters.postgres.locks import LOCK_IN_ORDER, names_in_order
from ringback.adapters.postgres.outbox import PostgresOutbox
from ringback.adapters.postgres.person_facts import PERSON_FACTS
from ringback.adapters.postgres.person_hash import IS_ERASED, PersonHashes, marks_of
from ringback.adapters.postgres.provider_events import PostgresProviderEvents
from ringback.adapters.postgres.read_ahead import Asked
from ringback.adapters.postgres.rollups import PostgresDeltas
from ringback.adapters.postgres.rows import Row, call_from
from ringback.adapters.postgres.suppressions import PostgresSuppressions
from ringback.adapters.postgres.tasks import PostgresTasks
from ringback.adapters.postgres.unit_connection import UnitConnection
from ringback.domain.attempt import Attempt
from ringback.domain.call import Call
from ringback.domain.contribution import count_attempt, count_call
from ringback.domain.eligibility import PersonFacts
from ringback.storage import Ahead, Part


class PostgresUnitOfWork:
    """Implements `storage.UnitOfWork`. `clock_is_real` False: a test sets the time, so skew is not measured.

    `instance` is the installation's name, if it was read before. `report_zone` defines the days of the statistics.
    Every attempt and call that is saved is counted here, so that no flow can change one and leave the statistics as
    they were.
    """

    def __init__(
        self,
        connection: UnitConnection,
        hashes: PersonHashes,
        *,
        clock_is_real: bool,
        report_zone: tzinfo = UTC,
        instance: str | None = None,
    ) -> None:
        self._hashes = hashes
        self._clock_is_real = clock_is_real
        self._report_zone = report_zone
        self._instance = instance
        self.locked: dict[str, Call] = {}
        self._counted: dict[str, dict[str, Attempt]] = {}  # attempts by id that their call does not yet count, by call
        self._deltas = PostgresDeltas()
        self._connection = connection
        self._rows = connection.rows
        self.reports: list[Callable[[], None]] = []  # called after the commit
        self.calls = PostgresCalls(connection)
        self.tasks = PostgresTasks(connection, self._rows)
        self.attempts = PostgresAttempts(connection, self._rows)
        self.contacts = PostgresContacts(connection)
        self.suppressions = PostgresSuppressions(connection, hashes)
        self.capacity = PostgresCapacity(connection)
        self.inbound_calls = PostgresInboundCalls(connection, self._rows)
        self.outbox = PostgresOutbox()
        self.decisions = PostgresDecisions()
        self.provider_events = PostgresProviderEvents(connection)
        self.action_results = PostgresActionResults(connection)
        self.audit = PostgresUnitAudit(connection)

    def after_commit(self, report: Callable[[], None]) -> None:
        self.reports.append(report)

    async def finish(self) -> None:
        """Write everything that was collected. Called once, before the commit. Raises Retryable."""
        for call_id in list(self._counted):
            if call_id in self.locked:
                await self.save(self.locked[call_id])
            else:
                self._deltas.count_again(call_id)
        await self.audit.write()
        kept = (self.outbox, self.decisions, self.provider_events, self.action_results, self._deltas)
        await self._connection.finish([write for one in kept for write in one.take_writes()])

    async def lock_contacts(self, phones: Sequence[str], contact_id: str | None) -> None:
        names = names_in_order(phones, [] if contact_id is None else [contact_id])
        await self._connection.execute(LOCK_IN_ORDER, names)

    async def lock_call(
        self,
        call_id: str,
        *,
        alone: bool = False,
        every_phone: bool = False,
        caller: str | None = None,
        ahead: Ahead | None = None,
    ) -> Call | None:
        if call_id in self.locked:
            return self.locked[call_id]
        # Two statements: the snapshot of the second must begin after the lock was granted.
        person = await self._connection.lock_people_of(call_id, alone=alone, every_phone=every_phone, caller=caller)
        if person is None:
            return None
        if ahead is not None:
            await self._connection.read_ahead([(CALL_FOR_UPDATE, (call_id,)), *self._asked(call_id, person, ahead)])
        record = await self._connection.read(CALL_FOR_UPDATE, call_id)
        if record is None:
            return None
        self.locked[call_id] = call = self._rows.remember(call_from(record))
        return call

    def _asked(self, call_id: str, person: tuple[str, str], ahead: Ahead) -> list[Asked]:
        """Return the reads as the repositories will ask for them."""
        phone, contact_id = person
        asked: list[Asked] = [(contacts.CONTACT, (contact_id,)), (action_results.FIND_RESULT, ahead.result)]
        if ahead.attempt_id is not None:
            asked.append((attempts.ATTEMPT, (ahead.attempt_id,)))
        if ahead.attempt_id is not None or ahead.part is not None:
            asked.append((tasks.OPEN_TASK, (call_id,)))
        if ahead.part in (Part.PLAN, Part.PLAN_OF_PERSON):
            forms = self._hashes.forms_of(phone, contact_id)
            asked += [(attempts.LATEST_ATTEMPT, (call_id,)), (suppressions.IS_SUPPRESSED, (phone, contact_id, forms))]
        if ahead.part is Part.PLAN_OF_PERSON:
            asked.append((calls.UNFINISHED_CALLS, (None, contact_id)))
        if ahead.part is Part.HOLD:
            asked += [(calls.UNFINISHED_CALLS, person), (inbound_calls.HELD_UNTIL, person)]
        return asked

    async def insert(self, row: Row) -> None:
        self._count(row)
        await self._connection.change(row)

    async def save(self, row: Row) -> None:
        assert self._rows.is_known(row), "only a row read or inserted by this unit can be saved"
        self._count(row)
        await self._connection.change(row)

    def _count(self, row: Row) -> None:
        if isinstance(row, Attempt):
            if changes := count_attempt(row, self._report_zone):
                self._deltas.add(changes)
                self._counted.setdefault(row.call_id, {})[row.attempt_id] = row
        elif isinstance(row, Call):
            counted = self._counted.pop(row.call_id, {}).values()
            self._deltas.add(count_call(row, counted, self._report_zone))

    async def person_facts(self, call: Call, own_attempt: str | None, now: datetime) -> PersonFacts:
        forms = self._hashes.forms_of(call.phone, call.contact_id)
        record = await self._connection.read(PERSON_FACTS, call.phone, call.contact_id, own_attempt, now, forms)
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

    async def is_erased(self, ids: Sequence[str | None]) -> bool:
        return bool(await self._connection.fetchval(IS_ERASED, marks_of(ids)))

    async def instance(self) -> str:
        if self._instance is None:
            self._instance = str(await self._connection.fetchval("SELECT instance FROM installation"))
        return self._instance
