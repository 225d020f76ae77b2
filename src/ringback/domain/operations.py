"""Facts and rules of running an installation: dialing, checks, retention, masked URLs."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class DialingState:
    """The pause of dialing. `live`: attempts that may be ringing or are unknown. A pause does not end them."""

    paused_at: datetime | None
    reason: str | None
    live: int


@dataclass(frozen=True, slots=True)
class EndedPause:
    """The pause that a resume ended. `paused_at` is None if dialing was not paused."""

    paused_at: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """Facts about the database. `schema` is its last migration, None before the first. `newest` is this program's."""

    server: str
    server_number: int  # 140000 is 14.0
    now: datetime
    schema: str | None
    newest: str


@dataclass(frozen=True, slots=True)
class FailedDelivery:
    """The last delivery to Engage that failed and did not succeed since. `is_dead`: it was given up."""

    error: str
    tries: int
    is_dead: bool


#: Rows of the outbox are not counted beyond: with Engage unavailable there may be millions.
MOST_WAITING = 10_000


@dataclass(frozen=True, slots=True)
class WorkFacts:
    paused_at: datetime | None
    pause_reason: str | None
    breaker_until: datetime | None
    breaker_reason: str | None
    waiting: int  # undelivered rows of the outbox, at most MOST_WAITING + 1
    oldest: datetime | None
    failed_delivery: FailedDelivery | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """The undelivered rows of one kind in the outbox, and the age of the oldest."""

    kind: str
    rows: int
    oldest_age_s: float


@dataclass(frozen=True, slots=True)
class DialingFacts:
    """The state of dialing. `live` counts the attempts that hold a slot.

    The ages are seconds, 0 if there is none: since the oldest pending task was due, since the oldest dispatched one was
    dispatched, and since the oldest unclear answer.
    """

    is_paused: bool
    is_breaker_open: bool
    live: int
    pending_age_s: float
    dispatched_age_s: float
    unknown: int
    unknown_age_s: float


#: Each is a decision `incident_…` in a call's timeline, an error in the log and a metric.
INCIDENTS = ("second_provider_call", "abandoned", "provider_lost")


@dataclass(frozen=True, slots=True)
class AgentWebhook:
    """Target of an agent's webhooks. `url` None: the account's webhook is used."""

    url: str | None
    events: tuple[str, ...]


#: Two annual cycles of complaints overlap: a dispute about a call is usually raised within a year of it.
CALLS_KEPT = timedelta(days=400)
#: Decisions, webhooks and replies explain a call while questions about it are likely. The call itself keeps its end.
TRACES_KEPT = timedelta(days=90)
#: An Engage that was unavailable for longer cannot catch up from the feed. It is filled again from its own side.
EVENTS_KEPT = timedelta(days=30)
#: A delivered call message says nothing more than its task.
MESSAGES_KEPT = timedelta(days=7)

#: A dead letter is kept as long as a call, and may be replayed on its last day. A queue may keep a message for weeks
#: before it is dead. After this time nothing names an erased call any more.
TOMBSTONES_KEPT = CALLS_KEPT + timedelta(days=30)
#: How long the rows of an export are all there.
EXPORTED_ROWS_KEPT = {"attempts": CALLS_KEPT, "calls": CALLS_KEPT, "events": EVENTS_KEPT}
#: After its end a session is refused, and nothing reads it.
SESSIONS_KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Rule:
    """A retention rule. `what` names one kind of rows. `kept` counts from their last use."""

    what: str
    kept: timedelta


#: The order matters: rows that refer to a call go before the call, and a contact after its last call. Kept for ever are
#: suppressions (a stop has no end; they are few), the installation, API keys and the ids of erasure keys. Queues drop
#: acknowledged messages.
RULES = (
    Rule("delivered_call_messages", MESSAGES_KEPT),
    Rule("delivered_events_and_writes", EVENTS_KEPT),
    Rule("dead_outbox_rows", CALLS_KEPT),
    Rule("last_events_of_erased_people", EVENTS_KEPT),
    Rule("dead_queue_messages", CALLS_KEPT),
    Rule("gate_decisions", TRACES_KEPT),
    Rule("provider_events", TRACES_KEPT),
    Rule("action_results", TRACES_KEPT),
    Rule("inbound_calls", CALLS_KEPT),
    Rule("notes", CALLS_KEPT),
    Rule("field_writes", CALLS_KEPT),
    Rule("dispositions", CALLS_KEPT),
    Rule("finished_calls", CALLS_KEPT),
    Rule("contacts_without_calls", CALLS_KEPT),
    Rule("erased", TOMBSTONES_KEPT),
    Rule("console_sessions", SESSIONS_KEPT),
    Rule("audit", CALLS_KEPT),
)


MASK = "••••"
#: The part before the host (RFC 3986, section 3.2.1), up to the last @ of the authority.
_USER_PART = re.compile(r"(?<=://)([^/?#]*)@")
_PASSWORD = re.compile(r":.*", re.DOTALL)
#: libpq's parameters that hold a secret (PostgreSQL's documentation, 32.1.2).
_DATABASE_SECRET = re.compile(r"(?<=[?&])((?:ssl)?password=)[^&#]*")
_QUERY_VALUE = re.compile(r"=[^&#]*")


def counted(number: int, one: str, many: str) -> str:
    """Format a number and its noun: 1 call, 2 calls."""
    return f"{number} {one if number == 1 else many}"


def masked_url(url: str) -> str:
    """Return the URL with its secrets masked.

    A database's URL keeps its user and its other parameters. In a web address the whole user part and every query value
    are masked, because they may hold tokens.
    """
    if url.lower().startswith("http"):
        address, question_mark, query = _USER_PART.sub(f"{MASK}@", url).partition("?")
        return address + question_mark + _QUERY_VALUE.sub(f"={MASK}", query)
    without_password = _USER_PART.sub(lambda part: _PASSWORD.sub(f":{MASK}", part[1]) + "@", url)
    return _DATABASE_SECRET.sub(rf"\g<1>{MASK}", without_password)
