"""What is found on looking at an installation: facts about its database, its work and its account."""

from dataclasses import dataclass
from datetime import datetime


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
