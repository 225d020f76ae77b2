"""The cases: a mode of the provider, acts, and the kills that end the lives. Kills are drawn from recorded hits."""

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from proof.crashes.acts import ACTS
from ringback.adapters.postgres.groups import Grouping
from ringback.failpoints import Failpoint

Kill = tuple[Failpoint, int]

#: Later hits, and those in the later half of the recorded ones, kill nothing new and are reached less surely.
LATEST_HIT = 8
#: The share of the trials in which a second act runs at the same time.
SECOND_ACT_SHARE = 0.3
#: A further death in the same trial costs a sixth of a trial. With five a queue would give a message up, rightly.
MOST_DEATHS = 4
#: The share of the trials with one death alone.
ONE_DEATH_SHARE = 0.25
#: A life after the first death ends at the first that it reaches of so many points.
CHOICES = 6


class Mode(StrEnum):
    """Whether the provider honours idempotency keys. If not, the product's one resend under the same key is switched
    off. With `GROUPED` each unit of work is in a group. Otherwise none is, so that a life is like the recorded one."""

    REMEMBERS = "idempotency on"
    FORGETFUL = "idempotency off"
    GROUPED = "idempotency off, in groups"

    @property
    def remembers(self) -> bool:
        return self is Mode.REMEMBERS

    @property
    def grouping(self) -> Grouping:
        return Grouping.ALWAYS if self is Mode.GROUPED else Grouping.NEVER


#: Waits are leaped over, so these need not be short; but the create timeout is waited for.
_SETTINGS = {
    "RINGBACK_CREATE_TIMEOUT_S": "2",
    "RINGBACK_SILENCE_DEADLINE_S": "10",
    "RINGBACK_NOT_CONNECTED_DEADLINE_S": "3",
    "RINGBACK_ANALYSIS_DEADLINE_S": "10",
    "RINGBACK_ANALYSIS_GIVE_UP_S": "600",
    "RINGBACK_MAX_CALL_S": "60",
    "RINGBACK_INBOUND_HOLD_S": "120",
    # No act opens a page, and their routes would be a quarter of what a life's start costs.
    "RINGBACK_CONSOLE": "off",
}
# The resend comes after the third clean look-up; two more may stay unanswered on a busy machine.
_WITH_RESEND = {"RINGBACK_UNKNOWN_LOOKUPS_S": "1,2,4,8,16,240", "RINGBACK_SAME_KEY_WINDOW_S": "2700"}
_WITHOUT_RESEND = {"RINGBACK_UNKNOWN_LOOKUPS_S": "1,2,4,8", "RINGBACK_SAME_KEY_WINDOW_S": "0"}
#: Only units in groups reach them.
OF_GROUPS = frozenset(point for point in Failpoint if point.startswith("group."))


def product_settings(mode: Mode) -> Mapping[str, str]:
    return {**_SETTINGS, **(_WITH_RESEND if mode.remembers else _WITHOUT_RESEND)}


@dataclass(frozen=True, slots=True)
class Case:
    """The lives end at `kills`, one after the other, each a point and which hit of it. A life after them ends at the
    first that it reaches of its kills in `further`. The last one is not killed. `bug` is planted in every life."""

    seed: int
    mode: Mode
    acts: tuple[str, ...]
    kills: tuple[Kill, ...] = ()
    bug: str | None = None
    further: tuple[tuple[Kill, ...], ...] = ()

    def __str__(self) -> str:
        kills = ", ".join(f"{point} at hit {hit}" for point, hit in self.kills) or "nothing"
        return f"seed {self.seed}, {self.mode}, acts {'+'.join(self.acts)}, killed at {kills}"


@dataclass(frozen=True, slots=True)
class Route:
    """An act, and the kills before the life in which a point is looked for: only a life after a death reaches some."""

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
    """How often the last life of each route hit each point, and the lives after a death did at most, by mode."""

    hits: dict[tuple[Mode, Route], Counter[Failpoint]] = field(default_factory=lambda: defaultdict(Counter))
    after_death: dict[tuple[Mode, str], Counter[Failpoint]] = field(default_factory=lambda: defaultdict(Counter))

    def note(self, route: Route, mode: Mode, hits: Counter[Failpoint]) -> None:
        self.hits[mode, route] += hits

    def routes_to(self, point: Failpoint, mode: Mode) -> Sequence[tuple[Route, int]]:
        """With the number of hits."""
        known = ((route, self.hits[mode, route][point]) for route in ROUTES)
        return [(route, hits) for route, hits in known if hits]

    def unreached(self) -> list[Failpoint]:
        return [point for point in Failpoint if not any(hits[point] for hits in self.hits.values())]


def killing(
    recording: Recording,
    point: Failpoint,
    mode: Mode,
    seed: int,
    *,
    wanted: Collection[Failpoint] = (),
    surely: bool = False,
) -> Case | None:
    """A case in which a life ends at this point; None if none is known in this mode. The lives after it end at points
    of `wanted` that such lives have hit. `surely`: at the first hit."""
    routes = recording.routes_to(point, mode)
    if not routes:
        return None
    rng = random.Random(f"{seed} {point} {mode}")
    route, hits = rng.choice(routes)
    hit = 1 if surely else rng.randint(1, min(1 + hits // 2, hits, LATEST_HIT))
    company = [act for act in ACTS if act != route.act]
    acts = (route.act, *(rng.sample(company, 1) if rng.random() < SECOND_ACT_SHARE else ()))
    kills = (*route.before, (point, hit))
    known = recording.after_death[mode, route.act]
    choices = [(other, known[other]) for other in Failpoint if other in wanted and known[other]]
    more = MOST_DEATHS - len(kills) if choices and rng.random() >= ONE_DEATH_SHARE else 0
    further = tuple(_some(choices, rng) for _ in range(more))
    return Case(seed, mode, acts, kills, further=further)


def _some(choices: Sequence[tuple[Failpoint, int]], rng: random.Random) -> tuple[Kill, ...]:
    chosen = rng.sample(choices, min(CHOICES, len(choices)))
    return tuple((point, rng.randint(1, min(2, hits))) for point, hits in chosen)
