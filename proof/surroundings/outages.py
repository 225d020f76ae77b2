"""PostgreSQL and the SQS server are stopped in every way under load, and started again; no operator restarts a process.

The SQS server loses its messages with each kill, and is frozen in between.
"""

import asyncio
import json
import os
import signal
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

from proof.findings import Findings, Say
from proof.harness.processes import API_KEY, ENGAGE_SECRET, QUICK_SETTINGS, RETELL_KEYS, Processes, wait_for
from proof.harness.waiting import until_final
from proof.invariants import Invariant
from proof.surroundings.judging import judge_all, judge_load
from proof.surroundings.load import Load, Posted, post_webhook
from ringback.embedded.server import PostgresServer
from tests.loopback import answers, free_ports
from tests.sqs_server import AWS, create_queue, health_of, sqs_client
from tests.stories.running_system import RunningSystem, SystemClient

I1, I12 = Invariant.I1, Invariant.I12
#: A fast shutdown, an immediate one, a kill of the postmaster.
ENDS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT, "kill -9": signal.SIGKILL}
POSTGRES_SETTINGS = {
    "RINGBACK_EMULATOR_SPEED": "20",
    "RINGBACK_SILENCE_DEADLINE_S": "3",
    "RINGBACK_MAX_CALL_S": "20",
    "RINGBACK_ANALYSIS_DEADLINE_S": "3",
}
SERVICES = ("internal-api", "call-processor", "webhook-processor", "scheduler", "webhook-receiver")
QUEUES = ("calls", "events")
KEY = RETELL_KEYS["RETELL_WEBHOOK_KEY"]


def stop_postgres(found: Findings, say: Say, stops: int) -> None:
    rng, reproduce = Random(f"{found.seed} postgres"), f"seed {found.seed}, {stops} stops of PostgreSQL"
    with tempfile.TemporaryDirectory(prefix="ringback-", ignore_cleanup_errors=True) as directory:
        server = PostgresServer(Path(directory) / "db")
        database_url = server.start()
        system = RunningSystem(Path(directory) / "up", {**POSTGRES_SETTINGS, "RINGBACK_DATABASE_URL": database_url})
        try:
            system.start()
            keys = json.loads((system.home / "data" / "up.json").read_text())
            with Load(system.client, f"{system.client.url}/retell/webhook", keys["retell_webhook_key"], rng) as load:
                for number in range(stops):
                    _stop_and_start(server, list(ENDS)[number % len(ENDS)], rng, say)
                time.sleep(1)
            call_ids = list(load.accepted.values())
            took_s = asyncio.run(until_final(database_url, call_ids))
            say(f"{len(call_ids)} calls settled {took_s:.0f} s after the last start of PostgreSQL")
            judge_all(found, system.client, database_url, call_ids, reproduce)
            judge_load(found, load, database_url, reproduce)
            assert system.process is not None, "started"
            if system.process.poll() is not None:
                found.broke(I1, "`up` ended with its database", reproduce)
            found.counts |= {
                "postgres_stops": stops,
                "postgres_calls": len(call_ids),
                "postgres_refused_meanwhile": load.unavailable,
                "postgres_settled_after_s": round(took_s, 1),
            }
        finally:
            system.discard()
            server.stop()


def _stop_and_start(server: PostgresServer, end: str, rng: Random, say: Say) -> None:
    time.sleep(rng.uniform(1.5, 4.0))
    assert server.pid is not None, "it runs between the stops"
    os.kill(server.pid, ENDS[end])
    while server.is_alive():
        time.sleep(0.05)
    away_s = rng.uniform(0.2, 4.0)
    time.sleep(away_s)
    server.start()
    say(f"PostgreSQL: {end}, unavailable for {away_s:.1f} s")


def aws_environment(endpoint: str) -> AbstractContextManager[object]:
    """The SDK in this process reads its settings from the environment."""
    return mock.patch.dict(os.environ, {**AWS, "AWS_ENDPOINT_URL_SQS": endpoint})


def stop_sqs(home: Path, database_url: str, say: Say, faults: int, seed: int) -> Findings:
    """Returns findings of its own, because it runs beside others: it mostly waits."""
    found = Findings("surroundings", seed)
    with Processes(home) as processes:
        _SqsOutages(processes, found, say, Random(f"{seed} sqs"), faults).run(database_url)
    return found


class _SqsOutages:
    def __init__(self, processes: Processes, found: Findings, say: Say, rng: Random, faults: int) -> None:
        self.processes, self.found, self.say, self.rng, self.faults = processes, found, say, rng, faults
        names = ("sqs", "retell", "engage", *SERVICES)
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.urls = {name: f"http://127.0.0.1:{port}" for name, port in self.ports.items()}
        self.receiver_url = f"{self.urls['webhook-receiver']}/retell/webhook"
        self.while_down: list[Posted] = []

    def run(self, database_url: str) -> None:
        reproduce = f"seed {self.found.seed}, {self.faults} faults of the SQS server"
        self._start(database_url)
        client = SystemClient(self.urls["internal-api"], API_KEY, self.urls["retell"], self.urls["engage"])
        with Load(client, self.receiver_url, KEY, self.rng, every_s=0.25) as load:
            for number in range(self.faults):
                time.sleep(self.rng.uniform(2.0, 4.0))
                self._freeze() if number % 3 == 2 else self._kill()
            time.sleep(1)
        call_ids = list(load.accepted.values())
        took_s = asyncio.run(until_final(database_url, call_ids))
        self.say(f"{len(call_ids)} calls settled {took_s:.0f} s after the last fault of the SQS server")
        judge_all(self.found, client, database_url, call_ids, reproduce)
        # The messages that it held when it was killed are gone, so only the times and the refusals are judged.
        judge_load(self.found, load, None, reproduce)
        self.found.tried(I12, cases=len(self.while_down))
        for one in self.while_down:
            if not 500 <= one.status < 600:
                self.found.broke(I12, f"{one.name} was answered {one.status} while the queue was down", reproduce)
        for name in SERVICES:
            if not self.processes.is_alive(name):
                self.found.broke(I1, f"{name} ended with the SQS server", reproduce)
        self.found.counts |= {
            "sqs_faults": self.faults,
            "sqs_calls": len(call_ids),
            "sqs_settled_after_s": round(took_s, 1),
            "sqs_webhooks_while_down": len(self.while_down),
        }

    def _start(self, database_url: str) -> None:
        retell = {"port": self.ports["retell"], "webhook_url": self.receiver_url, "speed": 20.0}
        self.processes.start_emulators(retell, {"port": self.ports["engage"]})
        queues = self._start_sqs()
        settings = {
            **AWS,
            **QUICK_SETTINGS,
            "RINGBACK_ENGAGE_SECRET": ENGAGE_SECRET,
            "AWS_ENDPOINT_URL_SQS": self.urls["sqs"],
            "RINGBACK_DATABASE_URL": database_url,
            "RINGBACK_CALL_QUEUE": queues["calls"],
            "RINGBACK_EVENT_QUEUE": queues["events"],
            "RETELL_BASE_URL": self.urls["retell"],
            "RINGBACK_ENGAGE_URL": self.urls["engage"],
        }
        without_database = {name: text for name, text in settings.items() if "DATABASE" not in name}
        for name in SERVICES:
            own = without_database if name == "webhook-receiver" else settings
            self.processes.serve(name, self.ports[name], own)
        wait_for(*(f"{self.urls[name]}/readyz" for name in SERVICES))

    def _start_sqs(self) -> dict[str, str]:
        sqs: Any = sqs_client(self.processes.start_sqs(self.ports["sqs"]))
        return {name: create_queue(sqs, name) for name in QUEUES}

    def _probe_while_down(self, for_s: float, number: int) -> None:
        give_up_at = time.monotonic() + for_s
        while time.monotonic() < give_up_at:
            self.while_down.append(post_webhook(self.receiver_url, f"down-{number}-{len(self.while_down)}", KEY))

    def _kill(self) -> None:
        self.processes.kill("sqs")
        away_s = self.rng.uniform(1.0, 5.0)
        self._probe_while_down(away_s, 0)
        self._start_sqs()
        self.say(f"SQS server: killed, unavailable for {away_s:.1f} s, started again without its messages")

    def _freeze(self) -> None:
        """It accepts connections and does not answer."""
        self.processes.signal("sqs", signal.SIGSTOP)
        self._probe_while_down(6.0, 1)
        self.processes.signal("sqs", signal.SIGCONT)
        assert answers(health_of(self.urls["sqs"]))
        self.say("SQS server: frozen for 6 s")
