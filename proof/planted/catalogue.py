"""All planted bugs; a new one is one entry in the file of its kind."""

from collections.abc import Iterable

from proof.invariants import Invariant
from proof.planted import (
    bugs_access,
    bugs_agent,
    bugs_claiming,
    bugs_counting,
    bugs_database,
    bugs_endpoints,
    bugs_erasure,
    bugs_finding_out,
    bugs_groups,
    bugs_http,
    bugs_numbers,
    bugs_person,
    bugs_sending,
    bugs_telling,
    bugs_time,
)
from proof.planted.bug import PlantedBug, bugs_of

BUGS: tuple[PlantedBug, ...] = (
    *bugs_of(bugs_sending),
    *bugs_of(bugs_claiming),
    *bugs_of(bugs_groups),
    *bugs_of(bugs_finding_out),
    *bugs_of(bugs_telling),
    *bugs_of(bugs_endpoints),
    *bugs_of(bugs_access),
    *bugs_of(bugs_agent),
    *bugs_of(bugs_counting),
    *bugs_of(bugs_database),
    *bugs_of(bugs_erasure),
    *bugs_of(bugs_http),
    *bugs_of(bugs_numbers),
    *bugs_of(bugs_person),
    *bugs_of(bugs_time),
)


def aimed_at(invariant: Invariant, bugs: Iterable[PlantedBug] = BUGS) -> list[PlantedBug]:
    return [bug for bug in bugs if invariant in bug.aims]
