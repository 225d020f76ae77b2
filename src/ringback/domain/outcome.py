"""The verdict on an attempt, and the one decision about everything that follows from it; nothing is changed here."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ringback.domain.abt_event import AbtType, FailReason, event_id, rescheduled_event_id
from ringback.domain.attempt import USES_SLOT, Attempt, AttemptState, DialFact, Party, VoicemailAction
from ringback.domain.call import Call, CallStatus, RetryOutcome, Task, TaskKind, status_of
from ringback.domain.eligibility import DialPolicy
from ringback.domain.follow_up import Deadlines, next_check_after_report

_CONNECTED_REASON = {
    DialFact.NO_ANSWER: FailReason.NO_ANSWER,
    DialFact.BUSY: FailReason.BUSY,
    DialFact.DECLINED: FailReason.DECLINED,
    DialFact.INVALID: FailReason.INVALID_NUMBER,
    DialFact.REJECTED: FailReason.REFUSED,
    DialFact.PROVIDER_ERROR: FailReason.PROVIDER_ERROR,
    DialFact.NOT_DIALED: FailReason.PROVIDER_ERROR,
    # "answered" on a call that never connected is a contradiction, and the provider's fault
    DialFact.ANSWERED: FailReason.PROVIDER_ERROR,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Meaning of an attempt's end. `analysis_missing`: a later analysis may correct it."""

    type: AbtType
    reason: FailReason | None = None
    analysis_missing: bool = False

    @property
    def is_failure(self) -> bool:
        return self.type is AbtType.FAILED


def decide(attempt: Attempt, *, was_polled: bool = False, gave_up: bool = False) -> Verdict | None:
    """Return the verdict, or None while a fact that decides it is still expected.

    `was_polled`: the provider was asked and reported the end, so a call that never connected needs no analysis.
    `gave_up`: the wait for the analysis is over.
    """
    if attempt.state not in (AttemptState.ENDED, AttemptState.ANALYZED) or attempt.dial is None:
        return None
    has_analysis = attempt.state is AttemptState.ANALYZED
    if not attempt.connected:
        if not (has_analysis or was_polled or gave_up):
            return None
        reason = FailReason.CAPACITY if attempt.business.get("capacity") else _CONNECTED_REASON[attempt.dial]
        return Verdict(AbtType.FAILED, reason)
    if not has_analysis and not gave_up:
        return None
    analysis_missing = not has_analysis
    if attempt.party is Party.VOICEMAIL:
        if attempt.agent_spoke and attempt.voicemail_action is not VoicemailAction.HANGUP:
            return Verdict(AbtType.LEFT_VOICEMAIL, analysis_missing=analysis_missing)
        return Verdict(AbtType.FAILED, FailReason.VOICEMAIL_NO_MESSAGE, analysis_missing)
    if attempt.party is Party.IVR:
        return Verdict(AbtType.FAILED, FailReason.IVR, analysis_missing)
    # Without a transcript nothing says that no one spoke. It may be withheld, or it was lost with the analysis.
    is_unread = attempt.user_turns is None and (attempt.transcript_withheld or analysis_missing)
    spoke = bool(attempt.user_turns) or is_unread
    if not spoke:
        return Verdict(AbtType.FAILED, FailReason.ANSWERED_NO_SPEECH, analysis_missing)
    if attempt.successful is True:
        return Verdict(AbtType.COMPLETED)
    return Verdict(AbtType.PARTIALLY_COMPLETED, analysis_missing=analysis_missing)


def verdict_data(attempt: Attempt, verdict: Verdict) -> dict[str, Any]:
    """The data of a terminal event that follow from the attempt alone."""
    if verdict.is_failure:
        return {
            "reason": verdict.reason,
            "provider_reason": attempt.disconnection_reason,
            "attempted": True,
        }
    return {
        "ended_at": attempt.ended_at,
        "duration_ms": attempt.duration_ms,
        "analysis": "missing" if verdict.analysis_missing else analysis_data(attempt),
    }


def analysis_data(attempt: Attempt) -> dict[str, Any]:
    return {
        "successful": attempt.successful,
        "summary": attempt.summary,
        "sentiment": attempt.sentiment,
        "in_voicemail": attempt.in_voicemail,
        "custom": attempt.analysis or {},
    }


def verdict_digest(verdict: Verdict) -> str:
    """Verdicts with the same digest are the same fact. No correction is needed between them."""
    missing = "missing" if verdict.analysis_missing and not verdict.is_failure else ""
    return f"{verdict.type}:{verdict.reason or ''}:{missing}"


#: The ends of an attempt that a retry policy may name. A voicemail is one, whether or not a message was left.
_RETRY_OUTCOMES = {
    (AbtType.FAILED, FailReason.NO_ANSWER): RetryOutcome.NO_ANSWER,
    (AbtType.FAILED, FailReason.BUSY): RetryOutcome.BUSY,
    (AbtType.FAILED, FailReason.VOICEMAIL_NO_MESSAGE): RetryOutcome.VOICEMAIL,
    (AbtType.LEFT_VOICEMAIL, None): RetryOutcome.VOICEMAIL,
}


def retry_outcome(verdict: Verdict) -> RetryOutcome | None:
    """The name of this end in retry policies. None: no policy can name it."""
    return _RETRY_OUTCOMES.get((verdict.type, verdict.reason))


def digests_like(verdict: Verdict) -> list[str]:
    """The digests of all verdicts with the same name in retry policies."""
    named = [ends for ends, outcome in _RETRY_OUTCOMES.items() if outcome is retry_outcome(verdict)]
    return [verdict_digest(Verdict(*ends, analysis_missing=missing)) for ends in named for missing in (False, True)]


def is_retried(call: Call, verdict: Verdict) -> bool:
    """Whether another attempt follows this end while the budget lasts. No capacity at the provider: always."""
    return verdict.reason is FailReason.CAPACITY or call.retry.retries(retry_outcome(verdict))


PROVIDER_LOST_DIGEST = verdict_digest(Verdict(AbtType.FAILED, FailReason.PROVIDER_LOST))


def occurred_at(attempt: Attempt) -> datetime:
    """When the attempt ended by the provider. A call that never connected has no times, so its placing counts."""
    moment = attempt.ended_at or attempt.placed_at or attempt.sent_at
    assert moment is not None, "an attempt with a verdict was sent"
    return moment


#: Such a verdict is emitted once. It has no facts that could correct another.
_WITHOUT_FACTS = (FailReason.OUTCOME_UNKNOWN, FailReason.PROVIDER_LOST)

#: Pauses before another try after the provider had no capacity for an accepted call: doubling from one minute.
CAPACITY_FIRST_DELAY_S = 60
CAPACITY_LONGEST_DELAY_S = 3600

_STATUS_BY_VERDICT = {
    AbtType.COMPLETED: CallStatus.COMPLETED,
    AbtType.PARTIALLY_COMPLETED: CallStatus.PARTIALLY_COMPLETED,
    AbtType.LEFT_VOICEMAIL: CallStatus.LEFT_VOICEMAIL,
    AbtType.FAILED: CallStatus.FAILED,
}


@dataclass(frozen=True, slots=True)
class Occasion:
    """When and why an outcome is decided.

    `was_polled`: the provider was asked for the report. `is_given_up`: no report is expected any more.
    """

    now: datetime
    was_polled: bool = False
    is_given_up: bool = False


@dataclass(frozen=True, slots=True)
class OutcomeInputs:
    """Inputs of the decision, beside the attempt, its call and the verdict."""

    occasion: Occasion
    policy: DialPolicy
    deadlines: Deadlines
    task: Task | None  # the call's open one
    suppressed: bool = False  # read only where a retry may follow, as are the zones
    zones: tuple[str, ...] = ()
    later_attempt_decides: bool = False  # a later attempt of the call will end it by its own verdict
    ended_alike_before: int = 0  # earlier attempts of the call with this outcome; read only where its rules need it


@dataclass(frozen=True, slots=True)
class TerminalEvent:
    """An attempt's terminal event, or its correction. `next_at` is None if no task promises another attempt."""

    event_id: str
    verdict: Verdict
    next_at: datetime | None
    is_final: bool
    corrects: str | None = None
    revision: int = 0


@dataclass(frozen=True, slots=True)
class VerdictChange:
    """Changes that a new verdict makes.

    `type` and `event_id` name the event that now reports the attempt's end. Where `event` is None, it has been emitted
    before.
    """

    type: str
    event_id: str | None
    digest: str
    event: TerminalEvent | None = None
    cancels_retry: bool = False
    retry_due_at: datetime | None = None
    budget_change: int = 0
    closing_status: CallStatus | None = None  # the event closes the call, or corrects the one that did


@dataclass(frozen=True, slots=True)
class Outcome:
    """All consequences of one attempt's facts for its call, to be applied once."""

    emits_started: bool
    change: VerdictChange | None
    holds_slot: bool
    holds_person: bool
    next_check_at: datetime | None
    status: CallStatus


def decide_outcome(attempt: Attempt, call: Call, verdict: Verdict | None, inputs: OutcomeInputs) -> Outcome:
    """Decide the consequences of the attempt's facts and their verdict. None: the verdict is not known yet."""
    now, was_polled, is_given_up = inputs.occasion.now, inputs.occasion.was_polled, inputs.occasion.is_given_up
    change = None if verdict is None else _decide_change(attempt, call, verdict, inputs)
    is_final = change is not None or attempt.is_final
    lacks_started = bool(attempt.connected) and not attempt.started_event
    # Otherwise another report may still bring the start. Each order of the two must give Engage the same events.
    knows_start = attempt.started_at is not None or was_polled or verdict is not None
    emits_started = lacks_started and knows_start and not is_given_up

    holds_person = attempt.holds_person and not is_final and not is_given_up
    if attempt.state is AttemptState.ENDED and holds_person:
        # Until the analysis deadline: an opt-out may be in the analysis.
        assert attempt.placed_at is not None, "an ended attempt was placed"
        ended_at = attempt.ended_at or attempt.placed_at + timedelta(seconds=inputs.deadlines.max_call_s)
        holds_person = now < ended_at + timedelta(seconds=inputs.deadlines.analysis_s)

    if lacks_started and not emits_started and not is_given_up:
        next_check_at: datetime | None = now
    elif is_final or is_given_up:
        next_check_at = None
    else:
        next_check_at = next_check_after_report(attempt, inputs.deadlines, now, was_polled=was_polled)
    return Outcome(
        emits_started=emits_started,
        change=change,
        holds_slot=attempt.state in USES_SLOT and not is_given_up,
        holds_person=holds_person,
        next_check_at=next_check_at,
        status=_status_after(attempt, call, change, inputs.task),
    )


def _decide_change(attempt: Attempt, call: Call, verdict: Verdict, inputs: OutcomeInputs) -> VerdictChange | None:
    """Returns None if the same verdict was emitted before."""
    digest = verdict_digest(verdict)
    if attempt.verdict_digest == digest:
        return None
    if attempt.verdict_type is not None and verdict.reason in _WITHOUT_FACTS:
        return VerdictChange(attempt.verdict_type, attempt.verdict_event_id, digest)
    task = inputs.task
    if task is not None and _ends_as_rescheduled(task, attempt, verdict):
        # The promised callback is how this attempt ended. Its `rescheduled` has been emitted.
        return VerdictChange(AbtType.RESCHEDULED, rescheduled_event_id(task.task_id), digest)

    next_at, cancels_retry, budget_change = task.planned_at if task is not None else None, False, 0
    retry_due_at: datetime | None = None
    is_correction = attempt.verdict_type is not None
    if is_correction and task is not None and task.kind is TaskKind.RETRY:
        # A correction may cancel a pending retry, never create one. A callback stays.
        cancels_retry = not is_retried(call, verdict)
        next_at = None if cancels_retry else next_at
    elif not is_correction and may_be_retried(attempt, call, task):
        # The provider had no capacity. That try does not count against the call's budget.
        budget_change = -1 if verdict.reason is FailReason.CAPACITY else 0
        if attempt.placed_at is not None and not inputs.suppressed:
            next_at = retry_due_at = next_attempt_at(call, attempt, verdict, inputs)

    is_final = _is_last_word(attempt, call, next_at is not None, inputs)
    revision = attempt.revision + (attempt.verdict_event_id is not None)
    id_ = event_id(attempt.attempt_id, "verdict", revision)
    return VerdictChange(
        type=verdict.type,
        event_id=id_,
        digest=digest,
        event=TerminalEvent(id_, verdict, next_at, is_final, attempt.verdict_event_id, revision),
        cancels_retry=cancels_retry,
        retry_due_at=retry_due_at,
        budget_change=budget_change,
        closing_status=_closing_status(call, verdict) if is_final else None,
    )


def may_be_retried(attempt: Attempt, call: Call, task: Task | None) -> bool:
    """Whether the call is open, has no open task, and has made no later attempt."""
    return task is None and attempt.number == call.attempts_made and not call.final


def _ends_as_rescheduled(task: Task, attempt: Attempt, verdict: Verdict) -> bool:
    """Whether the callback that was promised in this attempt is still open, and the goal was not met.

    A dial that the provider rejected always has an event of its own, also after a function call about it.
    """
    if attempt.placed_at is None and verdict.reason is FailReason.REFUSED:
        return False
    is_promised = task.kind is TaskKind.CALLBACK and task.from_attempt == attempt.attempt_id
    return is_promised and verdict.type is not AbtType.COMPLETED and attempt.verdict_type in (None, AbtType.RESCHEDULED)


def next_attempt_at(call: Call, attempt: Attempt, verdict: Verdict, inputs: OutcomeInputs) -> datetime | None:
    """When the next attempt is due by the call's retry policy. None if none follows.

    The pause counts from `placed_at` and never from the arrival of a message: every order of webhooks promises the same
    moment.
    """
    if call.no_more_retries:
        return None
    if verdict.reason is FailReason.CAPACITY:
        doubled = CAPACITY_FIRST_DELAY_S * 2 ** min(attempt.number - 1, 10)
        pause: timedelta | None = timedelta(seconds=min(doubled, CAPACITY_LONGEST_DELAY_S))
    else:
        # By the budget, not by the attempt's number: a try without capacity used no delay.
        pause = call.retry.delay_after(retry_outcome(verdict), call.budget_used, inputs.ended_alike_before + 1)
    if pause is None:
        return None
    assert attempt.placed_at is not None, "a verdict that is retried follows a placed attempt"
    opens_at = inputs.policy.opens_at(attempt.placed_at + pause, inputs.zones)
    return opens_at if opens_at is not None and opens_at < call.expires_at else None


def _is_last_word(attempt: Attempt, call: Call, is_followed: bool, inputs: OutcomeInputs) -> bool:
    """Whether the attempt's verdict ends the call, or corrects the event that ended it.

    An analysis can come so late that the next attempt is in progress. Then the verdict of that attempt ends the call.
    """
    if call.final:
        return attempt.verdict_event_id is not None and attempt.verdict_event_id == call.closing_event_id
    return not is_followed and (attempt.number == call.attempts_made or not inputs.later_attempt_decides)


def _closing_status(call: Call, verdict: Verdict) -> CallStatus:
    if verdict.reason is FailReason.OUTCOME_UNKNOWN:
        return CallStatus.ABANDONED
    if call.no_more_retries == FailReason.CANCELLED and verdict.is_failure:
        return CallStatus.CANCELLED
    return _STATUS_BY_VERDICT[verdict.type]


def _status_after(attempt: Attempt, call: Call, change: VerdictChange | None, task: Task | None) -> CallStatus:
    if change is not None and change.closing_status is not None:
        return change.closing_status
    if attempt.number != call.attempts_made:
        return call.status
    has_task = task is not None
    if change is not None and change.event is not None:
        has_task = change.event.next_at is not None
    has_verdict = change is not None or attempt.verdict_type is not None
    return status_of(call, None if has_verdict else attempt.state, has_task=has_task)
