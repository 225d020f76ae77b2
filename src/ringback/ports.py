"""What we need from the world, on one screen."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from ringback.domain.abt_event import AbtEvent
from ringback.domain.attempt import Attempt, VoicemailAction
from ringback.domain.call import Call, Contact, Task
from ringback.domain.call_event import CallReport
from ringback.domain.contact_snapshot import ContactSnapshot
from ringback.domain.dial import DialAnswer, DialRequest
from ringback.domain.eligibility import CapacityFacts, PersonFacts
from ringback.messages import CallRequested


class Clock(Protocol):
    def now(self) -> datetime:
        """The time in UTC, with its zone."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for leases and timeouts."""
        ...


class VoiceProvider(Protocol):
    async def dial(self, request: DialRequest, lease_deadline: float) -> DialAnswer:
        """Send one create-phone-call, or answer NOT_SENT (`lease_over`) if the monotonic deadline has passed. Never
        raises for anything the network or the provider does."""
        ...

    async def find_attempt(self, attempt_id: str) -> list[CallReport]:
        """Every call whose metadata carries this attempt id. Raises ProviderUnavailable."""
        ...

    async def fetch_call(self, provider_call_id: str) -> CallReport | None:
        """The call as it is now; None if the provider does not know it. Raises ProviderUnavailable."""
        ...

    async def stop_call(self, provider_call_id: str) -> None:
        """End an ongoing call. Raises ProviderUnavailable."""
        ...

    async def voicemail_action(self, agent_id: str) -> VoicemailAction:
        """What the agent does on a voicemail, cached; UNKNOWN if it cannot be learnt."""
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
    """Given up. `reason` and `dead_at` are None where nobody wrote them down."""

    letter_id: str
    body: str
    reason: str | None
    dead_at: datetime | None


class MessageQueue(Protocol):
    """Amazon SQS's semantics: at least once, no order, batches of ten at the most are one call."""

    async def send(self, messages: Sequence[OutgoingMessage]) -> list[int]:
        """The positions that were NOT taken (empty: all are durable). Raises QueueUnavailable if none was."""
        ...

    async def receive(self, limit: int, wait_s: float, visibility_s: int) -> list[ReceivedMessage]:
        """Up to min(limit, 10) messages, each invisible to others for `visibility_s`; waits up to `wait_s` (at most
        20) for the first. A message received more often than the queue's limit goes to the dead letters instead."""
        ...

    async def delete(self, receipts: Sequence[str]) -> None:
        """Acknowledge. A stale receipt (the message was delivered again since) deletes nothing."""
        ...

    async def change_visibility(self, receipts: Sequence[str], visibility_s: int) -> None:
        """Extend the work on these deliveries, or give them back after `visibility_s` (0 = now)."""
        ...

    async def dead_letter(self, message: ReceivedMessage, reason: str) -> None:
        """Move one received message to the dead letters now."""
        ...

    async def depth(self) -> int:
        """How many messages wait to be received, approximately."""
        ...

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        """Some of them, the oldest first where the queue can tell; at most a thousand."""
        ...

    async def replay(self, letter_id: str | None) -> int:
        """Send one dead letter (None: all) back as if it were new, its receive count too. Returns how many."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one row that was offered to Engage. `retry_after_s` is Engage's own wish, if it said one."""

    delivered: bool
    permanent: bool = False  # 4xx other than 408, 425, 429
    detail: str = ""
    retry_after_s: float | None = None


class Engage(Protocol):
    async def deliver(self, kind: str, message_id: str, payload: Mapping[str, Any]) -> Delivery:
        """Send one ABT event or CRM write under its id. Never raises for what the network or Engage does."""
        ...


@dataclass(frozen=True, slots=True)
class SpokenMoment:
    """What words said about a moment. `instant` for an absolute one; otherwise `local`, naive, in the `zone` that the
    words named, the contact's if they named none. Neither: `ask` is one sentence that asks for what was missing."""

    instant: datetime | None = None
    local: datetime | None = None
    ask: str | None = None
    zone: str | None = None


class SpokenTime(Protocol):
    def read(self, words: str, now: datetime, zones: tuple[str, ...], country: str | None) -> SpokenMoment:
        """Accepts only words in which day and clock time were both recognised, or a span such as "in two hours".

        `zones`: where the person may be; `country`: the number's, which says how "12/1" is read.
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
    refusals: int = 0  # tries before this one that were answered with a refusal of this very row


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What an idempotency key is answered from now on."""

    request_hash: str
    response: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PersonNow:
    """What is known about a contact before its call is accepted; the zone is None for a contact not seen before."""

    time_zone: str | None
    time_zone_source: str | None
    suppressed: bool


@dataclass(frozen=True, slots=True)
class AcceptedCall:
    """Everything that a 202 stands for. `message` is the first task's, if it is due now; `closing` ends a call that is
    refused at once, and `decision` says why."""

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
    of_erased: bool = False  # the person was erased: the phone is kept as a keyed hash only


class Transaction(Protocol):
    """One unit of work. Lock order: `lock_contacts` (phones sorted, then the contact), then `lock_call`, then
    `capacity`."""

    async def lock_contacts(self, phones: Sequence[str], contact_id: str | None) -> None: ...

    async def lock_call(self, call_id: str) -> Call | None:
        """The call FOR UPDATE, its phone's and contact's locks taken first."""
        ...

    async def insert(self, row: Call | Task | Attempt) -> None: ...

    async def save(self, row: Call | Task | Attempt) -> None:
        """Write what changed since the row was read. An attempt is compared on (state, fence), a task on (status,
        dispatch)."""
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
        """Takes the installation's capacity lock, held until the commit, then counts."""
        ...

    async def open_breaker(self, reason: str, now: datetime) -> datetime:
        """The provider refuses the account: nobody is dialed until the returned time, later at each trip in a row."""
        ...

    async def close_breaker(self) -> None: ...
    async def probe_breaker(self, until: datetime) -> None:
        """The breaker's time is over and this claim tries the account; others wait until `until`."""
        ...

    async def enqueue_event(self, event: AbtEvent, now: datetime) -> None: ...
    async def enqueue(
        self, kind: OutboxKind, message_id: str, payload: Mapping[str, Any], order_key: str | None, now: datetime
    ) -> None:
        """Any other outbox row; a message id that stands there already is written once."""
        ...

    async def log_decision(
        self, call_id: str, attempt_id: str | None, kind: str, detail: Mapping[str, Any], now: datetime
    ) -> None: ...

    async def record_provider_event(
        self,
        report: CallReport,
        attempt: Attempt | None,
        identity: bytes,
        body: str | None,
        fate: str,
        now: datetime,
    ) -> bool:
        """The inbox row of one provider event; False if this very content is there already."""
        ...

    async def add_suppression(self, suppression: Suppression) -> None: ...
    async def lift_suppression(self, suppression_id: str, reason: str, now: datetime) -> bool: ...
    async def phones_of_open_calls(self, phone: str | None, contact_id: str | None) -> list[str]:
        """Phones of the unfinished calls that match either."""
        ...

    async def unfinished_calls(self, phone: str | None, contact_id: str | None) -> list[str]: ...
    async def attempts_possibly_ringing(self, phone: str | None, contact_id: str | None) -> list[str]: ...

    async def action_result(self, door: str, key: str) -> tuple[str, dict[str, Any]] | None:
        """(request hash, reply) of an action done before."""
        ...

    async def store_action(self, result: "ActionResult") -> bool:
        """False if the key was stored by another transaction meanwhile: then nothing of this one may stand."""
        ...

    async def add_disposition(self, disposition: "Disposition") -> None: ...


@dataclass(frozen=True, slots=True)
class ActionResult:
    door: str
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
        """Commits on leaving, rolls back on an exception. Raises StoreUnavailable when the database is away, Retryable
        after a deadlock or serialization failure."""
        ...

    async def stored_answers(self, asked: Mapping[str, str]) -> dict[str, dict[str, Any] | None]:
        """By key, of {key: request hash}: the stored response; None if the key was used for another request."""
        ...

    async def people_now(self, people: Sequence[tuple[str, str]]) -> dict[str, PersonNow]:
        """Of (contact id, phone) pairs with distinct contact ids; by contact id."""
        ...

    async def insert_accepted(self, accepted: Sequence[AcceptedCall], now: datetime) -> set[str]:
        """Each whole, in one commit, contact ids distinct. Returns the calls written: a missing one's key is taken."""
        ...

    async def attempt_of(self, attempt_id: str | None, provider_call_id: str | None) -> Attempt | None:
        """Read without a lock, by either id. None also if the provider's call is another's: the two contradict."""
        ...

    async def instance(self) -> str: ...
    async def free_slots(self, max_live: int, per_second: int, now: datetime) -> int:
        """How many calls may be started now; 0 while paused or while the account breaker is open. Advisory: the claim
        decides."""
        ...

    async def release_due(self, now: datetime, limit: int, most_dispatched: int) -> int:
        """At most `limit`, and only as many as leave `most_dispatched` on their way to the processor."""
        ...

    async def redispatch_lost(self, dispatched_before: datetime, now: datetime, limit: int) -> int: ...
    async def calls_past_expiry(self, now: datetime, limit: int) -> list[str]: ...
    async def attempts_to_check(self, now: datetime, busy_until: datetime, limit: int) -> list[Attempt]:
        """Attempts whose next check is due, their next check moved to `busy_until` so that no other process takes
        them."""
        ...

    async def take_outbox(
        self, kinds: Sequence[OutboxKind], now: datetime, busy_until: datetime, limit: int
    ) -> list[OutboxRow]:
        """Due rows that are first of their order key, theirs alone until `busy_until`."""
        ...

    async def outbox_delivered(self, row_ids: Sequence[int], now: datetime) -> None: ...
    async def outbox_failed(
        self, row_id: int, error: str, due_at: datetime | None, now: datetime, *, refused: bool = False
    ) -> None:
        """Try again at `due_at`; None: dead. `refused`: the row itself was, so this counts among its refusals."""
        ...


class Views(Protocol):
    """Reads for systems and people, in the shapes they are shown; times are RFC 3339 texts. A page is (items, next
    cursor or None). All raise StoreUnavailable."""

    async def call(self, call_id: str) -> dict[str, Any] | None: ...
    async def calls(
        self, *, contact_id: str | None, status: str | None, cursor: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]: ...
    async def timeline(self, call_id: str) -> list[dict[str, Any]] | None: ...
    async def contact_snapshot(self, phone: str | None, contact_id: str | None, now: datetime) -> ContactSnapshot: ...
    async def events(self, *, after: str | None, limit: int) -> tuple[list[dict[str, Any]], str | None]:
        """Each {cursor, event}. What was once behind a cursor stays there, and nothing appears before it later."""
        ...

    async def suppressions(
        self, *, phone: str | None, contact_id: str | None, cursor: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]: ...
