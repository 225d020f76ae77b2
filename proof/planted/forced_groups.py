"""Not bugs, but planted like them: how the stores of a process, and of all that it starts, group units of work."""

import os

from proof.evidence import ROOT
from proof.planted.bug import START, planted
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


CHOICES = {forced.name: forced for forced in (always, never)}


def force(name: str) -> None:
    """Force all stores of this process, and of those that it starts, to group as `CHOICES` names it."""
    forced = CHOICES[name]
    forced.install()
    os.environ.update(forced.environment(), PYTHONPATH=os.pathsep.join(map(str, (START, ROOT))))
