"""Bugs of the claim and of what stops it: one at a time for a person, one for a dispatch, none after a stop."""

from proof.invariants import Invariant
from proof.planted.bug import PlantedBug

I1, I2, I3, I5, I6 = Invariant.I1, Invariant.I2, Invariant.I3, Invariant.I5, Invariant.I6
I9, I10, I17 = Invariant.I9, Invariant.I10, Invariant.I17

PROCESSING = "flows/call_processing.py"
GATE = "domain/eligibility.py"
STATEMENTS = "adapters/postgres/statements.py"
SCHEDULE = "adapters/postgres/schedule_rows.py"
POOL = "adapters/postgres/pool.py"
ACTIONS = "flows/business_operations/"

_PATIENCE = "flows/dialing/test_frozen_worker.py::test_every_connection_has_that_patience"
_CLAIM = "flows/dialing/test_claim.py::"
_STOPPING = "flows/events/test_stopping.py::"
_ACTIONS = "flows/business_operations/"

BUGS = (
    PlantedBug(
        name="dispatch_number_ignored",
        aims=(I9, I2),
        file=PROCESSING,
        old="    return (task.task_id, task.status, task.dispatch) == "
        "(message.task_id, TaskStatus.DISPATCHED, message.dispatch)\n",
        new="    return (task.task_id, task.status) == (message.task_id, TaskStatus.DISPATCHED)\n",
        why="The task's id is unique, so it seems to be enough.",
        tests=(f"{_CLAIM}test_a_message_of_another_dispatch_is_dropped",),
    ),
    PlantedBug(
        name="a_pending_task_is_dialed",
        aims=(I9, I17),
        file=PROCESSING,
        old="    return (task.task_id, task.status, task.dispatch) == "
        "(message.task_id, TaskStatus.DISPATCHED, message.dispatch)\n",
        new="    return (task.task_id, task.dispatch) == (message.task_id, message.dispatch)\n",
        why="An open task with the right number seems to be enough.",
        tests=(f"{_CLAIM}test_a_task_that_is_not_dispatched_dials_nothing",),
    ),
    PlantedBug(
        name="a_claim_leaves_its_task_open",
        aims=(I2, I9),
        file=PROCESSING,
        old="        task.status = TaskStatus.CONSUMED\n        await tx.save(task)\n        await (tx.insert",
        new="        await (tx.insert",
        why="The attempt holds the person anyway.",
        tests=(
            f"{_CLAIM}test_a_call_is_dialed_once_and_its_task_is_consumed",
            f"{_CLAIM}test_a_message_delivered_again_dials_nothing",
        ),
    ),
    PlantedBug(
        name="a_claim_does_not_hold_the_person",
        aims=(I3,),
        file=PROCESSING,
        old="        attempt.holds_person = attempt.holds_slot = True\n",
        new="        attempt.holds_slot = True\n",
        why="That the attempt is dialing seems to say it.",
        tests=(f"{_CLAIM}test_two_calls_to_one_phone_at_once_dial_one_and_the_other_waits",),
    ),
    PlantedBug(
        name="the_gate_forgets_who_holds_the_person",
        aims=(I3,),
        file=GATE,
        old="    if person.held_by_attempt is not None:\n",
        new="    if person.held_by_attempt is not None and asked.task.kind is not TaskKind.CALLBACK:\n",
        why="A callback the person asked for goes before everything.",
        tests=(
            "domain/test_eligibility.py::test_a_callback_is_exempt_from_cap_and_gap_but_not_from_another_attempt",
            "domain/test_eligibility.py::test_a_person_on_another_attempt_waits_a_quarter_of_a_minute",
        ),
    ),
    PlantedBug(
        name="an_unknown_attempt_lets_the_person_go",
        aims=(I3, I6),
        file="flows/dial_results.py",
        old="    attempt.state = AttemptState.UNKNOWN\n    attempt.lease_until = None\n",
        new="    attempt.state = AttemptState.UNKNOWN\n    attempt.lease_until = None\n"
        "    attempt.holds_person = False\n",
        why="What is not known to ring need not keep anyone.",
        tests=("flows/dialing/test_unknown.py::test_the_person_is_not_called_by_another_call_meanwhile",),
    ),
    PlantedBug(
        name="the_end_of_the_talk_lets_the_person_go",
        aims=(I3,),
        file="domain/outcome.py",
        old="        holds_person = now < ended_at + timedelta(seconds=inputs.deadlines.analysis_s)\n",
        new="        holds_person = now < ended_at\n",
        why="Who has hung up can be called.",
        tests=("flows/events/test_verdicts.py::test_call_ended_decides_nothing_and_frees_the_slot",),
    ),
    PlantedBug(
        name="unknown_counts_for_no_limit",
        aims=(I6,),
        file=STATEMENTS,
        old='_OTHERS_THAT_RANG = f"state NOT IN {literals(NEVER_RANG)} AND {_OTHERS}"\n',
        new="_OTHERS_THAT_RANG = f\"state NOT IN ('waiting', 'rejected', 'unknown', 'abandoned') AND {_OTHERS}\"\n",
        why="A call that perhaps never rang is no call.",
        tests=(f"{_CLAIM}test_caps_count_unknown_calls_but_not_waiting_ones",),
    ),
    PlantedBug(
        name="slots_free_at_once_behind_an_unclear_answer",
        aims=(I6,),
        file="flows/reconciliation.py",
        old="            attempt.holds_slot = attempt.clean_lookups < CLEAN_LOOKUPS_TO_FREE_SLOT\n",
        new="            attempt.holds_slot = attempt.lookups < CLEAN_LOOKUPS_TO_FREE_SLOT\n",
        why="Two look-ups are two look-ups.",
        tests=("flows/dialing/test_unknown.py::test_a_failed_lookup_frees_nothing",),
    ),
    PlantedBug(
        name="a_suppressed_person_passes_the_gate",
        aims=(I10,),
        file=GATE,
        old="    if person.suppressed:\n",
        new="    if person.suppressed and asked.is_new_attempt:\n",
        why="The attempt was let in once; its repetition is the same call.",
        tests=(
            "domain/test_eligibility.py::test_a_suppressed_person_ends_the_call_and_a_callback_too",
            "domain/test_eligibility.py::test_a_suppressed_person_ends_a_waiting_attempt_too",
        ),
    ),
    PlantedBug(
        name="retry_at_the_very_expiry",
        aims=(I10,),
        file="domain/outcome.py",
        old="    return opens_at if opens_at is not None and opens_at < call.expires_at else None\n",
        new="    return opens_at if opens_at is not None and opens_at <= call.expires_at else None\n",
        why="Until the expiry reads as if it were included.",
        tests=("domain/test_decide_outcome.py",),
    ),
    PlantedBug(
        name="dialed_at_the_very_expiry",
        aims=(I10,),
        file=GATE,
        old="    if now >= asked.call.expires_at:\n",
        new="    if now > asked.call.expires_at:\n",
        why="Until the expiry reads as if it were included.",
        tests=("domain/test_eligibility.py::test_a_call_ends_at_its_expiry_to_the_instant",),
    ),
    PlantedBug(
        name="hours_judged_before_the_wait_for_the_person",
        aims=(I10,),
        file=PROCESSING,
        old="            call = await tx.lock_call(message.call_id)\n"
        "            reach(Failpoint.CLAIM_LOCKED)\n"
        "            # Behind the wait for the person: hours, expiry and lease are judged by the time it is then.\n"
        "            now, monotonic = self.clock.now(), self.clock.monotonic()\n",
        new="            now, monotonic = self.clock.now(), self.clock.monotonic()\n"
        "            call = await tx.lock_call(message.call_id)\n"
        "            reach(Failpoint.CLAIM_LOCKED)\n",
        why="One moment for the whole claim.",
        tests=(f"{_CLAIM}test_a_claim_that_had_to_wait_for_the_person_judges_by_the_time_it_is_then",),
    ),
    PlantedBug(
        name="the_pause_waits_for_no_claim",
        aims=(I10,),
        file="adapters/postgres/dialing_switch.py",
        old="                await connection.execute(LOCK_CAPACITY)\n",
        new="",
        why="One UPDATE is atomic by itself.",
        tests=("flows/operator/test_pause.py::test_a_pause_waits_for_the_claim_under_way_and_every_later_one_sees_it",),
    ),
    PlantedBug(
        name="a_callback_is_dialed_while_paused",
        aims=(I10,),
        file=GATE,
        old="    if capacity.paused:\n",
        new="    if capacity.paused and not capacity.live:\n",
        why="While calls are going on the system is plainly not at rest.",
        tests=(
            "flows/dialing/test_capacity.py::test_nothing_is_claimed_after_an_acknowledged_pause",
            "races/test_stops_against_dispatch.py::test_nothing_is_claimed_after_the_stop_was_acknowledged[pause]",
        ),
    ),
    PlantedBug(
        name="a_retry_follows_a_cancellation",
        aims=(I10,),
        file="flows/ending_calls.py",
        old="        call.no_more_retries = reason\n",
        new="        call.no_more_retries = call.no_more_retries or None\n",
        why="The open task is gone, so nothing seems to be left that could dial.",
        tests=(f"{_STOPPING}test_cancelling_while_it_rings_lets_the_verdict_end_the_call",),
    ),
    PlantedBug(
        name="a_suppression_ends_only_the_calls_of_one_phone",
        aims=(I10,),
        file=STATEMENTS,
        old="SELECT call_id FROM calls WHERE NOT final AND (phone = $1 OR contact_id = $2) ORDER BY contact_id, "
        "call_id\n",
        new="SELECT call_id FROM calls WHERE NOT final AND phone = coalesce($1, '' || left($2, 0))\n"
        "ORDER BY contact_id, call_id\n",
        why="It is the phone that is suppressed.",
        tests=(f"{_STOPPING}test_a_suppressed_contact_is_stopped_at_every_phone",),
    ),
    PlantedBug(
        name="suppressed_without_the_phones_lock",
        aims=(I10,),
        file="flows/suppression.py",
        old="        await tx.lock_contacts(await tx.phones_of_open_calls(phone, contact_id), contact_id)\n",
        new="",
        why="Every call it ends is locked one by one anyway.",
        tests=(f"{_CLAIM}test_a_suppression_makes_a_claim_wait_whose_call_it_could_not_see",),
    ),
    PlantedBug(
        name="what_is_on_its_way_cannot_be_stopped",
        aims=(I17,),
        file=f"{ACTIONS}delete_scheduled_task.py",
        old="        if not planned.is_being_dialed:\n",
        new="        if task.dispatched_at is None and not planned.is_being_dialed:\n",
        why="A message that is out cannot be called back.",
        tests=(
            f"{_ACTIONS}test_delete_scheduled_task.py::test_a_dispatched_task_can_still_be_deleted_and_will_not_dial",
        ),
    ),
    PlantedBug(
        name="deleted_though_it_may_be_ringing",
        aims=(I17,),
        file=f"{ACTIONS}delete_scheduled_task.py",
        old="        if not planned.is_being_dialed:\n",
        new="        if task.status is TaskStatus.PENDING or not planned.is_being_dialed:\n",
        why="A pending task has plainly not been dialed.",
        tests=(
            f"{_ACTIONS}test_delete_scheduled_task.py::test_a_resend_of_what_may_be_ringing_was_dispatched_already",
        ),
    ),
    PlantedBug(
        name="a_cancelled_call_can_be_moved",
        aims=(I17, I10),
        file=f"{ACTIONS}reschedule_call.py",
        old="    if subject.call.no_more_retries == FailReason.CANCELLED:\n",
        new="    if subject.call.no_more_retries == FailReason.CANCELLED and subject.attempt is None:\n",
        why="Who is on the line may still ask for another time.",
        tests=(f"{_ACTIONS}test_reschedule_call.py::test_a_call_cancelled_while_it_rang_is_not_moved",),
    ),
    PlantedBug(
        name="a_moved_callback_dials_at_its_old_time_too",
        aims=(I17,),
        file=f"{ACTIONS}reschedule_call.py",
        old="        previous.status = TaskStatus.SUPERSEDED\n        await tx.save(previous)\n"
        "    await tx.insert(task)\n",
        new="        previous.due_at, previous.created_at = task.due_at, task.created_at\n"
        "        await tx.save(previous)\n        task.task_id = previous.task_id\n"
        "    else:\n        await tx.insert(task)\n",
        why="Moving the task that is there saves a row.",
        tests=(f"{_ACTIONS}test_reschedule_call.py::test_a_dispatched_task_that_nobody_claimed_is_replaced",),
    ),
    PlantedBug(
        name="a_zone_moves_a_resend",
        aims=(I17, I5),
        file=f"{ACTIONS}update_timezone.py",
        old="        if call is None or task is None or _is_resend(task, attempt):\n",
        new="        if call is None or task is None:\n",
        why="Every open task follows the person's clock.",
        tests=(f"{_ACTIONS}test_update_timezone.py::test_the_resend_of_an_unclear_attempt_is_left_alone",),
    ),
    PlantedBug(
        name="a_late_message_is_published_again",
        aims=(I9,),
        file=SCHEDULE,
        old="                        AND delivered_at IS NULL AND dead_at IS NULL)\n"
        "    ORDER BY dispatched_at LIMIT $3",
        new="                        AND dead_at IS NOT NULL)\n    ORDER BY dispatched_at LIMIT $3",
        why="What was not delivered within a minute looks lost.",
        tests=("flows/dialing/test_scheduler.py::test_a_message_still_in_the_outbox_is_late_and_not_lost",),
    ),
    PlantedBug(
        name="released_while_paused",
        aims=(I10,),
        file=SCHEDULE,
        old="WHERE status = 'pending' AND due_at <= $1\n      AND (SELECT paused_at IS NULL FROM installation)\n",
        new="WHERE status = 'pending' AND due_at <= $1\n",
        why="The gate looks at the pause anyway.",
        tests=(
            "flows/operator/test_pause.py"
            "::test_nothing_is_released_or_published_again_while_paused_and_everything_after",
        ),
    ),
    PlantedBug(
        name="any_scheduler_releases_any_task",
        aims=(I9,),
        file=SCHEDULE,
        old="status = 'dispatched' AND redispatches = 0)))\n    FOR UPDATE SKIP LOCKED),\n",
        new="status = 'dispatched' AND redispatches = 0)))),\n",
        why="There is one scheduler.",
        tests=(
            "flows/dialing/test_scheduler.py::test_a_task_that_a_transaction_has_in_hand_is_left_for_the_next_pass",
        ),
    ),
    PlantedBug(
        name="a_frozen_claim_holds_its_locks",
        aims=(I1,),
        file=POOL,
        old="""                "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S}s",\n""",
        new="",
        why="A worker that is frozen is killed sooner or later.",
        tests=(_PATIENCE,),
    ),
    PlantedBug(
        name="a_claim_frozen_behind_a_prepare_holds_its_locks",
        aims=(I1,),
        file=POOL,
        old="    if connection.get_server_version() >= _HAS_TRANSACTION_TIMEOUT:\n",
        new="    if connection.get_server_version() < _HAS_TRANSACTION_TIMEOUT:\n",
        why="Who does nothing within a transaction is idle, and there is a limit for that.",
        tests=(_PATIENCE,),
    ),
    PlantedBug(
        name="the_waiting_inherit_the_lock_of_the_frozen",
        aims=(I1,),
        file=POOL,
        old="""                "lock_timeout": f"{LOCK_TIMEOUT_S}s",\n""",
        new="",
        why="Each statement has a time limit of its own.",
        tests=(_PATIENCE,),
    ),
)
