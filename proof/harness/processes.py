"""The processes of a scenario: started, frozen, killed, and all of them ended with it."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from proof.evidence import ROOT
from tests.loopback import answers
from tests.sqs_server import health_of, sqs_server
from tests.stories.running_system import clean_environment, wait_until

#: On a machine that proves other things at the same time.
START_WITHIN_S = 300.0
API_KEY = "rbk_for_the_proof"
RETELL_KEYS = {"RETELL_API_KEY": "key_proof_places_calls", "RETELL_WEBHOOK_KEY": "key_proof_signs_webhooks"}
ENGAGE_SECRET = "whsec_cHJvb2Ytb2YtdGhlLXN1cnJvdW5kaW5ncw=="
#: The keys of the emulated Retell, as its settings name them.
EMULATOR_KEYS = {"api_key": RETELL_KEYS["RETELL_API_KEY"], "webhook_key": RETELL_KEYS["RETELL_WEBHOOK_KEY"]}
#: Of a product whose calls are short and whose lost webhooks are noticed in seconds.
QUICK_SETTINGS = {
    **RETELL_KEYS,
    "RINGBACK_API_KEY": API_KEY,
    "RINGBACK_CALLING_HOURS": "always",
    "RINGBACK_ATTEMPTS_PER_DAY": "0",
    "RINGBACK_ATTEMPT_GAP_S": "0",
    "RINGBACK_CALLS_PER_SECOND": "30",
    "RINGBACK_MAX_LIVE_CALLS": "200",
    "RINGBACK_CREATE_TIMEOUT_S": "3",
    "RINGBACK_UNKNOWN_LOOKUPS_S": "1,3,10,30",
    "RINGBACK_SILENCE_DEADLINE_S": "5",
    "RINGBACK_NOT_CONNECTED_DEADLINE_S": "3",
    "RINGBACK_ANALYSIS_DEADLINE_S": "5",
    "RINGBACK_MAX_CALL_S": "20",
}


class Processes:
    """A context; on leaving, everything that it started is killed. Each process has a log of its name in `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(parents=True, exist_ok=True)
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for child in self._children.values():
            child.kill()
            child.wait()

    def start(self, name: str, command: list[str], environment: Mapping[str, str]) -> None:
        with (self.home / f"{name}.log").open("ab") as log:
            self._children[name] = subprocess.Popen(
                command, cwd=ROOT, env=dict(environment), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def signal(self, name: str, number: signal.Signals) -> None:
        self._children[name].send_signal(number)

    def kill(self, name: str) -> None:
        self._children[name].kill()
        self._children[name].wait()

    def is_alive(self, name: str) -> bool:
        return self._children[name].poll() is None

    def serve(self, service: str, port: int, settings: Mapping[str, str]) -> None:
        """One service of the product, under its own name."""
        command = [sys.executable, "-m", "ringback.cli", "serve", service, "--port", str(port)]
        self.start(service, command, clean_environment(settings))

    def start_emulators(self, retell: Mapping[str, Any], engage: Mapping[str, Any] | None = None) -> None:
        """Until both answer. `retell` has any settings of the emulator and its `port`; `engage` its `port`."""
        spec: dict[str, Any] = {"state": str(self.home / "emulated"), "retell": {**EMULATOR_KEYS, **retell}}
        if engage is not None:
            spec["engage"] = {"secret": ENGAGE_SECRET, **engage}
        command = [sys.executable, "-m", "proof.harness.emulators", json.dumps(spec)]
        self.start("emulators", command, clean_environment({}))
        ports = [spec[name]["port"] for name in ("retell", "engage") if name in spec]
        wait_for(*(f"http://127.0.0.1:{port}/healthz" for port in ports))

    def start_sqs(self, port: int) -> str:
        home = self.home / "ministack"
        home.mkdir(exist_ok=True)
        self.start("sqs", *sqs_server(port, home))
        endpoint = f"http://127.0.0.1:{port}"
        wait_for(health_of(endpoint))
        return endpoint


def wait_for(*urls: str) -> None:
    for url in urls:
        wait_until(lambda url=url: answers(url), START_WITHIN_S, f"{url} answers")  # type: ignore[misc]
