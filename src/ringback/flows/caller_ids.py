"""Read the numbers that carriers, agents and the provider tell, in whatever form they have."""

from ringback.flows.call_outcome import OutcomeRules


def caller_number(text: str | None, called: str | None, rules: OutcomeRules) -> str | None:
    """The canonical number of a caller id; None for callers who withhold theirs and for what is no number.

    A national number is read in the country of our own number that was called.
    """
    own = own_number(called, rules)
    country = rules.numbers.region(own) if own is not None else None
    return rules.numbers.read(text or "", country or rules.policy.only_country)


def own_number(called: str | None, rules: OutcomeRules) -> str | None:
    """The canonical form of the number that was called; None if it is no number."""
    return rules.numbers.read(called or "", rules.policy.only_country)
