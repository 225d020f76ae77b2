"""Retell's custom functions and its inbound-call webhook: their bodies, the reply to the latter, tool definitions."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ringback.adapters.retell.events import ATTEMPT_KEY, report_from_call
from ringback.adapters.retell.wire import CallBody, Utterance, decode_function_body, decode_object
from ringback.domain.catalog import ToolSpeech
from ringback.domain.errors import Permanent
from ringback.domain.provider_report import ProviderReport, ReportKind

# The call id of tools that are tried in Retell's dashboard.
_PLAYGROUND = "playground"
# Retell adds it to the arguments of a tool during which the agent speaks.
_EXECUTION_MESSAGE = "execution_message"
# The keys at a body's root that are no arguments.
_ENVELOPE = ("name", "call", "args")

#: The route responds within 10 s, "not now" included. Retell's own default would mean minutes of silence on the phone.
TIMEOUT_MS = 12_000
_SILENT = "Nothing is spoken after it: say your next sentence in the same turn, and do not mention it."
#: A repeat gets the reply that is stored under the tool call's own identity.
MAX_RETRY = 2


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One invocation of a custom function. Without `provider_call_id` and `attempt_id` it belongs to no known call."""

    args: dict[str, Any]
    provider_call_id: str | None
    attempt_id: str | None
    tool_call_id: str | None
    playground: bool
    report: ProviderReport | None
    name: str | None = None

    def key(self, action: str) -> str | None:
        """Return the key that Retell's repeats of this invocation share. None: it belongs to no call."""
        scope = self.provider_call_id or self.attempt_id
        if scope is None:
            return None
        if self.tool_call_id:
            return f"{scope}:{action}:{self.tool_call_id}"
        canonical = json.dumps(self.args, sort_keys=True, separators=(",", ":"))
        return f"{scope}:{action}:{hashlib.sha256(canonical.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True)
class InboundCallWebhook:
    """A call to us. `from_number` is Retell's text: `anonymous` or empty when the caller is withheld.

    `is_dated`: the body has a timestamp, so the bodies of two calls differ.
    """

    from_number: str
    to_number: str
    call_id: str | None
    agent_id: str | None
    is_dated: bool = field(default=False, compare=False)


def parse_tool_call(body: str | bytes) -> ToolCall:
    """Parse `{name, call, args}`, or the arguments at the root. Raises Permanent if the body is not a JSON object.

    `call` and `args` may be JSON strings. With a call but no usable `args`, the arguments are beside the call.
    """
    usual = decode_function_body(body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body)
    if usual is not None and usual.args and usual.call.call_id != _PLAYGROUND:
        name = usual.name if isinstance(usual.name, str) and usual.name else None
        return _of_call(name, usual.call, usual.call.transcript_with_tool_calls or [], usual.args)
    fields = decode_object(body)
    name, call, args = _text(fields, "name"), _object(fields.get("call")), _object(fields.get("args"))
    if call is not None and args is None and _text(call, "call_id") and ATTEMPT_KEY not in fields:
        args = {}
    if call is None or args is None:
        # Our constant at the root means that the body is only arguments. A model then invented an argument `call`.
        own, attempt_id = _take_attempt_id(fields)
        return ToolCall(own, None, attempt_id, None, playground=False, report=None)
    args = args or {key: value for key, value in fields.items() if key not in _ENVELOPE}
    if call.get("call_id") == _PLAYGROUND:
        own, _ = _take_attempt_id(args)
        return ToolCall(own, None, None, None, playground=True, report=None, name=name)
    items = call.get("transcript_with_tool_calls")
    known = [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
    # Not the call's own utterances: those of a wrong type are left out there, and may name an invocation that is over.
    said = [
        Utterance(item.get("role"), None, item.get("name"), _text(item, "tool_call_id"), item.get("arguments"))
        for item in known
    ]
    return _of_call(name, call, said, args)


def _of_call(
    name: str | None, call: CallBody | dict[str, Any], said: list[Utterance], args: dict[str, Any]
) -> ToolCall:
    own, attempt_id = _take_attempt_id(args)
    try:
        report = report_from_call(call, ReportKind.TOOL)
    except Permanent:  # no usable call id: the constant argument may still name the call
        return ToolCall(own, None, attempt_id, None, playground=False, report=None, name=name)
    return ToolCall(
        args=own,
        provider_call_id=report.provider_call_id,
        attempt_id=report.attempt_id or attempt_id,
        tool_call_id=_tool_call_id(said, name, own),
        playground=False,
        report=report,
        name=name,
    )


def _tool_call_id(said: list[Utterance], name: str | None, args: dict[str, Any]) -> str | None:
    """Find the pending invocation of that name: the last one with these arguments, else the last one.

    Several are pending if the agent calls functions at once. An invocation with a result is not pending.
    """
    answered = {item.tool_call_id for item in said if item.role == "tool_call_result"}
    waiting = [
        (item.tool_call_id, _object(item.arguments))
        for item in said
        if item.role == "tool_call_invocation" and item.name == name
        if item.tool_call_id and item.tool_call_id not in answered
    ]
    same = [id_ for id_, given in waiting if given is not None and _as_invoked(given) == _as_invoked(args)]
    return next(reversed(same or [id_ for id_, _ in waiting]), None)


def _as_invoked(args: dict[str, Any]) -> dict[str, Any]:
    """Drop the arguments that the platform adds between the model's invocation and the function's body."""
    return {key: value for key, value in args.items() if key not in (ATTEMPT_KEY, _EXECUTION_MESSAGE)}


def _object(value: object) -> dict[str, Any] | None:
    """Return the object, also from a JSON string."""
    if isinstance(value, str):
        try:
            return decode_object(value)
        except Permanent:
            return None
    return value if isinstance(value, dict) else None


def _take_attempt_id(args: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
    """Split off our constant argument. A template that Retell left unfilled counts as none."""
    value = args.get(ATTEMPT_KEY)
    usable = isinstance(value, str) and value and "{{" not in value
    return {key: item for key, item in args.items() if key != ATTEMPT_KEY}, value if usable else None


def parse_inbound_call(body: str | bytes) -> InboundCallWebhook:
    """Parse a call_inbound event. Raises Permanent for any other body."""
    fields = decode_object(body)
    call = fields.get("call_inbound")
    if fields.get("event") != "call_inbound" or not isinstance(call, dict):
        raise Permanent("body is not a call_inbound event")
    from_number, to_number = _text(call, "from_number"), _text(call, "to_number")
    is_dated = isinstance(fields.get("event_timestamp"), int | float)
    return InboundCallWebhook(
        from_number or "", to_number or "", _text(call, "call_id"), _text(call, "agent_id"), is_dated
    )


def inbound_reply(
    variables: Mapping[str, object], metadata: Mapping[str, Any], agent_id: str | None = None
) -> dict[str, Any]:
    """Build the JSON reply to call_inbound. Variables must be strings, and a variable that is None is left out.

    The key is `dynamic_variables` here, unlike in create-phone-call.
    """
    answer: dict[str, Any] = {
        "dynamic_variables": {
            key: str(value).lower() if isinstance(value, bool) else str(value)
            for key, value in variables.items()
            if value is not None
        },
        "metadata": dict(metadata),
    }
    if agent_id:
        answer["override_agent_id"] = agent_id
    return {"call_inbound": answer}


def _text(raw: Mapping[str, Any], key: str) -> str | None:
    value = raw.get(key)
    return value if isinstance(value, str) and value else None


def tool_definition(
    name: str,
    description: str,
    arguments: Mapping[str, Any],
    functions_url: str,
    *,
    speech: ToolSpeech,
    args_at_root: bool,
) -> dict[str, Any]:
    """Build a tool definition to paste into a Retell agent: GeneralToolCustomTool of retell-sdk 6.2.13.

    `arguments` is a JSON schema of an object. With `args_at_root` the body has no call object. A constant argument then
    names the attempt: Retell fills it in, and the model cannot change it. After a silent function the model is not
    asked again, so its description says that the sentence has to come with the call.
    """
    if not speech.speak_after_execution:
        description = f"{description} {_SILENT}"
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
        "speak_during_execution": speech.speak_during_execution,
        "speak_after_execution": speech.speak_after_execution,
        "timeout_ms": TIMEOUT_MS,
        "max_retry": MAX_RETRY,
    }
