"""What an action is asked, what it answers, and how it refuses; the same for every door."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from ringback.domain.attempt import Attempt
from ringback.domain.call import Call, Contact
from ringback.domain.call_event import CallReport
from ringback.ports import Transaction


class Door(StrEnum):
    """Where a request came in; idempotency keys are unique per door."""

    SYSTEMS = "api"
    RETELL = "retell"


#: Who asked, as tasks, suppressions and events name it.
SOURCE = {Door.SYSTEMS: "api", Door.RETELL: "agent"}


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """At the systems' door one of `call_id`, `contact_id` and `task_id` names the target. At Retell's door the ids of
    the tool call do, and `report` is what the tool call tells about its call."""

    action: str
    door: Door
    key: str
    args: Mapping[str, Any]
    call_id: str | None = None
    contact_id: str | None = None
    task_id: str | None = None
    attempt_id: str | None = None
    provider_call_id: str | None = None
    report: CallReport | None = None

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) of what was asked; a tool call's own identity is its key already."""
        asked = [self.action, self.call_id, self.contact_id, self.task_id, self.args]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Reply:
    """`say` is one sentence that the agent may speak; `code` is for programs."""

    ok: bool
    code: str
    say: str
    result: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Reply":
        return cls(**stored)


class ActionRefused(Exception):
    """The action was not done. Raised before its first write, because the transaction commits nevertheless: the
    evidence that a tool call carries is kept."""

    def __init__(self, code: str, say: str, result: Mapping[str, Any] | None = None) -> None:
        super().__init__(code)
        self.reply = Reply(False, code, say, dict(result or {}))


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom an action is about, read under the locks. `call` is None for a contact who has no, or several, unfinished
    calls (`unfinished`); `attempt` is the one whose conversation asked, None at the systems' door."""

    contact: Contact
    call: Call | None
    attempt: Attempt | None
    unfinished: tuple[str, ...]
    source: str


class Action(Protocol):
    """One business operation with the ports it needs."""

    @property
    def stops_dialing(self) -> bool:
        """Whether it may end every call of the person: then the locks of all their phones are taken first."""
        ...

    async def do(self, tx: Transaction, subject: Subject, args: Mapping[str, Any], now: datetime) -> Reply:
        """Check everything, then write. Raises ActionRefused."""
        ...

    def rehearse(self, args: Mapping[str, Any], now: datetime) -> Reply:
        """The same for nobody in particular, and without writing. Raises ActionRefused."""
        ...
