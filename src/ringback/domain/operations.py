"""Facts and rules of running an installation: dialing, checks, retention, masked URLs."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class DialingState:
    """`live`: attempts that may be ringing or talking, or whose answer is unclear; a pause does not end them."""

    paused_at: datetime | None
    reason: str | None
    live: int


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """`schema` is the migration that the database stands at, None before the first; `newest` is this program's."""

    server: str
    server_number: int  # 140000 is 14.0
    now: datetime
    schema: str | None
    newest: str


@dataclass(frozen=True, slots=True)
class WorkFacts:
    paused_at: datetime | None
    pause_reason: str | None
    breaker_until: datetime | None
    breaker_reason: str | None
    waiting: int  # rows that have not left the outbox
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class AgentWebhook:
    """Where an agent sends its webhooks; `url` None: the account's webhook is used."""

    url: str | None
    events: tuple[str, ...]


#: Two annual cycles of complaints overlap: a dispute about a call is usually raised within a year of it.
CALLS_KEPT = timedelta(days=400)
#: Decisions, webhooks and replies explain a call while somebody may still ask about it; the call itself says how it
#: ended.
TRACES_KEPT = timedelta(days=90)
#: An Engage that was away longer than this cannot catch up from the feed, and is filled anew from its own side.
EVENTS_KEPT = timedelta(days=30)
#: Delivered, a call message says nothing that its task does not.
MESSAGES_KEPT = timedelta(days=7)

#: A dead letter, which is kept as long as a call, may be replayed on its last day; and a queue may keep a message for
#: weeks before it is dead. After that nothing names an erased call any more.
TOMBSTONES_KEPT = CALLS_KEPT + timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Rule:
    """`what` names rows of one kind; `kept` counts from when they were last of use."""

    what: str
    kept: timedelta


#: In this order: what refers to a call goes before the call, and a contact after its last call. Not here, and kept:
#: suppressions (a stop has no end; they are few), the installation, API keys, the ids of erasure keys. Queues drop what
#: was acknowledged.
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
)


MASK = "••••"
#: The part before the host (RFC 3986, section 3.2.1), up to the last @ of the authority.
_USER_PART = re.compile(r"(?<=://)([^/?#]*)@")
_PASSWORD = re.compile(r":.*", re.DOTALL)
#: libpq's parameters that hold a secret (PostgreSQL's documentation, 32.1.2).
_DATABASE_SECRET = re.compile(r"(?<=[?&])((?:ssl)?password=)[^&#]*")
_QUERY_VALUE = re.compile(r"=[^&#]*")


def masked_url(url: str) -> str:
    """The URL with its secrets masked.

    A database's URL keeps its user and its other parameters. Of a web address the whole user part and every query
    value are masked, because tokens are put there.
    """
    if url.lower().startswith("http"):
        address, question_mark, query = _USER_PART.sub(f"{MASK}@", url).partition("?")
        return address + question_mark + _QUERY_VALUE.sub(f"={MASK}", query)
    without_password = _USER_PART.sub(lambda part: _PASSWORD.sub(f":{MASK}", part[1]) + "@", url)
    return _DATABASE_SECRET.sub(rf"\g<1>{MASK}", without_password)
