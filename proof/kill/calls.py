"""The mix of calls, each with the outcome that it has whatever is killed in between."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.payloads import fictional_phones
from proof.harness.oracle import Expected
from tests.stories.running_system import new_call

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`scenario` is the emulator's; `events` are those that Engage must receive, in order and without their prefix;
    `weight` is how many of the mix there are."""

    scenario: str
    weight: int
    status: str
    events: tuple[str, ...]
    request: Mapping[str, object] = field(default_factory=dict)

    @property
    def rings(self) -> int:
        return self.events.count("initiated")

    @property
    def expected(self) -> Expected:
        rings = range(self.rings, self.rings + 1)
        return Expected(f"scenario {self.scenario}", {self.status}, rings, self.events, repeats_at_once=True)


_TALK = ("initiated", "started")
_RETRIED_ONCE = {"retry": {"max_attempts": 2, "delay_s": [4], "on": ["busy"]}}
#: Sixty in all. Each run of sixty is the whole mix, shuffled.
MIX = (
    Outcome("00", 32, "completed", (*_TALK, "completed")),
    Outcome("01", 6, "failed", ("initiated", "failed no_answer")),
    Outcome("02", 3, "failed", ("initiated", "failed busy") * 2, _RETRIED_ONCE),
    Outcome("03", 4, "left_voicemail", (*_TALK, "left_voicemail")),
    Outcome("05", 4, "partially_completed", (*_TALK, "partially_completed")),
    Outcome("09", 4, "completed", (*_TALK, "completed")),
    Outcome("10", 3, "completed", (*_TALK, "completed")),
    Outcome("11", 2, "completed", (*_TALK, "completed")),
    Outcome("12", 2, "completed", (*_TALK, "completed")),
)


def draw_calls(count: int, seed: int) -> list[tuple[Json, Outcome]]:
    """Bodies of POST /v1/calls, each to a contact of its own, with their outcomes."""
    rng = random.Random(seed)
    deck = [outcome for outcome in MIX for _ in range(outcome.weight)]
    outcomes = (deck * (count // len(deck) + 1))[:count]
    rng.shuffle(outcomes)
    phones = rng.sample(fictional_phones(), count)
    return [
        (new_call(phone, metadata={"emulator_scenario": outcome.scenario}, **outcome.request), outcome)
        for phone, outcome in zip(phones, outcomes, strict=True)
    ]
