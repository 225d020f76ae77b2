"""The ports: what the flows need from clock, provider, queue, Engage, number plan and database."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from ringback.domain.abt_event import AbtEvent
from ringback.domain.attempt import Attempt, DialAnswer, DialRequest, VoicemailAction
from ringback.domain.call import Call, Task
from ringback.domain.contact import Contact
from ringback.domain.contact_snapshot import ContactSnapshot
from ringback.domain.eligibility import CapacityFacts, PersonFacts
from ringback.domain.provider_report import ProviderReport
from ringback.messages import CallRequested


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the time in UTC, with its zone."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back, for leases and timeouts."""
        ...


class VoiceProvider(Protocol):
    async def dial(self, request: DialRequest, lease_deadline: float) -> DialAnswer:
        """Send one create-phone-call, or return NOT_SENT (`lease_over`) after the monotonic deadline. Faults of the
        network and of the provider are returned, never raised."""
        ...

    async def find_attempt(self, attempt_id: str) -> list[ProviderReport]:
        """Return every call with this attempt id in its metadata. Raises ProviderUnavailable."""
        ...

    async def fetch_call(self, provider_call_id: str) -> ProviderReport | None:
        """Return the call as it is now, None if the provider does not know it. Raises ProviderUnavailable."""
        ...

    async def stop_call(self, provider_call_id: str) -> None:
        """End an ongoing call. Raises ProviderUnavailable."""
        ...

    async def voicemail_action(self, agent_id: str) -> VoicemailAction:
        """Return the action of the agent on a voicemail, cached. UNKNOWN if it cannot be found out."""
        ...


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    body: str
    delay_s: int = 0  # 0..900, as SQS allows
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    message_id: str
    receipt: str  # of this delivery; a later delivery of the same message has another
    body: str
    receive_count: int  # 1 on the first delivery
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up. `reason` and `dead_at` are None if they were not recorded."""

    letter_id: str
    body: str
    reason: str | None
    dead_at: datetime | None


class MessageQueue(Protocol):
    """A queue with the semantics of Amazon SQS: at least once, no order, at most ten messages in one call."""

    async def send(self, messages: Sequence[OutgoingMessage]) -> list[int]:
        """Return the positions that were NOT sent (empty: all are durable). Raises QueueUnavailable if none was."""
        ...

    async def receive(self, limit: int, wait_s: float, visibility_s: int) -> list[ReceivedMessage]:
        """Return up to min(limit, 10) messages, each invisible to others for `visibility_s`.

        Waits up to `wait_s` (at most 20) for the first. A message that exceeds the queue's receive limit goes to the
        dead letters instead.
        """
        ...

    async def delete(self, receipts: Sequence[str]) -> None:
        """Acknowledge. A stale receipt, of a message that was delivered again since, deletes nothing."""
        ...

    async def change_visibility(self, receipts: Sequence[str], visibility_s: int) -> None:
        """Hide these deliveries for `visibility_s` from now, which extends the work or returns them (0 = now)."""
        ...

    async def dead_letter(self, message: ReceivedMessage, reason: str) -> None:
        """Move one received message to the dead letters now."""
        ...

    async def depth(self) -> int:
        """Return the approximate number of messages that wait to be received."""
        ...

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        """Return some dead letters, at most a thousand. The oldest are first if the queue knows their age."""
        ...

    async def replay(self, letter_id: str | None) -> int:
        """Requeue one dead letter (None: all) as if new, with a new receive count. Returns how many."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """The result of one delivery to Engage. `retry_after_s` is the value of Engage's Retry-After, if there is one."""

    delivered: bool
    permanent: bool = False  # 4xx other than 408, 425, 429
    detail: str = ""
    retry_after_s: float | None = None


class Engage(Protocol):
    async def deliver(self, kind: str, message_id: str, payload: Mapping[str, Any]) -> Delivery:
        """Send one ABT event or CRM write under its id. Faults are returned, never raised."""
        ...


@dataclass(frozen=True, slots=True)
class SpokenMoment:
    """The moment that words mean: an absolute `instant`, or a naive `local` time, or a question.

    `local` is in the `zone` that the words named, else in the contact's. `ask` is one sentence about the missing part.
    """

    instant: datetime | None = None
    local: datetime | None = None
    ask: str | None = None
    zone: str | None = None


class SpokenTime(Protocol):
    def read(self, words: str, now: datetime, zones: tuple[str, ...], country: str | None) -> SpokenMoment:
        """Accept only words with a day and a clock time, or with a span such as "in two hours".

        `zones` are the possible zones of the person. The number's `country` decides the order of "12/1".
        """
        ...


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
class StoredAnswer:
    """The stored response of an idempotency key."""

    request_hash: str
    response: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PersonNow:
    """The state of a contact before its call is accepted. The zone of a new contact is None."""

    time_zone: str | None
    time_zone_source: str | None
    suppressed: bool


@dataclass(frozen=True, slots=True)
class AcceptedCall:
    """The rows of an accepted call. `message` is for a first task that is due now.

    A call that fails at once has a `closing` event, and a `decision` with the reason.
    """

    contact: Contact
    call: Call
    task: Task | None
    message: CallRequested | None = None
    closing: AbtEvent | None = None
    decision: dict[str, Any] | None = None
    idempotency_key: str | None = None
    answer: StoredAnswer | None = None


@dataclass(frozen=True, slots=True)
class Suppression:
    suppression_id: str
    phone: str | None
    contact_id: str | None
    reason: str
    source: str  # api, agent, provider
    created_at: datetime
    of_erased: bool = False  # of an erased person: the phone is stored as a keyed hash only


class Transaction(Protocol):
    """One unit of work. The lock order is `lock_contacts` (phones sorted, then the contact), then `lock_call`, then
    `capacity`."""

    async def lock_contacts(self, phones: Sequence[str], contact_id: str | None) -> None: ...

    async def lock_call(self, call_id: str) -> Call | None:
        """Lock the phone and the contact of the call, then return the call, locked FOR UPDATE."""
        ...

    async def insert(self, row: Call | Task | Attempt) -> None: ...

    async def save(self, row: Call | Task | Attempt) -> None:
        """Write the changes since the row was read. An attempt must still have its (state, fence), a task its
        (status, dispatch)."""
        ...

    async def contact(self, contact_id: str) -> Contact | None: ...
    async def open_task(self, call_id: str) -> Task | None: ...
    async def task(self, task_id: str) -> Task | None: ...
    async def attempt(self, attempt_id: str) -> Attempt | None: ...
    async def is_call_of_another(self, provider_call_id: str, attempt_id: str) -> bool: ...
    async def latest_attempt(self, call_id: str) -> Attempt | None: ...
    async def is_suppressed(self, phone: str, contact_id: str) -> bool: ...

    async def person_facts(self, call: Call, own_attempt: str | None, now: datetime) -> PersonFacts: ...

    async def capacity(self, now: datetime) -> CapacityFacts:
        """Take the installation's capacity lock, held until the commit, then count."""
        ...

    async def open_breaker(self, reason: str, now: datetime) -> datetime:
        """Stop dialing because the provider refuses the account. Returns the end, later at each trip in a row."""
        ...

    async def close_breaker(self) -> None: ...
    async def probe_breaker(self, until: datetime) -> None:
        """Let this claim try the account after the breaker's time. Other claims wait until `until`."""
        ...

    async def enqueue_event(self, event: AbtEvent, now: datetime) -> None: ...
    async def enqueue(
        self, kind: OutboxKind, message_id: str, payload: Mapping[str, Any], order_key: str | None, now: datetime
    ) -> None:
        """Write any other outbox row. A message id that exists already is not written again."""
        ...

    async def log_decision(
        self, call_id: str, attempt_id: str | None, kind: str, detail: Mapping[str, Any], now: datetime
    ) -> None: ...

    async def record_provider_event(
        self,
        report: ProviderReport,
        attempt: Attempt | None,
        identity: bytes,
        body: str | None,
        handling: str,
        now: datetime,
    ) -> bool:
        """Write the inbox row of one provider event. Returns False if a row with this content exists."""
        ...

    async def add_suppression(self, suppression: Suppression) -> None: ...
    async def lift_suppression(self, suppression_id: str, reason: str, now: datetime) -> bool: ...
    async def phones_of_open_calls(self, phone: str | None, contact_id: str | None) -> list[str]:
        """Return the phones of the unfinished calls that match either."""
        ...

    async def unfinished_calls(self, phone: str | None, contact_id: str | None) -> list[str]: ...
    async def attempts_possibly_ringing(self, phone: str | None, contact_id: str | None) -> list[str]: ...

    async def action_result(self, scope: str, key: str) -> tuple[str, dict[str, Any]] | None:
        """Return (request hash, reply) of an action that was done before."""
        ...

    async def store_action(self, result: "ActionResult") -> bool:
        """Store a reply. Returns False if another transaction has stored the key: this one must then roll back."""
        ...

    async def add_disposition(self, disposition: "Disposition") -> None: ...


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


@dataclass(frozen=True, slots=True)
class Disposition:
    disposition_id: str
    call_id: str | None
    attempt_id: str | None
    contact_id: str
    code: str
    note: str | None
    at: datetime


class Store(Protocol):
    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Commit on leaving, roll back on an exception. Raises StoreUnavailable if the database is unavailable,
        Retryable after a deadlock or serialization failure."""
        ...

    async def stored_answers(self, asked: Mapping[str, str]) -> dict[str, dict[str, Any] | None]:
        """Return the stored responses by key, of {key: request hash}. None means a key of another request."""
        ...

    async def people_now(self, people: Sequence[tuple[str, str]]) -> dict[str, PersonNow]:
        """Return the state of each (contact id, phone), by contact id. Contact ids must be distinct."""
        ...

    async def insert_accepted(self, accepted: Sequence[AcceptedCall], now: datetime) -> set[str]:
        """Write all calls in one commit; contact ids must be distinct. Returns the ids of the calls that were written.
        A call whose idempotency key exists is not written."""
        ...

    async def attempt_of(self, attempt_id: str | None, provider_call_id: str | None) -> Attempt | None:
        """Read an attempt by either id, without a lock. Returns None also if the ids are of two attempts."""
        ...

    async def instance(self) -> str: ...
    async def free_slots(self, max_live: int, per_second: int, now: datetime) -> int:
        """Return how many calls may be started now, 0 while paused or while the account breaker is open. The figure
        is advisory: the claim decides."""
        ...

    async def release_due(self, now: datetime, limit: int, most_dispatched: int) -> int:
        """Release at most `limit` due tasks, so that at most `most_dispatched` are on their way to the processor."""
        ...

    async def redispatch_lost(self, dispatched_before: datetime, now: datetime, limit: int) -> int: ...
    async def calls_past_expiry(self, now: datetime, limit: int) -> list[str]: ...
    async def attempts_to_check(self, now: datetime, busy_until: datetime, limit: int) -> list[Attempt]:
        """Return attempts whose check is due. Their next check is moved to `busy_until`, against other processes."""
        ...

    async def take_outbox(
        self, kinds: Sequence[OutboxKind], now: datetime, busy_until: datetime, limit: int
    ) -> list[OutboxRow]:
        """Return due rows that are first of their order key. No other process gets them before `busy_until`."""
        ...

    async def outbox_delivered(self, row_ids: Sequence[int], now: datetime) -> None: ...
    async def outbox_failed(
        self, row_id: int, error: str, due_at: datetime | None, now: datetime, *, refused: bool = False
    ) -> None:
        """Retry the row at `due_at`; None makes it a dead letter. `refused` counts the try among its refusals."""
        ...


class Views(Protocol):
    """Reads in the shapes of the API. Times are RFC 3339 texts, and a page is (items, next cursor or None). All raise
    StoreUnavailable."""

    async def call(self, call_id: str) -> dict[str, Any] | None: ...
    async def calls(
        self, *, contact_id: str | None, status: str | None, cursor: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]: ...
    async def timeline(self, call_id: str) -> list[dict[str, Any]] | None: ...
    async def contact_snapshot(self, phone: str | None, contact_id: str | None, now: datetime) -> ContactSnapshot: ...
    async def events(self, *, after: str | None, limit: int) -> tuple[list[dict[str, Any]], str | None]:
        """Return {cursor, event} items in a fixed order. No event appears later before a known cursor."""
        ...

    async def suppressions(
        self, *, phone: str | None, contact_id: str | None, cursor: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]: ...
