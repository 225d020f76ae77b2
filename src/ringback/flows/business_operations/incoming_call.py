"""incoming_call: identify the caller, return the facts for the agent, and hold the caller's planned calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ringback.domain.abt_event import iso
from ringback.domain.call import Call, InboundCall, Task, TaskKind
from ringback.domain.contact import Contact
from ringback.domain.instant import say_moment
from ringback.domain.time_zone import find_zone, region_zone
from ringback.flows.business_operations.action import ActionDeclaration, ActionRequest, Person, Reply, Subject, Target
from ringback.flows.business_operations.arguments import arguments, read_texts, text
from ringback.flows.business_operations.target import find_target, person_of_target
from ringback.flows.call_outcome import OutcomeRules
from ringback.flows.caller_ids import caller_number, own_number
from ringback.flows.inbound_calls import Caller, hold_for
from ringback.storage import Part, Store, UnitOfWork

#: Limits of the reply to a ringing phone: of each value, and of all values with their names.
MAX_VALUE_CHARS, MAX_TOLD_CHARS = 500, 8_000

DECLARATION = ActionDeclaration(
    name="incoming_call",
    description="A contact calls one of our numbers: the agent learns who it is, and what it should know.",
    arguments=arguments(
        {
            "from_number": text(300, 'The caller\'s number as the carrier sends it, or "anonymous".'),
            "to_number": text(300, "The number that was called. A national number is read in its country."),
        },
        "from_number",
        "to_number",
    ),
    codes={
        "caller_known": "The contact's pending tasks are held until this call ends.",
        "caller_unknown": "No contact has this number, or it is withheld.",
    },
    result={
        "dynamic_variables": "Texts for the agent: `is_known`, `callback_at` and so on, and what the catalogue allows.",
        "metadata": "To be set on the call; it scopes the call's tools to this contact.",
        "agent_id": "The agent of the call that is due next, or was made last; null for an unknown caller.",
    },
    for_agents=False,
    needs_target=False,
)


@dataclass(frozen=True, slots=True)
class IncomingCall:
    rules: OutcomeRules
    allowed_names: tuple[str, ...]  # names of the contact's fields and the call's variables
    locks_every_phone: bool = True
    reads: Part | None = Part.HOLD
    declaration: ActionDeclaration = DECLARATION

    async def find(self, request: ActionRequest, store: Store) -> Target | Reply:
        texts = read_texts(request.args, DECLARATION.arguments)
        instance = await store.instance()  # remembered then, so that the transaction need not read it
        phone = caller_number(texts.get("from_number"), texts.get("to_number"), self.rules)
        if phone is None:
            return unknown_caller(instance)
        if (request.call_id, request.contact_id, request.task_id) != (None, None, None):
            person = await person_of_target(await find_target(request, store), store)
            async with store.reading() as tx:
                return Target(await tx.calls.next_or_last_of(person.contact_id), Person(phone, person.contact_id))
        async with store.reading() as tx:
            known = await tx.contacts.of_caller(phone)
        if known is None:
            return unknown_caller(instance)
        contact_id, call_id = known
        return Target(call_id, Person(phone, contact_id))

    async def do(self, tx: UnitOfWork, subject: Subject, args: Mapping[str, Any], now: datetime) -> Reply:
        called = read_texts(args, DECLARATION.arguments).get("to_number", "")
        contact, call = subject.contact, subject.call
        to_number = own_number(called, self.rules) or called
        caller = Caller(subject.phone, contact.contact_id, to_number, subject.request.provider_call_id, now)
        # Before the hold, which changes nothing that is told of the task.
        task = await tx.tasks.open_for(call.call_id) if call is not None else None
        inbound = await hold_for(tx, caller, self.rules, now)
        metadata = {
            "ringback_instance": await tx.instance(),
            "ringback_contact_id": contact.contact_id,
            "ringback_inbound_id": inbound.inbound_id,
        }
        result = {
            "dynamic_variables": _allowed(self.allowed_names, contact, call, task)
            | _own(contact, call, task, inbound, now),
            "metadata": metadata,
            "agent_id": call.agent_id if call is not None else None,
        }
        return Reply(True, "caller_known", "Thank you for calling back.", result)

    def rehearse(self, args: Mapping[str, Any], now: datetime) -> Reply:
        read_texts(args, DECLARATION.arguments)
        return unknown_caller(None)


def unknown_caller(instance: str | None) -> Reply:
    """The reply for an unknown caller, and when no look-up is possible. The mark identifies the call's events."""
    metadata = {} if instance is None else {"ringback_instance": instance}
    result = {"dynamic_variables": {"is_known": "false"}, "metadata": metadata, "agent_id": None}
    return Reply(True, "caller_unknown", "Thank you for calling.", result)


def _allowed(names: tuple[str, ...], contact: Contact, call: Call | None, task: Task | None) -> dict[str, str]:
    """The facts that the catalogue allows: the contact's fields, the call's variables, and the callback's reason."""
    known: dict[str, Any] = dict(call.variables) if call is not None else {}
    known |= {name: value for name, value in contact.fields.items() if isinstance(value, str | int | float)}
    if task is not None and task.kind is TaskKind.CALLBACK and task.reason:
        known["callback_reason"] = task.reason
    allowed: dict[str, str] = {}
    left = MAX_TOLD_CHARS
    for name in names:
        text = _text(known[name])[:MAX_VALUE_CHARS] if name in known else ""
        if text and len(name) + len(text) <= left:
            allowed[name] = text
            left -= len(name) + len(text)
    return allowed


def _own(contact: Contact, call: Call | None, task: Task | None, inbound: InboundCall, now: datetime) -> dict[str, str]:
    """Ringback's own facts. They override Engage's values of the same name.

    `callback_spoken` is told only if the person's zone is known.
    """
    variables = {"is_known": "true", "contact_id": contact.contact_id, "has_callback": _text(task is not None)}
    region = region_zone(contact.time_zone) if contact.time_zone is not None else None
    if region is not None:
        variables["time_zone"] = region
    if call is not None:
        variables["ringback_call_id"] = call.call_id
    # In place of an attempt's id. Functions with arguments at the root return it as their only mark.
    variables["ringback_attempt_id"] = inbound.inbound_id
    if task is not None:
        variables |= {"callback_at": iso(task.planned_at) or "", "callback_kind": task.kind.value}
        zone = find_zone(region) if region is not None else None
        if zone is not None and task.planned_at > now:
            variables["callback_spoken"] = say_moment(task.planned_at.astimezone(zone), now.astimezone(zone))
    return variables


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
