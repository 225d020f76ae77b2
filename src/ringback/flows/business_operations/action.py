"""An action's request, its reply and its refusal: the same for systems and for agents."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol

from ringback.domain.attempt import Attempt
from ringback.domain.audit import Actor
from ringback.domain.call import Call
from ringback.domain.contact import Contact, Origin
from ringback.domain.provider_report import ProviderReport
from ringback.storage import Part, Store, UnitOfWork


class Scope(StrEnum):
    """The API that received a request. Idempotency keys are unique per scope."""

    SYSTEMS = "api"
    RETELL = "retell"


#: The source of a request in tasks, suppressions and events.
SOURCE = {Scope.SYSTEMS: "api", Scope.RETELL: "agent"}


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """A request for an action.

    From systems, one of `call_id`, `contact_id` and `task_id` names the target. From Retell the ids of the function
    call do. `report` then has its facts about the call. `key_is_content`: the function call has no id, so that its key
    only identifies the content.

    `actor` is a person who asks for the action about a call. It is then recorded in the audit log. Systems and agents
    have none: their actions have rows of their own.
    """

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
    actor: Actor | None = None

    @property
    def fingerprint(self) -> str:
        """sha256 (hex) of the content. A function call's own identity is in its key."""
        asked = [self.action, self.call_id, self.contact_id, self.task_id, self.args]
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply of an action. `say` is one sentence that the agent may speak. `code` is for programs."""

    ok: bool
    code: str
    say: str
    result: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {"ok": self.ok, "code": self.code, "say": self.say, "result": self.result}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Reply":
        return cls(**stored)


class ActionError(Exception):
    """The action was not done. It is raised before the action's first write.

    The transaction commits nevertheless, to keep the evidence of a function call.
    """

    def __init__(self, code: str, say: str, result: Mapping[str, Any] | None = None) -> None:
        super().__init__(code)
        self.reply = Reply(False, code, say, dict(result or {}))


class Person(NamedTuple):
    phone: str
    contact_id: str


@dataclass(frozen=True, slots=True)
class Target:
    """The call or the person of a request, found before the locks.

    `call_id` is None for a contact with no unfinished call or several. `person` is None if it is the call's, which is
    read under the locks. `attempt` is the one of a function call. `report` was read of the arguments.
    """

    call_id: str | None
    person: Person | None = None
    attempt: Attempt | None = None
    report: ProviderReport | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """The target of a request, read under the locks.

    `phone` is the number of the request. The contact may have changed since. `attempt` is the one whose conversation
    asked, None for requests of systems and in inbound calls.
    """

    request: ActionRequest
    phone: str
    contact: Contact
    call: Call | None
    attempt: Attempt | None
    unfinished: tuple[str, ...] = ()  # the contact's calls, if the request names none
    report: ProviderReport | None = None  # the target's

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


@dataclass(frozen=True, slots=True)
class ActionDeclaration:
    """The arguments and replies of an action, for the agents' tool definitions and the reference.

    `arguments` is a JSON schema. `result` and `codes` explain each member and code of a reply.
    """

    name: str
    description: str  # for the model that decides when to call this
    arguments: dict[str, Any]
    codes: dict[str, str]
    result: dict[str, str]
    for_agents: bool = True
    needs_target: bool = True  # False: its arguments name the target


class Action(Protocol):
    """One business operation with the ports it needs."""

    @property
    def declaration(self) -> ActionDeclaration: ...

    @property
    def locks_every_phone(self) -> bool:
        """Whether it may change every call of the person. Then all their phones are locked first."""
        ...

    @property
    def reads(self) -> Part | None:
        """The part that it reads of the call and the person, beside the call itself."""
        ...

    async def find(self, request: ActionRequest, store: Store) -> Target | Reply:
        """Find the target, or the reply for an unknown person. Raises ActionError."""
        ...

    async def do(self, tx: UnitOfWork, subject: Subject, args: Mapping[str, Any], now: datetime) -> Reply:
        """Check everything, then write. Raises ActionError."""
        ...

    def rehearse(self, args: Mapping[str, Any], now: datetime) -> Reply:
        """Do the same without a target and without writing. Raises ActionError."""
        ...


class FunctionCall(Protocol):
    """A function call of a conversation, as the provider's edge read it.

    Without `provider_call_id` and `attempt_id` its conversation is unknown, and `key` returns None.
    """

    @property
    def args(self) -> dict[str, Any]: ...
    @property
    def provider_call_id(self) -> str | None: ...
    @property
    def attempt_id(self) -> str | None: ...
    @property
    def name(self) -> str | None:
        """The name of the function in the body."""
        ...

    @property
    def tool_call_id(self) -> str | None:
        """The provider's id of this invocation. Without it the key only identifies the content."""
        ...

    @property
    def playground(self) -> bool:
        """Whether it was tried in the provider's dashboard, without a conversation."""
        ...

    @property
    def report(self) -> ProviderReport | None: ...
    def key(self, action: str) -> str | None: ...


def request_of(call: FunctionCall, action: str) -> ActionRequest | None:
    """The request of a function call. None if it belongs to no conversation."""
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
    """Whether the body names the function of its path. A signed body is not valid at another function's path."""
    return call.name is None or re.sub(r"[\W_]+", "_", call.name.lower()).strip("_") == action


async def forward(
    tx: UnitOfWork,
    kind: Literal["crm_fields", "crm_note"],
    message_id: str,
    subject: Subject,
    content: Mapping[str, Any],
    now: datetime,
) -> None:
    """Enqueue one write for the CRM. A contact's writes are delivered in order."""
    origin = subject.origin
    payload = {"contact_id": origin.contact_id, "call_id": origin.call_id, **content}
    await tx.outbox.enqueue(kind, message_id, payload, f"contact:{origin.contact_id}", now)
