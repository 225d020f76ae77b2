"""Read phone numbers of carriers, agents and the provider in any form."""

from ringback.flows.call_outcome import OutcomeRules


def caller_number(text: str | None, called: str | None, rules: OutcomeRules) -> str | None:
    """The canonical number of a caller id. None if it is withheld or no number.

    A national number is read in the country of the called number.
    """
    own = own_number(called, rules)
    country = rules.numbers.region(own) if own is not None else None
    return rules.numbers.read(text or "", country or rules.policy.only_country)


def own_number(called: str | None, rules: OutcomeRules) -> str | None:
    """The canonical form of the called number. None if it is no number."""
    return rules.numbers.read(called or "", rules.policy.only_country)
