"""Every service as a process of its own, with SQS between them as in production, and both emulators."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback import answers, free_ports
from tests.sqs_server import AWS, create_queue, health_of, sqs_client, sqs_server

from .running_system import SystemClient, clean_environment, new_call, wait_until
from .separate_processes import API_KEY, ENGAGE, RETELL, Processes, ringback, waiting

PROCESSES = (
    "internal-api",
    "business-api",
    "call-processor",
    "webhook-processor",
    "scheduler",
    "webhook-receiver",
)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    running = Processes(tmp_path)
    yield running
    running.discard()


def _start_sqs(processes: Processes, port: int) -> str:
    """Start an SQS server and return its endpoint."""
    processes.start("ministack", *sqs_server(port, processes.home))
    endpoint = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(health_of(endpoint)), 30, "the SQS server answers")
    return endpoint


def test_calls_pass_through_every_process_and_both_queues(processes: Processes, database_url: str) -> None:
    began = time.monotonic()
    names = ("sqs", "retell", "engage", *PROCESSES)
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    emulator_environment = clean_environment({**RETELL, **ENGAGE, "RINGBACK_EMULATOR_SPEED": "40"})
    tools = ["--webhook-url", f"{urls['webhook-receiver']}/retell/webhook"]
    tools += ["--functions-url", f"{urls['business-api']}/v1/retell/functions"]
    for what, options in (("retell", tools), ("engage", [])):
        place = ["--port", str(ports[what]), "--state", str(processes.home / f"state-{what}")]
        processes.start(what, ringback("emulate", what, *place, *options), emulator_environment)
    endpoint = _start_sqs(processes, ports["sqs"])
    sqs = sqs_client(endpoint)
    queues = [create_queue(sqs, name) for name in ("calls", "events")]
    settings = {
        **AWS,
        **RETELL,
        **ENGAGE,
        "AWS_ENDPOINT_URL_SQS": endpoint,
        "RINGBACK_DATABASE_URL": database_url,
        "RINGBACK_CALL_QUEUE": queues[0],
        "RINGBACK_EVENT_QUEUE": queues[1],
        "RETELL_BASE_URL": urls["retell"],
        "RINGBACK_ENGAGE_URL": urls["engage"],
        "RINGBACK_API_KEY": API_KEY,
        "RINGBACK_CALLING_HOURS": "always",
        "RINGBACK_CALLS_PER_SECOND": "20",
    }
    without_database = {name: text for name, text in settings.items() if name != "RINGBACK_DATABASE_URL"}
    for name in PROCESSES:
        # With SQS the receiver needs only its queue, as the Lambda does.
        own = without_database if name == "webhook-receiver" else settings
        command = ringback("serve", name, "--port", str(ports[name]))
        processes.start(name, command, clean_environment(own))
    for name in PROCESSES:
        wait_until(lambda name=name: answers(f"{urls[name]}/readyz"), 60, f"{name} answers")
    started_s = time.monotonic() - began
    client = SystemClient(urls["internal-api"], API_KEY, urls["retell"], urls["engage"])
    placed = {code: client.place(new_call(f"+141555501{code}")) for code in ("00", "01", "07")}
    ends = {
        "00": ("completed", ["initiated", "started", "completed"]),
        "01": ("failed", ["initiated", "failed"]),
        "07": ("scheduled", ["initiated", "started", "rescheduled"]),
    }
    for code, (status, types) in ends.items():
        call_id = placed[code]
        client.wait_for(call_id, lambda call, status=status: call["status"] == status and call["attempts"] != [], 30)
        client.wait_delivered(call_id)
        heard = client.deliveries_of(call_id)
        assert [delivery["type"].removeprefix("voice_ai_call_") for delivery in heard] == types
        assert all(delivery["signature_ok"] for delivery in heard)
        assert len(client.rings_of(call_id)) == 1
        sources = {entry["event"] for entry in client.timeline(call_id) if entry["kind"] == "provider_event"}
        assert sources >= ({"call_ended"} if code == "01" else {"call_started"})
    for url in queues:
        wait_until(lambda url=url: waiting(sqs, url) == 0, 10, "every message acknowledged")
        assert waiting(sqs, f"{url}-dead") == 0
    print(f"\nup after {started_s:.1f} s, done after {time.monotonic() - began:.1f} s")  # noqa: T201 - a measurement, for -s
    assert processes.stop(PROCESSES) == dict.fromkeys(PROCESSES, 0)
