"""Processes with a log each, and what the stories of separate processes have in common."""

import subprocess
import sys
from pathlib import Path
from typing import Any

API_KEY = "rbk_for_the_story"
RETELL = {"RETELL_API_KEY": "key_retell_places_calls", "RETELL_WEBHOOK_KEY": "key_retell_signs_webhooks"}
ENGAGE = {"RINGBACK_ENGAGE_SECRET": "whsec_c3Rvcnktb2YtdGhlLXByb2Nlc3Nlcw=="}


class Processes:
    """Child processes with one log each. All get SIGTERM at the end and must exit with 0."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        with (self.home / f"{name}.log").open("wb") as log:
            self._children[name] = subprocess.Popen(
                command, cwd=self.home, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def stop(self, names: tuple[str, ...], within_s: float = 40) -> dict[str, int]:
        for name in names:
            self._children[name].terminate()
        return {name: self._children[name].wait(within_s) for name in names}

    def discard(self) -> None:
        for child in self._children.values():
            child.kill()
            child.wait()


def waiting(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return sum(
        int(count) for count in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()
    )


def ringback(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ringback.cli", *arguments]
