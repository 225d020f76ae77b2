"""Bugs of reconciliation: look-ups of unclear attempts, evidence that binds, and polls of silent calls."""

from dataclasses import replace
from datetime import datetime

from proof.invariants import Invariant
from proof.planted.bug import Right, edited, planted
from ringback.domain.attempt import Attempt, AttemptState
from ringback.domain.follow_up import Deadlines
from ringback.domain.outcome import Verdict
from ringback.domain.provider_report import ProviderReport, ProviderStatus

I1, I2, I6, I7 = Invariant.I1, Invariant.I2, Invariant.I6, Invariant.I7
I13, I20 = Invariant.I13, Invariant.I20

RECONCILIATION = "ringback.flows.reconciliation:Reconciliation"
CLIENT = "ringback.adapters.retell.client"
BINDING = "ringback.flows.call_outcome:bind_provider_call"
EVENTS = "ringback.flows.event_processing:EventProcessing"
FOLLOW_UP = "ringback.domain.follow_up"

_CLIENT = "adapters/retell/test_client.py::"
_UNKNOWN = "flows/reconciliation/test_unknown.py::"
_SILENT = "flows/reconciliation/test_silent_attempts.py::"

abandoned_after_failed_lookups = edited(
    f"{RECONCILIATION}._count_lookup",
    old="is_clean and attempt.lookups >= len(self.rules.deadlines.unknown_lookups_s)",
    new="attempt.lookups >= len(self.rules.deadlines.unknown_lookups_s)",
    aims=(I6,),
    why="The grace period ends with its last look-up.",
    tests=(f"{_UNKNOWN}test_failed_lookups_repeat_hourly_until_after_a_day_it_is_impossible",),
)

a_failed_lookup_found_nothing = edited(
    f"{RECONCILIATION}._count_lookup",
    old="attempt.clean_lookups += is_clean",
    new="attempt.clean_lookups += 1",
    aims=(I6, I2),
    why="The look-up was made.",
    tests=(f"{_UNKNOWN}test_a_failed_lookup_frees_nothing",),
)


@planted(
    f"{FOLLOW_UP}:next_lookup_at",
    aims=(I6, I20),
    why="The schedule is over.",
    tests=(f"{_UNKNOWN}test_failed_lookups_repeat_hourly_until_after_a_day_it_is_impossible",),
)
def no_lookup_behind_the_schedule(
    right: Right, attempt: Attempt, deadlines: Deadlines, now: datetime
) -> datetime | None:
    planned: datetime | None = right(attempt, deadlines, now)
    return planned if attempt.lookups < len(deadlines.unknown_lookups_s) else None


abandoned_without_a_word = edited(
    f"{RECONCILIATION}._abandon",
    old="await apply_verdict(tx, call, attempt, verdict, self.rules, Occasion(now, is_given_up=True))",
    new="attempt.holds_person, attempt.next_check_at = False, None",
    aims=(I6, I1),
    why="Nothing is known, so there is nothing to report.",
    tests=(f"{_UNKNOWN}test_after_the_grace_the_attempt_is_abandoned_with_one_failed_event",),
)

pages_of_the_list_ignored = edited(
    f"{CLIENT}:RetellProvider.find_attempt",
    old='page.get("has_more") is not True',
    new='page.get("has_more") is not True or not found',
    aims=(I6, I2),
    why="One attempt has one call, and that fits a page.",
    tests=(f"{_CLIENT}test_a_list_that_proves_nothing_is_no_clean_look_up",),
)

looked_up_by_status_too = edited(
    f"{CLIENT}:RetellProvider.find_attempt",
    old='{"metadata": [{"type": "string", "op": "eq", "key": ATTEMPT_KEY, "value": attempt_id}]}',
    new="""
        {
            "call_status": [{"type": "enum", "op": "in", "value": ["registered"]}],
            "metadata": [{"type": "string", "op": "eq", "key": ATTEMPT_KEY, "value": attempt_id}],
        }
    """,
    aims=(I6, I2),
    why="A call that was just made is registered, and the response is smaller.",
    tests=(f"{_CLIENT}test_an_attempt_is_looked_for_by_its_metadata_alone",),
)

the_filter_is_trusted = edited(
    f"{CLIENT}:_reports_of",
    old="[report for report in map(_snapshot, items) if report.attempt_id == attempt_id]",
    new="[_snapshot(item) for item in items]",
    aims=(I7, I6),
    why="The server has filtered already.",
    tests=(f"{_CLIENT}test_calls_of_others_are_not_ours_when_the_filter_is_ignored",),
)


@planted(
    f"{CLIENT}:_reports_of",
    aims=(I6, I2),
    why="Without items there is no call.",
    tests=(f"{_CLIENT}test_a_list_that_proves_nothing_is_no_clean_look_up",),
)
def a_garbled_list_is_empty(right: Right, attempt_id: str, items: object) -> list[ProviderReport]:
    return right(attempt_id, items) if isinstance(items, list) else []


a_look_up_before_the_resend_counts_for_it = edited(
    f"{RECONCILIATION}._count_lookup",
    old="attempt.state is not AttemptState.UNKNOWN or attempt.fence != seen.fence",
    new="attempt.state is not AttemptState.UNKNOWN",
    aims=(I6, I2),
    why="The attempt is unknown and nothing was found.",
    tests=(
        "flows/reconciliation/test_same_key_resend.py::test_a_lookup_begun_before_the_resend_says_nothing_about_it",
    ),
)

a_dead_workers_claim_is_left_alone = edited(
    f"{RECONCILIATION}._reconcile",
    old="await self._lease_is_over(attempt)",
    new="await self._clear_check(attempt)",
    aims=(I6, I20, I1),
    why="The worker of the claim will record the result.",
    tests=(f"{_UNKNOWN}test_a_worker_that_died_behind_its_claim_leaves_an_unknown_attempt_when_its_lease_ends",),
)

a_lease_of_an_earlier_claim_ends_the_later_one = edited(
    f"{RECONCILIATION}._lease_is_over",
    old="attempt.state is AttemptState.DIALING and attempt.fence == seen.fence",
    new="attempt.state is AttemptState.DIALING",
    aims=(I6, I2),
    why="The attempt was due for its check, and it is still dialing.",
    tests=(f"{_UNKNOWN}test_the_end_of_an_earlier_lease_does_not_end_a_later_claim",),
)

a_check_that_died_is_never_made_again = edited(
    "ringback.adapters.postgres.attempts:TAKE_CHECKS",
    old="SET next_check_at = $2 WHERE",
    new="SET next_check_at = nullif($2::timestamptz, $2) WHERE",
    aims=(I20, I6, I13),
    why="The process that took the check makes it and sets the next one.",
    tests=(f"{_SILENT}test_a_check_that_died_with_its_process_is_taken_up_again_after_a_minute",),
)

binding_overwrites = edited(
    BINDING,
    old="attempt.provider_call_id is not None",
    new="False",
    aims=(I2, I7),
    why="The newest call id is the right one.",
    tests=(
        "flows/dial_results/test_answers.py::test_a_second_provider_call_for_one_attempt_is_an_incident_and_is_stopped",
    ),
)

the_second_call_goes_on_ringing = edited(
    BINDING,
    old='await tx.outbox.enqueue("stop_call", f"stop:{provider_call_id}", payload, None, now)',
    new="",
    aims=(I2,),
    why="The incident is noted and logged.",
    tests=(
        "flows/event_processing/test_whose_event.py"
        "::test_a_second_provider_call_for_one_attempt_is_an_incident_and_is_stopped_once",
    ),
)

a_webhook_is_known_by_its_call_id_alone = edited(
    f"{EVENTS}.apply_call_event",
    old="report.attempt_id if report.instance == own_instance else None",
    new="None",
    aims=(I7, I6),
    why="Every webhook has the call id.",
    tests=(
        "flows/event_processing/test_late_evidence.py"
        "::test_a_webhook_that_names_the_attempt_binds_it_however_often_it_came",
    ),
)

a_webhook_that_is_early_is_foreign = edited(
    f"{EVENTS}.apply_call_event",
    old="report.instance == own_instance and receive_count <= PARKED_TRIES",
    new="report.instance == own_instance and receive_count > PARKED_TRIES",
    aims=(I7,),
    why="The comparison reads well either way.",
    tests=(
        "flows/event_processing/test_whose_event.py"
        "::test_an_event_of_ours_without_its_attempt_is_parked_and_then_foreign",
    ),
)

the_answer_is_a_second_call = edited(
    BINDING,
    old="""
        if attempt.provider_call_id == provider_call_id:
            return True
    """,
    new="",
    aims=(I7, I2),
    why="An attempt that has its call gets no other.",
    tests=(
        "flows/dial_results/test_answers.py::test_a_webhook_before_the_answer_binds_once_and_the_answer_adds_nothing",
    ),
)


@planted(
    "ringback.domain.provider_report:evidence_of",
    aims=(I13,),
    why="The documentation's diagram ends with ended and error.",
    tests=(
        "domain/test_outcome.py::test_a_report_advances_the_attempt_as_far_as_it_proves",
        f"{_SILENT}test_a_polled_call_that_is_over_without_a_reason_is_decided_all_the_same",
    ),
)
def polling_ignores_not_connected(right: Right, report: ProviderReport) -> AttemptState:
    return right(replace(report, status=None) if report.status is ProviderStatus.NOT_CONNECTED else report)


@planted(
    "ringback.domain.outcome:decide",
    aims=(I13,),
    why="Every call is analysed, even one that was not answered.",
    tests=("domain/test_outcome.py::test_asking_decides_what_never_connected_and_nothing_else",),
)
def verdict_without_asking(
    right: Right, attempt: Attempt, *, was_polled: bool = False, gave_up: bool = False
) -> Verdict | None:
    return right(attempt, gave_up=gave_up)


@planted(
    f"{FOLLOW_UP}:next_check_after_report",
    aims=(I13, I1, I20),
    why="The webhooks of a placed call will come.",
    tests=(f"{_SILENT}test_silence_is_asked_about_until_the_call_is_over",),
)
def a_placed_call_is_never_looked_up(
    right: Right, attempt: Attempt, deadlines: Deadlines, now: datetime, *, was_polled: bool
) -> datetime | None:
    return None if attempt.state is AttemptState.PLACED else right(attempt, deadlines, now, was_polled=was_polled)


@planted(
    f"{FOLLOW_UP}:next_check_after_report",
    aims=(I13,),
    why="A talk may take an hour, and its end is a webhook.",
    tests=(f"{_SILENT}test_silence_is_asked_about_until_the_call_is_over",),
)
def asked_about_once(
    right: Right, attempt: Attempt, deadlines: Deadlines, now: datetime, *, was_polled: bool
) -> datetime | None:
    return right(attempt, deadlines, now, was_polled=False)


@planted(
    f"{FOLLOW_UP}:analysis_is_given_up",
    aims=(I13, I1),
    why="A provider that responds will have the analysis some day.",
    tests=(f"{_SILENT}test_a_missing_analysis_is_asked_for_at_doubling_pauses_and_then_given_up",),
)
def a_missing_analysis_is_waited_for_forever(
    right: Right, attempt: Attempt, deadlines: Deadlines, now: datetime
) -> bool:
    return attempt.ended_at is not None and attempt.polls > 0 and right(attempt, deadlines, now)
