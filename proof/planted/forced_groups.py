"""Not bugs, but planted like them: how the stores of a process, and of all that it starts, group units of work."""

from proof.planted.bug import planted
from ringback.adapters.postgres.groups import Grouping

_SWITCH = "ringback.adapters.postgres.store:PostgresStore.grouping"


@planted(_SWITCH, aims=(), why="Each unit is in a group, also alone.", tests=())
def always(_: Grouping) -> Grouping:
    return Grouping.ALWAYS


@planted(_SWITCH, aims=(), why="Each unit has a transaction of its own.", tests=())
def never(_: Grouping) -> Grouping:
    return Grouping.NEVER
