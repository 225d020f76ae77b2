"""One running system for the stories that do not break it, and a system of its own for the others."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .running_system import RunningSystem, SystemClient, system_without_errors

#: Emulated seconds per second. A talk of 20 s takes half a second, long enough for a busy machine to keep the order.
SPEED = {"RINGBACK_EMULATOR_SPEED": "40"}


@pytest.fixture(scope="session")
def shared_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    # Short, because the end of one magic number is found only by a look-up.
    settings = {**SPEED, "RINGBACK_SILENCE_DEADLINE_S": "3"}
    with system_without_errors(tmp_path_factory.mktemp("shared"), settings) as running:
        yield running


@pytest.fixture(scope="session")
def client(shared_system: RunningSystem) -> SystemClient:
    return shared_system.client


@pytest.fixture
def make_system(tmp_path: Path) -> Iterator[Callable[..., RunningSystem]]:
    """Return a function that makes a system of the test's own. The test starts it."""
    made: list[RunningSystem] = []

    def make(**settings: str) -> RunningSystem:
        made.append(RunningSystem(tmp_path / f"system-{len(made)}", {**SPEED, **settings}))
        return made[-1]

    yield make
    for running in made:
        running.discard()
