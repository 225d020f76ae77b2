"""The receiver of docs/engage.md as a process of its own."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.loopback import free_ports

from .running_system import ask, wait_until

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
DOCUMENT = Path(__file__).parents[2] / "docs" / "engage.md"


@dataclass
class DocumentedReceiver:
    home: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        (source,) = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
        script = self.home / "receiver.py"
        script.write_text(source)
        env = {**os.environ, "RINGBACK_ENGAGE_SECRET": SECRET, "PORT": str(self.port)}
        with (self.home / "receiver.log").open("ab") as log:
            self.process = subprocess.Popen([sys.executable, str(script)], env=env, cwd=self.home, stderr=log)
        wait_until(self._answers, 20, "the receiver listens")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=10)
            self.process = None

    def stored(self) -> list[dict[str, Any]]:
        """The events in order of arrival, each once."""
        with sqlite3.connect(self.home / "engage.db") as db:
            query = "SELECT content FROM received WHERE path = '/abt-events' ORDER BY rowid"
            return [json.loads(event) for (event,) in db.execute(query)]

    def _answers(self) -> bool:
        try:
            return ask("GET", self.url).status == 501  # http.server has no other method than the receiver's
        except ValueError:
            return True  # its page about that is no JSON
        except OSError:
            return False


@contextmanager
def documented_receiver(home: Path) -> Iterator[DocumentedReceiver]:
    """Run it on a port that stays the same after a restart."""
    receiver = DocumentedReceiver(home, free_ports(1)[0])
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.stop()
