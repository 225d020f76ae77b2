"""The SQS server is killed with everything in it, started again empty, and frozen; every process is one of its own."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from proof.findings import Findings, Say
from proof.invariants import Invariant
from proof.surroundings.load import Load, post_webhook
from proof.surroundings.receiver import Posted
from proof.surroundings.settled import judge_all, judge_load, judge_one_ring_each, wait_settled
from proof.surroundings.town import API_KEY, ENGAGE_SECRET, RETELL_KEYS, Town, wait_for
from tests.loopback import answers, free_ports
from tests.sqs_server import AWS, create_queue, health_of, sqs_client
from tests.stories.running_system import SystemClient, clean_environment

I12 = Invariant.I12
PROCESSES = ("internal-api", "call-processor", "webhook-processor", "scheduler", "webhook-receiver")
QUEUES = ("calls", "events")
KEY = RETELL_KEYS["RETELL_WEBHOOK_KEY"]


@contextmanager
def aws_environment(endpoint: str) -> Iterator[None]:
    """The SDK in this process reads its settings from the environment."""
    before = dict(os.environ)
    os.environ.update({**AWS, "AWS_ENDPOINT_URL_SQS": endpoint})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def run_sqs(home: Path, database_url: str, say: Say, faults: int, seed: int) -> Findings:
    """Findings of its own, so that it can run beside others: it mostly waits."""
    found = Findings("surroundings", seed)
    with Town(home) as town:
        _Story(town, found, say, Random(f"{seed} sqs"), f"seed {seed}, {faults} faults of the SQS server").run(
            database_url, faults
        )
    return found


class _Story:
    def __init__(self, town: Town, found: Findings, say: Say, rng: Random, reproduce: str) -> None:
        self.town, self.found, self.say, self.rng, self.reproduce = town, found, say, rng, reproduce
        self.ports = dict(zip(("sqs", "retell", "engage", *PROCESSES), free_ports(3 + len(PROCESSES)), strict=True))
        self.urls = {name: f"http://127.0.0.1:{port}" for name, port in self.ports.items()}
        self.receiver_url = f"{self.urls['webhook-receiver']}/retell/webhook"
        self.while_down: list[Posted] = []

    def run(self, database_url: str, faults: int) -> None:
        self._start(database_url)
        doors = SystemClient(self.urls["internal-api"], API_KEY, self.urls["retell"], self.urls["engage"])
        load = Load(doors, self.receiver_url, KEY, self.rng, every_s=0.25)
        with load:
            for number in range(faults):
                time.sleep(self.rng.uniform(2.0, 4.0))
                self._freeze() if number % 3 == 2 else self._kill()
            time.sleep(1)
        call_ids = list(load.accepted.values())
        took_s = wait_settled(database_url, call_ids)
        self.say(f"{len(call_ids)} calls settled {took_s:.0f} s after the last fault of the SQS server")
        judge_all(self.found, doors, database_url, call_ids, self.reproduce)
        judge_one_ring_each(self.found, doors, call_ids, self.reproduce)
        # What it had accepted before it was killed is gone with it, so only the time and the refusals are judged.
        judge_load(self.found, load, None, self.reproduce)
        self._judge_down()
        for name in PROCESSES:
            if not self.town.is_alive(name):
                self.found.broke(Invariant.I1, f"{name} ended with the SQS server", self.reproduce)
        self.found.counts |= {
            "sqs_faults": faults,
            "sqs_calls": len(call_ids),
            "sqs_settled_after_s": round(took_s, 1),
            "sqs_webhooks_while_down": len(self.while_down),
        }

    def _start(self, database_url: str) -> None:
        town, ports = self.town, self.ports
        town.start_retell(ports["retell"], self.receiver_url, speed=20.0)
        town.start_engage(ports["engage"])
        queues = self._start_sqs()
        settings = {
            **AWS,
            **RETELL_KEYS,
            "RINGBACK_ENGAGE_SECRET": ENGAGE_SECRET,
            "AWS_ENDPOINT_URL_SQS": self.urls["sqs"],
            "RINGBACK_DATABASE_URL": database_url,
            "RINGBACK_CALL_QUEUE": queues["calls"],
            "RINGBACK_EVENT_QUEUE": queues["events"],
            "RETELL_BASE_URL": self.urls["retell"],
            "RINGBACK_ENGAGE_URL": self.urls["engage"],
            "RINGBACK_API_KEY": API_KEY,
            "RINGBACK_CALLING_HOURS": "always",
            "RINGBACK_CALLS_PER_SECOND": "30",
            "RINGBACK_MAX_LIVE_CALLS": "200",
            "RINGBACK_CREATE_TIMEOUT_S": "3",
            "RINGBACK_UNKNOWN_LOOKUPS_S": "1,3,10,30",
            "RINGBACK_SILENCE_DEADLINE_S": "5",
            "RINGBACK_NOT_CONNECTED_DEADLINE_S": "3",
            "RINGBACK_ANALYSIS_DEADLINE_S": "5",
            "RINGBACK_MAX_CALL_S": "20",
        }
        for name in PROCESSES:
            own = {key: text for key, text in settings.items() if name != "webhook-receiver" or "DATABASE" not in key}
            town.serve(name, name, ports[name], clean_environment(own))
        health = [f"{self.urls[name]}/healthz" for name in ("retell", "engage")]
        wait_for(*health, *(f"{self.urls[name]}/readyz" for name in PROCESSES))

    def _start_sqs(self) -> dict[str, str]:
        sqs: Any = sqs_client(self.town.start_sqs(self.ports["sqs"]))
        return {name: create_queue(sqs, name) for name in QUEUES}

    def _probe_while_down(self, for_s: float, number: int) -> None:
        give_up_at = time.monotonic() + for_s
        while time.monotonic() < give_up_at:
            self.while_down.append(post_webhook(self.receiver_url, f"down-{number}-{len(self.while_down)}", KEY))

    def _kill(self) -> None:
        self.town.kill("sqs")
        away_s = self.rng.uniform(1.0, 5.0)
        self._probe_while_down(away_s, 0)
        self._start_sqs()
        self.say(f"SQS server: killed, {away_s:.1f} s away, started again without its messages")

    def _freeze(self) -> None:
        """It takes connections and says nothing."""
        self.town.signal("sqs", signal.SIGSTOP)
        self._probe_while_down(6.0, 1)
        self.town.signal("sqs", signal.SIGCONT)
        assert answers(health_of(self.urls["sqs"]))
        self.say("SQS server: frozen for 6 s")

    def _judge_down(self) -> None:
        self.found.tried(I12, cases=len(self.while_down))
        for one in self.while_down:
            if not 500 <= one.status < 600:
                self.found.broke(I12, f"{one.name} was answered {one.status} while the queue was down", self.reproduce)
