"""The bodies of Retell's custom functions and of its inbound-call webhook, and the answer to the latter."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ringback.adapters.retell.events import ATTEMPT_KEY, report_from_call
from ringback.adapters.retell.wire import decode_object
from ringback.domain.call_event import CallReport, ReportKind
from ringback.domain.errors import Permanent

# Retell's call id for tools tried out in its dashboard.
_PLAYGROUND = "playground"
# Retell adds it to the arguments of a tool with which the agent speaks while it waits.
_EXECUTION_MESSAGE = "execution_message"
# What stands at a body's root and is no argument.
_ENVELOPE = ("name", "call", "args")

#: The door answers within 10 s, "not now" included; Retell's own default would leave a person in silence for minutes.
TIMEOUT_MS = 12_000
#: A repeat finds the reply that is stored under the tool call's own identity.
MAX_RETRY = 2


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One invocation of a custom function. Without `provider_call_id` and `attempt_id` it belongs to no known call."""

    args: dict[str, Any]
    provider_call_id: str | None
    attempt_id: str | None
    tool_call_id: str | None
    playground: bool
    report: CallReport | None
    name: str | None = None

    def key(self, action: str) -> str | None:
        """The identity under which Retell's repeats of this invocation are one; None if it belongs to no call."""
        scope = self.provider_call_id or self.attempt_id
        if scope is None:
            return None
        return f"{scope}:{action}:{self.tool_call_id or _digest(self.args)}"


@dataclass(frozen=True, slots=True)
class InboundCall:
    """Someone is calling us. `from_number` is as Retell gives it, `anonymous` or empty when the caller is withheld.
    `is_dated`: the body says when it was asked, so that another call's body is another."""

    from_number: str
    to_number: str
    call_id: str | None
    agent_id: str | None
    is_dated: bool = field(default=False, compare=False)


def parse_tool_call(body: str | bytes) -> ToolCall:
    """`{name, call, args}`, or the arguments at the root. Raises Permanent if the body is not a JSON object.

    `call` and `args` may be JSON strings. Without usable `args` the arguments of a call that is named stand beside it.
    """
    fields = decode_object(body)
    name, call, args = _text(fields, "name"), _object(fields.get("call")), _object(fields.get("args"))
    if call is not None and args is None and _text(call, "call_id") and ATTEMPT_KEY not in fields:
        args = {}
    if call is None or args is None:
        # Our constant among them says that it is the arguments alone, and `call` an argument that a model made up.
        own, attempt_id = _take_attempt_id(fields)
        return ToolCall(own, None, attempt_id, None, playground=False, report=None)
    beside = {key: value for key, value in fields.items() if key not in _ENVELOPE}
    return _nested(name, call, args or beside)


def _nested(name: str | None, call: dict[str, Any], args: dict[str, Any]) -> ToolCall:
    own, attempt_id = _take_attempt_id(args)
    if call.get("call_id") == _PLAYGROUND:
        return ToolCall(own, None, None, None, playground=True, report=None, name=name)
    try:
        report = report_from_call(call, ReportKind.TOOL)
    except Permanent:  # no usable call id: the constant argument may still tell whose call it is
        return ToolCall(own, None, attempt_id, None, playground=False, report=None, name=name)
    return ToolCall(
        args=own,
        provider_call_id=report.provider_call_id,
        attempt_id=report.attempt_id or attempt_id,
        tool_call_id=_tool_call_id(call, name, own),
        playground=False,
        report=report,
        name=name,
    )


def _tool_call_id(call: dict[str, Any], name: str | None, args: dict[str, Any]) -> str | None:
    """Of the invocations of that name that wait for their result, the last with these arguments, else the last.

    Several wait where the agent calls functions at once. One with a result was answered, so that this is another.
    """
    items = call.get("transcript_with_tool_calls")
    known = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    answered = {_text(item, "tool_call_id") for item in known if item.get("role") == "tool_call_result"}
    waiting = [
        (id_, _object(item.get("arguments")))
        for item in known
        if item.get("role") == "tool_call_invocation" and item.get("name") == name
        if (id_ := _text(item, "tool_call_id")) and id_ not in answered
    ]
    same = [id_ for id_, given in waiting if given is not None and _as_invoked(given) == _as_invoked(args)]
    return next(reversed(same or [id_ for id_, _ in waiting]), None)


def _as_invoked(args: dict[str, Any]) -> dict[str, Any]:
    """Without what the platform adds or fills in between the model's invocation and the function's body."""
    return {key: value for key, value in args.items() if key not in (ATTEMPT_KEY, _EXECUTION_MESSAGE)}


def _object(value: object) -> dict[str, Any] | None:
    """The object, or the one in a JSON string."""
    if isinstance(value, str):
        try:
            return decode_object(value)
        except Permanent:
            return None
    return value if isinstance(value, dict) else None


def _take_attempt_id(args: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """The arguments without our constant one, and its value; a template that Retell left unfilled counts as none."""
    value = args.get(ATTEMPT_KEY)
    usable = isinstance(value, str) and value and "{{" not in value
    return {key: item for key, item in args.items() if key != ATTEMPT_KEY}, value if usable else None


def _digest(args: Mapping[str, Any]) -> str:
    canonical = json.dumps(args, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def parse_inbound_call(body: str | bytes) -> InboundCall:
    """Raises Permanent unless the body is a call_inbound event."""
    fields = decode_object(body)
    call = fields.get("call_inbound")
    if fields.get("event") != "call_inbound" or not isinstance(call, dict):
        raise Permanent("body is not a call_inbound event")
    from_number, to_number = _text(call, "from_number"), _text(call, "to_number")
    is_dated = isinstance(fields.get("event_timestamp"), int | float)
    return InboundCall(from_number or "", to_number or "", _text(call, "call_id"), _text(call, "agent_id"), is_dated)


def inbound_reply(
    variables: Mapping[str, object], metadata: Mapping[str, Any], agent_id: str | None = None
) -> dict[str, Any]:
    """The JSON answer to call_inbound. Retell takes strings only as variables, and the key is `dynamic_variables` here,
    unlike in create-phone-call; a variable that is None is left out."""
    answer: dict[str, Any] = {
        "dynamic_variables": {key: _spoken(value) for key, value in variables.items() if value is not None},
        "metadata": dict(metadata),
    }
    if agent_id:
        answer["override_agent_id"] = agent_id
    return {"call_inbound": answer}


def _spoken(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(raw: Mapping[str, Any], key: str) -> str | None:
    value = raw.get(key)
    return value if isinstance(value, str) and value else None


def tool_definition(
    name: str, description: str, arguments: Mapping[str, Any], functions_url: str, *, args_at_root: bool = False
) -> dict[str, Any]:
    """`arguments` is a JSON schema of an object. With `args_at_root` the body carries no call object, so a constant
    that Retell fills in, and the model cannot change, says whose conversation it is."""
    parameters = dict(arguments)
    if args_at_root:
        mark = {"type": "string", "const": f"{{{{{ATTEMPT_KEY}}}}}", "description": "Filled in by the platform."}
        parameters["properties"] = {**arguments["properties"], ATTEMPT_KEY: mark}
        parameters["required"] = [*arguments.get("required", ()), ATTEMPT_KEY]
    return {
        "type": "custom",
        "name": name,
        "description": description,
        "url": f"{functions_url.rstrip('/')}/{name}",
        "method": "POST",
        "args_at_root": args_at_root,
        "parameters": parameters,
        # The answer is there before a filler sentence would be, and `say` in it is what the agent is to say.
        "speak_during_execution": False,
        "speak_after_execution": True,
        "timeout_ms": TIMEOUT_MS,
        "max_retry": MAX_RETRY,
    }
