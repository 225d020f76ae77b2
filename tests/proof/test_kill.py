"""Everything but the emulators is killed with calls in flight; and the oracle notices what could go wrong."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from proof.findings import Size
from proof.harness.oracle import Expected, Observed
from proof.invariants import Invariant
from proof.kill import KillResult, engage_has_all, judge_kill, run
from proof.kill.calls import OUTCOMES, draw_calls

SEED = 20261122


@pytest.mark.matrix
def test_every_call_in_flight_finishes_after_kill_nine_of_all_processes() -> None:
    found = run(Size.SMALL, SEED, print)
    assert found.violations == []
    assert found.cases[Invariant.I20] >= 100
    [told] = found.counts.values()
    assert isinstance(told, dict)
    assert told["in_flight"] >= 100
    assert told["killed_at"]["dialing"] >= 1
    assert told["killed_at"]["queued"] >= 1


def test_a_seed_draws_the_same_calls_again_and_each_to_another_contact() -> None:
    calls = draw_calls(300, SEED)
    assert calls == draw_calls(300, SEED)
    assert len({body["contact"]["phone"] for body, _ in calls}) == 300
    assert {body["metadata"]["emulator_scenario"] for body, _ in calls} == set(OUTCOMES)
    assert all(outcome is OUTCOMES[body["metadata"]["emulator_scenario"]] for body, outcome in calls)


def finished(call_id: str, outcome: Expected) -> dict[str, list[dict[str, Any]]]:
    """Everything that is seen of one call with its outcome."""
    attempts = [f"{call_id}-{number}" for number in range(outcome.rings.start)]
    marks = [{"ringback_call_id": call_id, "ringback_attempt_id": attempt} for attempt in attempts]
    deliveries = []
    for number, name in enumerate(outcome.events, 1):
        kind, _, reason = name.partition(" ")
        attempt = attempts[outcome.events[:number].count("initiated") - 1]
        data = {
            "sequence": number,
            "is_final": number == len(outcome.events),
            "attempt_id": attempt,
            "provider_call_id": f"rang-{attempt}",
            "reason": reason,
        }
        id_ = f"{call_id}:{number}"
        event = {"id": id_, "subject": call_id, "type": f"voice_ai_call_{kind}", "data": data}
        deliveries.append({"id": id_, "signature_ok": True, "event": event})
    return {
        "rings": [{"provider_call_id": f"rang-{mark['ringback_attempt_id']}", "metadata": mark} for mark in marks],
        "deliveries": deliveries,
        "calls": [{"call_id": call_id, "status": min(outcome.statuses), "final": True}],
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


def all_finished(finished_s: float | None = 9.0) -> KillResult:
    outcomes = {f"call-{scenario}": outcome for scenario, outcome in OUTCOMES.items()}
    seen = [finished(call_id, outcome) for call_id, outcome in outcomes.items()]
    parts = {part: [row for one in seen for row in one[part]] for part in ("rings", "deliveries", "calls", "attempts")}
    return KillResult({}, 0, 1.0, finished_s, outcomes, Observed(**parts))


def test_calls_with_their_outcomes_break_nothing() -> None:
    told = all_finished()
    assert judge_kill(told) == []
    assert told.repeats == 0
    assert engage_has_all(told.seen.deliveries, {f"call-{name}": outcome for name, outcome in OUTCOMES.items()})


def test_a_repeat_at_once_is_counted_and_breaks_nothing() -> None:
    told = all_finished()
    told.seen.deliveries.insert(1, deepcopy(told.seen.deliveries[0]))
    assert judge_kill(told) == []
    assert told.repeats == 1


def test_calls_that_stay_open_are_a_violation_however_slow_the_machine_is() -> None:
    assert [problem.invariant for problem in judge_kill(all_finished(finished_s=None))] == [Invariant.I20]
    assert judge_kill(all_finished(finished_s=10_000.0)) == []


def _ring_again(seen: Observed) -> None:
    seen.rings.append(seen.rings[0] | {"provider_call_id": "rang-again"})


def _ring_by_another_attempt(seen: Observed) -> None:
    marks = seen.rings[0]["metadata"] | {"ringback_attempt_id": "another"}
    seen.rings.append({"provider_call_id": "rang-another", "metadata": marks})


def _never_ring(seen: Observed) -> None:
    del seen.rings[0]


def _lose_the_call(seen: Observed) -> None:
    del seen.calls[0]


def _add_a_call(seen: Observed) -> None:
    seen.calls.append({"call_id": "stranger", "status": "completed", "final": True})


def _end_otherwise(seen: Observed) -> None:
    seen.calls[0]["status"] = "abandoned"


def _never_end(seen: Observed) -> None:
    seen.calls[0] |= {"status": "unknown", "final": False}


def _lose_an_event(seen: Observed) -> None:
    del seen.deliveries[1]


def _lose_the_last_event(seen: Observed) -> None:
    del seen.deliveries[2]


def _send_a_fact_under_two_ids(seen: Observed) -> None:
    again = deepcopy(seen.deliveries[1])
    again["id"] = again["event"]["id"] = "another-id"
    seen.deliveries.insert(2, again)


def _send_it_otherwise(seen: Observed) -> None:
    again = deepcopy(seen.deliveries[1])
    again["event"]["data"]["note"] = "not said before"
    seen.deliveries.insert(2, again)


def _send_it_unsigned(seen: Observed) -> None:
    seen.deliveries[0]["signature_ok"] = False


def _send_two_final_events(seen: Observed) -> None:
    seen.deliveries[1]["event"]["data"]["is_final"] = True


def _swap_two_events(seen: Observed) -> None:
    seen.deliveries[0], seen.deliveries[1] = seen.deliveries[1], seen.deliveries[0]


def _repeat_the_first_at_the_end(seen: Observed) -> None:
    seen.deliveries.append(deepcopy(seen.deliveries[0]))


def _announce_another_ring(seen: Observed) -> None:
    seen.deliveries[0]["event"]["data"]["provider_call_id"] = "rang-elsewhere"


def _stay_dialing(seen: Observed) -> None:
    seen.attempts[0] |= {"state": "dialing", "lease_is_over": True}


def _stay_unknown(seen: Observed) -> None:
    seen.attempts[0]["state"] = "unknown"


def _give_up_what_rang(seen: Observed) -> None:
    seen.attempts[0]["state"] = "abandoned"


def _hold_the_contact(seen: Observed) -> None:
    seen.attempts[0]["holds_person"] = True


def _bind_to_another_call(seen: Observed) -> None:
    seen.attempts[0]["provider_call_id"] = "rang-elsewhere"


def _leave_a_dead_letter(seen: Observed) -> None:
    seen.dead_letters = 1


@pytest.mark.parametrize(
    ("harm", "invariant"),
    [
        (_ring_again, Invariant.I2),
        (_ring_by_another_attempt, Invariant.I2),
        (_never_ring, Invariant.I1),
        (_lose_the_call, Invariant.I1),
        (_add_a_call, Invariant.I20),
        (_end_otherwise, Invariant.I1),
        (_never_end, Invariant.I1),
        (_lose_an_event, Invariant.I14),
        (_lose_the_last_event, Invariant.I1),
        (_send_a_fact_under_two_ids, Invariant.I14),
        (_send_it_otherwise, Invariant.I14),
        (_send_it_unsigned, Invariant.I14),
        (_send_two_final_events, Invariant.I14),
        (_swap_two_events, Invariant.I14),
        (_repeat_the_first_at_the_end, Invariant.I14),
        (_announce_another_ring, Invariant.I14),
        (_stay_dialing, Invariant.I20),
        (_stay_unknown, Invariant.I20),
        (_give_up_what_rang, Invariant.I6),
        (_hold_the_contact, Invariant.I20),
        (_bind_to_another_call, Invariant.I20),
        (_leave_a_dead_letter, Invariant.I20),
    ],
)
def test_the_oracle_notices(harm: Callable[[Observed], None], invariant: Invariant) -> None:
    told = all_finished()
    harm(told.seen)
    assert invariant in {problem.invariant for problem in judge_kill(told)}
