"""Processes with a log each, and what the stories of separate processes have in common."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.loopback import answers
from tests.sqs_server import AWS, health_of, sqs_server

from .running_system import SystemClient, clean_environment, wait_until

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

    def has_ended(self, name: str) -> bool:
        return self._children[name].poll() is not None

    def kill(self, name: str) -> None:
        self._children[name].kill()
        self._children[name].wait()

    def discard(self) -> None:
        for child in self._children.values():
            child.kill()
            child.wait()


#: The end of a call by the last two digits of its number, and its events.
ENDS = {
    "00": ("completed", ["initiated", "started", "completed"]),
    "01": ("failed", ["initiated", "failed"]),
    "03": ("left_voicemail", ["initiated", "started", "left_voicemail"]),
    "07": ("scheduled", ["initiated", "started", "rescheduled"]),
}


def start_emulators(
    processes: Processes, ports: Mapping[str, int], urls: Mapping[str, str], webhooks: str, speed: int
) -> None:
    """Start both emulators. `webhooks` names the process that receives Retell's webhooks."""
    environment = clean_environment({**RETELL, **ENGAGE, "RINGBACK_EMULATOR_SPEED": str(speed)})
    tools = ["--webhook-url", f"{urls[webhooks]}/retell/webhook"]
    tools += ["--functions-url", f"{urls['business-api']}/v1/retell/functions"]
    for what, options in (("retell", tools), ("engage", [])):
        place = ["--port", str(ports[what]), "--state", str(processes.home / f"state-{what}")]
        processes.start(what, ringback("emulate", what, *place, *options), environment)


def settings_between(
    urls: Mapping[str, str], sqs_url: str, database_url: str, call_queue: str, event_queue: str
) -> dict[str, str]:
    """Return the settings of processes between SQS and both emulators."""
    return {
        **AWS,
        **RETELL,
        **ENGAGE,
        "AWS_ENDPOINT_URL_SQS": sqs_url,
        "RINGBACK_DATABASE_URL": database_url,
        "RINGBACK_CALL_QUEUE": call_queue,
        "RINGBACK_EVENT_QUEUE": event_queue,
        "RETELL_BASE_URL": urls["retell"],
        "RINGBACK_ENGAGE_URL": urls["engage"],
        "RINGBACK_API_KEY": API_KEY,
        "RINGBACK_CALLING_HOURS": "always",
        "RINGBACK_CALLS_PER_SECOND": "20",
    }


def check_end(client: SystemClient, call_id: str, code: str, within_s: float) -> None:
    """The call ends as its number says: its events once, in order and signed, and one ring."""
    status, types = ENDS[code]
    client.wait_for(call_id, lambda call: call["status"] == status and call["attempts"] != [], within_s)
    client.wait_delivered(call_id)
    heard = client.deliveries_of(call_id)
    assert [delivery["type"].removeprefix("voice_ai_call_") for delivery in heard] == types
    assert all(delivery["signature_ok"] for delivery in heard)
    assert len(client.rings_of(call_id)) == 1


def waiting(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    return sum(
        int(count) for count in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()
    )


def ringback(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ringback.cli", *arguments]


def start_sqs(processes: Processes, port: int) -> str:
    """Start an SQS server and return its endpoint."""
    processes.start("ministack", *sqs_server(port, processes.home))
    endpoint = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(health_of(endpoint)), 30, "the SQS server answers")
    return endpoint
