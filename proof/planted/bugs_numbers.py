"""Bugs of phone numbers: two spellings become two people, or a number is dialed that must not be."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from proof.planted.bug import Right, planted
from ringback.domain.eligibility import Candidate, EligibilityDecision
from ringback.domain.phone_number import NumberType

_PLAN = "adapters/test_number_plan.py::"


@planted(
    "ringback.domain.eligibility:deny",
    "",
    "flows/call_processing/test_claim.py::test_a_kind_of_number_that_is_not_allowed_is_not_dialed",
)
def eligibility_reads_the_country_alone(right: Right, asked: Candidate, *rest: Any) -> EligibilityDecision | None:
    """The kind was checked when the call was accepted."""
    return right(replace(asked, number_type=None), *rest)


@planted(
    "ringback.adapters.number_plan:_PREMIUM_EXCHANGE",
    "",
    f"{_PLAN}test_a_number_that_costs_or_belongs_to_no_line_has_a_kind",
)
def a_976_exchange_is_like_any_other(_: str) -> str:
    """The library knows which numbers are premium."""
    return ""


@planted(
    "ringback.adapters.number_plan:_SERVICE_CODES",
    "",
    f"{_PLAN}test_a_number_that_costs_or_belongs_to_no_line_has_a_kind",
)
def a_fictional_toll_free_number_is_a_line(right: Mapping[NumberType, str]) -> Mapping[NumberType, str]:
    """The library knows which numbers are toll-free."""
    return {kind: codes for kind, codes in right.items() if kind is not NumberType.TOLL_FREE}
