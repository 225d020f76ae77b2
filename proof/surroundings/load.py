"""A steady load from outside: calls that are requested until they are accepted, and webhooks about unknown calls."""

import json
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Any, Self

from ringback.adapters.retell.signature import sign
from tests.stories.running_system import SystemClient, new_call

SCENARIOS = ("00", "00", "01", "02", "05", "10", "11")
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
ANSWER_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class Posted:
    """A webhook's answer; status 0 is none."""

    name: str
    status: int
    took_s: float

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300


@dataclass
class Load:
    """A context; on leaving, every request has its answer. `accepted` is the call id by idempotency key; `doubled` are
    keys that were answered with two of them."""

    client: SystemClient
    receiver_url: str
    webhook_key: str
    rng: Random
    every_s: float = 0.15
    threads: int = 3
    accepted: dict[str, str] = field(default_factory=dict)
    doubled: set[str] = field(default_factory=set)
    unavailable: int = 0
    posted: list[Posted] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._running = [
            threading.Thread(target=self._place, args=(number, Random(self.rng.random())))
            for number in range(self.threads)
        ]
        self._running.append(threading.Thread(target=self._probe))
        for thread in self._running:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._running:
            thread.join()

    def _place(self, thread: int, rng: Random) -> None:
        number = 0
        while not self._stop.is_set():
            key = f"load-{thread}-{number}"
            metadata = {"emulator_scenario": rng.choice(SCENARIOS)}
            body = new_call(f"+1415555{thread * 1000 + number:04d}", metadata=metadata)
            self._ask_until_accepted(key, body)
            if rng.random() < 0.2:
                self._ask_until_accepted(key, body)
            number += 1
            self._stop.wait(self.every_s * rng.uniform(0.5, 1.5))

    def _ask_until_accepted(self, key: str, body: dict[str, Any]) -> None:
        give_up_at = time.monotonic() + 90
        while time.monotonic() < give_up_at:
            try:
                answer = self.client.ask("POST", "/v1/calls", body, {"Idempotency-Key": key})
            except (OSError, ValueError):
                self.unavailable += 1
                time.sleep(0.2)
                continue
            if answer.status == 202:
                if self.accepted.setdefault(key, answer.body["call_id"]) != answer.body["call_id"]:
                    self.doubled.add(key)
                return
            self.unavailable += 1
            if answer.status != 503:
                self.odd.append(f"POST /v1/calls was answered {answer.status}")
            time.sleep(0.2)
        self.odd.append(f"{key} was not accepted within 90 s")

    def _probe(self) -> None:
        number = 0
        while not self._stop.wait(self.every_s):
            self.posted.append(post_webhook(self.receiver_url, f"probe-{number}", self.webhook_key))
            number += 1


def post_webhook(url: str, name: str, key: str) -> Posted:
    began = time.monotonic()
    body, headers = signed_webhook(name, key)
    request = urllib.request.Request(url, body, headers, method="POST")
    try:
        with _OPENER.open(request, timeout=ANSWER_WITHIN_S) as answer:
            status = answer.status
    except urllib.error.HTTPError as refused:
        with refused:
            status = refused.code
    except (OSError, ValueError):
        status = 0
    return Posted(name, status, time.monotonic() - began)


def signed_webhook(name: str, key: str) -> tuple[bytes, dict[str, str]]:
    """Body and headers, about a call that no client has requested."""
    body = json.dumps({"event": "call_ended", "call": {"call_id": name}}).encode()
    signature = sign(body, key, int(time.time() * 1000))
    return body, {"x-retell-signature": signature, "content-type": "application/json"}


def call_id_in(body: str) -> str:
    """Of a webhook's raw text."""
    return str(json.loads(body)["call"]["call_id"])
