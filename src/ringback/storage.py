"""The storage port: a unit of work with repositories by table or concern, and work that needs no unit."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any, Literal, Protocol

from ringback.domain.abt_event import AbtEvent
from ringback.domain.attempt import Attempt
from ringback.domain.audit import AuditLog
from ringback.domain.call import Call, InboundCall, Task
from ringback.domain.contact import Contact, Disposition, FieldsWrite, Note
from ringback.domain.contact_snapshot import ContactSnapshot
from ringback.domain.eligibility import CapacityFacts, PersonFacts
from ringback.domain.provider_report import ProviderReport
from ringback.messages import CallRequested

OutboxKind = Literal["call_message", "abt_event", "crm_fields", "crm_note", "stop_call"]


@dataclass(frozen=True, slots=True)
class OutboxRow:
    row_id: int
    kind: OutboxKind
    message_id: str
    call_id: str | None
    payload: dict[str, Any]
    created_at: datetime
    tries: int  # this one included
    refusals: int = 0  # earlier tries in which Engage refused this row


@dataclass(frozen=True, slots=True)
class PersonNow:
    """The state of a contact before its call is accepted. The zone of a new contact is None."""

    time_zone: str | None
    time_zone_source: str | None
    suppressed: bool


@dataclass(frozen=True, slots=True)
class AcceptedCall:
    """The rows of an accepted call. `message` is for a first task that is due now.

    A call that fails at once has a `closing` event, and a `decision` with the reason. With an idempotency key come the
    hash of its request and the response, which a repeat gets.
    """

    contact: Contact
    call: Call
    task: Task | None
    message: CallRequested | None = None
    closing: AbtEvent | None = None
    decision: dict[str, Any] | None = None
    idempotency_key: str | None = None
    request_hash: str | None = None
    response: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Suppression:
    suppression_id: str
    phone: str | None
    contact_id: str | None
    reason: str
    source: str  # api, agent, provider
    created_at: datetime
    of_erased: bool = False  # of an erased person: the phone is stored as a keyed hash only


@dataclass(frozen=True, slots=True)
class ActionResult:
    scope: str
    key: str
    action: str
    request_hash: str
    call_id: str | None
    contact_id: str | None
    at: datetime
    reply: dict[str, Any]


class Part(Enum):
    """A part of what a unit may read ahead: the open task of the call, and what else belongs to the part."""

    PLAN = auto()  # the latest attempt, and whether the person is suppressed
    PLAN_OF_PERSON = auto()  # the plan, and which unfinished calls the contact has
    HOLD = auto()  # which unfinished calls the phone or the contact has, and until when the person's calls are held


@dataclass(frozen=True, slots=True)
class Ahead:
    """The reads of a unit that has its call locked, beside the contact. They are made in one round trip.

    The repositories return them, until the unit changes their table. `result` is the scope and key of an action.
    """

    result: tuple[str, str]
    attempt_id: str | None
    part: Part | None


class Calls(Protocol):
    async def person_of(self, call_id: str) -> tuple[str, str] | None:
        """Return the phone and the contact id of a call, read without a lock."""

    async def unfinished_of(self, phone: str | None, contact_id: str | None) -> list[str]:
        """Return the ids of the unfinished calls that match either."""

    async def phones_of_open(self, phone: str | None, contact_id: str | None) -> list[str]:
        """Return the phones of the unfinished calls that match either."""

    async def next_or_last_of(self, contact_id: str) -> str | None:
        """Return the contact's call that is due next, else the last one."""


class Tasks(Protocol):
    async def get(self, task_id: str) -> Task | None: ...
    async def open_for(self, call_id: str) -> Task | None: ...


class Attempts(Protocol):
    async def get(self, attempt_id: str) -> Attempt | None: ...
    async def latest_for(self, call_id: str) -> Attempt | None: ...
    async def count_before(self, attempt: Attempt, verdict_digests: Sequence[str]) -> int:
        """Return how many earlier attempts of the same call have one of these verdicts."""

    async def possibly_ringing(self, phone: str | None, contact_id: str | None) -> list[str]: ...
    async def is_call_of_another(self, provider_call_id: str, attempt_id: str) -> bool: ...


class Contacts(Protocol):
    async def get(self, contact_id: str) -> Contact | None: ...
    async def id_by_phone(self, phone: str) -> str | None:
        """Return the contact that most likely calls from this number."""

    async def of_caller(self, phone: str) -> tuple[str, str | None] | None:
        """Return that contact, and their call as `Calls.next_or_last_of` finds it."""

    async def write_fields(self, write: FieldsWrite) -> None:
        """Write fields. The old values are kept with the new ones."""

    async def add_note(self, note: Note) -> None: ...
    async def set_time_zone(self, contact_id: str, time_zone: str, source: str, now: datetime) -> None: ...


class Suppressions(Protocol):
    async def covers(self, phone: str, contact_id: str) -> bool:
        """Return whether a suppression of the phone or of the contact is in force. Raises ErasureKeyMissing."""

    async def id_in_force(self, phone: str | None, contact_id: str | None) -> str | None:
        """Return the oldest suppression in force that has each of these that is given. Raises ErasureKeyMissing."""

    async def add(self, suppression: Suppression) -> None: ...
    async def lift(self, suppression_id: str, reason: str, now: datetime) -> bool: ...


class Capacity(Protocol):
    async def lock(self, now: datetime) -> CapacityFacts:
        """Take the installation's capacity lock, held until the commit, then count."""

    async def open_breaker(self, reason: str, now: datetime) -> datetime:
        """Stop dialing because the provider refuses the account. Returns the end, later at each trip in a row."""

    async def probe_breaker(self, until: datetime) -> None:
        """Let this claim try the account after the breaker's time. Other claims wait until `until`."""

    async def close_breaker(self) -> None: ...


class InboundCalls(Protocol):
    async def find(self, inbound_id: str | None, provider_call_id: str | None) -> InboundCall | None:
        """Find by the provider's id, else by Ringback's id if the provider's is unknown."""

    async def find_ringing(self, phone: str, to_number: str, since: datetime) -> InboundCall | None:
        """Find one that rang since then, and of which nothing else is known."""

    async def held_until(self, phone: str, contact_id: str) -> datetime | None:
        """Return the latest end of the holds on a person's calls. It may be over."""


class Outbox(Protocol):
    async def enqueue_event(self, event: AbtEvent, now: datetime) -> None: ...
    async def enqueue(
        self, kind: OutboxKind, message_id: str, payload: Mapping[str, Any], order_key: str | None, now: datetime
    ) -> None:
        """Write any other outbox row. A message id that exists already is not written again."""


class Decisions(Protocol):
    async def log(
        self, call_id: str, attempt_id: str | None, kind: str, detail: Mapping[str, Any], now: datetime
    ) -> None: ...


class ProviderEvents(Protocol):
    async def record(
        self,
        report: ProviderReport,
        attempt: Attempt | None,
        identity: bytes,
        body: str | None,
        handling: str,
        now: datetime,
    ) -> bool:
        """Write the inbox row of one provider event. Returns False if a row with this content exists."""


class ActionResults(Protocol):
    async def find(self, scope: str, key: str) -> tuple[str, dict[str, Any]] | None:
        """Return (request hash, reply) of an action that was done before."""

    async def store(self, result: ActionResult) -> None:
        """Store a reply, at the latest before the commit, which raises Retryable if another one has stored the key."""

    async def free_key(self, scope: str, key: str, since: datetime, undone_by: tuple[str, ...]) -> None:
        """Free the key of an old action, so that a new request with it is no repeat. The action's record stays.

        Old: done before `since`, or before an action of `undone_by` for the same contact.
        """

    async def add_disposition(self, disposition: Disposition) -> None: ...


class KnowsErased(Protocol):
    """The knowledge of a store and its units of work about erased people."""

    async def is_erased(self, ids: Sequence[str | None]) -> bool:
        """Return whether an id is an erased person's: of an attempt, a call, a provider call or an inbound call."""


class UnitOfWork(KnowsErased, Protocol):
    """One transaction. The lock order is `lock_contacts` (phones sorted, then the contact), then `lock_call`, then
    `capacity.lock`, then the end of the audit log, which is written last. `lock_call`, `attempts.get` and
    `attempts.latest_for` return one object for each id."""

    @property
    def calls(self) -> Calls: ...
    @property
    def tasks(self) -> Tasks: ...
    @property
    def attempts(self) -> Attempts: ...
    @property
    def contacts(self) -> Contacts: ...
    @property
    def suppressions(self) -> Suppressions: ...
    @property
    def capacity(self) -> Capacity: ...
    @property
    def inbound_calls(self) -> InboundCalls: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def decisions(self) -> Decisions: ...
    @property
    def provider_events(self) -> ProviderEvents: ...
    @property
    def action_results(self) -> ActionResults: ...
    @property
    def audit(self) -> AuditLog: ...

    def after_commit(self, report: Callable[[], None]) -> None:
        """Call `report` once the transaction is committed. It is not called after a rollback, nor an unclear commit."""

    async def lock_contacts(self, phones: Sequence[str], contact_id: str | None) -> None: ...

    async def lock_call(
        self,
        call_id: str,
        *,
        alone: bool = False,
        every_phone: bool = False,
        caller: str | None = None,
        ahead: Ahead | None = None,
    ) -> Call | None:
        """Lock the phone and the contact of the call, then return the call, locked FOR UPDATE. `alone`: in no group.

        `every_phone`: first lock the phones of all the contact's open calls and of the `caller`. `ahead`: more reads.
        """

    async def insert(self, row: Call | Task | Attempt | InboundCall) -> None: ...

    async def save(self, row: Call | Task | Attempt | InboundCall) -> None:
        """Write the changes since the row was read. An attempt must still have its (state, fence), a task its
        (status, dispatch)."""

    async def instance(self) -> str: ...
    async def person_facts(self, call: Call, own_attempt: str | None, now: datetime) -> PersonFacts: ...


class Store(KnowsErased, Protocol):
    def transaction(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Commit on leaving, roll back on an exception. Raises StoreUnavailable if the database is unavailable,
        Retryable after a deadlock or serialization failure."""

    def reading(self) -> AbstractAsyncContextManager[UnitOfWork]:
        """Reads only, each with a snapshot of its own, without the round trips of a transaction."""

    async def attempt_of(self, attempt_id: str | None, provider_call_id: str | None) -> Attempt | None:
        """Read an attempt by either id, without a lock. Returns None also if the ids are of two attempts."""

    async def instance(self) -> str: ...


class Acceptance(Protocol):
    """Reads and writes for groups of accepted calls."""

    async def stored_answers(self, asked: Mapping[str, str]) -> dict[str, dict[str, Any] | None]:
        """Return the stored responses by key, of {key: request hash}. None means a key of another request."""

    async def people_now(self, people: Sequence[tuple[str, str]], most: int) -> tuple[dict[str, PersonNow], int]:
        """Return the state of each (contact id, phone), by contact id, and how many calls were dispatched at their
        acceptance and are not claimed yet. Contact ids must be distinct. The count stops at `most`."""

    async def insert_accepted(self, accepted: Sequence[AcceptedCall], now: datetime) -> set[str]:
        """Write all calls in one commit; contact ids must be distinct. Returns the ids of the calls that were written.
        A call whose idempotency key exists is not written."""


class DueWork(Protocol):
    """Finds due tasks, lost dispatches, expired calls and attempts to check. Raises ClockIsOff."""

    async def release_due(self, now: datetime, limit: int, most_dispatched: int) -> int:
        """Release at most `limit` due tasks, so that at most `most_dispatched` released ones are on their way."""

    async def redispatch_lost(self, dispatched_before: datetime, now: datetime, limit: int) -> int: ...
    async def calls_past_expiry(self, now: datetime, limit: int) -> list[str]: ...
    async def attempts_to_check(self, now: datetime, busy_until: datetime, limit: int) -> list[Attempt]:
        """Return attempts whose check is due. Their next check is moved to `busy_until`, against other processes."""

    async def free_slots(self, max_live: int, per_second: int, now: datetime) -> int:
        """Return how many calls may be started now, 0 while paused or while the account breaker is open. The figure
        is advisory: the claim decides."""


class OutboxRows(Protocol):
    """The outbox as its delivery sees it."""

    async def take_outbox(
        self, kinds: Sequence[OutboxKind], now: datetime, busy_until: datetime, limit: int
    ) -> list[OutboxRow]:
        """Return due rows that are first of their order key. No other process gets them before `busy_until`."""

    async def outbox_delivered(self, row_ids: Sequence[int], now: datetime) -> None: ...
    async def outbox_failed(
        self, row_id: int, error: str, due_at: datetime | None, now: datetime, *, refused: bool = False
    ) -> None:
        """Retry the row at `due_at`; None makes it a dead letter. `refused` counts the try among its refusals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFilter:
    """The calls of a list. None is no condition. `since` and `until` compare with the time of acceptance.

    `stuck`: unfinished calls whose task or whose next look-up is late by minutes, or whose outcome is unknown.
    """

    contact_id: str | None = None
    phone: str | None = None
    status: str | None = None
    reason: str | None = None
    agent_id: str | None = None
    from_number: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    stuck: bool = False


class Views(Protocol):
    """Reads in the shapes of the API. Times are RFC 3339 texts, and a page is (items, next cursor or None). All raise
    StoreUnavailable."""

    async def call(self, call_id: str) -> dict[str, Any] | None: ...
    async def calls(
        self, wanted: CallFilter, *, cursor: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]: ...
    async def timeline(self, call_id: str) -> list[dict[str, Any]] | None: ...
    async def contact_snapshot(self, phone: str | None, contact_id: str | None, now: datetime) -> ContactSnapshot: ...
    async def events(self, *, after: str | None, limit: int) -> tuple[list[dict[str, Any]], str, bool]:
        """Return {cursor, event} items in a fixed order. No event appears later before a known cursor."""

    async def suppressions(
        self, *, phone: str | None, contact_id: str | None, cursor: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]: ...


class DetailedViews(Views, Protocol):
    """The reads of the console, which shows a call with its person."""

    async def calls_in_detail(
        self, wanted: CallFilter, *, cursor: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return calls with phone, agent and times, each with its `last_decision` or None."""

    async def call_in_detail(self, call_id: str) -> dict[str, Any] | None: ...
    async def count_calls(self, wanted: CallFilter, most: int) -> int:
        """Count the calls of a list, but no more than `most`."""
