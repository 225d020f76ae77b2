"""Not bugs, but planted like them: how the stores of a process, and of all that it starts, group units of work."""

from proof.planted.bug import planted
from ringback.adapters.postgres.groups import Grouping

_SWITCH = "ringback.adapters.postgres.store:PostgresStore.grouping"


@planted(_SWITCH, "")
def always(_: Grouping) -> Grouping:
    """Each unit is in a group, also alone."""
    return Grouping.ALWAYS


@planted(_SWITCH, "")
def never(_: Grouping) -> Grouping:
    """Each unit has a transaction of its own."""
    return Grouping.NEVER
