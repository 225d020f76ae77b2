"""Bugs of the border between the emulator and the real Retell."""

from proof.invariants import Invariant
from proof.planted.bug import TextPatch

I23 = Invariant.I23

BORDER = "flows/border.py"
SIDE = "adapters/retell/account.py"
INSTALLATION = "adapters/postgres/installation.py"

_CLAIM = "flows/dialing/test_border.py::"
_START = "flows/test_border.py::"
_SIDE = "adapters/retell/test_account.py::"

BUGS = (
    TextPatch(
        name="the_claim_trusts_the_start",
        aims=(I23,),
        file="flows/call_processing.py",
        old="        crosses = defer_across_border(capacity, emulated, now)\n",
        new="        crosses = defer_across_border(capacity, emulated, now) if emulated is None else None\n",
        why="The start has compared both sides already.",
        tests=(f"{_CLAIM}test_a_claim_across_the_border_dials_nobody_and_the_call_waits",),
    ),
    TextPatch(
        name="an_unmarked_installation_may_dial",
        aims=(I23,),
        file="domain/eligibility.py",
        old="    if capacity.emulated is None or provider_is_emulated is not capacity.emulated:\n",
        new="    if capacity.emulated is not None and provider_is_emulated is not capacity.emulated:\n",
        why="Without a mark there is nothing to differ from.",
        tests=(f"{_CLAIM}test_a_claim_across_the_border_dials_nobody_and_the_call_waits",),
    ),
    TextPatch(
        name="a_provider_that_is_silent_counts_as_real",
        aims=(I23,),
        file="domain/eligibility.py",
        old="    if capacity.emulated is None or provider_is_emulated is not capacity.emulated:\n",
        new="    if capacity.emulated is None or bool(provider_is_emulated) is not capacity.emulated:\n",
        why="Only the emulator says what it is.",
        tests=(f"{_CLAIM}test_a_claim_across_the_border_dials_nobody_and_the_call_waits",),
    ),
    TextPatch(
        name="look_ups_cross_the_border",
        aims=(I23,),
        file="flows/reconciliation.py",
        old="        await check_border(self.store, self.provider)\n",
        new="",
        why="A look-up dials nobody.",
        tests=(
            f"{_CLAIM}test_an_unclear_attempt_is_not_looked_up_on_the_other_side",
            f"{_CLAIM}test_a_silent_call_is_not_asked_for_on_the_other_side",
        ),
    ),
    TextPatch(
        name="stops_cross_the_border",
        aims=(I23,),
        file=BORDER,
        old="    await check_border(installation, provider)\n    await provider.stop_call(",
        new="    await provider.stop_call(",
        why="Stopping is always safe.",
        tests=(f"{_CLAIM}test_a_call_is_not_stopped_on_the_other_side_and_the_row_stays_due",),
    ),
    TextPatch(
        name="the_last_start_decides",
        aims=(I23,),
        file=INSTALLATION,
        old="SET emulated = $1 WHERE emulated IS NULL",
        new="SET emulated = $1 WHERE emulated IS DISTINCT FROM $1",
        why="It knows the settings best.",
        tests=(f"{_START}test_a_mark_is_written_once",),
    ),
    TextPatch(
        name="only_real_starts_are_compared",
        aims=(I23,),
        file=BORDER,
        old="        if mark is not None and mark is not emulated:\n",
        new="        if mark and not emulated:\n",
        why="The emulator calls nobody.",
        tests=(f"{_START}test_a_database_that_was_used_before_is_of_the_side_that_its_calls_show",),
    ),
    TextPatch(
        name="what_was_placed_before_the_mark_is_forgotten",
        aims=(I23,),
        file=BORDER,
        old="            mark = await self.installation.evidence()\n",
        new="            mark = self.before\n",
        why="The data directory remembers it.",
        tests=(f"{_START}test_a_database_that_was_used_before_is_of_the_side_that_its_calls_show",),
    ),
    TextPatch(
        name="an_address_that_is_set_is_real",
        aims=(I23,),
        file=SIDE,
        old='    return isinstance(health, dict) and health.get("emulator") == "retell"\n',
        new="    return False\n",
        why="Whoever sets RETELL_BASE_URL means Retell.",
        tests=(f"{_SIDE}test_the_emulator_says_so_of_itself",),
    ),
    TextPatch(
        name="a_gateway_without_an_answer_is_real",
        aims=(I23,),
        file=SIDE,
        old="                if answer.status >= 500:\n                    return None\n",
        new="",
        why="It is not the emulator that says so.",
        tests=(f"{_SIDE}test_only_the_emulators_own_health_identifies_it",),
    ),
)
