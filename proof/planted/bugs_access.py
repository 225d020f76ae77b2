"""Bugs of the border between the emulator and the real Retell."""

from datetime import datetime
from typing import Any

from proof.planted.bug import Right, planted
from ringback.domain.eligibility import CapacityFacts, EligibilityDecision
from ringback.flows.border import IdentifiedProvider

ACROSS = "ringback.domain.eligibility:defer_across_border"

_CLAIM = "flows/call_processing/test_border.py::"
_SIDE = "adapters/retell/test_account.py::"


@planted(ACROSS, "I23", f"{_CLAIM}test_a_claim_across_the_border_dials_no_phone_and_the_call_waits")
def the_claim_trusts_the_start(
    right: Right, capacity: CapacityFacts, provider_is_emulated: bool | None, now: datetime
) -> EligibilityDecision | None:
    """The start has compared both sides already."""
    return right(capacity, None, now) if provider_is_emulated is None else None


@planted(ACROSS, "I23", f"{_CLAIM}test_a_claim_across_the_border_dials_no_phone_and_the_call_waits")
def an_unmarked_installation_may_dial(right: Right, capacity: CapacityFacts, *rest: Any) -> EligibilityDecision | None:
    """Without a mark there is nothing to differ from."""
    return None if capacity.emulated is None else right(capacity, *rest)


@planted(ACROSS, "I23", f"{_CLAIM}test_a_claim_across_the_border_dials_no_phone_and_the_call_waits")
def a_provider_that_is_silent_counts_as_real(
    right: Right, capacity: CapacityFacts, provider_is_emulated: bool | None, now: datetime
) -> EligibilityDecision | None:
    """Only the emulator says what it is."""
    return right(capacity, bool(provider_is_emulated), now)


@planted(
    "ringback.flows.border:stop_call_here",
    "I23",
    f"{_CLAIM}test_a_call_is_not_stopped_on_the_other_side_and_the_row_stays_due",
)
async def stops_cross_the_border(
    _: Right, installation: object, provider: IdentifiedProvider, provider_call_id: str
) -> None:
    """Stopping is always safe."""
    await provider.stop_call(provider_call_id)


@planted("ringback.adapters.retell.account:_is_emulator", "I23", f"{_SIDE}test_the_emulator_says_so_of_itself")
def an_address_that_is_set_is_real(_: Right, body: bytes) -> bool:
    """An operator who sets RETELL_BASE_URL means Retell."""
    return False
