"""The filter criteria of list-calls: objects of type, operator and value, all of which must hold."""

import operator
from collections.abc import Callable
from typing import Any

from ringback_emulator.call_book import Call
from ringback_emulator.call_object import call_analysis, call_status, duration_ms
from ringback_emulator.call_request import RequestRefused

_FIELDS: dict[str, Callable[[Call], Any]] = {
    "call_id": lambda call: call.call_id,
    "to_number": lambda call: call.to_number,
    "from_number": lambda call: call.from_number,
    "call_status": lambda call: call_status(call, call.stage),
    "call_type": lambda call: "phone_call",
    "direction": lambda call: call.direction,
    "data_storage_setting": lambda call: call.data_storage_setting,
    "disconnection_reason": lambda call: call.disconnection_reason,
    "start_timestamp": lambda call: call.connected_ms,
    "end_timestamp": lambda call: None if call.connected_ms is None else call.ended_ms,
    "duration_ms": lambda call: None if call.ended_ms is None else duration_ms(call),
    "call_successful": lambda call: _analysis(call).get("call_successful"),
    "in_voicemail": lambda call: _analysis(call).get("in_voicemail"),
    "user_sentiment": lambda call: _analysis(call).get("user_sentiment"),
}
_KEYED_FIELDS: dict[str, Callable[[Call], dict[str, Any]]] = {
    "metadata": lambda call: call.metadata or {},
    "dynamic_variables": lambda call: call.dynamic_variables or {},
    "custom_analysis_data": lambda call: _analysis(call).get("custom_analysis_data") or {},
}
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
    "sw": lambda found, wanted: found.startswith(wanted),
    "ew": lambda found, wanted: found.endswith(wanted),
    "co": lambda found, wanted: wanted in found,
    "in": lambda found, wanted: found in wanted,
    "bt": lambda found, wanted: wanted[0] <= found <= wanted[1],
}
_OPERATORS_OF_TYPE = {
    "enum": {"in"},
    "string": {"eq", "ne", "sw", "ew", "co"},
    "number": {"eq", "ne", "gt", "ge", "lt", "le"},
    "range": {"bt"},
    "boolean": {"eq"},
    "present": {"pr", "np"},
}
# A fresh call is `registered`, which is no filter value: a filter on the status cannot find it.
_STATUS_VALUES = ("not_connected", "ongoing", "ended", "error")

Predicate = Callable[[Call], bool]


def read_filters(criteria: object) -> Predicate:
    """One predicate for the whole `filter_criteria`. Raises RequestRefused (400) for a malformed or unknown filter."""
    if not isinstance(criteria, dict):
        raise RequestRefused(400, "`filter_criteria` must be object")
    predicates = [predicate for name, value in criteria.items() for predicate in _predicates(name, value)]
    return lambda call: all(predicate(call) for predicate in predicates)


def _predicates(name: str, value: Any) -> list[Predicate]:
    if name == "agent":
        return [_agent_predicate(_list(name, value))]
    if name in _KEYED_FIELDS:
        return [_keyed_predicate(name, item) for item in _list(name, value)]
    if name not in _FIELDS:
        raise RequestRefused(400, f"`filter_criteria.{name}` is not a filter of this emulator")
    _check(name, value)
    if name == "call_status" and not all(status in _STATUS_VALUES for status in value["value"]):
        raise RequestRefused(400, "`filter_criteria.call_status` must be equal to one of the allowed values")
    return [lambda call: _holds(value, _FIELDS[name](call))]


def _keyed_predicate(name: str, item: Any) -> Predicate:
    _check(name, item)
    return lambda call: _holds(item, _KEYED_FIELDS[name](call).get(item.get("key")))


def _agent_predicate(agents: list[Any]) -> Predicate:
    def matches(call: Call) -> bool:
        return any(
            agent.get("agent_id") == call.agent_id
            and (not agent.get("version") or call.agent_version in agent["version"])
            for agent in agents
        )

    return matches


def _check(name: str, item: Any) -> None:
    if not isinstance(item, dict) or str(item.get("op")) not in _OPERATORS_OF_TYPE.get(str(item.get("type")), set()):
        raise RequestRefused(400, f"`filter_criteria.{name}` must be a filter object")
    value, kind = item.get("value"), item["type"]
    well_formed = {
        "enum": isinstance(value, list),
        "range": isinstance(value, list) and len(value) == 2,
        "present": True,
    }.get(kind, value is not None)
    if not well_formed:
        raise RequestRefused(400, f"`filter_criteria.{name}.value` does not fit its type")


def _holds(item: dict[str, Any], found: Any) -> bool:
    if item["type"] == "present":
        return bool((found is not None) == (item["op"] == "pr"))
    if found is None:
        return False
    try:
        return bool(_OPERATORS[item["op"]](found, item["value"]))
    except (TypeError, AttributeError):
        # The stored value has another type than the filter: it does not match.
        return False


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise RequestRefused(400, f"`filter_criteria.{name}` must be array")
    return value


def _analysis(call: Call) -> dict[str, Any]:
    return {} if call.analyzed_ms is None else call_analysis(call)
