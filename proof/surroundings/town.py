"""The processes of a story, each with a log: started, frozen, killed, and all of them ended with the story."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.loopback import answers
from tests.sqs_server import health_of, sqs_server
from tests.stories.running_system import clean_environment, wait_until

ROOT = Path(__file__).parents[2]
#: On a machine that proves other things at the same time.
START_WITHIN_S = 300.0
API_KEY = "rbk_for_the_proof"
RETELL_KEYS = {"RETELL_API_KEY": "key_proof_places_calls", "RETELL_WEBHOOK_KEY": "key_proof_signs_webhooks"}
ENGAGE_SECRET = "whsec_cHJvb2Ytb2YtdGhlLXN1cnJvdW5kaW5ncw=="


class Town:
    """A context; on leaving, whatever it started is killed."""

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

    def stop(self, *names: str) -> dict[str, int]:
        """SIGTERM; their exit codes."""
        for name in names:
            self._children[name].terminate()
        return {name: self._children[name].wait(timeout=40) for name in names}

    def is_alive(self, name: str) -> bool:
        return self._children[name].poll() is None

    def log(self, name: str) -> str:
        return (self.home / f"{name}.log").read_text(errors="replace")

    def ringback(self, name: str, arguments: list[str], settings: Mapping[str, str]) -> None:
        self.start(name, [sys.executable, "-m", "ringback.cli", *arguments], clean_environment(settings))

    def serve(self, name: str, service: str, port: int, settings: Mapping[str, str]) -> str:
        self.ringback(name, ["serve", service, "--port", str(port)], settings)
        return f"http://127.0.0.1:{port}"

    def start_retell(self, port: int, webhook_url: str, **emulated: Any) -> str:
        """The emulated Retell with any of its settings; what rang is kept by it alone, on its own disk."""
        settings = {"state_dir": str(self.home / f"retell-{port}"), "webhook_url": webhook_url, **emulated}
        settings |= {"api_key": RETELL_KEYS["RETELL_API_KEY"], "webhook_key": RETELL_KEYS["RETELL_WEBHOOK_KEY"]}
        command = [sys.executable, "-m", "proof.surroundings.strict_retell", json.dumps(settings), str(port)]
        self.start(f"retell-{port}", command, clean_environment({}))
        return f"http://127.0.0.1:{port}"

    def start_engage(self, port: int) -> str:
        place = ["--port", str(port), "--state", str(self.home / "engage")]
        self.ringback("engage", ["emulate", "engage", *place], {"RINGBACK_ENGAGE_SECRET": ENGAGE_SECRET})
        return f"http://127.0.0.1:{port}"

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
