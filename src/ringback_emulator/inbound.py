"""Calls from outside: while the caller hears it ring, the number's webhook is asked who answers, and is obeyed."""

import json
from dataclasses import dataclass
from typing import Any

from ringback_emulator.call_request import (
    DEFAULT_AGENT_ID,
    CallOrder,
    RequestRefused,
    agent_exists,
    is_e164,
    read_order,
    string_values,
)
from ringback_emulator.exchange import Exchange, new_call_id
from ringback_emulator.outgoing import Answer, encoded, now_ms, post_until_accepted
from ringback_emulator.scenarios import INBOUND

_AGENT_VERSION = 0
# What the answer says beside these is either handled here (`reject`, `dynamic_variables`) or ignored, as by Retell.
_OBEYED_AS_WRITTEN = ("override_agent_id", "override_agent_version", "agent_override", "metadata")


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody dials one of our numbers. `from_number` is what they show, "anonymous" when that is nothing.

    `agent_id` is the number's own agent, if it has one. `names_call`: whether the webhook tells the call's id, which
    Retell does since October 2026.
    """

    from_number: str
    to_number: str
    agent_id: str | None
    scenario: str
    names_call: bool


class AnswerVoid(Exception):
    """The webhook's answer counts as none at all; the message says why."""


def read_caller(body: dict[str, Any]) -> Caller:
    """Raises RequestRefused (400) for a caller that cannot be."""
    from_number, to_number = body.get("from_number"), body.get("to_number")
    agent_id, scenario = body.get("agent_id", DEFAULT_AGENT_ID), body.get("scenario", "talk")
    if not isinstance(from_number, str) or not from_number:
        raise RequestRefused(400, '`from_number` must be a number or "anonymous"')
    if not isinstance(to_number, str) or not is_e164(to_number):
        raise RequestRefused(400, "`to_number` must be in E.164 format")
    if agent_id is not None and not (isinstance(agent_id, str) and agent_exists(agent_id)):
        raise RequestRefused(400, "`agent_id` must be an agent of this emulator, or null")
    if not isinstance(scenario, str) or scenario not in INBOUND:
        raise RequestRefused(400, f"`scenario` must be one of {', '.join(INBOUND)}")
    return Caller(from_number, to_number, agent_id, scenario, body.get("names_call", True) is True)


async def ring_in(exchange: Exchange, caller: Caller) -> dict[str, Any]:
    """What became of the caller: `{outcome, call_id, agent_id, webhook: {statuses, answer, problem}}`.

    `outcome` is connected, rejected or disconnected; only a connected caller has a call. `answer` is the webhook's last
    answer, `problem` why it did not count. Raises RequestRefused: 429 over the concurrency limit.
    """
    call_id = new_call_id()
    answers = await _ask(exchange, caller, call_id)
    reply, problem = _understood(caller, answers)
    outcome: dict[str, Any] = {"outcome": "disconnected", "call_id": None, "agent_id": None}
    if reply.get("reject") is True:
        outcome["outcome"] = "rejected"
    elif order := _order(caller, reply, exchange.settings.webhook_url):
        exchange.put_through(order, caller.scenario, call_id)
        outcome = {"outcome": "connected", "call_id": call_id, "agent_id": order.agent_id}
    said = _parsed(answers[-1].text) if answers and answers[-1].status else None
    return outcome | {"webhook": {"statuses": [item.status for item in answers], "answer": said, "problem": problem}}


async def _ask(exchange: Exchange, caller: Caller, call_id: str) -> list[Answer]:
    if exchange.settings.inbound_url is None:
        return []
    optional = {
        "agent_id": caller.agent_id,
        "agent_version": None if caller.agent_id is None else _AGENT_VERSION,
        "call_id": call_id if caller.names_call else None,
    }
    call_inbound = {
        **{name: value for name, value in optional.items() if value is not None},
        "from_number": caller.from_number,
        "to_number": caller.to_number,
    }
    body = encoded({"event": "call_inbound", "event_timestamp": now_ms(), "call_inbound": call_inbound})
    return await post_until_accepted(exchange.post, exchange.settings.inbound_url, body, exchange.settings.speed)


def _understood(caller: Caller, answers: list[Answer]) -> tuple[dict[str, Any], str | None]:
    """The fields of the answer, or none of them and the reason."""
    if not answers:
        return {}, None
    try:
        reply = _reply(answers[-1])
        # Every field is checked even of a call that is to be rejected.
        _order(caller, reply, None)
    except (AnswerVoid, RequestRefused) as problem:
        return {}, str(problem)
    return reply, None


def _reply(answer: Answer) -> dict[str, Any]:
    if not answer.accepted:
        raise AnswerVoid("no try was answered with 2xx")
    body = _parsed(answer.text)
    reply = body.get("call_inbound") if isinstance(body, dict) else None
    if not isinstance(reply, dict):
        raise AnswerVoid("the answer has no `call_inbound` object")
    return {name: value for name, value in reply.items() if value is not None}


def _order(caller: Caller, reply: dict[str, Any], webhook_url: str | None) -> CallOrder | None:
    """The call that follows, or None if no agent answers. Raises RequestRefused for a field that is invalid."""
    obeyed = {name: reply[name] for name in _OBEYED_AS_WRITTEN if name in reply}
    order = read_order(
        {
            "to_number": caller.to_number,
            "from_number": caller.from_number,
            "ignore_e164_validation": True,
            "override_agent_id": caller.agent_id or DEFAULT_AGENT_ID,
            "retell_llm_dynamic_variables": string_values(reply, "dynamic_variables"),
            **obeyed,
        },
        webhook_url,
    )
    return None if caller.agent_id is None and "override_agent_id" not in reply else order


def _parsed(text: str) -> Any:
    """The JSON value, or the text itself."""
    try:
        value = json.loads(text)
        # Half a surrogate pair parses but cannot be written as UTF-8 again.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return text
    return value
