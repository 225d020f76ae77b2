"""The bodies of Retell's custom functions and of its inbound-call webhook, and the answer to the latter."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ringback.adapters.retell.events import ATTEMPT_KEY, report_from_call
from ringback.adapters.retell.wire import call_body, decode_object
from ringback.domain.call_event import CallReport, ReportKind
from ringback.domain.errors import Permanent

# Retell's call id for tools tried out in its dashboard.
_PLAYGROUND = "playground"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One invocation of a custom function. Without `provider_call_id` and `attempt_id` it belongs to no known call."""

    args: dict[str, Any]
    provider_call_id: str | None
    attempt_id: str | None
    tool_call_id: str | None
    playground: bool
    report: CallReport | None

    def key(self, action: str) -> str | None:
        """The identity under which Retell's repeats of this invocation are one; None if it belongs to no call."""
        scope = self.provider_call_id or self.attempt_id
        if scope is None:
            return None
        return f"{scope}:{action}:{self.tool_call_id or _digest(self.args)}"


@dataclass(frozen=True, slots=True)
class InboundCall:
    """Someone is calling us. `from_number` is as Retell gives it, `anonymous` or empty when the caller is withheld."""

    from_number: str
    to_number: str
    call_id: str | None
    agent_id: str | None


def parse_tool_call(body: str | bytes) -> ToolCall:
    """`{name, call, args}`, or the arguments at the root. Raises Permanent if the body is not a JSON object."""
    fields = decode_object(body)
    call, args = fields.get("call"), fields.get("args")
    if isinstance(call, dict) and isinstance(args, dict):
        return _nested(fields.get("name"), call, args)
    own, attempt_id = _take_attempt_id(fields)
    return ToolCall(own, None, attempt_id, None, playground=False, report=None)


def _nested(name: object, call: dict[str, Any], args: dict[str, Any]) -> ToolCall:
    own, attempt_id = _take_attempt_id(args)
    if call.get("call_id") == _PLAYGROUND:
        return ToolCall(own, None, None, None, playground=True, report=None)
    try:
        report = report_from_call(call, ReportKind.TOOL)
    except Permanent:  # no usable call id: the constant argument may still tell whose call it is
        return ToolCall(own, None, attempt_id, None, playground=False, report=None)
    invocations = [
        item.tool_call_id
        for item in call_body(call).transcript_with_tool_calls or ()
        if item.role == "tool_call_invocation" and item.name == name and item.tool_call_id
    ]
    return ToolCall(
        args=own,
        provider_call_id=report.provider_call_id,
        attempt_id=report.attempt_id or attempt_id,
        tool_call_id=invocations[-1] if invocations else None,
        playground=False,
        report=report,
    )


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
    return InboundCall(from_number or "", to_number or "", _text(call, "call_id"), _text(call, "agent_id"))


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
