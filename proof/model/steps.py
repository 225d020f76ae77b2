"""Everything that may happen next in a situation.

What the model supposes of time, and nowhere else: before the grace of an attempt is over, each of its requests has
reached the provider or never will, its call is in the provider's list, and a process that was frozen just before its
first byte is awake again; the last two of these also come before the provider forgets the key.
"""

from proof.model import person, provider, watch, work
from proof.model.offer import Offer, Step
from proof.model.rules import Rules
from proof.model.state import Bounds, Situation


def steps(situation: Situation, bounds: Bounds, rules: Rules) -> list[Step]:
    offer = Offer(situation, bounds, rules)
    work.offer_steps(offer)
    provider.offer_steps(offer)
    watch.offer_steps(offer)
    person.offer_steps(offer)
    return offer.steps
