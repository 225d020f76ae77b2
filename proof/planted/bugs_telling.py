"""Bugs of the events to Engage: which ones, their order, each once, and the same in every order of Retell's reports."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from standardwebhooks import Webhook

from proof.invariants import Invariant
from proof.planted.bug import Right, edited, planted
from ringback.domain.attempt import Attempt
from ringback.domain.call import Call, TaskKind
from ringback.domain.outcome import OutcomeInputs, Verdict, verdict_digest
from ringback.flows.outbox_delivery import RetryPace
from ringback.storage import UnitOfWork

I1, I10, I11, I14, I20 = Invariant.I1, Invariant.I10, Invariant.I11, Invariant.I14, Invariant.I20

OUTCOME = "ringback.domain.outcome"
MERGING = "ringback.domain.provider_report:absorb"
EVENTS = "ringback.flows.abt_events"
TAKE = "ringback.adapters.postgres.outbox:TAKE"
CHANNELS = "ringback.flows.outbox_delivery"
ENGAGE = "ringback.adapters.engage_http"

_ORDERS = "flows/event_processing/test_every_order.py::"
_ANY_ORDER = f"{_ORDERS}test_every_order_and_repetition_gives_the_same_rows_and_events"
_CORRECTIONS = "flows/call_outcome/test_corrections.py::"
_LEASES = "adapters/test_hot_updates.py::"
_RULES = "flows/call_outcome/test_retry_rules.py::"
_ON_POSTGRESQL = "flows/outbox_delivery/test_on_postgresql.py::"
_MESSAGES = "flows/outbox_delivery/test_call_messages.py::"


@planted(
    "ringback.domain.abt_event:event_id",
    aims=(I14, I11),
    why="An event's id is a UUID.",
    tests=(f"{_ANY_ORDER}[no_answer]",),
)
def event_ids_are_random(_: Right, *fact: object) -> str:
    return str(uuid.uuid4())


the_latest_start_stands = edited(
    MERGING,
    old="min(starts) if starts else None",
    new="starts[-1] if starts else None",
    aims=(I11,),
    why="The newest report knows best.",
    tests=("domain/test_outcome.py::test_reports_of_one_call_merge_to_the_same_facts_in_every_order",),
)


@planted(
    "ringback.domain.provider_report:_known_rank",
    aims=(I11,),
    why="The newest report knows best.",
    tests=(f"{_ANY_ORDER}[the_analysis_knows_better]",),
)
def the_last_word_wins(_: Right, attempt: Attempt) -> int:
    return 0


placed_when_we_heard_of_it = edited(
    "ringback.flows.call_outcome:bind_provider_call",
    old="attempt.placed_at = attempt.sent_at",
    new="attempt.placed_at = now",
    aims=(I11,),
    why="It is bound now.",
    tests=(f"{_ORDERS}test_the_answer_to_the_dial_may_come_before_between_or_after_them[no_answer]",),
)

analyzed_first_forgets_the_start = edited(
    f"{OUTCOME}:decide_outcome",
    old="bool(attempt.connected) and not attempt.started_event",
    new="bool(attempt.connected) and not attempt.started_event and attempt.state is not AttemptState.ANALYZED",
    aims=(I14, I11),
    why="A call that is analysed has ended, and an ended call does not start.",
    tests=(f"{_ANY_ORDER}[completed]",),
)

a_repeat_is_another_event = edited(
    "ringback.adapters.retell.wire:content_identity",
    old='content.pop("event_timestamp", None)',
    new='content.pop("event_id", None)',
    aims=(I11,),
    why="The time belongs to the content.",
    tests=(
        "flows/event_processing/test_whose_event.py::test_the_same_content_is_one_row_whatever_its_time_of_delivery",
    ),
)

decided_before_the_analysis = edited(
    f"{OUTCOME}:decide",
    old="not has_analysis and not gave_up",
    new="not has_analysis and not gave_up and attempt.user_turns",
    aims=(I14, I11),
    why="Without speech there is nothing to analyse.",
    tests=(f"{_ANY_ORDER}[message_left]",),
)

a_correction_has_the_id_of_what_it_corrects = edited(
    f"{OUTCOME}:_decide_change",
    old='event_id(attempt.attempt_id, "verdict", revision)',
    new='event_id(attempt.attempt_id, "verdict")',
    aims=(I14,),
    why="It is the verdict of one attempt.",
    tests=(f"{_CORRECTIONS}test_a_changed_verdict_is_told_under_its_new_name_with_what_it_corrects",),
)

a_correction_does_not_say_so = edited(
    f"{EVENTS}:emit_terminal",
    old='{"corrects": event.corrects, "revision": event.revision}',
    new="""
        {
            "corrects": event.corrects if attempt.verdict_type == verdict.type else None,
            "revision": event.revision,
        }
    """,
    aims=(I14,),
    why="Another name is another event.",
    tests=(f"{_CORRECTIONS}test_a_changed_verdict_is_told_under_its_new_name_with_what_it_corrects",),
)


@planted(
    f"{EVENTS}:emit_initiated",
    aims=(I14,),
    why="After the event of the end, one of the beginning seems superfluous.",
    tests=(
        "flows/event_processing/test_late_evidence.py"
        "::test_evidence_of_an_abandoned_call_advances_it_and_its_end_corrects",
    ),
)
async def given_up_and_bound_without_initiated(
    right: Right, tx: UnitOfWork, call: Call, attempt: Attempt, now: datetime
) -> None:
    if attempt.verdict_type is None:
        await right(tx, call, attempt, now)


@planted(
    f"{OUTCOME}:_is_last_word",
    aims=(I14,),
    why="A verdict ends its attempt.",
    tests=(
        "flows/call_outcome/test_retries.py"
        "::test_the_last_delay_repeats_until_the_budget_is_used_and_one_event_is_final",
    ),
)
def every_verdict_is_final(
    right: Right, attempt: Attempt, call: Call, is_followed: bool, inputs: OutcomeInputs
) -> bool:
    is_followed = inputs.task is not None and inputs.task.kind is TaskKind.CALLBACK
    return right(attempt, call, is_followed, inputs)


a_corrected_retry_is_made_all_the_same = edited(
    f"{OUTCOME}:_decide_change",
    old="is_correction and task is not None and task.kind is TaskKind.RETRY",
    new="is_correction and task is not None and task.kind is TaskKind.FIRST",
    aims=(I14, I10),
    why="The retry was promised to Engage.",
    tests=(f"{_CORRECTIONS}test_a_correction_takes_the_pending_retry_away_and_is_final",),
)

each_outcome_has_a_budget_of_its_own = edited(
    "ringback.domain.call:RetryPolicy.delay_after",
    old="attempts >= self.max_attempts",
    new="(attempts if self.rules is None else times) >= self.max_attempts",
    aims=(I14,),
    why="Each outcome has its own delays, so it has its own count.",
    tests=(
        f"{_RULES}test_each_outcome_uses_its_own_delays_and_its_last_one_repeats",
        "properties/test_retries.py::test_a_rule_uses_the_delays_of_its_own_outcome_within_one_budget",
    ),
)

a_rule_uses_the_delays_of_other_outcomes = edited(
    "ringback.domain.call:RetryPolicy.delay_after",
    old="(self.rules[outcome], times)",
    new="(self.rules[outcome], attempts)",
    aims=(I14,),
    why="The second attempt uses the second delay.",
    tests=(f"{_RULES}test_each_outcome_uses_its_own_delays_and_its_last_one_repeats",),
)


@planted(
    "ringback.flows.call_outcome:digests_like",
    aims=(I14,),
    why="The event of a left message has another name.",
    tests=(f"{_RULES}test_a_voicemail_with_and_one_without_a_message_are_one_outcome",),
)
def a_voicemail_without_a_message_is_another_outcome(right: Right, verdict: Verdict) -> list[str]:
    return [verdict_digest(verdict)]


delivered_before_it_was_sent = edited(
    TAKE,
    old="SET due_at = $3, tries = tries + 1",
    new="SET due_at = $3, tries = tries + 1, delivered_at = $2",
    aims=(I14, I1, I20),
    why="One statement instead of two.",
    tests=(f"{_ON_POSTGRESQL}test_what_a_dead_relay_held_is_free_after_the_lease",),
)

the_outbox_has_no_order = edited(
    TAKE,
    old="earlier.id < row.id",
    new="earlier.id < row.id AND earlier.kind <> row.kind",
    aims=(I14,),
    why="Rows of one kind leave by one channel, one after the other.",
    tests=(f"{_ON_POSTGRESQL}test_events_of_a_call_leave_in_order_however_often_some_fail",),
)

a_dead_event_blocks_its_call = edited(
    TAKE,
    old="AND earlier.delivered_at IS NULL AND earlier.dead_at IS NULL",
    new="AND earlier.delivered_at IS NULL",
    aims=(I14,),
    why="Order is order.",
    tests=(f"{_ON_POSTGRESQL}test_a_dead_event_lets_the_next_one_of_its_call_leave",),
)

a_row_that_is_being_sent_is_taken_again = edited(
    TAKE,
    old="AND ready_at <= $2 AND due_at <= $2",
    new="AND ready_at <= $2",
    aims=(I14,),
    why="The index has only one of the two times.",
    tests=(f"{_LEASES}test_a_row_that_is_taken_stays_in_its_place_and_is_free_after_the_lease",),
)

what_a_relay_took_is_never_free = edited(
    TAKE,
    old="SET due_at = $3",
    new="SET due_at = CASE WHEN $3 > $2 THEN 'infinity'::timestamptz ELSE $3 END",
    aims=(I20, I14, I1),
    why="No other process may send a row that is being sent.",
    tests=(f"{_ON_POSTGRESQL}test_what_a_dead_relay_held_is_free_after_the_lease",),
)

a_refused_entry_counts_as_sent = edited(
    f"{CHANNELS}:queue_channel",
    old="refused = await queue.send(list(messages.values()))",
    new="""
        await queue.send(list(messages.values()))
        refused = []
    """,
    aims=(I1,),
    why="The call of the queue succeeded.",
    tests=(f"{_MESSAGES}test_only_the_refused_entries_of_a_batch_are_sent_again",),
)


@planted(
    f"{CHANNELS}:QUEUE_RETRY",
    aims=(I1,),
    why="A queue recovers within four hours.",
    tests=(f"{_MESSAGES}test_a_call_message_never_dies_while_the_queue_is_unavailable",),
)
def a_call_message_can_die(right: RetryPace) -> RetryPace:
    return replace(right, tries=480)


@planted(
    f"{ENGAGE}:_signed",
    aims=(I14,),
    why="Every delivery is a message of its own.",
    tests=("adapters/test_engage_http.py::test_the_same_row_sends_the_same_bytes_and_id_every_time",),
)
def engage_is_told_under_a_new_id(
    right: Right, webhook: Webhook, message_id: str, body: str, now: datetime
) -> Mapping[str, str]:
    return {**right(webhook, message_id, body, now), "webhook-id": f"{message_id}-{uuid.uuid4()}"}


a_redirect_counts_as_delivered = edited(
    f"{ENGAGE}:EngageHttp._send",
    old="200 <= answer.status < 300",
    new="200 <= answer.status < 400",
    aims=(I14,),
    why="A 3xx is no error.",
    tests=("adapters/test_engage_http.py::test_a_redirect_is_a_failure_and_is_not_followed",),
)
