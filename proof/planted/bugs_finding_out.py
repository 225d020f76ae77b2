"""Bugs of finding out: look-ups of unclear attempts, evidence that binds, and asking when nobody tells."""

from proof.invariants import Invariant
from proof.planted.bug import TextPatch

I1, I2, I6, I7 = Invariant.I1, Invariant.I2, Invariant.I6, Invariant.I7
I11, I13, I14, I20 = Invariant.I11, Invariant.I13, Invariant.I14, Invariant.I20

RECONCILIATION = "flows/reconciliation.py"
CLIENT = "adapters/retell/client.py"
CALL_OUTCOME = "flows/call_outcome.py"
EVENTS = "flows/event_processing.py"
OUTCOME = "domain/outcome.py"
FOLLOW_UP = "domain/follow_up.py"

_CLIENT = "adapters/retell/test_client.py::"
_UNKNOWN = "flows/dialing/test_unknown.py::"
_WATCHDOG = "flows/dialing/test_watchdog.py::"

BUGS = (
    TextPatch(
        name="abandoned_after_failed_lookups",
        aims=(I6,),
        file=RECONCILIATION,
        old="            if is_clean and attempt.lookups >= len(self.rules.deadlines.unknown_lookups_s):\n",
        new="            if attempt.lookups >= len(self.rules.deadlines.unknown_lookups_s):\n",
        why="The grace is over when its last look-up is.",
        tests=(f"{_UNKNOWN}test_failed_lookups_repeat_hourly_until_after_a_day_it_is_impossible",),
    ),
    TextPatch(
        name="a_failed_lookup_found_nothing",
        aims=(I6, I2),
        file=RECONCILIATION,
        old="            attempt.clean_lookups += is_clean\n",
        new="            attempt.clean_lookups += 1\n",
        why="It did look up.",
        tests=(f"{_UNKNOWN}test_a_failed_lookup_frees_nothing",),
    ),
    TextPatch(
        name="no_lookup_behind_the_schedule",
        aims=(I6, I20),
        file=FOLLOW_UP,
        old="        return max(planned, now)\n    return now + HOURLY\n",
        new="        return max(planned, now)\n    return None\n",
        why="The schedule is over.",
        tests=(f"{_UNKNOWN}test_failed_lookups_repeat_hourly_until_after_a_day_it_is_impossible",),
    ),
    TextPatch(
        name="abandoned_without_a_word",
        aims=(I6, I1),
        file=RECONCILIATION,
        old="        await apply_verdict(tx, call, attempt, verdict, self.rules, Occasion(now, is_given_up=True))\n"
        "        reach(Failpoint.ABANDONED)\n",
        new="        assert verdict\n        attempt.holds_person, attempt.next_check_at = False, None\n"
        "        reach(Failpoint.ABANDONED)\n",
        why="Nothing is known, so there is nothing to tell.",
        tests=(f"{_UNKNOWN}test_after_the_grace_the_attempt_is_abandoned_with_one_failed_event",),
    ),
    TextPatch(
        name="pages_of_the_list_ignored",
        aims=(I6, I2),
        file=CLIENT,
        old='            if page.get("has_more") is not True:\n',
        new='            if page.get("has_more") is not True or not found:\n',
        why="One attempt has one call, and that fits a page.",
        tests=(f"{_CLIENT}test_a_list_that_proves_nothing_is_no_clean_look_up",),
    ),
    TextPatch(
        name="looked_up_by_status_too",
        aims=(I6, I2),
        file=CLIENT,
        old='        filters = {"metadata": [{"type": "string", "op": "eq", "key": ATTEMPT_KEY, "value": '
        "attempt_id}]}\n",
        new='        filters: dict[str, Any] = {"call_status": [{"type": "enum", "op": "in", "value": '
        '["registered"]}]}\n'
        '        filters["metadata"] = [{"type": "string", "op": "eq", "key": ATTEMPT_KEY, "value": attempt_id}]\n',
        why="A call that was just made is registered, and the answer is smaller.",
        tests=(f"{_CLIENT}test_an_attempt_is_looked_for_by_its_metadata_alone",),
    ),
    TextPatch(
        name="the_filter_is_trusted",
        aims=(I7, I6),
        file=CLIENT,
        old="    return [report for report in map(_snapshot, items) if report.attempt_id == attempt_id]\n",
        new="    return [_snapshot(item) for item in items]\n",
        why="The server has filtered already.",
        tests=(f"{_CLIENT}test_calls_of_others_are_not_ours_when_the_filter_is_ignored",),
    ),
    TextPatch(
        name="a_garbled_list_is_empty",
        aims=(I6, I2),
        file=CLIENT,
        old='        raise ProviderUnavailable("list-calls answered without items")\n',
        new="        return []\n",
        why="Without items there is no call.",
        tests=(f"{_CLIENT}test_a_list_that_proves_nothing_is_no_clean_look_up",),
    ),
    TextPatch(
        name="a_look_up_before_the_resend_counts_for_it",
        aims=(I6, I2),
        file=RECONCILIATION,
        old="            if attempt.state is not AttemptState.UNKNOWN or attempt.fence != seen.fence:\n",
        new="            if attempt.state is not AttemptState.UNKNOWN:\n",
        why="The attempt is unknown and nothing was found.",
        tests=("flows/dialing/test_same_key_resend.py::test_a_lookup_begun_before_the_resend_says_nothing_about_it",),
    ),
    TextPatch(
        name="a_dead_workers_claim_is_left_alone",
        aims=(I6, I20, I1),
        file=RECONCILIATION,
        old="            case AttemptState.DIALING:\n                await self._lease_is_over(attempt)\n"
        "            case AttemptState.UNKNOWN:\n",
        new="            case AttemptState.UNKNOWN:\n",
        why="Its worker will write the answer down.",
        tests=(f"{_UNKNOWN}test_a_worker_that_died_behind_its_claim_leaves_an_unknown_attempt_when_its_lease_ends",),
    ),
    TextPatch(
        name="a_lease_of_an_earlier_claim_ends_the_later_one",
        aims=(I6, I2),
        file=RECONCILIATION,
        old="            if attempt.state is AttemptState.DIALING and attempt.fence == seen.fence:\n",
        new="            if attempt.state is AttemptState.DIALING:\n",
        why="The attempt was due for its check, and it is still dialing.",
        tests=(f"{_UNKNOWN}test_the_end_of_an_earlier_lease_does_not_end_a_later_claim",),
    ),
    TextPatch(
        name="a_check_that_died_is_never_made_again",
        aims=(I20, I6, I13),
        file="adapters/postgres/store.py",
        old="UPDATE attempts SET next_check_at = $2 FROM due",
        new="UPDATE attempts SET next_check_at = nullif($2::timestamptz, $2) FROM due",
        why="Whoever took the check makes it and sets the next one.",
        tests=(f"{_WATCHDOG}test_a_check_that_died_with_its_process_is_taken_up_again_after_a_minute",),
    ),
    TextPatch(
        name="binding_overwrites",
        aims=(I2, I7),
        file=CALL_OUTCOME,
        old="    if attempt.provider_call_id is not None:\n        await tx.log_decision(",
        new='    if attempt.provider_call_id == "":\n        await tx.log_decision(',
        why="The newest call id is the right one.",
        tests=(
            "flows/dialing/test_dial_answers.py::test_a_second_provider_call_for_one_attempt_is_an_incident_and_is_stopped",
        ),
    ),
    TextPatch(
        name="the_second_call_goes_on_ringing",
        aims=(I2,),
        file=CALL_OUTCOME,
        old='        await tx.enqueue("stop_call", f"stop:{provider_call_id}", payload, None, now)\n',
        new="        assert payload\n",
        why="The incident is noted and logged.",
        tests=(
            "flows/events/test_whose_event.py"
            "::test_a_second_provider_call_for_one_attempt_is_an_incident_and_is_stopped_once",
        ),
    ),
    TextPatch(
        name="a_webhook_is_known_by_its_call_id_alone",
        aims=(I7, I6),
        file=EVENTS,
        old="            report.attempt_id if report.instance == ours else None, report.provider_call_id\n",
        new="            None, report.provider_call_id\n",
        why="Every webhook carries the call id.",
        tests=(
            "flows/events/test_late_evidence.py::test_a_webhook_that_names_the_attempt_binds_it_however_often_it_came",
        ),
    ),
    TextPatch(
        name="a_webhook_that_is_early_is_foreign",
        aims=(I7,),
        file=EVENTS,
        old="            if report.instance == await self.store.instance() and receive_count <= PARKED_TRIES:\n",
        new="            if report.instance == await self.store.instance() and receive_count > PARKED_TRIES:\n",
        why="The comparison reads well either way.",
        tests=(
            "flows/events/test_whose_event.py::test_an_event_of_ours_without_its_attempt_is_parked_and_then_foreign",
        ),
    ),
    TextPatch(
        name="the_answer_is_a_second_call",
        aims=(I7, I2),
        file=CALL_OUTCOME,
        old="    if attempt.provider_call_id == provider_call_id:\n        return True\n"
        "    if await tx.is_call_of_another",
        new="    if await tx.is_call_of_another",
        why="An attempt that has its call gets no other.",
        tests=(
            "flows/dialing/test_dial_answers.py::test_a_webhook_before_the_answer_binds_once_and_the_answer_adds_nothing",
        ),
    ),
    TextPatch(
        name="polling_ignores_not_connected",
        aims=(I13,),
        file="domain/call_event.py",
        old="    is_over = report.status in (ProviderStatus.ENDED, ProviderStatus.NOT_CONNECTED, "
        "ProviderStatus.ERROR)\n",
        new="    is_over = report.status in (ProviderStatus.ENDED, ProviderStatus.ERROR)\n",
        why="The documentation's diagram ends with ended and error.",
        tests=(
            "domain/test_outcome.py::test_a_report_advances_the_attempt_as_far_as_it_proves",
            "flows/dialing/test_watchdog.py::test_a_polled_call_that_is_over_without_a_reason_is_decided_all_the_same",
        ),
    ),
    TextPatch(
        name="verdict_without_asking",
        aims=(I13,),
        file=OUTCOME,
        old="        if not (has_analysis or was_polled or gave_up):\n",
        new="        if not (has_analysis or gave_up):\n",
        why="Every call is analysed, even one that nobody answered.",
        tests=("domain/test_outcome.py::test_asking_decides_what_never_connected_and_nothing_else",),
    ),
    TextPatch(
        name="nobody_asks_about_a_placed_call",
        aims=(I13, I1, I20),
        file=FOLLOW_UP,
        old="        case AttemptState.PLACED:\n            return now + timedelta(seconds=deadlines.silence_s)\n"
        "        case AttemptState.ONGOING:\n",
        new="        case AttemptState.ONGOING:\n",
        why="Its webhooks will come.",
        tests=(f"{_WATCHDOG}test_silence_is_asked_about_until_the_call_is_over",),
    ),
    TextPatch(
        name="asked_about_once",
        aims=(I13,),
        file=FOLLOW_UP,
        old="timedelta(seconds=deadlines.silence_s if was_polled else deadlines.max_call_s)",
        new="timedelta(seconds=deadlines.max_call_s)",
        why="A talk may take an hour, and its end is a webhook.",
        tests=(f"{_WATCHDOG}test_silence_is_asked_about_until_the_call_is_over",),
    ),
    TextPatch(
        name="a_missing_analysis_is_waited_for_forever",
        aims=(I13, I1),
        file=FOLLOW_UP,
        old="    since = attempt.ended_at or attempt.placed_at\n    return since is not None and now >=",
        new="    since = attempt.ended_at\n    return since is not None and attempt.polls > 0 and now >=",
        why="A provider that answers will have the analysis some day.",
        tests=(f"{_WATCHDOG}test_a_missing_analysis_is_asked_for_at_doubling_pauses_and_then_given_up",),
    ),
)
