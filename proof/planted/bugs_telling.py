"""Bugs of telling Engage: which events, in which order, once, and the same whatever order Retell tells us in."""

from proof.invariants import Invariant
from proof.planted.bug import TextPatch

I1, I10, I11, I13, I14, I20 = (
    Invariant.I1,
    Invariant.I10,
    Invariant.I11,
    Invariant.I13,
    Invariant.I14,
    Invariant.I20,
)

OUTCOME = "domain/outcome.py"
REPORTS = "domain/call_event.py"
CALL_OUTCOME = "flows/call_outcome.py"
ABT_EVENTS = "flows/abt_events.py"
OUTBOX = "adapters/postgres/outbox.py"
LANES = "flows/outbox_channels.py"

_ORDERS = "flows/events/test_every_order.py::"
_ANY_ORDER = f"{_ORDERS}test_every_order_and_repetition_gives_the_same_rows_and_events"
_CORRECTIONS = "flows/events/test_corrections.py::"
_ON_POSTGRESQL = "flows/outbox_delivery/test_on_postgresql.py::"
_MESSAGES = "flows/outbox_delivery/test_call_messages.py::"

BUGS = (
    TextPatch(
        name="event_ids_are_random",
        aims=(I14, I11),
        file="domain/abt_event.py",
        old='    return str(uuid.uuid5(_NAMESPACE, "/".join(str(part) for part in fact)))\n',
        new='    return str(uuid.uuid5(uuid.uuid4(), "/".join(str(part) for part in fact)))\n',
        why="An event's id is a UUID.",
        tests=(f"{_ANY_ORDER}[no_answer]",),
    ),
    TextPatch(
        name="the_latest_start_stands",
        aims=(I11,),
        file=REPORTS,
        old="    attempt.started_at = min(starts) if starts else None\n",
        new="    attempt.started_at = starts[-1] if starts else None\n",
        why="The newest report knows best.",
        tests=("domain/test_outcome.py::test_reports_of_one_call_merge_to_the_same_facts_in_every_order",),
    ),
    TextPatch(
        name="the_last_word_wins",
        aims=(I11,),
        file=REPORTS,
        old="    is_ahead = _rank(evidence) >= _known_rank(attempt)\n",
        new="    is_ahead = evidence in (AttemptState.ENDED, AttemptState.ANALYZED)\n",
        why="The newest report knows best.",
        tests=(f"{_ANY_ORDER}[the_analysis_knows_better]",),
    ),
    TextPatch(
        name="placed_when_we_heard_of_it",
        aims=(I11,),
        file=CALL_OUTCOME,
        old="    attempt.placed_at = attempt.sent_at\n",
        new="    attempt.placed_at = now\n",
        why="It is bound now.",
        tests=(f"{_ORDERS}test_the_answer_to_the_dial_may_come_before_between_or_after_them[no_answer]",),
    ),
    TextPatch(
        name="analyzed_first_forgets_the_start",
        aims=(I14, I11),
        file=OUTCOME,
        old="    lacks_started = bool(attempt.connected) and not attempt.started_event\n",
        new='    lacks_started = attempt.connected and not attempt.started_event and attempt.state != "analyzed"\n',
        why="Who is analysed has ended, and who has ended does not start.",
        tests=(f"{_ANY_ORDER}[completed]",),
    ),
    TextPatch(
        name="a_repeat_is_another_event",
        aims=(I11,),
        file="adapters/retell/wire.py",
        old='            content.pop("event_timestamp", None)\n',
        new='            content.pop("event_id", None)\n',
        why="The time belongs to the content.",
        tests=("flows/events/test_whose_event.py::test_the_same_content_is_one_row_whatever_its_time_of_delivery",),
    ),
    TextPatch(
        name="decided_before_the_analysis",
        aims=(I14, I11),
        file=OUTCOME,
        old="    if not has_analysis and not gave_up:\n        return None\n",
        new="    if not has_analysis and not gave_up and attempt.user_turns:\n        return None\n",
        why="Where nobody spoke there is nothing to analyse.",
        tests=(f"{_ANY_ORDER}[message_left]", "domain/test_outcome.py::test_a_verdict_falls_with_the_analysis"),
    ),
    TextPatch(
        name="a_correction_has_the_id_of_what_it_corrects",
        aims=(I14,),
        file=OUTCOME,
        old='    id_ = event_id(attempt.attempt_id, "verdict", revision)\n',
        new='    id_ = event_id(attempt.attempt_id, "verdict")\n',
        why="It is the verdict of one attempt.",
        tests=(f"{_CORRECTIONS}test_a_changed_verdict_is_told_under_its_new_name_with_what_it_corrects",),
    ),
    TextPatch(
        name="a_correction_does_not_say_so",
        aims=(I14,),
        file=OUTCOME,
        old="    revision = attempt.revision + (attempt.verdict_event_id is not None)\n",
        new="    revision = attempt.revision + (attempt.verdict_type == verdict.type)\n",
        why="Another name is another event.",
        tests=(f"{_CORRECTIONS}test_a_changed_verdict_is_told_under_its_new_name_with_what_it_corrects",),
    ),
    TextPatch(
        name="given_up_and_bound_without_initiated",
        aims=(I14,),
        file=ABT_EVENTS,
        old="    if attempt.initiated_event:\n",
        new="    if attempt.initiated_event or attempt.verdict_type is not None:\n",
        why="Who was told of the end needs no beginning.",
        tests=(
            "flows/events/test_late_evidence.py::test_evidence_of_an_abandoned_call_advances_it_and_its_end_corrects",
        ),
    ),
    TextPatch(
        name="every_verdict_is_final",
        aims=(I14,),
        file=OUTCOME,
        old="    return not is_followed and (attempt.number",
        new="    is_followed = inputs.task is not None and inputs.task.kind is TaskKind.CALLBACK\n"
        "    return not is_followed and (attempt.number",
        why="A verdict ends its attempt.",
        tests=(
            "flows/events/test_retries.py::test_the_last_delay_repeats_until_the_budget_is_used_and_one_event_is_final",
        ),
    ),
    TextPatch(
        name="a_corrected_retry_is_made_all_the_same",
        aims=(I14, I10),
        file=OUTCOME,
        old="    if is_correction and task is not None and task.kind is TaskKind.RETRY:\n",
        new="    if is_correction and task is not None and task.kind is TaskKind.FIRST:\n",
        why="The retry was promised to Engage.",
        tests=(f"{_CORRECTIONS}test_a_correction_takes_the_pending_retry_away_and_is_final",),
    ),
    TextPatch(
        name="delivered_before_it_was_sent",
        aims=(I14, I1, I20),
        file=OUTBOX,
        old="UPDATE outbox SET due_at = $3, tries = tries + 1 FROM taken",
        new="UPDATE outbox SET due_at = $3, tries = tries + 1, delivered_at = $2 FROM taken",
        why="One statement instead of two.",
        tests=(f"{_ON_POSTGRESQL}test_what_a_dead_relay_held_is_free_after_the_lease",),
    ),
    TextPatch(
        name="the_outbox_has_no_order",
        aims=(I14,),
        file=OUTBOX,
        old="            WHERE earlier.order_key = row.order_key AND earlier.id < row.id\n",
        new="            WHERE earlier.order_key = row.order_key AND earlier.id < row.id AND earlier.kind <> "
        "row.kind\n",
        why="Rows of one kind leave by one lane, one after the other.",
        tests=(f"{_ON_POSTGRESQL}test_events_of_a_call_leave_in_order_however_often_some_fail",),
    ),
    TextPatch(
        name="a_dead_event_blocks_its_call",
        aims=(I14,),
        file=OUTBOX,
        old="              AND earlier.delivered_at IS NULL AND earlier.dead_at IS NULL))\n",
        new="              AND earlier.delivered_at IS NULL))\n",
        why="Order is order.",
        tests=(f"{_ON_POSTGRESQL}test_a_dead_event_lets_the_next_one_of_its_call_leave",),
    ),
    TextPatch(
        name="what_a_relay_took_is_never_free",
        aims=(I20, I14, I1),
        file=OUTBOX,
        old="UPDATE outbox SET due_at = $3, tries",
        new="UPDATE outbox SET due_at = CASE WHEN $3 > $2 THEN 'infinity'::timestamptz ELSE $3 END, tries",
        why="Nobody else may send what is being sent.",
        tests=(f"{_ON_POSTGRESQL}test_what_a_dead_relay_held_is_free_after_the_lease",),
    ),
    TextPatch(
        name="a_refused_entry_counts_as_sent",
        aims=(I1,),
        file=LANES,
        old="            refused = await queue.send(list(messages.values()))\n",
        new="            refused = [*(await queue.send(list(messages.values())))][:0]\n",
        why="The call of the queue succeeded.",
        tests=(f"{_MESSAGES}test_only_the_refused_entries_of_a_batch_are_sent_again",),
    ),
    TextPatch(
        name="a_call_message_can_die",
        aims=(I1,),
        file=LANES,
        old="QUEUE_RETRY = RetryPace(cap_s=30, tries=None)\n",
        new="QUEUE_RETRY = RetryPace(cap_s=30, tries=480)\n",
        why="Four hours are long enough for a queue to come back.",
        tests=(f"{_MESSAGES}test_a_call_message_never_dies_however_long_the_queue_is_away",),
    ),
    TextPatch(
        name="engage_is_told_under_a_new_id",
        aims=(I14,),
        file="adapters/engage_http.py",
        old='            "webhook-id": message_id,\n',
        new='            "webhook-id": f"{message_id}-{int(now.timestamp() * 1000)}",\n',
        why="Every delivery is a message of its own.",
        tests=("adapters/test_engage_http.py::test_the_same_row_sends_the_same_bytes_and_id_every_time",),
    ),
    TextPatch(
        name="a_redirect_counts_as_delivered",
        aims=(I14,),
        file="adapters/engage_http.py",
        old="    if 200 <= status < 300:\n",
        new="    if 200 <= status < 400:\n",
        why="3xx is no error.",
        tests=("adapters/test_engage_http.py::test_a_redirect_is_a_failure_and_is_not_followed",),
    ),
)
