"""The steps of the call queue and of the two workers: deliver, claim, look at the lease, send, record; or die."""

from proof.invariants import Invariant
from proof.model import claiming
from proof.model.offer import Offer
from proof.model.state import IDLE, Phase, Task, Worker
from proof.model.transaction import Transaction
from ringback.domain.attempt import DialAnswerKind
from ringback.domain.call import TaskKind, TaskStatus
from ringback.domain.eligibility import EligibilityVerdict

K = DialAnswerKind


def offer_steps(offer: Offer) -> None:
    idle = next((w for w, worker in enumerate(offer.situation.workers) if worker.phase is Phase.IDLE), None)
    for c, call in enumerate(offer.situation.calls):
        for t, task in enumerate(call.tasks):
            _queue(offer, c, t, task)
            if idle is not None:
                _deliver(offer, c, t, idle)
    seen: set[Worker] = set()
    for w, worker in enumerate(offer.situation.workers):
        if worker.phase is not Phase.IDLE and worker not in seen:
            seen.add(worker)
            _work(offer, w, worker)


def _queue(offer: Offer, c: int, t: int, task: Task) -> None:
    if task.status is TaskStatus.PENDING and not offer.situation.paused:
        offer.system("release", c, t).set_task(c, t, TaskStatus.DISPATCHED, fresh=1)
    if task.fresh and (tx := offer.fault("lose message", c, t)):
        tx.put_task(c, t, fresh=0)
    is_lost = task.status is TaskStatus.DISPATCHED and not offer.situation.paused
    # A queue that is merely slow is fed the same work again after an hour only.
    if is_lost and offer.rules.sweeps and (tx := offer.either("sweep", c, t, is_fault=task.fresh > 0)):
        tx.set_task(c, t, TaskStatus.DISPATCHED, fresh=1)


def _deliver(offer: Offer, c: int, t: int, w: int) -> None:
    task = offer.situation.calls[c].tasks[t]
    if task.fresh:
        tx = offer.system("deliver", c, t)
        _take(tx, c, t, w, is_fresh=True)
        if duplicated := offer.fault("deliver and keep", c, t):
            # One more of it first, so that one is left however it is taken.
            duplicated.put_task(c, t, fresh=task.fresh + 1)
            _take(duplicated, c, t, w, is_fresh=True)
    if task.stale:
        tx = offer.system("deliver stale", c, t)
        _take(tx, c, t, w, is_fresh=False)


def _take(tx: Transaction, c: int, t: int, w: int, *, is_fresh: bool) -> None:
    task = tx.calls[c].tasks[t]
    if is_fresh:
        tx.put_task(c, t, fresh=task.fresh - 1)
    else:
        tx.put_task(c, t, stale=False)
    if tx.calls[c].final or not tx.rules.consumes(task, is_fresh=is_fresh):
        return
    decision = claiming.check(tx, c, t)
    if decision.verdict is not EligibilityVerdict.ALLOW:
        claiming.turn_away(tx, c, t, decision)
    elif tx.rules.locks_the_person:
        _claim(tx, c, t, w, is_fresh=is_fresh)
    else:
        tx.set_worker(w, Worker(Phase.JUDGED, c, t))


def _claim(tx: Transaction, c: int, t: int, w: int, *, is_fresh: bool = True) -> None:
    call, own = tx.calls[c], tx.rules.own_attempt(tx.calls[c], t)
    if not is_fresh:
        tx.broken.append((Invariant.I9, "a message of an older dispatch was claimed"))
    if tx.suppressed or tx.paused or call.stop_acknowledged or call.is_expired:
        tx.broken.append((Invariant.I10, "claimed after an acknowledged stop, a pause or the expiry"))
    if any(later.kind is TaskKind.CALLBACK and later.status is TaskStatus.PENDING for later in call.tasks[t + 1 :]):
        tx.broken.append((Invariant.I17, "a task was claimed that an acknowledged callback had replaced"))
    if own is None and any(attempt.is_unclear for attempt in call.attempts):
        tx.broken.append((Invariant.I5, "another key for what may have rung"))
    claiming.write_claim(tx, c, t, w)


def _work(offer: Offer, w: int, worker: Worker) -> None:
    match worker.phase:
        case Phase.JUDGED:
            _claim(offer.system("write claim", w), worker.call, worker.attempt, w)
        case Phase.CLAIMED | Phase.LATE:
            _look_at_lease(offer, w, worker)
        case Phase.CHECKED:
            _send(offer.system("send", w), w, worker)
            if tx := offer.fault("not sent", w):
                tx.set_worker(w, worker._replace(phase=Phase.ANSWERED, answer=K.NOT_SENT))
        case Phase.ANSWERED:
            tx = offer.system("record", w, worker.answer)
            tx.set_worker(w, IDLE)
            if worker.attempt < len(tx.calls[worker.call].attempts):
                assert worker.answer is not None, "it was answered"
                claiming.record(tx, worker, worker.answer)
    if tx := offer.fault("crash", w):
        tx.set_worker(w, IDLE)
        if worker.phase is Phase.SENT:
            attempt = tx.attempt(worker.call, worker.attempt)
            tx.change(worker.call, worker.attempt, adrift=attempt.adrift + 1, is_unclear=not attempt.is_bound)
        if worker.phase is Phase.ANSWERED and worker.answer is K.PLACED:
            attempt = tx.attempt(worker.call, worker.attempt)
            tx.change(worker.call, worker.attempt, is_unclear=not attempt.is_bound)


def _look_at_lease(offer: Offer, w: int, worker: Worker) -> None:
    tx = offer.system("look at lease", w)
    if offer.rules.may_send(worker):
        tx.set_worker(w, worker._replace(phase=Phase.CHECKED))
    else:
        tx.set_worker(w, worker._replace(phase=Phase.ANSWERED, answer=K.NOT_SENT))
    if worker.phase is Phase.CLAIMED and (stopped := offer.fault("sleep", w)):
        stopped.set_worker(w, worker._replace(phase=Phase.LATE))


def _send(tx: Transaction, w: int, worker: Worker) -> None:
    if worker.attempt >= len(tx.calls[worker.call].attempts):
        tx.broken.append((Invariant.I4, "sent without a committed row"))
    tx.set_worker(w, worker._replace(phase=Phase.SENT))
