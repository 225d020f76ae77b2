"""Bugs of the claim and of its stops: one attempt at a time for a person, one for a dispatch, none after a stop."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from proof.planted.bug import Right, planted
from ringback.domain.attempt import Attempt, AttemptState
from ringback.domain.call import Call, Task, TaskKind, TaskStatus
from ringback.domain.eligibility import Candidate, CapacityFacts, EligibilityDecision, PersonFacts
from ringback.domain.outcome import Outcome
from ringback.flows.business_operations.delete_scheduled_task import _Planned
from ringback.messages import CallRequested
from ringback.storage import UnitOfWork

IS_THIS_DISPATCH = "ringback.flows.call_processing:_is_this_dispatch"
ENDS_THE_CALL = "ringback.domain.eligibility:deny"
IS_BEING_DIALED = "ringback.flows.business_operations.delete_scheduled_task:_Planned.is_being_dialed"

_LIMITS = "flows/call_processing/test_frozen_worker.py::test_every_connection_has_those_limits"
_CLAIM = "flows/call_processing/test_claim.py::"
_ACTIONS = "flows/business_operations/"


@planted(IS_THIS_DISPATCH, "I9 I2", f"{_CLAIM}test_a_message_of_another_dispatch_is_dropped")
def dispatch_number_ignored(_: Right, task: Task, message: CallRequested) -> bool:
    """The task's id is unique, so it seems to be enough."""
    return (task.task_id, task.status) == (message.task_id, TaskStatus.DISPATCHED)


@planted(IS_THIS_DISPATCH, "I9 I17", f"{_CLAIM}test_a_task_that_is_not_dispatched_dials_nothing")
def a_pending_task_is_dialed(_: Right, task: Task, message: CallRequested) -> bool:
    """An open task with the right number seems to be enough."""
    return (task.task_id, task.dispatch) == (message.task_id, message.dispatch)


@planted(
    "ringback.domain.eligibility:defer_for_person",
    "I3",
    "domain/test_eligibility.py::test_a_callback_is_exempt_from_cap_and_gap_but_not_from_another_attempt",
    "domain/test_eligibility.py::test_a_person_on_another_attempt_waits_a_quarter_of_a_minute",
)
def eligibility_forgets_the_attempt_that_holds_the_person(
    right: Right, asked: Candidate, person: PersonFacts, *rest: Any
) -> EligibilityDecision | None:
    """A callback that the person asked for has priority over everything."""
    if asked.task.kind is TaskKind.CALLBACK:
        person = replace(person, held_by_attempt=None)
    return right(asked, person, *rest)


@planted(
    "ringback.flows.dial_results:become_unknown",
    "I3 I6",
    "flows/reconciliation/test_unknown.py::test_the_person_is_not_called_by_another_call_meanwhile",
)
async def an_unknown_attempt_lets_the_person_go(
    right: Right, tx: UnitOfWork, call: Call, attempt: Attempt, *rest: Any
) -> None:
    """An attempt that is not known to ring need not hold the person."""
    attempt.holds_person = False
    await right(tx, call, attempt, *rest)


@planted(
    "ringback.domain.outcome:decide_outcome",
    "I3",
    "flows/call_outcome/test_verdicts.py::test_call_ended_decides_nothing_and_frees_the_slot",
)
def the_end_of_the_talk_lets_the_person_go(right: Right, attempt: Attempt, *rest: Any) -> Outcome:
    """A person that has hung up can be called."""
    outcome: Outcome = right(attempt, *rest)
    return replace(outcome, holds_person=False) if attempt.state is AttemptState.ENDED else outcome


@planted(
    "ringback.adapters.postgres.person_facts:PERSON_FACTS",
    "I6",
    f"{_CLAIM}test_caps_count_unknown_calls_but_not_waiting_ones",
)
def unknown_counts_for_no_limit(right: str) -> str:
    """A call that perhaps never rang is no call."""
    return right.replace("('waiting', 'rejected')", "('waiting', 'rejected', 'unknown', 'abandoned')")


@planted(
    ENDS_THE_CALL,
    "I10",
    "domain/test_eligibility.py::test_a_suppressed_person_ends_the_call_and_a_callback_too",
    "domain/test_eligibility.py::test_a_suppressed_person_ends_a_waiting_attempt_too",
)
def a_suppressed_person_is_allowed(
    right: Right, asked: Candidate, person: PersonFacts, *rest: Any
) -> EligibilityDecision | None:
    """The attempt was allowed once, and its repetition is the same call."""
    person = replace(person, suppressed=person.suppressed and asked.is_new_attempt)
    return right(asked, person, *rest)


@planted("ringback.domain.outcome:next_attempt_at", "I10", "domain/test_decide_outcome.py")
def retry_at_the_very_expiry(right: Right, call: Call, *rest: Any) -> datetime | None:
    """A limit reads as if it were included."""
    return right(_expires_a_moment_later(call), *rest)


@planted(ENDS_THE_CALL, "I10", "domain/test_eligibility.py::test_a_call_ends_at_its_expiry_to_the_instant")
def dialed_at_the_very_expiry(right: Right, asked: Candidate, *rest: Any) -> EligibilityDecision | None:
    """A limit reads as if it were included."""
    return right(replace(asked, call=_expires_a_moment_later(asked.call)), *rest)


def _expires_a_moment_later(call: Call) -> Call:
    return replace(call, expires_at=call.expires_at + datetime.resolution)


@planted(
    "ringback.domain.eligibility:defer_for_capacity",
    "I10",
    "flows/call_processing/test_capacity.py::test_nothing_is_claimed_after_an_acknowledged_pause",
    "races/test_stops_against_dispatch.py::test_nothing_is_claimed_after_the_stop_was_acknowledged[pause]",
)
def a_callback_is_dialed_while_paused(right: Right, capacity: CapacityFacts, *rest: Any) -> EligibilityDecision | None:
    """While calls are in progress, the system is plainly not paused."""
    return right(replace(capacity, paused=capacity.paused and not capacity.live), *rest)


@planted(
    IS_BEING_DIALED,
    "I17",
    f"{_ACTIONS}test_delete_scheduled_task.py::test_a_dispatched_task_can_still_be_deleted_and_will_not_dial",
)
def what_is_on_its_way_cannot_be_stopped(right: Right, planned: _Planned) -> bool:
    """A message that was sent cannot be called back."""
    return planned.task.dispatched_at is not None or right(planned)


@planted(
    IS_BEING_DIALED,
    "I17",
    f"{_ACTIONS}test_delete_scheduled_task.py::test_a_resend_of_what_may_be_ringing_was_dispatched_already",
)
def deleted_though_it_may_be_ringing(right: Right, planned: _Planned) -> bool:
    """A pending task has plainly not been dialed."""
    return planned.task.status is not TaskStatus.PENDING and right(planned)


@planted(
    "ringback.flows.business_operations.update_timezone:_is_resend",
    "I17 I5",
    f"{_ACTIONS}test_update_timezone.py::test_the_resend_of_an_unclear_attempt_is_left_alone",
)
def a_zone_moves_a_resend(_: Right, task: Task, attempt: Attempt | None) -> bool:
    """Every open task follows the person's clock."""
    return False


@planted("ringback.adapters.postgres.pool:_HAS_TRANSACTION_TIMEOUT", "I1", _LIMITS)
def a_claim_frozen_behind_a_prepare_holds_its_locks(right: tuple[int, ...]) -> tuple[int, ...]:
    """A transaction without a statement is idle, and there is a limit for that."""
    return (1000,)
