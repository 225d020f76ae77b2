"""Everything but the outside world is killed with calls in flight; and the oracle notices what could go wrong."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from proof.findings import Size
from proof.invariants import Invariant
from proof.kill import run
from proof.kill.aftermath import Aftermath, engage_knows_all
from proof.kill.fates import MIX, draw_calls
from proof.kill.oracle import judge, repeats

SEED = 20261122
FATES = {fate.scenario: fate for fate in MIX}


def test_everything_in_flight_settles_after_kill_nine_of_everything() -> None:
    found = run(Size.SMALL, SEED, print)
    assert found.violations == []
    assert found.cases[Invariant.I20] >= 100
    [told] = found.counts.values()
    assert isinstance(told, dict)
    assert told["in_flight"] >= 100
    assert told["killed_at"]["dialing"] >= 1
    assert told["killed_at"]["queued"] >= 1


def test_a_seed_draws_the_same_calls_again_and_each_to_another_person() -> None:
    calls = draw_calls(300, SEED)
    assert calls == draw_calls(300, SEED)
    assert len({body["contact"]["phone"] for body, _ in calls}) == 300
    assert {fate.scenario for _, fate in calls} == set(FATES)


def settled(call_id: str, scenario: str) -> dict[str, list[dict[str, Any]]]:
    """What is seen of one call that went as its scenario says."""
    fate = FATES[scenario]
    attempts = [f"{call_id}-{number}" for number in range(fate.rings)]
    marks = [{"ringback_call_id": call_id, "ringback_attempt_id": attempt} for attempt in attempts]
    last = len(fate.events)
    return {
        "rings": [{"provider_call_id": f"rang-{mark['ringback_attempt_id']}", "metadata": mark} for mark in marks],
        "deliveries": [
            {
                "id": f"{call_id}:{number}",
                "signature_ok": True,
                "event": {
                    "id": f"{call_id}:{number}",
                    "subject": call_id,
                    "type": f"voice_ai_call_{event}",
                    "data": {"sequence": number, "is_final": number == last},
                },
            }
            for number, event in enumerate(fate.events, 1)
        ],
        "calls": [{"call_id": call_id, "status": fate.status, "final": True}],
        "attempts": [
            {
                "attempt_id": attempt,
                "call_id": call_id,
                "state": "analyzed",
                "provider_call_id": f"rang-{attempt}",
                "holds_person": False,
                "holds_slot": False,
                "lease_is_over": False,
            }
            for attempt in attempts
        ],
    }


def all_settled() -> Aftermath:
    accepted = {f"call-{scenario}": fate for scenario, fate in FATES.items()}
    seen = [settled(call_id, fate.scenario) for call_id, fate in accepted.items()]
    parts = {part: [row for one in seen for row in one[part]] for part in ("rings", "deliveries", "calls", "attempts")}
    return Aftermath(accepted=accepted, dead_letters=0, **parts)


def test_what_went_as_accepted_breaks_nothing() -> None:
    seen = all_settled()
    assert judge(seen) == []
    assert repeats(seen) == 0
    assert engage_knows_all(seen.deliveries, seen.accepted)


def test_a_repeat_at_once_is_counted_and_breaks_nothing() -> None:
    seen = all_settled()
    seen.deliveries.insert(1, deepcopy(seen.deliveries[0]))
    assert judge(seen) == []
    assert repeats(seen) == 1


def _ring_again(seen: Any) -> None:
    seen.rings.append(seen.rings[0] | {"provider_call_id": "rang-again"})


def _ring_by_another_attempt(seen: Any) -> None:
    marks = seen.rings[0]["metadata"] | {"ringback_attempt_id": "another"}
    seen.rings.append({"provider_call_id": "rang-another", "metadata": marks})


def _never_ring(seen: Any) -> None:
    del seen.rings[0]


def _lose_the_call(seen: Any) -> None:
    del seen.calls[0]


def _end_otherwise(seen: Any) -> None:
    seen.calls[0]["status"] = "abandoned"


def _lose_an_event(seen: Any) -> None:
    del seen.deliveries[1]


def _lose_the_last_event(seen: Any) -> None:
    del seen.deliveries[2]


def _tell_a_fact_under_two_ids(seen: Any) -> None:
    again = deepcopy(seen.deliveries[1])
    again["id"] = again["event"]["id"] = "another-id"
    seen.deliveries.insert(2, again)


def _tell_it_otherwise(seen: Any) -> None:
    again = deepcopy(seen.deliveries[1])
    again["event"]["data"]["note"] = "not said before"
    seen.deliveries.insert(2, again)


def _swap_two_events(seen: Any) -> None:
    seen.deliveries[0], seen.deliveries[1] = seen.deliveries[1], seen.deliveries[0]


def _repeat_the_first_at_the_end(seen: Any) -> None:
    seen.deliveries.append(deepcopy(seen.deliveries[0]))


def _stay_dialing(seen: Any) -> None:
    seen.attempts[0] |= {"state": "dialing", "lease_is_over": True}


def _stay_unknown(seen: Any) -> None:
    seen.attempts[0]["state"] = "unknown"


def _hold_the_person(seen: Any) -> None:
    seen.attempts[0]["holds_person"] = True


def _bind_to_another_call(seen: Any) -> None:
    seen.attempts[0]["provider_call_id"] = "rang-elsewhere"


@pytest.mark.parametrize(
    ("harm", "invariant"),
    [
        (_ring_again, Invariant.I2),
        (_ring_by_another_attempt, Invariant.I2),
        (_never_ring, Invariant.I1),
        (_lose_the_call, Invariant.I1),
        (_end_otherwise, Invariant.I1),
        (_lose_an_event, Invariant.I14),
        (_lose_the_last_event, Invariant.I1),
        (_tell_a_fact_under_two_ids, Invariant.I14),
        (_tell_it_otherwise, Invariant.I14),
        (_swap_two_events, Invariant.I14),
        (_repeat_the_first_at_the_end, Invariant.I14),
        (_stay_dialing, Invariant.I20),
        (_stay_unknown, Invariant.I20),
        (_hold_the_person, Invariant.I20),
        (_bind_to_another_call, Invariant.I20),
    ],
)
def test_the_oracle_notices(harm: Callable[[Aftermath], None], invariant: Invariant) -> None:
    seen = all_settled()
    harm(seen)
    assert invariant in {broken for broken, _ in judge(seen)}
