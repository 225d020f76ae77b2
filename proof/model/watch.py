"""The steps of the reconciliation: leases that are over, look-ups of unclear attempts, polls of silent ones."""

from proof.model import flows
from proof.model.claiming import become_unknown
from proof.model.facts import Word
from proof.model.offer import Offer
from proof.model.provider import is_on_the_way
from proof.model.state import Age, Attempt, Check, End, Phase, Stage
from ringback.domain.attempt import PLACED_OR_LATER, AttemptState

S = AttemptState


def offer_steps(offer: Offer) -> None:
    for c, call in enumerate(offer.situation.calls):
        for a, attempt in enumerate(call.attempts):
            if attempt.state is S.DIALING and offer.rules.watches_leases:
                _lease_over(offer, c, a)
            elif attempt.state is S.UNKNOWN:
                _look_up(offer, c, a, attempt)
            elif attempt.state in PLACED_OR_LATER and attempt.digest is None and offer.rules.polls:
                _ask(offer, c, a, attempt)
            if offer.bounds.resends and attempt.state in (S.UNKNOWN, S.DIALING):
                _age(offer, c, a, attempt)
    check = offer.situation.check
    if check is not None:
        tx = offer.system("count look-up", check.call, check.attempt)
        tx.check = None
        if offer.rules.may_count(check, tx.attempt(check.call, check.attempt)):
            flows.count_lookup(tx, check.call, check.attempt, is_clean=True)


def _lease_over(offer: Offer, c: int, a: int) -> None:
    """Of a worker that lives, only if it was stopped for so long."""
    holders = [
        w
        for w, worker in enumerate(offer.situation.workers)
        if worker.phase is not Phase.IDLE and (worker.call, worker.attempt) == (c, a) and worker.is_current
    ]
    if tx := offer.either("lease over", c, a, is_fault=bool(holders)):
        for w in holders:
            if tx.workers[w].phase is Phase.CLAIMED:
                tx.set_worker(w, tx.workers[w]._replace(phase=Phase.LATE))
        become_unknown(tx, c, a)


def _look_up(offer: Offer, c: int, a: int, attempt: Attempt) -> None:
    if attempt.ring is not None:
        flows.hear(offer.system("found", c, a), c, a, Word.POLL)
    # The one that ends the grace is believed, so it may not be wrong; the ones before it may come too early.
    is_last = attempt.lookups + 1 >= offer.bounds.lookups
    is_final = attempt.ring is None and not is_on_the_way(offer, c, a)
    if offer.situation.check is None and (is_final or not is_last):
        offer.system("not found", c, a).check = Check(c, a)
    if tx := offer.fault("look-up fails", c, a):
        flows.count_lookup(tx, c, a, is_clean=False)
    is_over = attempt.ring is None or attempt.ring.stage >= Stage.OVER
    if is_over and not is_on_the_way(offer, c, a) and (tx := offer.fault("look-ups impossible", c, a)):
        flows.count_lookup(tx, c, a, is_clean=False)
        flows.abandon(tx, c, a, is_surfaced_blindly=True)


def _ask(offer: Offer, c: int, a: int, attempt: Attempt) -> None:
    ring = attempt.ring
    assert ring is not None, "a placed attempt has rung"
    flows.hear(offer.system("poll", c, a), c, a, Word.POLL)
    if ring.stage >= Stage.OVER and (tx := offer.fault("polls impossible", c, a)):
        flows.lose(tx, c, a)
    if ring.stage is not Stage.OVER or ring.end is End.NO_ANSWER:
        return
    if attempt.holds_person:
        flows.hear(offer.system("poll late", c, a), c, a, Word.POLL_LATE)
    if tx := offer.fault("poll gives up", c, a):
        flows.hear(tx, c, a, Word.POLL_GIVEN_UP)


def _age(offer: Offer, c: int, a: int, attempt: Attempt) -> None:
    if attempt.age is Age.FRESH:
        tx = offer.system("window over", c, a)
        tx.change(c, a, age=Age.WINDOW_OVER)
        for w, worker in enumerate(tx.workers):
            is_its = (worker.call, worker.attempt, worker.is_resend) == (c, a, True)
            if is_its and worker.phase is Phase.CLAIMED:
                # Its request would have to leave before the end of the window.
                tx.set_worker(w, worker._replace(phase=Phase.LATE))
    elif attempt.age is Age.WINDOW_OVER and offer.bounds.has_keys and not is_on_the_way(offer, c, a):
        offer.system("key forgotten", c, a).change(c, a, age=Age.KEY_FORGOTTEN)
