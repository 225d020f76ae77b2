"""Bugs of the agent's actions: the meaning of an argument, repeated calls, and the conversation of a call."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from proof.planted.bug import Right, planted
from ringback.domain.catalog import CustomEventType
from ringback.flows.business_operations.action import FunctionCall, Scope
from ringback.flows.business_operations.set_disposition import SetDisposition

MEANT = "ringback.flows.business_operations.arguments:as_meant"

_ACTIONS = "flows/business_operations/"
_ARGUMENTS = f"{_ACTIONS}test_arguments.py::"
_REPEATS = f"{_ACTIONS}test_repeats.py::"


@planted(MEANT, "I10", f"{_ARGUMENTS}test_an_opt_out_stands_whatever_the_model_adds")
def an_added_argument_refuses_the_opt_out(
    _: Right, args: Mapping[str, Any], schema: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The declaration says which arguments there are."""
    return dict(args), []


@planted(
    "ringback.flows.business_operations.set_disposition:SetDisposition._known",
    "I10",
    f"{_ARGUMENTS}test_an_opt_out_is_recognised_by_an_agents_spelling",
)
def an_opt_out_is_spelled_one_way(right: Right, action: SetDisposition, code: str | None, _: Scope) -> Any:
    """The model is given the list of codes."""
    return right(action, code, Scope.SYSTEMS)


@planted(
    "ringback.flows.business_operations.send_abt_event:_checked",
    "I18",
    f"{_ACTIONS}test_event_data.py::test_missing_and_unfit_members_are_told_and_nothing_is_sent",
)
def the_data_of_an_event_is_not_checked(_: Right, event: CustomEventType, data: Mapping[str, Any]) -> dict[str, Any]:
    """The tool definition tells the model which data an event has."""
    return dict(data)


@planted(
    "ringback.flows.business_operations.runner:UNDONE_BY",
    "I17 I10",
    f"{_REPEATS}test_without_ids_a_person_may_change_their_mind_and_back_again",
    f"{_REPEATS}test_without_ids_a_request_in_another_scope_counts_too",
)
def a_window_alone_tells_repeats(_: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    """No contact changes their mind within a minute."""
    return {}


@planted(
    "ringback.flows.business_operations.runner:REPEATED_WITHIN",
    "I14",
    f"{_REPEATS}test_without_ids_retells_repeat_is_one_call_and_the_same_words_later_are_another",
)
def retells_repeat_without_an_id_acts_again(_: timedelta) -> timedelta:
    """A call without an id cannot be a repeat."""
    return timedelta(0)


@planted(
    "ringback.flows.business_operations.action:is_for", "I17", f"{_REPEATS}test_a_body_of_another_function_does_nothing"
)
def the_path_alone_names_the_function(_: Right, call: FunctionCall, action: str) -> bool:
    """The body is signed."""
    return True
