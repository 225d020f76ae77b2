"""The whole system, started as its users start it, once for the stories that leave it alive."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .running_system import Doors, RunningSystem, left_in_peace

#: Emulated seconds per second: a talk of 20 s takes half a second, and order still means something on a busy machine.
SPEED = {"RINGBACK_EMULATOR_SPEED": "40"}


@pytest.fixture(scope="session")
def shared_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    # Soon, because one of the magic numbers is heard about by asking only.
    settings = {**SPEED, "RINGBACK_SILENCE_DEADLINE_S": "3"}
    with left_in_peace(tmp_path_factory.mktemp("shared"), settings) as running:
        yield running


@pytest.fixture(scope="session")
def doors(shared_system: RunningSystem) -> Doors:
    return shared_system.doors


@pytest.fixture
def make_system(tmp_path: Path) -> Iterator[Callable[..., RunningSystem]]:
    """A system of the test's own, for those that break it; the test starts it."""
    made: list[RunningSystem] = []

    def make(**settings: str) -> RunningSystem:
        made.append(RunningSystem(tmp_path / f"system-{len(made)}", {**SPEED, **settings}))
        return made[-1]

    yield make
    for running in made:
        running.discard()
