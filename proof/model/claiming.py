"""From a claim to its answer, on the model's rows: the check, the row written ahead, the effect of the answer."""

from proof.model.facts import Asked, check_eligibility
from proof.model.flows import GIVEN_UP, apply_verdict, bind, stop_call
from proof.model.state import Age, Attempt, Facts, Phase, Worker
from proof.model.transaction import Transaction
from ringback.domain.abt_event import AbtType, FailReason
from ringback.domain.attempt import AttemptState, DialAnswerKind
from ringback.domain.call import TaskStatus
from ringback.domain.eligibility import EligibilityDecision, EligibilityVerdict
from ringback.domain.outcome import Verdict

S = AttemptState
K = DialAnswerKind

RESEND_TOO_LATE = EligibilityDecision(EligibilityVerdict.DENY, "same_key_window_over")


def check(tx: Transaction, c: int, t: int) -> EligibilityDecision:
    """The product's own decision about a dial of the task."""
    call, task = tx.calls[c], tx.calls[c].tasks[t]
    own = tx.rules.own_attempt(call, t)
    if own is not None and _is_unclear(tx, c, own) and not tx.rules.may_resend_now(call.attempts[own]):
        return RESEND_TOO_LATE
    asked = Asked(
        task.kind,
        own is None,
        call.no_more,
        call.budget_used,
        tx.bounds.attempts,
        call.is_expired,
        tx.suppressed,
        tx.rules.is_held(tx.calls, (c, own)),
        tx.paused,
    )
    return check_eligibility(asked)


def turn_away(tx: Transaction, c: int, t: int, decision: EligibilityDecision) -> None:
    own = tx.rules.own_attempt(tx.calls[c], t)
    if decision.verdict is EligibilityVerdict.DEFER:
        tx.set_task(c, t, TaskStatus.PENDING)
    elif own is not None and _is_unclear(tx, c, own):
        tx.set_task(c, t, TaskStatus.CONSUMED)
    else:
        assert decision.reason is not None, "a denied call says why"
        stop_call(tx, c, decision.reason)


def _is_unclear(tx: Transaction, c: int, own: int) -> bool:
    return tx.attempt(c, own).state is S.UNKNOWN


def write_claim(tx: Transaction, c: int, t: int, w: int) -> None:
    call = tx.calls[c]
    own = tx.rules.own_attempt(call, t)
    is_resend = own is not None and _is_unclear(tx, c, own)
    a = len(call.attempts) if own is None else own
    tx.set_task(c, t, TaskStatus.CONSUMED)
    for index, worker in enumerate(tx.workers):
        if worker.phase is not Phase.IDLE and (worker.call, worker.attempt) == (c, a):
            tx.set_worker(index, worker._replace(is_current=False))
    if tx.check is not None and (tx.check.call, tx.check.attempt) == (c, a):
        tx.check = tx.check._replace(is_current=False)
    tx.set_worker(w, Worker(Phase.CLAIMED, c, a, is_resend))
    if own is None:
        tx.alter(c, budget_used=call.budget_used + 1)
        if tx.rules.writes_ahead:
            tx.alter(c, attempts=(*tx.calls[c].attempts, Attempt(Facts(S.DIALING), t)))
        return
    tx.move(c, a, S.DIALING)
    tx.change(
        c, a, task=t, holds_person=True, holds_slot=True, **({"resent": True} if is_resend else {"age": Age.FRESH})
    )


def record(tx: Transaction, worker: Worker, answer: DialAnswerKind) -> None:
    c, a = worker.call, worker.attempt
    attempt = tx.attempt(c, a)
    if answer is not K.PLACED and not tx.rules.may_record(worker, attempt):
        return
    match tx.rules.means(answer, attempt):
        case K.PLACED:
            bind(tx, c, a)
        case K.AMBIGUOUS:
            become_unknown(tx, c, a)
        case K.REJECTED:
            _refused(tx, c, a)
        case _:
            _wait(tx, c, a)


def become_unknown(tx: Transaction, c: int, a: int) -> None:
    tx.move(c, a, S.UNKNOWN)
    tx.change(c, a, lookups=0, clean=0, holds_person=tx.rules.holds_when_unknown())


def _refused(tx: Transaction, c: int, a: int) -> None:
    tx.move(c, a, S.REJECTED)
    apply_verdict(tx, c, a, Verdict(AbtType.FAILED, FailReason.REFUSED), GIVEN_UP)


def _wait(tx: Transaction, c: int, a: int) -> None:
    tx.move(c, a, S.WAITING)
    tx.change(c, a, holds_person=False, holds_slot=False)
    if tx.open_task(c) is None:
        tx.set_task(c, tx.attempt(c, a).task, TaskStatus.PENDING)
    no_more = tx.calls[c].no_more
    if no_more is not None:
        stop_call(tx, c, FailReason.SUPPRESSED if no_more == "opt_out" else FailReason(no_more))
