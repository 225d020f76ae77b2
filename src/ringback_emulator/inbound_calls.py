"""Inbound calls: while the caller hears it ring, the number's webhook is asked for an agent, and is obeyed."""

import json
from dataclasses import dataclass
from typing import Any

from ringback_emulator.call_request import (
    DEFAULT_AGENT_ID,
    CallRequest,
    RequestRejected,
    agent_exists,
    is_e164,
    read_call_request,
    string_values,
)
from ringback_emulator.call_simulator import CallSimulator, new_call_id
from ringback_emulator.outgoing_requests import PostResult, encoded, post_until_accepted
from ringback_emulator.scenarios import INBOUND

# `reject` and `dynamic_variables` are handled here. Every other field of the answer is ignored, as by Retell.
_COPIED_FIELDS = ("override_agent_id", "override_agent_version", "agent_override", "metadata")


@dataclass(frozen=True, slots=True)
class InboundCaller:
    """A caller of one of our numbers. `from_number` is "anonymous" when the caller withholds it.

    `agent_id` is the number's own agent, if it has one.
    `names_call`: the webhook contains the call's id, as Retell's does since October 2026.
    """

    from_number: str
    to_number: str
    agent_id: str | None
    scenario: str
    names_call: bool


class InvalidAnswer(Exception):
    """The webhook's answer is ignored, for the reason in the message."""


def read_caller(body: dict[str, Any]) -> InboundCaller:
    """Raises RequestRejected (400) for an impossible caller."""
    from_number, to_number = body.get("from_number"), body.get("to_number")
    agent_id, scenario = body.get("agent_id", DEFAULT_AGENT_ID), body.get("scenario", "talk")
    if not isinstance(from_number, str) or not from_number:
        raise RequestRejected(400, '`from_number` must be a number or "anonymous"')
    if not isinstance(to_number, str) or not is_e164(to_number):
        raise RequestRejected(400, "`to_number` must be in E.164 format")
    if agent_id is not None and not (isinstance(agent_id, str) and agent_exists(agent_id)):
        raise RequestRejected(400, "`agent_id` must be an agent of this emulator, or null")
    if not isinstance(scenario, str) or scenario not in INBOUND:
        raise RequestRejected(400, f"`scenario` must be one of {', '.join(INBOUND)}")
    return InboundCaller(from_number, to_number, agent_id, scenario, body.get("names_call", True) is True)


async def receive_inbound_call(simulator: CallSimulator, caller: InboundCaller) -> dict[str, Any]:
    """Return the result for the caller: `{outcome, call_id, agent_id, webhook: {statuses, answer, problem}}`.

    `outcome` is connected, rejected or disconnected. Only a connected caller has a call.
    `answer` is the webhook's last answer, `problem` the reason why it is ignored.
    Raises RequestRejected: 429 over the concurrency limit.
    """
    call_id = new_call_id()
    results = await _ask_webhook(simulator, caller, call_id)
    fields, problem = _read_answer(caller, results)
    outcome: dict[str, Any] = {"outcome": "disconnected", "call_id": None, "agent_id": None}
    if fields.get("reject") is True:
        outcome["outcome"] = "rejected"
    elif request := _call_request(caller, fields, simulator.settings.webhook_url):
        simulator.connect_inbound(request, caller.scenario, call_id)
        outcome = {"outcome": "connected", "call_id": call_id, "agent_id": request.agent_id}
    answer = _parsed(results[-1].text) if results and results[-1].status else None
    statuses = [result.status for result in results]
    return outcome | {"webhook": {"statuses": statuses, "answer": answer, "problem": problem}}


async def _ask_webhook(simulator: CallSimulator, caller: InboundCaller, call_id: str) -> list[PostResult]:
    settings = simulator.settings
    if settings.inbound_url is None:
        return []
    optional = {
        "agent_id": caller.agent_id,
        "agent_version": None if caller.agent_id is None else 0,
        "call_id": call_id if caller.names_call else None,
    }
    call_inbound = {
        **{name: value for name, value in optional.items() if value is not None},
        "from_number": caller.from_number,
        "to_number": caller.to_number,
    }
    body = encoded(
        {"event": "call_inbound", "event_timestamp": simulator.settings.time.now_ms(), "call_inbound": call_inbound}
    )
    return await post_until_accepted(simulator.post, settings.inbound_url, body, settings.speed)


def _read_answer(caller: InboundCaller, results: list[PostResult]) -> tuple[dict[str, Any], str | None]:
    """Return the answer's fields, or none of them and the reason."""
    if not results:
        return {}, None
    try:
        if not results[-1].is_accepted:
            raise InvalidAnswer("no try was answered with 2xx")
        body = _parsed(results[-1].text)
        answer = body.get("call_inbound") if isinstance(body, dict) else None
        if not isinstance(answer, dict):
            raise InvalidAnswer("the answer has no `call_inbound` object")
        fields = {name: value for name, value in answer.items() if value is not None}
        # Every field is checked, even if the caller is then rejected.
        _call_request(caller, fields, None)
    except (InvalidAnswer, RequestRejected) as problem:
        return {}, str(problem)
    return fields, None


def _call_request(caller: InboundCaller, fields: dict[str, Any], webhook_url: str | None) -> CallRequest | None:
    """Return the call that follows, None without an agent. Raises RequestRejected for an invalid field."""
    request = read_call_request(
        {
            "to_number": caller.to_number,
            "from_number": caller.from_number,
            "ignore_e164_validation": True,
            "override_agent_id": caller.agent_id or DEFAULT_AGENT_ID,
            "retell_llm_dynamic_variables": string_values(fields, "dynamic_variables"),
            **{name: fields[name] for name in _COPIED_FIELDS if name in fields},
        },
        webhook_url,
    )
    return None if caller.agent_id is None and "override_agent_id" not in fields else request


def _parsed(text: str) -> Any:
    """Return the JSON value, or the text itself."""
    try:
        value = json.loads(text)
        # Half a surrogate pair can be parsed but not encoded as UTF-8.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return text
    return value
