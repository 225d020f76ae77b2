"""What becomes of each call whatever happens to us meanwhile, and the requests that ask for it."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.payloads import fictional_phones
from tests.stories.running_system import new_call

Json = dict[str, Any]

_INITIATED, _STARTED = "initiated", "started"
_TALK = (_INITIATED, _STARTED)


@dataclass(frozen=True, slots=True)
class Fate:
    """`scenario` is the emulator's; `events` are those Engage must hear, in their order and without their prefix;
    `weight` is how many of the mix there are."""

    scenario: str
    weight: int
    status: str
    events: tuple[str, ...]
    request: Mapping[str, object] = field(default_factory=dict)

    @property
    def rings(self) -> int:
        return self.events.count(_INITIATED)


_RETRIED_ONCE = {"retry": {"max_attempts": 2, "delay_s": [4], "on": ["busy"]}}
#: Sixty in all, the first of them (shuffled) every time anew.
MIX = (
    Fate("00", 32, "completed", (*_TALK, "completed")),
    Fate("01", 6, "failed", (_INITIATED, "failed")),
    Fate("02", 3, "failed", (_INITIATED, "failed") * 2, _RETRIED_ONCE),
    Fate("03", 4, "left_voicemail", (*_TALK, "left_voicemail")),
    Fate("05", 4, "partially_completed", (*_TALK, "partially_completed")),
    Fate("09", 4, "completed", (*_TALK, "completed")),
    Fate("10", 3, "completed", (*_TALK, "completed")),
    Fate("11", 2, "completed", (*_TALK, "completed")),
    Fate("12", 2, "completed", (*_TALK, "completed")),
)


def draw_calls(count: int, seed: int) -> list[tuple[Json, Fate]]:
    """Bodies of POST /v1/calls, each to a person of its own, with their fates."""
    rng = random.Random(seed)
    deck = [fate for fate in MIX for _ in range(fate.weight)]
    fates = (deck * (count // len(deck) + 1))[:count]
    rng.shuffle(fates)
    phones = rng.sample(fictional_phones(), count)
    return [
        (new_call(phone, metadata={"emulator_scenario": fate.scenario}, **fate.request), fate)
        for phone, fate in zip(phones, fates, strict=True)
    ]
