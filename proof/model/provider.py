"""The steps of the network and the provider: requests that ring, answers that get lost, webhooks in any order."""

from proof.invariants import Invariant
from proof.model import flows
from proof.model.facts import Word
from proof.model.offer import Offer
from proof.model.state import Age, Attempt, End, Facts, Hook, Phase, Ring, Stage, Worker
from proof.model.transaction import Transaction
from ringback.domain.attempt import AttemptState, DialAnswerKind

K = DialAnswerKind

_ON_THE_WAY = (Phase.CHECKED, Phase.SENT)


def offer_steps(offer: Offer) -> None:
    seen: set[Worker] = set()
    for w, worker in enumerate(offer.situation.workers):
        if worker.phase is Phase.SENT and worker not in seen:
            seen.add(worker)
            _request(offer, w, worker)
    for c, call in enumerate(offer.situation.calls):
        for a, attempt in enumerate(call.attempts):
            _adrift(offer, c, a, attempt)
            if attempt.ring is not None:
                _progress(offer, (c, a), attempt.ring)
                if not attempt.is_bound and attempt.ring.is_live and (tx := offer.fault("other webhook", c, a)):
                    flows.hear(tx, c, a, Word.OTHER)
                _webhooks(offer, (c, a), attempt.ring)


def _request(offer: Offer, w: int, worker: Worker) -> None:
    c, a = worker.call, worker.attempt

    def answer(tx: Transaction, kind: DialAnswerKind) -> None:
        tx.set_worker(w, worker._replace(phase=Phase.ANSWERED, answer=kind))
        if kind is K.AMBIGUOUS:
            tx.change(c, a, is_unclear=not tx.attempt(c, a).is_bound)

    rings = offer.system("rings", w)
    ring(rings, c, a)
    answer(rings, K.PLACED)
    if tx := offer.fault("rings, answer lost", w):
        ring(tx, c, a)
        answer(tx, K.AMBIGUOUS)
    if tx := offer.fault("request lost", w):
        answer(tx, K.AMBIGUOUS)
    if tx := offer.fault("request late", w):
        answer(tx, K.AMBIGUOUS)
        tx.change(c, a, adrift=tx.attempt(c, a).adrift + 1)
    for kind in (K.REJECTED, K.DEFERRED):
        if tx := offer.fault(f"answers {kind}", w):
            answer(tx, kind)
        if offer.bounds.provider_lies and (tx := offer.fault(f"rings, answers {kind}", w)):
            ring(tx, c, a, is_refused=True)
            answer(tx, kind)


def ring(tx: Transaction, c: int, a: int, *, is_refused: bool = False) -> None:
    """A request arrives; a key that is known gives the same call again."""
    attempt = tx.attempt(c, a)
    if attempt.ring is None:
        tx.change(c, a, ring=Ring(is_refused=is_refused))
    elif not tx.bounds.has_keys or attempt.age is Age.KEY_FORGOTTEN:
        tx.broken.append((Invariant.I2, "a second ring of one attempt"))


def _adrift(offer: Offer, c: int, a: int, attempt: Attempt) -> None:
    if not attempt.adrift:
        return
    tx = offer.system("late request rings", c, a)
    tx.change(c, a, adrift=attempt.adrift - 1)
    ring(tx, c, a)
    offer.system("late request lost", c, a).change(c, a, adrift=attempt.adrift - 1)


def _progress(offer: Offer, at: tuple[int, int], ring_: Ring) -> None:
    def become(tx: Transaction, hook: Hook, **fields: object) -> None:
        hooks = ring_.hooks if ring_.is_mute else ring_.hooks | hook
        tx.change(*at, ring=ring_._replace(hooks=hooks, **fields))  # type: ignore[arg-type]

    match ring_.stage:
        case Stage.RINGING:
            if offer.bounds.talks:
                become(offer.system("picked up", *at), Hook.STARTED, stage=Stage.TALKING)
            become(offer.system("no answer", *at), Hook.ENDED, stage=Stage.OVER, end=End.NO_ANSWER)
            if not ring_.is_mute and (tx := offer.fault("webhooks lost", *at)):
                tx.change(*at, ring=ring_._replace(is_mute=True))
        case Stage.TALKING:
            become(offer.system("hangs up", *at), Hook.ENDED, stage=Stage.OVER, end=End.TALKED)
            if offer.bounds.voicemails:
                become(offer.system("voicemail", *at), Hook.ENDED, stage=Stage.OVER, end=End.VOICEMAIL)
            if tx := offer.wish("opt_out", *at):
                become(tx, Hook.ENDED, stage=Stage.OVER, end=End.OPTED_OUT)
            if tx := offer.wish("reschedule", "tool", *at):
                flows.hear(tx, *at, Word.TOOL)
                flows.reschedule(tx, at[0], at[1])
        case Stage.OVER:
            become(offer.system("analyzed", *at), Hook.ANALYZED, stage=Stage.ANALYZED)


def _webhooks(offer: Offer, at: tuple[int, int], ring_: Ring) -> None:
    for hook in Hook:
        if not ring_.hooks & hook:
            continue
        gone = ring_._replace(hooks=ring_.hooks & ~hook, again=ring_.again & ~hook)
        is_repeat = bool(ring_.again & hook)
        _hear(offer.system("webhook", *at, hook), at, gone, None if is_repeat else hook)
        if not is_repeat and (tx := offer.fault("webhook twice", *at, hook)):
            _hear(tx, at, ring_._replace(again=ring_.again | hook), hook)
        if tx := offer.fault("webhook lost", *at, hook):
            tx.change(*at, ring=gone)


def _hear(tx: Transaction, at: tuple[int, int], left: Ring, hook: Hook | None) -> None:
    """A repeat is written down once and changes nothing."""
    c, a = at
    tx.change(c, a, ring=left)
    if hook is None:
        return
    before = len(tx.calls[c].attempts)
    if tx.rules.binds_by_attempt_id or tx.attempt(c, a).is_bound:
        flows.hear(tx, c, a, hook)
    else:
        task = tx.attempt(c, a).task
        twin = Attempt(Facts(AttemptState.PLACED), task, is_bound=True)
        tx.alter(c, attempts=(*tx.calls[c].attempts, twin))
    if len(tx.calls[c].attempts) != before or not tx.attempt(c, a).is_bound:
        tx.broken.append((Invariant.I7, "a webhook before the answer did not find its attempt"))


def is_on_the_way(offer: Offer, c: int, a: int) -> bool:
    """Whether a request of the attempt may still reach the provider."""
    return offer.situation.calls[c].attempts[a].adrift > 0 or any(
        worker.phase in _ON_THE_WAY and (worker.call, worker.attempt) == (c, a) for worker in offer.situation.workers
    )
