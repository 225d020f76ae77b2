"""Every service as its systemd unit starts it, with the settings and queues of the production page, and both emulators.

What differs from the page: the ports, the secrets, and the addresses of the database, SQS, Retell and Engage.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.units import DEPLOY, PUBLIC_PATHS, SYSTEMD, process_units, read_unit, settings_of_the_page
from tests.loopback import answers, free_ports, status_of
from tests.sqs_server import sqs_client

from .running_system import SystemClient, clean_environment, new_call, wait_until
from .separate_processes import (
    API_KEY,
    Processes,
    check_end,
    settings_between,
    start_emulators,
    start_sqs,
    waiting,
)

UNITS = process_units()
PROCESSES = tuple(UNITS)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    running = Processes(tmp_path)
    yield running
    running.discard()


def _create_queue(sqs: Any, name: str) -> str:
    """Create a queue and its dead-letter queue with the attributes of the page. Return the queue's URL."""
    attributes = json.loads((DEPLOY / "aws" / f"{name}-queue.json").read_text())
    dead_url = sqs.create_queue(QueueName=f"ringback-{name}-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    # The page's account is an example.
    account = arn.split(":")[4]
    attributes["RedrivePolicy"] = attributes["RedrivePolicy"].replace("123456789012", account)
    assert json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"] == arn
    url: str = sqs.create_queue(QueueName=f"ringback-{name}", Attributes=attributes)["QueueUrl"]
    return url


def _check_public_paths(urls: dict[str, str]) -> None:
    """Each public path is served by its process and by no other."""
    for owner, requests in PUBLIC_PATHS.items():
        for request in requests:
            method, path = request.split()
            found = {name: status_of(method, urls[name] + path, b"{}", API_KEY) for name in PROCESSES}
            assert {name for name, status in found.items() if status != 404} == {owner}, (request, found)


def test_calls_pass_through_every_process_and_both_queues(processes: Processes, database_url: str) -> None:
    began = time.monotonic()
    names = ("sqs", "retell", "engage", *PROCESSES)
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    start_emulators(processes, ports, urls, "webhook-receiver", speed=40)
    endpoint = start_sqs(processes, ports["sqs"])
    sqs = sqs_client(endpoint)
    queues = [_create_queue(sqs, name) for name in ("calls", "events")]
    settings = settings_of_the_page() | settings_between(urls, endpoint, database_url, *queues)
    migration = read_unit(SYSTEMD / "ringback-migrate.service").command()
    subprocess.run(migration, env=clean_environment(settings), check=True, stdout=subprocess.DEVNULL)
    without_database = {name: text for name, text in settings.items() if name != "RINGBACK_DATABASE_URL"}
    for name in PROCESSES:
        # With SQS the receiver needs only its queue, as the Lambda does.
        own = without_database if name == "webhook-receiver" else settings
        processes.start(name, UNITS[name].command(ports[name]), clean_environment(own))
    for name in PROCESSES:
        wait_until(lambda name=name: answers(f"{urls[name]}/readyz"), 60, f"{name} answers")
    started_s = time.monotonic() - began
    _check_public_paths(urls)
    client = SystemClient(urls["internal-api"], API_KEY, urls["retell"], urls["engage"])
    placed = {code: client.place(new_call(f"+141555501{code}")) for code in ("00", "01", "07")}
    for code, call_id in placed.items():
        check_end(client, call_id, code, 30)
        sources = {entry["event"] for entry in client.timeline(call_id) if entry["kind"] == "provider_event"}
        assert sources >= ({"call_ended"} if code == "01" else {"call_started"})
    for url in queues:
        wait_until(lambda url=url: waiting(sqs, url) == 0, 10, "every message acknowledged")
        assert waiting(sqs, f"{url}-dead") == 0
    print(f"\nup after {started_s:.1f} s, done after {time.monotonic() - began:.1f} s")  # noqa: T201 - a measurement, for -s
    within_s = min(float(unit.one("TimeoutStopSec")) for unit in UNITS.values())
    assert processes.stop(PROCESSES, within_s) == dict.fromkeys(PROCESSES, 0)
