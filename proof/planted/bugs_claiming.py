"""Bugs of the claim and of its stops: one attempt at a time for a person, one for a dispatch, none after a stop."""

from dataclasses import replace
from datetime import datetime

from proof.invariants import Invariant
from proof.planted.bug import Right, edited, planted
from ringback.domain.attempt import Attempt, AttemptState
from ringback.domain.call import Call, Task, TaskKind, TaskStatus
from ringback.domain.eligibility import Candidate, CapacityFacts, DialPolicy, EligibilityDecision, PersonFacts
from ringback.domain.follow_up import Deadlines
from ringback.domain.outcome import Outcome, OutcomeInputs, Verdict
from ringback.flows.business_operations.delete_scheduled_task import _Planned
from ringback.messages import CallRequested
from ringback.storage import UnitOfWork

I1, I2, I3, I5, I6 = Invariant.I1, Invariant.I2, Invariant.I3, Invariant.I5, Invariant.I6
I9, I10, I17 = Invariant.I9, Invariant.I10, Invariant.I17

CLAIMING = "ringback.flows.call_processing:CallProcessing._claim"
WRITING_AHEAD = "ringback.flows.call_processing:CallProcessing._write_ahead"
IS_THIS_DISPATCH = "ringback.flows.call_processing:_is_this_dispatch"
ENDS_THE_CALL = "ringback.domain.eligibility:deny"
IS_BEING_DIALED = "ringback.flows.business_operations.delete_scheduled_task:_Planned.is_being_dialed"
RESCHEDULING = "ringback.flows.business_operations.reschedule_call"
RELEASE_DUE = "ringback.adapters.postgres.tasks:RELEASE_DUE"
OPEN_POOL = "ringback.adapters.postgres.pool:open_pool"

_LIMITS = "flows/call_processing/test_frozen_worker.py::test_every_connection_has_those_limits"
_CLAIM = "flows/call_processing/test_claim.py::"
_CANCELLING = "flows/ending_calls/test_cancelling.py::"
_ACTIONS = "flows/business_operations/"


@planted(
    IS_THIS_DISPATCH,
    aims=(I9, I2),
    why="The task's id is unique, so it seems to be enough.",
    tests=(f"{_CLAIM}test_a_message_of_another_dispatch_is_dropped",),
)
def dispatch_number_ignored(_: Right, task: Task, message: CallRequested) -> bool:
    return (task.task_id, task.status) == (message.task_id, TaskStatus.DISPATCHED)


@planted(
    IS_THIS_DISPATCH,
    aims=(I9, I17),
    why="An open task with the right number seems to be enough.",
    tests=(f"{_CLAIM}test_a_task_that_is_not_dispatched_dials_nothing",),
)
def a_pending_task_is_dialed(_: Right, task: Task, message: CallRequested) -> bool:
    return (task.task_id, task.dispatch) == (message.task_id, message.dispatch)


a_claim_leaves_its_task_open = edited(
    WRITING_AHEAD,
    old="task.status = TaskStatus.CONSUMED\nawait tx.save(task)",
    new="",
    aims=(I2, I9),
    why="The attempt holds the person anyway.",
    tests=(
        f"{_CLAIM}test_a_call_is_dialed_once_and_its_task_is_consumed",
        f"{_CLAIM}test_a_message_delivered_again_dials_nothing",
    ),
)

a_claim_does_not_hold_the_person = edited(
    WRITING_AHEAD,
    old="attempt.holds_person = attempt.holds_slot = True",
    new="attempt.holds_slot = True",
    aims=(I3,),
    why="The state `dialing` seems to hold the person.",
    tests=(f"{_CLAIM}test_two_calls_to_one_phone_at_once_dial_one_and_the_other_waits",),
)


@planted(
    "ringback.domain.eligibility:defer_for_person",
    aims=(I3,),
    why="A callback that the person asked for has priority over everything.",
    tests=(
        "domain/test_eligibility.py::test_a_callback_is_exempt_from_cap_and_gap_but_not_from_another_attempt",
        "domain/test_eligibility.py::test_a_person_on_another_attempt_waits_a_quarter_of_a_minute",
    ),
)
def eligibility_forgets_the_attempt_that_holds_the_person(
    right: Right, asked: Candidate, person: PersonFacts, policy: DialPolicy, now: datetime
) -> EligibilityDecision | None:
    if asked.task.kind is TaskKind.CALLBACK:
        person = replace(person, held_by_attempt=None)
    return right(asked, person, policy, now)


@planted(
    "ringback.flows.dial_results:become_unknown",
    aims=(I3, I6),
    why="An attempt that is not known to ring need not hold the person.",
    tests=("flows/reconciliation/test_unknown.py::test_the_person_is_not_called_by_another_call_meanwhile",),
)
async def an_unknown_attempt_lets_the_person_go(
    right: Right, tx: UnitOfWork, call: Call, attempt: Attempt, deadlines: Deadlines, now: datetime
) -> None:
    attempt.holds_person = False
    await right(tx, call, attempt, deadlines, now)


@planted(
    "ringback.domain.outcome:decide_outcome",
    aims=(I3,),
    why="A person that has hung up can be called.",
    tests=("flows/call_outcome/test_verdicts.py::test_call_ended_decides_nothing_and_frees_the_slot",),
)
def the_end_of_the_talk_lets_the_person_go(
    right: Right, attempt: Attempt, call: Call, verdict: Verdict | None, inputs: OutcomeInputs
) -> Outcome:
    outcome: Outcome = right(attempt, call, verdict, inputs)
    return replace(outcome, holds_person=False) if attempt.state is AttemptState.ENDED else outcome


@planted(
    "ringback.adapters.postgres.person_facts:PERSON_FACTS",
    aims=(I6,),
    why="A call that perhaps never rang is no call.",
    tests=(f"{_CLAIM}test_caps_count_unknown_calls_but_not_waiting_ones",),
)
def unknown_counts_for_no_limit(right: str) -> str:
    return right.replace("('waiting', 'rejected')", "('waiting', 'rejected', 'unknown', 'abandoned')")


slots_free_at_once_behind_an_unclear_answer = edited(
    "ringback.flows.reconciliation:Reconciliation._count_lookup",
    old="attempt.clean_lookups < CLEAN_LOOKUPS_TO_FREE_SLOT",
    new="attempt.lookups < CLEAN_LOOKUPS_TO_FREE_SLOT",
    aims=(I6,),
    why="A failed look-up is a look-up too.",
    tests=("flows/reconciliation/test_unknown.py::test_a_failed_lookup_frees_nothing",),
)


@planted(
    ENDS_THE_CALL,
    aims=(I10,),
    why="The attempt was allowed once, and its repetition is the same call.",
    tests=(
        "domain/test_eligibility.py::test_a_suppressed_person_ends_the_call_and_a_callback_too",
        "domain/test_eligibility.py::test_a_suppressed_person_ends_a_waiting_attempt_too",
    ),
)
def a_suppressed_person_is_allowed(
    right: Right, asked: Candidate, person: PersonFacts, policy: DialPolicy, now: datetime
) -> EligibilityDecision | None:
    person = replace(person, suppressed=person.suppressed and asked.is_new_attempt)
    return right(asked, person, policy, now)


@planted(
    "ringback.domain.outcome:next_attempt_at",
    aims=(I10,),
    why="A limit reads as if it were included.",
    tests=("domain/test_decide_outcome.py",),
)
def retry_at_the_very_expiry(
    right: Right, call: Call, attempt: Attempt, verdict: Verdict, inputs: OutcomeInputs
) -> datetime | None:
    return right(_expires_a_moment_later(call), attempt, verdict, inputs)


@planted(
    ENDS_THE_CALL,
    aims=(I10,),
    why="A limit reads as if it were included.",
    tests=("domain/test_eligibility.py::test_a_call_ends_at_its_expiry_to_the_instant",),
)
def dialed_at_the_very_expiry(
    right: Right, asked: Candidate, person: PersonFacts, policy: DialPolicy, now: datetime
) -> EligibilityDecision | None:
    return right(replace(asked, call=_expires_a_moment_later(asked.call)), person, policy, now)


def _expires_a_moment_later(call: Call) -> Call:
    return replace(call, expires_at=call.expires_at + datetime.resolution)


hours_judged_before_the_wait_for_the_person = edited(
    CLAIMING,
    old="""
        call = await tx.lock_call(message.call_id)
        reach(Failpoint.CLAIM_LOCKED)
        now, monotonic = self.clock.now(), self.clock.monotonic()
    """,
    new="""
        now, monotonic = self.clock.now(), self.clock.monotonic()
        call = await tx.lock_call(message.call_id)
        reach(Failpoint.CLAIM_LOCKED)
    """,
    aims=(I10,),
    why="The whole claim has one time.",
    tests=(f"{_CLAIM}test_a_claim_that_had_to_wait_for_the_person_judges_by_the_time_it_is_then",),
)

the_pause_waits_for_no_claim = edited(
    "ringback.adapters.postgres.installation:PostgresDialingSwitch._set",
    old="await connection.execute(LOCK_CAPACITY)",
    new="",
    aims=(I10,),
    why="One UPDATE is atomic by itself.",
    tests=(
        "flows/operator/test_dialing_control.py::test_a_pause_waits_for_the_claim_in_progress_and_every_later_one_sees_it",
    ),
)


@planted(
    "ringback.domain.eligibility:defer_for_capacity",
    aims=(I10,),
    why="While calls are in progress, the system is plainly not paused.",
    tests=(
        "flows/call_processing/test_capacity.py::test_nothing_is_claimed_after_an_acknowledged_pause",
        "races/test_stops_against_dispatch.py::test_nothing_is_claimed_after_the_stop_was_acknowledged[pause]",
    ),
)
def a_callback_is_dialed_while_paused(
    right: Right, capacity: CapacityFacts, policy: DialPolicy, now: datetime
) -> EligibilityDecision | None:
    return right(replace(capacity, paused=capacity.paused and not capacity.live), policy, now)


a_retry_follows_a_cancellation = edited(
    "ringback.flows.ending_calls:end_call",
    old="call.no_more_retries = reason",
    new="",
    aims=(I10,),
    why="The open task is gone, so no task seems to be left that could dial.",
    tests=("flows/ending_calls/test_cancelling.py::test_cancelling_while_it_rings_lets_the_verdict_end_the_call",),
)

a_suppression_ends_only_the_calls_of_one_phone = edited(
    "ringback.adapters.postgres.calls:UNFINISHED_CALLS",
    old="(phone = $1 OR contact_id = $2)",
    new="phone = coalesce($1, '' || left($2, 0))",
    aims=(I10,),
    why="The suppression names a phone.",
    tests=("flows/suppression/test_suppression.py::test_a_suppressed_contact_is_stopped_at_every_phone",),
)

suppressed_without_the_phones_lock = edited(
    "ringback.flows.suppression:suppress_now",
    old="await tx.lock_contacts(await tx.calls.phones_of_open(phone, contact_id), contact_id)",
    new="",
    aims=(I10,),
    why="Every call it ends is locked one by one anyway.",
    tests=(f"{_CLAIM}test_a_suppression_makes_a_claim_wait_whose_call_it_could_not_see",),
)


@planted(
    IS_BEING_DIALED,
    aims=(I17,),
    why="A message that was sent cannot be called back.",
    tests=(f"{_ACTIONS}test_delete_scheduled_task.py::test_a_dispatched_task_can_still_be_deleted_and_will_not_dial",),
)
def what_is_on_its_way_cannot_be_stopped(right: Right, planned: _Planned) -> bool:
    return planned.task.dispatched_at is not None or right(planned)


@planted(
    IS_BEING_DIALED,
    aims=(I17,),
    why="A pending task has plainly not been dialed.",
    tests=(f"{_ACTIONS}test_delete_scheduled_task.py::test_a_resend_of_what_may_be_ringing_was_dispatched_already",),
)
def deleted_though_it_may_be_ringing(right: Right, planned: _Planned) -> bool:
    return planned.task.status is not TaskStatus.PENDING and right(planned)


a_cancelled_call_can_be_moved = edited(
    f"{RESCHEDULING}:_movable_call",
    old="subject.call.no_more_retries == FailReason.CANCELLED",
    new="subject.call.no_more_retries == FailReason.CANCELLED and subject.attempt is None",
    aims=(I17, I10),
    why="The person in the call may still ask for another time.",
    tests=(f"{_ACTIONS}test_reschedule_call.py::test_a_call_cancelled_while_it_rang_is_not_moved",),
)

a_moved_callback_dials_at_its_old_time_too = edited(
    f"{RESCHEDULING}:_replace_open_task",
    old="""
        if previous is not None:
            previous.status = TaskStatus.SUPERSEDED
            await tx.save(previous)
        await tx.insert(task)
    """,
    new="""
        if previous is not None:
            previous.due_at, previous.created_at = task.due_at, task.created_at
            await tx.save(previous)
            task.task_id = previous.task_id
        else:
            await tx.insert(task)
    """,
    aims=(I17,),
    why="Moving the existing task saves a row.",
    tests=(f"{_ACTIONS}test_reschedule_call.py::test_a_dispatched_task_without_a_claim_is_replaced",),
)


@planted(
    "ringback.flows.business_operations.update_timezone:_is_resend",
    aims=(I17, I5),
    why="Every open task follows the person's clock.",
    tests=(f"{_ACTIONS}test_update_timezone.py::test_the_resend_of_an_unclear_attempt_is_left_alone",),
)
def a_zone_moves_a_resend(_: Right, task: Task, attempt: Attempt | None) -> bool:
    return False


a_late_message_is_published_again = edited(
    "ringback.adapters.postgres.tasks:REDISPATCH_LOST",
    old="AND delivered_at IS NULL AND dead_at IS NULL)",
    new="AND dead_at IS NOT NULL)",
    aims=(I9,),
    why="A message that was not delivered within a minute looks lost.",
    tests=("flows/scheduled_calls/test_scheduler.py::test_a_message_still_in_the_outbox_is_late_and_not_lost",),
)

released_while_paused = edited(
    RELEASE_DUE,
    old="AND (SELECT paused_at IS NULL FROM installation)",
    new="",
    aims=(I10,),
    why="The eligibility check reads the pause anyway.",
    tests=(
        "flows/operator/test_dialing_control.py::test_nothing_is_released_or_published_again_while_paused_and_everything_after",
    ),
)

any_scheduler_releases_any_task = edited(
    RELEASE_DUE,
    old="FOR UPDATE SKIP LOCKED",
    new="",
    aims=(I9,),
    why="There is one scheduler.",
    tests=(
        "flows/scheduled_calls/test_scheduler.py::test_a_task_that_a_transaction_has_in_hand_is_left_for_the_next_pass",
    ),
)

# To PostgreSQL, a limit of 0 is no limit.
a_frozen_claim_holds_its_locks = edited(
    OPEN_POOL,
    old='f"{IDLE_IN_TRANSACTION_S}s"',
    new='"0"',
    aims=(I1,),
    why="A worker that is frozen is killed sooner or later.",
    tests=(_LIMITS,),
)


@planted(
    "ringback.adapters.postgres.pool:_HAS_TRANSACTION_TIMEOUT",
    aims=(I1,),
    why="A transaction without a statement is idle, and there is a limit for that.",
    tests=(_LIMITS,),
)
def a_claim_frozen_behind_a_prepare_holds_its_locks(right: tuple[int, ...]) -> tuple[int, ...]:
    return (1000,)


the_waiting_inherit_the_lock_of_the_frozen = edited(
    OPEN_POOL,
    old='f"{LOCK_TIMEOUT_S}s"',
    new='"0"',
    aims=(I1,),
    why="Each statement has a time limit of its own.",
    tests=(_LIMITS,),
)
