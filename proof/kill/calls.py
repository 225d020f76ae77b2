"""The mix of calls, each with the outcome that it has whatever is killed in between."""

import random
from collections.abc import Mapping
from typing import Any

from benchmarks.payloads import fictional_phones
from proof.harness.oracle import Expected, expected_of
from tests.stories.running_system import new_call

Json = dict[str, Any]

#: How many of sixty have which scenario. Each run of sixty is the whole mix, shuffled.
MIX: Mapping[str, int] = {"00": 32, "01": 6, "02": 3, "03": 4, "05": 4, "09": 4, "10": 3, "11": 2, "12": 2}
_RETRIED_ONCE = {"retry": {"max_attempts": 2, "delay_s": [4], "on": ["busy"]}}
OUTCOMES = {scenario: expected_of(scenario, 2 if scenario == "02" else 1, repeats_at_once=True) for scenario in MIX}


def draw_calls(count: int, seed: int) -> list[tuple[Json, Expected]]:
    """Bodies of POST /v1/calls, each to a contact of its own, with their outcomes."""
    rng = random.Random(seed)
    deck = [scenario for scenario, weight in MIX.items() for _ in range(weight)]
    scenarios = (deck * (count // len(deck) + 1))[:count]
    rng.shuffle(scenarios)
    drawn = []
    for phone, scenario in zip(rng.sample(fictional_phones(), count), scenarios, strict=True):
        body = new_call(phone, metadata={"emulator_scenario": scenario}, **(_RETRIED_ONCE if scenario == "02" else {}))
        drawn.append((body, OUTCOMES[scenario]))
    return drawn
