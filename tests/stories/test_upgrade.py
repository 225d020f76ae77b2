"""An upgrade under load: processes of an earlier commit and of this tree share a database and both queues.

`docs/production.md#upgrades` has the steps. Calls are requested, cancelled and suppressed all the time, while the
schema is upgraded and the processes are replaced one by one. At the end nothing is lost, and nothing came twice.
"""

import asyncio
import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Lock
from typing import Any

import pytest

from proof.harness.databases import rows
from proof.harness.oracle import Blame, Expected, Observed, judge, observe
from proof.kill.calls import draw_calls
from tests.loopback import answers, free_ports
from tests.postgresql import execute, named
from tests.sqs_server import create_queue, health_of, sqs_client, sqs_server

from .other_version import Version, commit_before_the_newest_migration, install, this_version
from .running_system import START_WITHIN_S, Answer, Json, SystemClient, clean_environment, new_call, wait_until
from .separate_processes import API_KEY, Processes, settings_between, start_emulators, waiting

pytestmark = pytest.mark.slow

#: The processes, in the order in which the page replaces them. Two of a kind are of both versions for a while.
ROLLOUT = (
    "call-processor-1", "call-processor-2", "webhook-processor-1", "webhook-processor-2", "scheduler",
    "webhook-receiver", "internal-api", "business-api",
)  # fmt: skip
CALLS_AT_LEAST, CALLS_PER_S, CLIENTS = 300, 4.0, 6
#: The default is the real one of production, of which the shortest is minutes.
SHORT_DEADLINES = {
    "RINGBACK_ATTEMPTS_PER_DAY": "0",
    "RINGBACK_ATTEMPT_GAP_S": "0",
    "RINGBACK_MAX_LIVE_CALLS": "400",
    "RINGBACK_CREATE_TIMEOUT_S": "15",
    "RINGBACK_MAX_CALL_S": "60",
    "RINGBACK_UNKNOWN_LOOKUPS_S": "1,3,10,30,60,120",
    "RINGBACK_SILENCE_DEADLINE_S": "10",
    "RINGBACK_NOT_CONNECTED_DEADLINE_S": "3",
    "RINGBACK_ANALYSIS_DEADLINE_S": "10",
}
FINISHES_WITHIN_S = 600.0
_UNFINISHED = "SELECT count(*) AS calls FROM calls WHERE NOT final"
_UNSENT = "SELECT count(*) AS rows FROM outbox WHERE delivered_at IS NULL AND dead_at IS NULL"
#: A cancelled call that is planned for a moment of the rollout, so that either version could dial it.
CANCELLED = Expected("cancelled before it was due", {"cancelled"}, range(1), ("failed cancelled",))
SUPPRESSED = Expected("suppressed before it was due", {"failed"}, range(1), ("failed suppressed",))


@pytest.fixture(scope="module")
def previous(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Version:
    commit = request.config.getoption("--upgrade-from") or commit_before_the_newest_migration()
    return install(commit, tmp_path_factory.mktemp("previous"))


@dataclass
class Load:
    """Clients that request calls until they are told to end, as Engage does: with a key, again without an answer."""

    urls: list[str]
    first: SystemClient
    expected: dict[str, Expected] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    ended: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def run(self, worker: int) -> None:
        """Request calls at this client's share of the rate. Of ten calls, two are stopped before they are due."""
        rng = random.Random(worker)
        drawn = iter(draw_calls(900, seed=1000 + worker))
        while not self.ended.is_set():
            number = next(self._numbers)
            if number % 10 == 3:
                self._stop_one(number, CANCELLED)
            elif number % 10 == 7:
                self._stop_one(number, SUPPRESSED)
            else:
                body, expected = next(drawn)
                body["contact"]["contact_id"] += f"-{worker}"
                self._record(self._place(body, number), expected)
            # A slow machine rolls out for long. Then more calls would only make it slower.
            per_s = CALLS_PER_S if len(self.expected) < CALLS_AT_LEAST else CALLS_PER_S / 4
            time.sleep(rng.uniform(0.5, 1.5) * CLIENTS / per_s)

    def _stop_one(self, number: int, expected: Expected) -> None:
        phone = f"+1{(312, 415)[number % 2]}555{2000 + number:04d}"
        due = (datetime.now(UTC) + timedelta(seconds=random.Random(number).uniform(5, 30))).isoformat()
        call_id = self._place(new_call(phone, not_before=due), number)
        if expected is CANCELLED:
            answer = self._ask(number, "POST", f"/v1/calls/{call_id}/cancel")
            assert answer.body == {"result": "cancelled"}, answer.body
        else:
            self._ask(number, "POST", "/v1/suppressions", {"phone": phone, "reason": "asked"})
        self._record(call_id, expected)

    def _place(self, body: Json, number: int) -> str:
        answer = self._ask(number, "POST", "/v1/calls", body, {"Idempotency-Key": f"upgrade-{number}"})
        call_id: str = answer.body["call_id"]
        return call_id

    def _ask(self, number: int, method: str, path: str, body: Any = None, headers: Any = None) -> Answer:
        """Ask the APIs in turn until one of them does what was asked."""
        for turn in itertools.count(number):
            client = SystemClient(self.urls[turn % len(self.urls)], API_KEY, self.first.retell_url, "")
            try:
                answer = client.ask(method, path, body, headers)
            except OSError as error:
                problem = type(error).__name__
            else:
                if answer.status < 300:
                    return answer
                assert answer.status == 503, (answer.status, answer.body)
                problem = "503"
            with self._lock:
                self.refused[problem] += 1
            time.sleep(0.2)
        raise AssertionError("the turns have no end")

    def _record(self, call_id: str, expected: Expected) -> None:
        with self._lock:
            self.expected[call_id] = expected


@dataclass
class Installation:
    """Both versions' processes on one set of ports, between the emulators, one database and two queues."""

    processes: Processes
    ports: dict[str, int]
    settings: dict[str, str]

    @property
    def urls(self) -> dict[str, str]:
        return {name: f"http://127.0.0.1:{port}" for name, port in self.ports.items()}

    def migrate(self, version: Version) -> None:
        self.processes.start("migration", version.command("db", "upgrade"), clean_environment(self.settings))
        wait_until(lambda: self.processes.has_ended("migration"), 120, "the schema is upgraded")
        assert self.processes.stop(("migration",)) == {"migration": 0}

    def start(self, name: str, version: Version) -> None:
        kind = name.rstrip("-12")
        command = version.command("serve", kind, "--port", str(self.ports[name]))
        self.processes.start(name, command, clean_environment(self.settings))

    def wait_ready(self, name: str) -> None:
        """Wait longer than a busy machine needs."""
        wait_until(lambda: answers(f"{self.urls[name]}/readyz"), START_WITHIN_S, f"{name} is ready")


@contextmanager
def installation(home: Path, url: str, queue: str) -> Iterator[tuple[Installation, Callable[[], int]]]:
    """Yield an installation without processes, and a function that counts messages and dead letters in SQS."""
    processes = Processes(home)
    names = ("sqs", "retell", "engage", *ROLLOUT)
    made = Installation(processes, dict(zip(names, free_ports(len(names)), strict=True)), {})
    queues: list[str] = ["calls", "events"]
    in_sqs: list[str] = []
    try:
        start_emulators(processes, made.ports, made.urls, "webhook-receiver", speed=40)
        sqs = sqs_client(made.urls["sqs"])
        if queue == "SQS":
            processes.start("sqs", *sqs_server(made.ports["sqs"], home))
            wait_until(lambda: answers(health_of(made.urls["sqs"])), START_WITHIN_S, "the SQS server answers")
            queues = [create_queue(sqs, f"upgraded-{name}") for name in queues]
            in_sqs = [*queues, *(f"{one}-dead" for one in queues)]
        made.settings = settings_between(made.urls, made.urls["sqs"], url, *queues) | SHORT_DEADLINES
        yield made, lambda: sum(waiting(sqs, one) for one in in_sqs)
    finally:
        processes.discard()


@pytest.mark.parametrize("queue", ["PostgreSQL", "SQS"])
def test_an_upgrade_under_load_loses_nothing_and_does_nothing_twice(
    queue: str, previous: Version, server_url: str, tmp_path: Path
) -> None:
    began, newer = time.monotonic(), this_version()
    url = named(server_url, f"upgraded_on_{queue.lower()}")
    asyncio.run(execute(server_url, f"CREATE DATABASE upgraded_on_{queue.lower()}"))
    with installation(tmp_path, url, queue) as (made, left_in_sqs):
        made.migrate(previous)
        for name in ROLLOUT:
            made.start(name, previous)
        for name in ROLLOUT:
            made.wait_ready(name)
        apis = [made.urls[name] for name in ROLLOUT if name.startswith("internal-api")]
        client = SystemClient(apis[0], API_KEY, made.urls["retell"], made.urls["engage"])
        load = Load(apis, client)
        _under(load, lambda: _migrate_and_crash(made, previous, newer), lambda: _roll_out(made, newer))
        _finish(url, left_in_sqs)
        seen = observe(client, url)
        problems = [problem.what for problem in judge(seen, load.expected, Blame())]
        assert problems == []
        assert seen.dead_letters == 0
        assert made.processes.stop(ROLLOUT) == dict.fromkeys(ROLLOUT, 0)
    _print_figures(f"{queue}: {previous.name} ({previous.schema}) to {newer.schema}", load, seen, began)


def _under(load: Load, *stages: Callable[[], None]) -> None:
    """Run the stages while calls are requested, with fifty calls before each and after the last."""

    def wait_for(count: int) -> None:
        wait_until(lambda: len(load.expected) >= count, START_WITHIN_S, f"{count} calls are accepted")

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(load.run, worker) for worker in range(CLIENTS)]
        try:
            for stage in stages:
                wait_for(len(load.expected) + 50)
                stage()
            wait_for(max(CALLS_AT_LEAST, len(load.expected) + 50))
        finally:
            load.ended.set()
        for one in clients:
            one.result()


def _migrate_and_crash(made: Installation, previous: Version, newer: Version) -> None:
    """Upgrade the schema below the earlier version. A process of that version dies, and is started again."""
    made.migrate(newer)
    made.processes.kill("call-processor-2")
    made.start("call-processor-2", previous)
    made.wait_ready("call-processor-2")


def _roll_out(made: Installation, newer: Version) -> None:
    for name in ROLLOUT:
        assert made.processes.stop((name,)) == {name: 0}
        made.start(name, newer)
        made.wait_ready(name)


def _finish(url: str, left_in_sqs: Callable[[], int]) -> None:
    def is_finished() -> bool:
        return not rows(url, _UNFINISHED)[0]["calls"] and not rows(url, _UNSENT)[0]["rows"] and not left_in_sqs()

    wait_until(is_finished, FINISHES_WITHIN_S, "every call is final, every row and message is delivered")


def _print_figures(title: str, load: Load, seen: Observed, began: float) -> None:
    events = {delivery["event"]["id"] for delivery in seen.deliveries}
    stopped = Counter(one.name for one in load.expected.values() if one in (CANCELLED, SUPPRESSED))
    attempts = Counter(ring["metadata"]["ringback_attempt_id"] for ring in seen.rings)
    sys.stdout.write(
        f"\n{title}: {len(load.expected)} calls accepted, {len(load.expected)} with one final event; {dict(stopped)}; "
        f"{len(seen.attempts)} attempts, {len(seen.rings)} rings, at most {max(attempts.values())} of an attempt; "
        f"{len(events)} events, {len(seen.deliveries) - len(events)} repeated under the same id; "
        f"{len(ROLLOUT)} processes replaced, 1 killed; {dict(load.refused)} requests sent again; "
        f"{time.monotonic() - began:.0f} s\n"
    )
