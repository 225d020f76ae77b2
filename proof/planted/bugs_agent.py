"""Bugs of the agent's door: what a model means, which of two calls it makes, and whose conversation it is."""

from proof.invariants import Invariant
from proof.planted.bug import TextPatch

I1, I3, I7, I10 = Invariant.I1, Invariant.I3, Invariant.I7, Invariant.I10
I14, I16, I17, I18 = Invariant.I14, Invariant.I16, Invariant.I17, Invariant.I18

REPEATS = "flows/business_operations/runner.py"
DOORS = "web/routes/retell.py"

_ACTIONS = "flows/business_operations/"
_ARGUMENTS = f"{_ACTIONS}test_agent_arguments.py::"
_REPEATS = f"{_ACTIONS}test_repeats.py::"

BUGS = (
    TextPatch(
        name="an_added_argument_refuses_the_opt_out",
        aims=(I10,),
        file="flows/business_operations/runner.py",
        old="        args, ignored = as_meant(request.args, self.actions[request.action].declaration.arguments)\n",
        new="        args, ignored = dict(request.args), list[str]()\n",
        why="The declaration says which arguments there are.",
        tests=(f"{_ARGUMENTS}test_an_opt_out_stands_whatever_the_model_adds",),
    ),
    TextPatch(
        name="an_unusable_note_refuses_the_opt_out",
        aims=(I10,),
        file="flows/business_operations/arguments.py",
        old='        if declared["type"] == "string" and name not in schema["required"]:\n',
        new='        if declared["type"] == "string" and name in schema["required"]:\n',
        why="What is required has to be right.",
        tests=(
            f"{_ARGUMENTS}test_an_opt_out_stands_whatever_the_model_adds",
            f"{_ARGUMENTS}test_a_long_reason_does_not_stop_what_the_person_asked_for",
        ),
    ),
    TextPatch(
        name="an_opt_out_is_spelled_one_way",
        aims=(I10,),
        file="flows/business_operations/set_disposition.py",
        old="        if known is None and code is not None and scope is Scope.RETELL:\n",
        new="        if known is None and code is not None and scope is Scope.SYSTEMS:\n",
        why="The model is given the list of codes.",
        tests=(f"{_ARGUMENTS}test_an_opt_out_is_recognised_by_an_agents_spelling",),
    ),
    TextPatch(
        name="a_limit_is_an_opt_out",
        aims=(I1,),
        file="domain/disposition_words.py",
        old="    return bool(count) and set(rest.split()) <= set(_BESIDE.split())\n",
        new="    return bool(count)\n",
        why="Rather one call too few.",
        tests=(f"{_ARGUMENTS}test_a_limit_is_no_opt_out",),
    ),
    TextPatch(
        name="the_second_call_of_a_turn_reuses_a_key",
        aims=(I10,),
        file=REPEATS,
        old="    if known is not None and known[0] != request.fingerprint and request.scope is Scope.RETELL:\n",
        new="    if known is not None and known[0] != request.fingerprint and request.key_is_content:\n",
        why="A tool call's id is its identity.",
        tests=(
            f"{_REPEATS}test_the_second_call_of_a_turn_counts_though_the_transcript_shows_only_the_first",
            f"{_REPEATS}test_a_turn_whose_transcript_does_not_show_the_arguments_loses_no_call",
        ),
    ),
    TextPatch(
        name="the_same_words_are_one_wish_for_days",
        aims=(I17, I10),
        file=REPEATS,
        old="    if request.key_is_content:\n",
        new='    if request.key_is_content and request.action == "note_writeback":\n',
        why="Only a note is said twice on purpose.",
        tests=(f"{_REPEATS}test_without_ids_a_person_may_change_their_mind_and_back_again",),
    ),
    TextPatch(
        name="a_window_alone_tells_repeats",
        aims=(I17, I10),
        file=REPEATS,
        old="        undone_by = UNDONE_BY.get(request.action, ())\n",
        new="        undone_by: tuple[str, ...] = ()\n",
        why="Nobody changes their mind within a minute.",
        tests=(
            f"{_REPEATS}test_without_ids_a_person_may_change_their_mind_and_back_again",
            f"{_REPEATS}test_without_ids_what_is_said_to_another_door_counts_too",
        ),
    ),
    TextPatch(
        name="retells_repeat_without_an_id_acts_again",
        aims=(I14,),
        file=REPEATS,
        old="now - REPEATED_WITHIN, undone_by",
        new="now, undone_by",
        why="What has no id cannot be a repeat.",
        tests=(f"{_REPEATS}test_without_ids_retells_repeat_is_one_call_and_the_same_words_later_are_another",),
    ),
    TextPatch(
        name="an_undated_ring_is_answered_from_memory",
        aims=(I3,),
        file=DOORS,
        old="        is_known = ringing.call_id or (digest if ringing.is_dated else None)\n",
        new="        is_known = ringing.call_id or digest\n",
        why="The same body is the same question.",
        tests=(f"{_ACTIONS}test_inbound_door.py::test_without_an_id_and_a_time_each_ring_is_its_own",),
    ),
    TextPatch(
        name="the_path_alone_names_the_function",
        aims=(I17,),
        file=DOORS,
        old="        if not is_for(call, action):\n",
        new="        if call.playground and not is_for(call, action):\n",
        why="The body is signed.",
        tests=(f"{_REPEATS}test_a_body_of_another_function_does_nothing",),
    ),
    TextPatch(
        name="marks_count_for_more_than_the_call",
        aims=(I7, I10),
        file="adapters/postgres/store.py",
        old="                if record is not None and await connection.fetchval(",
        new="                if record is None and await connection.fetchval(",
        why="We have set the marks ourselves.",
        tests=(f"{_ACTIONS}test_doors.py::test_the_marks_of_one_attempt_in_the_call_of_another_reach_nobody",),
    ),
    TextPatch(
        name="the_call_of_another_is_stopped",
        aims=(I7,),
        file="flows/call_outcome.py",
        old="    if await tx.is_call_of_another(provider_call_id, attempt.attempt_id):\n",
        new="    if attempt.placed_at is None and await tx.is_call_of_another(provider_call_id, attempt.attempt_id):\n",
        why="An attempt that has a call has no use for another.",
        tests=(
            "flows/events/test_contradictory_claims.py"
            "::test_whatever_the_evidence_the_call_of_another_is_neither_bound_nor_stopped",
        ),
    ),
    TextPatch(
        name="an_inbound_event_tells_about_our_own_call",
        aims=(I7,),
        file="flows/event_processing.py",
        old="        if await self.store.attempt_of(None, report.provider_call_id) is not None:\n",
        new="        if await self.store.attempt_of(report.attempt_id, None) is not None:\n",
        why="Our own calls bear our marks.",
        tests=("flows/events/test_contradictory_claims.py::test_an_inbound_event_tells_nothing_about_a_call_of_ours",),
    ),
    TextPatch(
        name="a_contact_that_no_path_can_name",
        aims=(I16, I18),
        file="web/request_fields.py",
        old='    if text in (".", "..") or "/" in text or "\\\\" in text:\n',
        new='    if "/" in text or "\\\\" in text:\n',
        why="A dot is a character like others.",
        tests=("web/test_limits.py::test_an_id_that_no_path_can_name_is_refused",),
    ),
)
