"""An action's request, its reply and its refusal: the same for systems and for agents."""

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol

from ringback.domain.attempt import Attempt
from ringback.domain.call import Call
from ringback.domain.contact import Contact, FieldsWrite, Note, Origin
from ringback.domain.provider_report import ProviderReport
from ringback.flows.erased_people import KnowsErased
from ringback.flows.inbound_calls import InboundTransaction
from ringback.ports import Store


class Scope(StrEnum):
    """Where a request came in; idempotency keys are unique per door."""

    SYSTEMS = "api"
    RETELL = "retell"


#: Who asked, as tasks, suppressions and events name it.
SOURCE = {Scope.SYSTEMS: "api", Scope.RETELL: "agent"}


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """At the systems' door one of `call_id`, `contact_id` and `task_id` names the target. At Retell's door the ids of
    the tool call do, and `report` is what the tool call tells about its call. `key_is_content`: the tool call has no id
    of its own, so that the key says only what was asked."""

    action: str
    scope: Scope
    key: str
    args: Mapping[str, Any]
    call_id: str | None = None
    contact_id: str | None = None
    task_id: str | None = None
    attempt_id: str | None = None
    provider_call_id: str | None = None
    report: ProviderReport | None = None
    key_is_content: bool = False

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


class ActionError(Exception):
    """The action was not done. Raised before its first write, because the transaction commits nevertheless: the
    evidence that a tool call carries is kept."""

    def __init__(self, code: str, say: str, result: Mapping[str, Any] | None = None) -> None:
        super().__init__(code)
        self.reply = Reply(False, code, say, dict(result or {}))


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a request is about, read before the locks: their phone must be known to be locked in order. `call_id` is
    None for a contact with no unfinished call or several; `attempt` is the one that a tool call belongs to."""

    phone: str
    contact_id: str
    call_id: str | None
    attempt: Attempt | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """The same, read under the locks. `phone` is the number that the request is about, which the contact may have
    changed since; `attempt` is the one whose conversation asked, None at the systems' door and in inbound calls."""

    request: ActionRequest
    phone: str
    contact: Contact
    call: Call | None
    attempt: Attempt | None
    unfinished: tuple[str, ...] = ()  # the contact's calls, when none of them is meant

    @property
    def source(self) -> str:
        return SOURCE[self.request.scope]

    @property
    def origin(self) -> Origin:
        return Origin(
            self.contact.contact_id,
            self.call.call_id if self.call else None,
            self.attempt.attempt_id if self.attempt else None,
            self.source,
        )


class ActionTransaction(InboundTransaction, Protocol):
    """What the actions need of a unit of work beyond what every flow does."""

    async def write_fields(self, write: FieldsWrite) -> None:
        """The old values are kept beside the new ones."""
        ...

    async def free_content_key(self, door: str, key: str, since: datetime, undone_by: tuple[str, ...]) -> None:
        """Take the key from an action done before `since`, or before one of those named was done for the same
        contact: what has the key now is no repeat. The action itself stays written down."""
        ...

    async def add_note(self, note: Note) -> None: ...
    async def set_time_zone(self, contact_id: str, time_zone: str, source: str, now: datetime) -> None: ...


class ActionStore(Store, KnowsErased, Protocol):
    def transaction(self) -> AbstractAsyncContextManager[ActionTransaction]: ...


@dataclass(frozen=True, slots=True)
class ActionDeclaration:
    """What an action is called with and what it answers, in one place for the agents' tool definitions and the
    reference. `arguments` is a JSON schema; `result` and `codes` say what each member and code of a reply means."""

    name: str
    description: str  # as a model reads it that has to decide when to call this
    arguments: dict[str, Any]
    codes: dict[str, str]
    result: dict[str, str]
    for_agents: bool = True
    needs_target: bool = True  # False: its arguments say whom it is about


class Action(Protocol):
    """One business operation with the ports it needs."""

    @property
    def declaration(self) -> ActionDeclaration: ...

    @property
    def locks_every_phone(self) -> bool:
        """Whether it may touch every call of the person: then the locks of all their phones are taken first."""
        ...

    async def find(self, request: ActionRequest, store: ActionStore) -> Target | Reply:
        """Whom it is about, or what to answer if it concerns nobody we know. Raises ActionError."""
        ...

    async def do(self, tx: ActionTransaction, subject: Subject, args: Mapping[str, Any], now: datetime) -> Reply:
        """Check everything, then write. Raises ActionError."""
        ...

    def rehearse(self, args: Mapping[str, Any], now: datetime) -> Reply:
        """The same for nobody in particular, and without writing. Raises ActionError."""
        ...


class FunctionCall(Protocol):
    """Without `provider_call_id` and `attempt_id` nobody knows whose conversation it is, and `key` gives None."""

    @property
    def args(self) -> dict[str, Any]: ...
    @property
    def provider_call_id(self) -> str | None: ...
    @property
    def attempt_id(self) -> str | None: ...
    @property
    def name(self) -> str | None:
        """The function that the body says is called."""
        ...

    @property
    def tool_call_id(self) -> str | None:
        """The provider's own id of this invocation; without one the key says only what was asked."""
        ...

    @property
    def playground(self) -> bool:
        """Tried out in the provider's dashboard: there is no conversation."""
        ...

    @property
    def report(self) -> ProviderReport | None: ...
    def key(self, action: str) -> str | None: ...


def request_of(call: FunctionCall, action: str) -> ActionRequest | None:
    """None if the call belongs to no conversation."""
    key = call.key(action)
    if key is None:
        return None
    return ActionRequest(
        action=action,
        scope=Scope.RETELL,
        key=key,
        args=call.args,
        attempt_id=call.attempt_id,
        provider_call_id=call.provider_call_id,
        report=call.report,
        key_is_content=call.tool_call_id is None,
    )


def is_for(call: FunctionCall, action: str) -> bool:
    """Whether the body names the function that its path does: a signed body does nothing at another function's path."""
    return call.name is None or re.sub(r"[\W_]+", "_", call.name.lower()).strip("_") == action


async def forward(
    tx: ActionTransaction,
    kind: Literal["crm_fields", "crm_note"],
    message_id: str,
    subject: Subject,
    content: Mapping[str, Any],
    now: datetime,
) -> None:
    """One outbox row, written with what it tells of."""
    origin = subject.origin
    payload = {"contact_id": origin.contact_id, "call_id": origin.call_id, **content}
    await tx.enqueue(kind, message_id, payload, f"contact:{origin.contact_id}", now)
