"""The whole system, started as its users start it, once for the stories that leave it alive."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .running_system import Doors, RunningSystem

#: Emulated seconds per second: a talk of 20 s takes half a second, and order still means something on a busy machine.
SPEED = {"RINGBACK_EMULATOR_SPEED": "40"}


@pytest.fixture(scope="session")
def shared_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    """Stopped with SIGTERM at the end, which must exit 0 and have left no error in the log."""
    # Soon, because one of the magic numbers is heard about by asking only.
    running = RunningSystem(tmp_path_factory.mktemp("shared"), {**SPEED, "RINGBACK_SILENCE_DEADLINE_S": "3"})
    try:
        running.start()
        yield running
        assert running.stop() == 0
        assert running.logged("error") == []
    finally:
        running.discard()


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
