"""What is sent to place one call, and what the provider's answer to it means for the protocol."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class DialRequest:
    """Frozen with the claim, so that a resend carries the same content under the same key."""

    to_number: str
    from_number: str
    agent_id: str
    variables: dict[str, str]
    metadata: dict[str, Any]
    idempotency_key: str

    def to_row(self) -> dict[str, Any]:
        return asdict(self)


class DialAnswerKind(StrEnum):
    PLACED = "placed"
    NOT_SENT = "not_sent"
    REJECTED = "refused"
    ACCOUNT_REFUSED = "account_refused"
    DEFERRED = "deferred"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True)
class DialAnswer:
    """`cause` is a short code for logs and the timeline (`http_500`, `server_disconnected`), never a body."""

    kind: DialAnswerKind
    cause: str
    provider_call_id: str | None = None
    retry_after_s: float | None = None
