"""The product's flows on the model's rows: bind, apply a verdict, stop, look up, move a call."""

from proof.invariants import Invariant
from proof.model.facts import NOW, Known, News, Word, absorbed, is_poll, last_word, outcome_of
from proof.model.state import Said, Task
from proof.model.transaction import Outcome, Transaction
from ringback.domain.abt_event import AbtType, FailReason
from ringback.domain.attempt import CLEAN_LOOKUPS_TO_FREE_SLOT, AttemptState, furthest
from ringback.domain.call import TaskKind, TaskStatus
from ringback.domain.outcome import PROVIDER_LOST_DIGEST, Occasion, Verdict, VerdictChange

S = AttemptState

GIVEN_UP = Occasion(NOW, is_given_up=True)


def stop_call(tx: Transaction, c: int, reason: FailReason) -> None:
    task, call = tx.open_task(c), tx.calls[c]
    if task is not None:
        tx.set_task(c, task, TaskStatus.EXPIRED if reason is FailReason.EXPIRED else TaskStatus.DELETED)
    attempt = tx.latest(c)
    if tx.rules.awaits_verdict(attempt):
        if tx.rules.forbids_what_follows:
            tx.alter(c, no_more=reason)
        return
    tx.announce_closing(c)
    if attempt is not None and attempt.state is S.WAITING:
        a = len(call.attempts) - 1
        tx.move(c, a, S.REJECTED)
        tx.change(c, a, verdict=AbtType.FAILED, said=Said.CLOSING)
    tx.alter(c, final=True, closed_by=-1)


def suppress(tx: Transaction, in_hand: int | None = None) -> None:
    tx.suppressed = True
    for c, call in enumerate(tx.calls):
        if not call.final:
            stop_call(tx, c, FailReason.SUPPRESSED)
    if in_hand is not None:
        tx.alter(in_hand, no_more="opt_out")


def bind(tx: Transaction, c: int, a: int) -> None:
    attempt = tx.attempt(c, a)
    if attempt.is_bound:
        return
    task = tx.open_task(c)
    if attempt.state is not S.DIALING and task is not None and task == attempt.task:
        tx.set_task(c, task, TaskStatus.CONSUMED)
    holds = attempt.holds_person or not tx.rules.is_held(tx.calls, (c, a))
    tx.move(c, a, furthest(attempt.state, S.PLACED))
    tx.change(c, a, is_bound=True, holds_person=holds, holds_slot=True, digest=None, is_unclear=False)
    tx.announce_initiated(c, a)


def hear(tx: Transaction, c: int, a: int, news: News) -> None:
    """Evidence about an attempt, and all that follows from it. Most of a search is this, so it is done once for the
    same rows."""
    rows = (tuple(tx.calls), tx.suppressed, c, a, news)
    done: Outcome | None = tx.memory.get(rows)
    if done is None:
        _hear(tx, c, a, news)
        tx.memory[rows] = tx.outcome()
    else:
        tx.repeat(done)


def _hear(tx: Transaction, c: int, a: int, news: News) -> None:
    bind(tx, c, a)
    attempt = tx.attempt(c, a)
    ring = attempt.ring
    assert ring is not None, "what is heard of has rung"
    if attempt.digest == PROVIDER_LOST_DIGEST:
        tx.change(c, a, digest=None)
    facts, verdict = absorbed(attempt.facts, ring.stage, ring.end, news)
    tx.move(c, a, facts.state) if facts.state is not attempt.state else None
    tx.change(c, a, facts=facts)
    if facts.opted_out and tx.calls[c].no_more != "opt_out":
        suppress(tx, in_hand=c)
    over_for_s = news.over_for_s if isinstance(news, Word) else 0
    apply_verdict(tx, c, a, verdict, Occasion(NOW, was_polled=is_poll(news)), over_for_s=over_for_s)


def apply_verdict(
    tx: Transaction, c: int, a: int, verdict: Verdict | None, occasion: Occasion, *, over_for_s: int = 0
) -> None:
    """Apply the product's own decision to the model's rows."""
    attempt, call, task = tx.attempt(c, a), tx.calls[c], tx.open_task(c)
    is_latest = a == len(call.attempts) - 1
    known = Known(
        facts=attempt.facts,
        is_bound=attempt.is_bound,
        started=attempt.started,
        holds_person=attempt.holds_person,
        verdict=attempt.verdict,
        digest=attempt.digest,
        said=attempt.said,
        is_latest=is_latest,
        final=call.final and tx.rules.keeps_the_last_word,
        closed_by={None: None, a: 0, -1: -1}.get(call.closed_by, 1),
        no_more=call.no_more,
        budget_used=call.budget_used,
        max_attempts=tx.bounds.attempts,
        is_expired=call.is_expired,
        task=(call.tasks[task].kind, call.tasks[task].from_attempt == a) if task is not None else None,
        suppressed=tx.suppressed,
        later_attempt_decides=not is_latest and tx.rules.awaits_verdict(tx.latest(c)),
        over_for_s=over_for_s,
        voicemails=tx.bounds.voicemails,
    )
    outcome = outcome_of(known, verdict, occasion)
    if outcome.emits_started:
        tx.announce_started(c, a)
    if outcome.change is not None:
        _apply_change(tx, c, a, outcome.change)
    tx.change(c, a, holds_slot=outcome.holds_slot, holds_person=outcome.holds_person)


def _apply_change(tx: Transaction, c: int, a: int, change: VerdictChange) -> None:
    task, said = tx.open_task(c), tx.attempt(c, a).said
    if change.cancels_retry:
        assert task is not None, "it is a task"
        tx.set_task(c, task, TaskStatus.DELETED)
    if change.retry_due_at is not None:
        tx.add_task(c, Task(TaskKind.RETRY))
    if change.event is not None:
        reason = change.event.verdict.reason
        was_rejected = reason is FailReason.REFUSED and not tx.attempt(c, a).is_bound
        was_attempted = reason is not FailReason.OUTCOME_UNKNOWN and not was_rejected
        tx.announce_end(c, a, AbtType(change.type), is_final=change.event.is_final, was_attempted=was_attempted)
        said = Said.OWN
    elif change.type == AbtType.RESCHEDULED:
        said = Said.CALLBACK
    tx.change(c, a, verdict=AbtType(change.type), said=said, digest=change.digest)
    if change.closing_status is not None:
        tx.alter(c, final=True, closed_by=a)


def count_lookup(tx: Transaction, c: int, a: int, *, is_clean: bool) -> None:
    attempt = tx.attempt(c, a)
    lookups = min(attempt.lookups + 1, tx.bounds.lookups)
    clean = min(attempt.clean + is_clean, tx.bounds.lookups)
    tx.change(c, a, lookups=lookups, clean=clean, holds_slot=clean < CLEAN_LOOKUPS_TO_FREE_SLOT)
    if tx.check is not None and (tx.check.call, tx.check.attempt) == (c, a):
        tx.check = tx.check._replace(is_next=False)
    attempt, call = tx.attempt(c, a), tx.calls[c]
    has_task, is_stopped = tx.open_task(c) is not None, call.no_more is not None
    wants = tx.rules.wants_resend(attempt, has_task=has_task, is_stopped=is_stopped)
    if is_clean and tx.bounds.resends and wants:
        tx.set_task(c, attempt.task, TaskStatus.PENDING)
    if is_clean and tx.rules.gives_up(attempt, tx.bounds.lookups):
        abandon(tx, c, a)


def abandon(tx: Transaction, c: int, a: int, *, is_surfaced_blindly: bool = False) -> None:
    """`is_surfaced_blindly`: no look-up was answered for a day, so nothing says that it did not ring."""
    attempt = tx.attempt(c, a)
    if attempt.is_bound or (attempt.ring is not None and not is_surfaced_blindly):
        tx.broken.append((Invariant.I6, "given up although it rang and was there to be found"))
    tx.move(c, a, S.ABANDONED)
    tx.change(c, a, is_unclear=False)
    task = tx.open_task(c)
    if task is not None and task == attempt.task:
        tx.set_task(c, task, TaskStatus.CONSUMED)
    apply_verdict(tx, c, a, Verdict(AbtType.FAILED, FailReason.OUTCOME_UNKNOWN), GIVEN_UP)
    tx.change(c, a, holds_person=not tx.rules.lets_go)


def lose(tx: Transaction, c: int, a: int) -> None:
    """For a day the provider did not say what became of its call."""
    apply_verdict(tx, c, a, last_word(tx.attempt(c, a).facts), GIVEN_UP)


def reschedule(tx: Transaction, c: int, asked_during: int | None) -> None:
    call = tx.calls[c]
    if call.final or call.no_more == FailReason.CANCELLED or tx.suppressed:
        return
    if asked_during is not None and tx.attempt(c, asked_during).verdict is not None:
        asked_during = None
    task = tx.open_task(c)
    if task is not None and tx.rules.supersedes:
        tx.set_task(c, task, TaskStatus.SUPERSEDED)
    tx.add_task(c, Task(TaskKind.CALLBACK, from_attempt=asked_during))
    # The implicit expiry gives way to a callback.
    tx.alter(c, is_expired=False)
    tx.announce_rescheduled(c, asked_during)


def delete(tx: Transaction, c: int) -> bool:
    """False: nothing is planned, or it is being dialed."""
    task, attempt = tx.open_task(c), tx.latest(c)
    is_being_dialed = attempt is not None and attempt.task == task and tx.rules.awaits_verdict(attempt)
    if tx.calls[c].final or task is None or is_being_dialed:
        return False
    stop_call(tx, c, FailReason.CANCELLED)
    return True
