"""The product's flows on the model's rows: bind, conclude, stop, look up, move a call. One function each."""

from proof.invariants import Invariant
from proof.model.facts import News, Word, absorbed, is_poll, is_tried_again, last_word
from proof.model.state import Attempt, Said, Task
from proof.model.transaction import Outcome, Transaction
from ringback.domain.abt_event import AbtType, FailReason
from ringback.domain.attempt import CLEAN_LOOKUPS_TO_FREE_SLOT, USES_SLOT, AttemptState, furthest
from ringback.domain.call import TaskKind, TaskStatus
from ringback.domain.outcome import PROVIDER_LOST_DIGEST, Verdict, verdict_digest

S = AttemptState

_FOR_WANT_OF_FACTS = (FailReason.OUTCOME_UNKNOWN, FailReason.PROVIDER_LOST)


def stop_call(tx: Transaction, c: int, reason: FailReason) -> None:
    task, call = tx.open_task(c), tx.calls[c]
    if task is not None:
        tx.set_task(c, task, TaskStatus.EXPIRED if reason is FailReason.EXPIRED else TaskStatus.DELETED)
    attempt = tx.latest(c)
    if tx.rules.is_under_way(attempt):
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
    holds = attempt.holds_person or not tx.is_held_by_another(c, a)
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
    if facts.talked or is_poll(news) or verdict is not None:
        tx.announce_started(c, a)
    if verdict is not None:
        conclude(tx, c, a, verdict)
    attempt = tx.attempt(c, a)
    is_too_late = facts.state is S.ENDED and news in (Word.POLL_LATE, Word.POLL_GIVEN_UP)
    holds = attempt.holds_person and attempt.digest is None and not is_too_late
    tx.change(c, a, holds_slot=facts.state in USES_SLOT, holds_person=holds)


def conclude(tx: Transaction, c: int, a: int, verdict: Verdict) -> None:
    attempt, digest = tx.attempt(c, a), verdict_digest(verdict)
    if attempt.digest == digest:
        return
    if attempt.verdict is not None and verdict.reason in _FOR_WANT_OF_FACTS:
        tx.change(c, a, digest=digest)
        return
    task = tx.open_task(c)
    if task is not None and _ends_as_rescheduled(tx.calls[c].tasks[task], a, attempt, verdict):
        tx.change(c, a, verdict=AbtType.RESCHEDULED, said=Said.CALLBACK, digest=digest)
        return
    if attempt.verdict is not None:
        task = _cancel_retry(tx, c, task, verdict)
    elif task is None and a == len(tx.calls[c].attempts) - 1 and not tx.calls[c].final:
        task = _plan_retry(tx, c, a, verdict)
    is_final = _is_last_word(tx, c, a, task)
    was_attempted = verdict.reason is not FailReason.OUTCOME_UNKNOWN
    tx.announce_end(c, a, verdict.type, is_final=is_final, was_attempted=was_attempted)
    tx.change(c, a, verdict=verdict.type, said=Said.OWN, digest=digest)
    if is_final:
        tx.alter(c, final=True, closed_by=a)


def _ends_as_rescheduled(task: Task, a: int, attempt: Attempt, verdict: Verdict) -> bool:
    stands = task.kind is TaskKind.CALLBACK and task.from_attempt == a
    return stands and verdict.type is not AbtType.COMPLETED and attempt.verdict in (None, AbtType.RESCHEDULED)


def _is_last_word(tx: Transaction, c: int, a: int, task: int | None) -> bool:
    call, attempt = tx.calls[c], tx.attempt(c, a)
    if call.final and tx.rules.keeps_the_last_word:
        is_closing = {Said.OWN: call.closed_by == a, Said.CLOSING: call.closed_by == -1}
        return is_closing.get(attempt.said, False)
    if task is not None:
        return False
    return a == len(call.attempts) - 1 or not tx.rules.is_under_way(tx.latest(c))


def _cancel_retry(tx: Transaction, c: int, task: int | None, verdict: Verdict) -> int | None:
    is_retry = task is not None and tx.calls[c].tasks[task].kind is TaskKind.RETRY
    if task is None or not is_retry or verdict.reason is FailReason.NO_ANSWER:
        return task
    tx.set_task(c, task, TaskStatus.DELETED)
    return None


def _plan_retry(tx: Transaction, c: int, a: int, verdict: Verdict) -> int | None:
    call = tx.calls[c]
    if not tx.attempt(c, a).is_bound or tx.suppressed:
        return None
    if not is_tried_again(verdict, call.no_more, call.budget_used, tx.bounds.attempts, call.is_expired):
        return None
    tx.add_task(c, Task(TaskKind.RETRY))
    return len(call.tasks)


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
    tx.change(c, a, holds_person=not tx.rules.lets_go, holds_slot=False, is_unclear=False)
    task = tx.open_task(c)
    if task is not None and task == attempt.task:
        tx.set_task(c, task, TaskStatus.CONSUMED)
    conclude(tx, c, a, Verdict(AbtType.FAILED, FailReason.OUTCOME_UNKNOWN))


def lose(tx: Transaction, c: int, a: int) -> None:
    """For a day the provider did not say what became of its call."""
    tx.change(c, a, holds_person=False, holds_slot=False)
    conclude(tx, c, a, last_word(tx.attempt(c, a).facts))


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
    is_being_dialed = attempt is not None and attempt.task == task and tx.rules.is_under_way(attempt)
    if tx.calls[c].final or task is None or is_being_dialed:
        return False
    stop_call(tx, c, FailReason.CANCELLED)
    return True
