"""One running system for the stories that do not break it, and a system of its own for the others."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.loopback import free_ports
from tests.sqs_server import AWS, create_queue, sqs_client

from .running_system import RunningSystem, SystemClient, system_without_errors
from .separate_processes import Processes, start_sqs

#: Emulated seconds per second. A talk of 20 s takes half a second, long enough for a busy machine to keep the order.
SPEED = {"RINGBACK_EMULATOR_SPEED": "40"}
MakeQueues = Callable[[], dict[str, str]]


@pytest.fixture(scope="session")
def make_queues(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeQueues]:
    """Return a function that makes two queues for one system, and returns its settings: none for queues in tables."""
    if request.config.getoption("--queues") is None:
        yield dict
        return
    processes, numbers = Processes(tmp_path_factory.mktemp("sqs")), itertools.count(1)
    endpoint = start_sqs(processes, free_ports(1)[0])
    client = sqs_client(endpoint)

    def make() -> dict[str, str]:
        number = next(numbers)
        queues = {
            f"RINGBACK_{name.upper()}_QUEUE": create_queue(client, f"{name}-{number}") for name in ("call", "event")
        }
        return {**AWS, "AWS_ENDPOINT_URL_SQS": endpoint, **queues}

    yield make
    processes.discard()


@pytest.fixture(scope="session")
def shared_system(make_queues: MakeQueues, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    # Short, because the end of one magic number is found only by a look-up.
    settings = {**SPEED, "RINGBACK_SILENCE_DEADLINE_S": "3", **make_queues()}
    with system_without_errors(tmp_path_factory.mktemp("shared"), settings) as running:
        yield running


@pytest.fixture(scope="session")
def client(shared_system: RunningSystem) -> SystemClient:
    return shared_system.client


@pytest.fixture
def make_system(make_queues: MakeQueues, tmp_path: Path) -> Iterator[Callable[..., RunningSystem]]:
    """Return a function that makes a system of the test's own. The test starts it."""
    made: list[RunningSystem] = []

    def make(**settings: str) -> RunningSystem:
        made.append(RunningSystem(tmp_path / f"system-{len(made)}", {**SPEED, **make_queues(), **settings}))
        return made[-1]

    yield make
    for running in made:
        running.discard()
