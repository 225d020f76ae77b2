"""Bugs of the agent's actions: the meaning of an argument, repeated calls, and the conversation of a call."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from proof.invariants import Invariant
from proof.planted.bug import Right, TextPatch, edited, planted
from ringback.domain.catalog import CustomEventType
from ringback.flows.business_operations.action import FunctionCall, Scope
from ringback.flows.business_operations.set_disposition import SetDisposition

I1, I3, I7, I10 = Invariant.I1, Invariant.I3, Invariant.I7, Invariant.I10
I14, I16, I17, I18 = Invariant.I14, Invariant.I16, Invariant.I17, Invariant.I18

MEANT = "ringback.flows.business_operations.arguments:as_meant"
FINDING_REPEATED = "ringback.flows.business_operations.runner:find_repeated"

_ACTIONS = "flows/business_operations/"
_ARGUMENTS = f"{_ACTIONS}test_arguments.py::"
_REPEATS = f"{_ACTIONS}test_repeats.py::"


@planted(
    MEANT,
    aims=(I10,),
    why="The declaration says which arguments there are.",
    tests=(f"{_ARGUMENTS}test_an_opt_out_stands_whatever_the_model_adds",),
)
def an_added_argument_refuses_the_opt_out(
    _: Right, args: Mapping[str, Any], schema: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    return dict(args), []


an_unusable_note_refuses_the_opt_out = edited(
    MEANT,
    old='declared["type"] == "string" and name not in schema["required"]',
    new='declared["type"] == "string" and name in schema["required"]',
    aims=(I10,),
    why="A required argument has to be right.",
    tests=(
        f"{_ARGUMENTS}test_an_opt_out_stands_whatever_the_model_adds",
        f"{_ARGUMENTS}test_a_long_reason_does_not_stop_what_the_person_asked_for",
    ),
)


@planted(
    "ringback.flows.business_operations.set_disposition:SetDisposition._known",
    aims=(I10,),
    why="The model is given the list of codes.",
    tests=(f"{_ARGUMENTS}test_an_opt_out_is_recognised_by_an_agents_spelling",),
)
def an_opt_out_is_spelled_one_way(right: Right, action: SetDisposition, code: str | None, _: Scope) -> Any:
    return right(action, code, Scope.SYSTEMS)


a_number_ends_where_the_words_begin = edited(
    "ringback.flows.business_operations.coercion:_number",
    old="_NUMBER.fullmatch(text.strip())",
    new="_NUMBER.match(text.strip())",
    aims=(I18,),
    why="2000 dollars are 2000.",
    tests=(f"{_ACTIONS}test_coercion.py::test_a_number_with_two_readings_or_more_words_is_not",),
)


@planted(
    "ringback.flows.business_operations.send_abt_event:_checked",
    aims=(I18,),
    why="The tool definition tells the model which data an event has.",
    tests=(f"{_ACTIONS}test_event_data.py::test_missing_and_unfit_members_are_told_and_nothing_is_sent",),
)
def the_data_of_an_event_is_not_checked(_: Right, event: CustomEventType, data: Mapping[str, Any]) -> dict[str, Any]:
    return dict(data)


a_limit_is_an_opt_out = edited(
    "ringback.domain.disposition_words:_is_plain_opt_out",
    old="bool(count) and set(rest.split()) <= set(_BESIDE.split())",
    new="bool(count)",
    aims=(I1,),
    why="One call too few is better than one too many.",
    tests=(f"{_ARGUMENTS}test_a_limit_is_no_opt_out",),
)

the_second_call_of_a_turn_reuses_a_key = edited(
    FINDING_REPEATED,
    old="known is not None and known[0] != request.fingerprint and request.scope is Scope.RETELL",
    new="known is not None and known[0] != request.fingerprint and request.key_is_content",
    aims=(I10,),
    why="A tool call's id is its identity.",
    tests=(
        f"{_REPEATS}test_the_second_call_of_a_turn_counts_though_the_transcript_shows_only_the_first",
        f"{_REPEATS}test_a_turn_whose_transcript_does_not_show_the_arguments_loses_no_call",
    ),
)

the_same_words_are_one_wish_for_days = edited(
    FINDING_REPEATED,
    old="request.key_is_content",
    new='request.key_is_content and request.action == "note_writeback"',
    aims=(I17, I10),
    why="Only a note is said twice on purpose.",
    tests=(f"{_REPEATS}test_without_ids_a_person_may_change_their_mind_and_back_again",),
)


@planted(
    "ringback.flows.business_operations.runner:UNDONE_BY",
    aims=(I17, I10),
    why="No contact changes their mind within a minute.",
    tests=(
        f"{_REPEATS}test_without_ids_a_person_may_change_their_mind_and_back_again",
        f"{_REPEATS}test_without_ids_a_request_in_another_scope_counts_too",
    ),
)
def a_window_alone_tells_repeats(_: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    return {}


@planted(
    "ringback.flows.business_operations.runner:REPEATED_WITHIN",
    aims=(I14,),
    why="A call without an id cannot be a repeat.",
    tests=(f"{_REPEATS}test_without_ids_retells_repeat_is_one_call_and_the_same_words_later_are_another",),
)
def retells_repeat_without_an_id_acts_again(_: timedelta) -> timedelta:
    return timedelta(0)


an_undated_ring_is_answered_from_memory = edited(
    "ringback.web.routes.retell:RetellApi._answer_ringing",
    old="ringing.call_id or (digest if ringing.is_dated else None)",
    new="ringing.call_id or digest",
    aims=(I3,),
    why="The same body is the same question.",
    tests=("flows/business_operations/test_inbound_webhook.py::test_without_an_id_and_a_time_each_ring_is_its_own",),
)


@planted(
    "ringback.flows.business_operations.action:is_for",
    aims=(I17,),
    why="The body is signed.",
    tests=(f"{_REPEATS}test_a_body_of_another_function_does_nothing",),
)
def the_path_alone_names_the_function(_: Right, call: FunctionCall, action: str) -> bool:
    return True


marks_count_for_more_than_the_call = edited(
    "ringback.adapters.postgres.store:PostgresStore.attempt_of",
    old="""
        if record is not None and await connection.fetchval(
            attempts.IS_CALL_OF_ANOTHER, provider_call_id, attempt_id
        ):
            return None
    """,
    new="",
    aims=(I7, I10),
    why="Ringback has set the marks itself.",
    tests=(
        "flows/business_operations/test_action.py::test_the_marks_of_one_attempt_in_the_call_of_another_reach_no_call",
    ),
)

the_call_of_another_is_stopped = edited(
    "ringback.flows.call_outcome:bind_provider_call",
    old="await tx.attempts.is_call_of_another(provider_call_id, attempt.attempt_id)",
    new="attempt.placed_at is None and await tx.attempts.is_call_of_another(provider_call_id, attempt.attempt_id)",
    aims=(I7,),
    why="An attempt that has a call does not need another.",
    tests=(
        "flows/event_processing/test_contradictory_claims.py"
        "::test_whatever_the_evidence_the_call_of_another_is_neither_bound_nor_stopped",
    ),
)

an_inbound_event_tells_about_our_own_call = edited(
    "ringback.flows.event_processing:EventProcessing._apply_inbound",
    old="self.store.attempt_of(None, report.provider_call_id)",
    new="self.store.attempt_of(report.attempt_id, None)",
    aims=(I7,),
    why="Ringback's own calls have its marks.",
    tests=(
        "flows/event_processing/test_contradictory_claims.py::test_an_inbound_event_tells_nothing_about_a_call_of_ours",
    ),
)

# A text patch, because Pydantic's type of a contact's id keeps the function.
a_contact_that_no_path_can_name = TextPatch(
    "web/request_fields.py",
    old='    if text in (".", "..") or "/" in text or "\\\\" in text:\n',
    new='    if "/" in text or "\\\\" in text:\n',
    aims=(I16, I18),
    why="A dot is a character like others.",
    tests=("web/test_limits.py::test_an_id_that_no_path_can_name_is_refused",),
)

a_nul_of_a_function_reaches_the_database = edited(
    "ringback.adapters.retell.wire:decode_function_body",
    old=r'b"\\u0000" in raw',
    new="False",
    aims=(I18,),
    why="The decoder rejects bad JSON.",
    tests=("adapters/retell/test_functions.py::test_what_the_database_rejects_is_replaced",),
)
