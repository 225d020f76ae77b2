"""The steps of people: what is asked for through the API, by an operator, and by the clock on a call's own terms."""

from proof.model import flows
from proof.model.offer import Offer
from proof.model.state import Call
from ringback.domain.abt_event import FailReason


def offer_steps(offer: Offer) -> None:
    situation = offer.situation
    if not situation.suppressed and (tx := offer.wish("suppress")):
        flows.suppress(tx)
    if situation.paused:
        offer.system("resume").paused = False
    elif tx := offer.wish("pause"):
        tx.paused = True
    for c, call in enumerate(situation.calls):
        if not call.final:
            _of_call(offer, c, call)


def _of_call(offer: Offer, c: int, call: Call) -> None:
    if tx := offer.wish("cancel", c):
        flows.stop_call(tx, c, FailReason.CANCELLED)
        tx.alter(c, stop_acknowledged=True)
    if (tx := offer.wish("delete", c)) and flows.delete(tx, c):
        tx.alter(c, stop_acknowledged=True)
    if tx := offer.wish("reschedule", "api", c):
        flows.reschedule(tx, c, None)
    if not call.is_expired and (tx := offer.wish("expire", c)):
        tx.alter(c, is_expired=True)
    latest = call.attempts[-1] if call.attempts else None
    if call.is_expired and not offer.rules.awaits_verdict(latest):
        flows.stop_call(offer.system("end expired", c), c, FailReason.EXPIRED)
