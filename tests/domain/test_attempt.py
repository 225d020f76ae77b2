"""The sets of states are those of the reliability rules, and each differs from the others."""

from ringback.domain.attempt import (
    AWAITING_VERDICT,
    NEVER_RANG,
    PLACED_OR_LATER,
    POSSIBLY_RINGING,
    SHOWN_AS_STATUS,
    TRANSITIONS,
    USES_SLOT,
    AttemptState,
)


def test_a_slot_is_used_while_the_provider_may_be_ringing_or_talking():
    assert {"dialing", "placed", "ongoing"} == USES_SLOT


def test_an_unknown_attempt_is_possibly_ringing_too():
    assert {"dialing", "unknown", "placed", "ongoing"} == POSSIBLY_RINGING


def test_the_status_shows_an_attempt_until_its_analysis():
    assert {"dialing", "unknown", "placed", "ongoing", "ended"} == SHOWN_AS_STATUS


def test_a_verdict_is_awaited_until_it_has_been_emitted():
    assert {"dialing", "unknown", "placed", "ongoing", "ended", "analyzed"} == AWAITING_VERDICT


def test_the_provider_knows_a_placed_call_and_every_later_one():
    assert {"placed", "ongoing", "ended", "analyzed"} == PLACED_OR_LATER


def test_what_never_rang_was_not_sent_or_was_rejected():
    assert {"waiting", "rejected"} == NEVER_RANG


def test_every_state_but_abandoned_awaits_a_verdict_or_never_rang():
    assert set(AttemptState) - AWAITING_VERDICT - NEVER_RANG == {AttemptState.ABANDONED}
    assert AWAITING_VERDICT.isdisjoint(NEVER_RANG)


def test_evidence_leads_from_every_state_to_every_further_one():
    order = [AttemptState.PLACED, AttemptState.ONGOING, AttemptState.ENDED, AttemptState.ANALYZED]
    for state, targets in TRANSITIONS.items():
        further = order[order.index(state) + 1 :] if state in order else order
        assert targets & set(order) == set(further), state
