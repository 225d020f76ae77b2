"""Which trials are played: recorded first, how often each act reaches each point; then the kills, drawn from that."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from proof.crashes.acts import ACTS
from proof.crashes.case import Case
from proof.crashes.modes import Mode
from ringback.failpoints import Failpoint

Kill = tuple[Failpoint, int]

#: A hit beyond this, or in the later half of those that were recorded, would kill nothing new, and less surely.
LATEST_HIT = 8
#: An act of another kind goes on beside the one that is killed, in this share of the trials.
COMPANY = 0.3


@dataclass(frozen=True, slots=True)
class Route:
    """An act, and the kills before the life in which a point is looked for: some points are reached only by a life that
    comes after a death."""

    act: str
    before: tuple[Kill, ...] = ()


ROUTES = (
    *(Route(act) for act in ACTS),
    Route("answered", ((Failpoint.CLAIM_COMMITTED, 1),)),
    Route("silent", ((Failpoint.DIAL_ANSWERED, 1),)),
)


def recordings(seed: int) -> Iterator[tuple[Route, Case]]:
    """Every route once in each mode, killed by nothing but what comes before."""
    for mode in Mode:
        for number, route in enumerate(ROUTES):
            yield route, Case(seed + number, mode, (route.act,), route.before)


@dataclass
class Recording:
    """How often the last life of each route hit each point, by mode."""

    hits: dict[tuple[Mode, Route], Counter[Failpoint]] = field(default_factory=lambda: defaultdict(Counter))

    def note(self, route: Route, mode: Mode, hits: Counter[Failpoint]) -> None:
        self.hits[mode, route] += hits

    def routes_to(self, point: Failpoint, mode: Mode) -> Sequence[tuple[Route, int]]:
        """With the number of hits."""
        known = ((route, self.hits[mode, route][point]) for route in ROUTES)
        return [(route, hits) for route, hits in known if hits]

    def unreached(self) -> list[Failpoint]:
        return [point for point in Failpoint if not any(hits[point] for hits in self.hits.values())]


def killing(recording: Recording, point: Failpoint, mode: Mode, seed: int, *, surely: bool = False) -> Case | None:
    """A case in which a life ends at this point; None if none is known in this mode. `surely`: at the first hit."""
    routes = recording.routes_to(point, mode)
    if not routes:
        return None
    rng = random.Random(f"{seed} {point} {mode}")
    route, hits = rng.choice(routes)
    hit = 1 if surely else rng.randint(1, min(1 + hits // 2, hits, LATEST_HIT))
    company = [act for act in ACTS if act != route.act]
    acts = (route.act, *(rng.sample(company, 1) if rng.random() < COMPANY else ()))
    return Case(seed, mode, acts, (*route.before, (point, hit)))
