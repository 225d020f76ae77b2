"""What one run of the client is to offer, and when."""

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass

#: Behind everything the product promises to answer within.
ANSWER_AT_MOST_S = 20.0

#: When, in seconds since the start; what kind of request; its number.
Due = tuple[float, str, int]


@dataclass(frozen=True, slots=True)
class Load:
    """`rates` per second and kind; in a closed loop they are only the mixture. `first` are the kinds' first numbers."""

    port: int
    seconds: float
    connections: int
    is_closed_loop: bool
    rates: dict[str, float]
    first: dict[str, int]
    seed: int
    webhook_key: str
    seeded_calls: int
    began_ms: int


def arrivals(load: Load) -> Iterator[Due]:
    """Of each kind at times of its own (a Poisson process from the seed), merged, without end."""
    return heapq.merge(*(_arrivals(load, kind) for kind in sorted(load.rates) if load.rates[kind] > 0))


def _arrivals(load: Load, kind: str) -> Iterator[Due]:
    dice, at_s, number = random.Random(f"{load.seed}:{kind}"), 0.0, load.first[kind]
    while True:
        at_s += dice.expovariate(load.rates[kind])
        yield at_s, kind, number
        number += 1
