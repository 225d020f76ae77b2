"""Bugs of the border between the emulator and the real Retell."""

from datetime import datetime

from proof.invariants import Invariant
from proof.planted.bug import Right, edited, planted
from ringback.domain.eligibility import CapacityFacts, EligibilityDecision
from ringback.flows.border import IdentifiedProvider

I23 = Invariant.I23

ACROSS = "ringback.domain.eligibility:defer_across_border"
COMPARING = "ringback.flows.border:Border.compare"

_CLAIM = "flows/call_processing/test_border.py::"
_START = "flows/test_border.py::"
_SIDE = "adapters/retell/test_account.py::"


@planted(
    ACROSS,
    aims=(I23,),
    why="The start has compared both sides already.",
    tests=(f"{_CLAIM}test_a_claim_across_the_border_dials_no_phone_and_the_call_waits",),
)
def the_claim_trusts_the_start(
    right: Right, capacity: CapacityFacts, provider_is_emulated: bool | None, now: datetime
) -> EligibilityDecision | None:
    return right(capacity, None, now) if provider_is_emulated is None else None


@planted(
    ACROSS,
    aims=(I23,),
    why="Without a mark there is nothing to differ from.",
    tests=(f"{_CLAIM}test_a_claim_across_the_border_dials_no_phone_and_the_call_waits",),
)
def an_unmarked_installation_may_dial(
    right: Right, capacity: CapacityFacts, provider_is_emulated: bool | None, now: datetime
) -> EligibilityDecision | None:
    return None if capacity.emulated is None else right(capacity, provider_is_emulated, now)


@planted(
    ACROSS,
    aims=(I23,),
    why="Only the emulator says what it is.",
    tests=(f"{_CLAIM}test_a_claim_across_the_border_dials_no_phone_and_the_call_waits",),
)
def a_provider_that_is_silent_counts_as_real(
    right: Right, capacity: CapacityFacts, provider_is_emulated: bool | None, now: datetime
) -> EligibilityDecision | None:
    return right(capacity, bool(provider_is_emulated), now)


look_ups_cross_the_border = edited(
    "ringback.flows.reconciliation:Reconciliation.reconcile_due_attempts",
    old="await check_border(self.store, self.provider)",
    new="",
    aims=(I23,),
    why="A look-up dials no phone.",
    tests=(
        f"{_CLAIM}test_an_unclear_attempt_is_not_looked_up_on_the_other_side",
        f"{_CLAIM}test_a_silent_call_is_not_asked_for_on_the_other_side",
    ),
)


@planted(
    "ringback.flows.border:stop_call_here",
    aims=(I23,),
    why="Stopping is always safe.",
    tests=(f"{_CLAIM}test_a_call_is_not_stopped_on_the_other_side_and_the_row_stays_due",),
)
async def stops_cross_the_border(
    _: Right, installation: object, provider: IdentifiedProvider, provider_call_id: str
) -> None:
    await provider.stop_call(provider_call_id)


the_last_start_decides = edited(
    "ringback.adapters.postgres.installation:_MARK",
    old="WHERE emulated IS NULL",
    new="WHERE emulated IS DISTINCT FROM $1",
    aims=(I23,),
    why="It knows the settings best.",
    tests=(f"{_START}test_a_mark_is_written_once",),
)

only_real_starts_are_compared = edited(
    COMPARING,
    old="mark is not None and mark is not emulated",
    new="mark and not emulated",
    aims=(I23,),
    why="The emulator rings no phone.",
    tests=(f"{_START}test_a_database_that_was_used_before_is_of_the_side_that_its_calls_show",),
)

what_was_placed_before_the_mark_is_forgotten = edited(
    COMPARING,
    old="mark = await self.installation.evidence()",
    new="mark = self.before",
    aims=(I23,),
    why="The data directory remembers it.",
    tests=(f"{_START}test_a_database_that_was_used_before_is_of_the_side_that_its_calls_show",),
)


@planted(
    "ringback.adapters.retell.account:_is_emulator",
    aims=(I23,),
    why="An operator who sets RETELL_BASE_URL means Retell.",
    tests=(f"{_SIDE}test_the_emulator_says_so_of_itself",),
)
def an_address_that_is_set_is_real(_: Right, body: bytes) -> bool:
    return False


a_gateway_without_an_answer_is_real = edited(
    "ringback.adapters.retell.account:leads_to_emulator",
    old="if answer.status >= 500: return None",
    new="",
    aims=(I23,),
    why="It is not the emulator that says so.",
    tests=(f"{_SIDE}test_only_the_emulators_own_health_identifies_it",),
)
