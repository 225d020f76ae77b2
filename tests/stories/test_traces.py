"""One call is one trace through every process, and no span has personal data or a secret."""

import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from proof.hostile.canaries import leaks, make_canaries
from ringback import tracing
from ringback.tracing import AttemptIds
from tests.loopback import answers, free_ports

from .otlp_receiver import OtlpReceiver, ReceivedSpan, otlp_receiver, tree
from .running_system import START_WITHIN_S, SystemClient, clean_environment, wait_until
from .separate_processes import API_KEY, RETELL, Processes, ringback, settings_between, start_emulators

PROCESSES = ("internal-api", "business-api", "call-processor", "webhook-processor", "scheduler", "webhook-receiver")
CANARIES = make_canaries(random.Random("traces"))
CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#: The number of spans by (name of the span above, name, process).
OF_A_CONVERSATION = {
    ("", "call.accept", "internal-api"): 1,
    ("call.accept", "attempt.dial", "call-processor"): 1,
    ("attempt.dial", "retell.create_phone_call", "call-processor"): 1,
    ("attempt.dial", "answer.record", "call-processor"): 1,
    ("attempt.dial", "webhook.receive", "webhook-receiver"): 3,
    ("webhook.receive", "webhook.apply", "webhook-processor"): 3,
    ("attempt.dial", "event.deliver", "any"): 3,
}
OF_AN_ACTION = {("attempt.dial", "action.perform", "business-api"): 1}


@pytest.fixture(scope="module")
def collector() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as receiver:
        yield receiver


@pytest.fixture
def client(tmp_path: Path, database_url: str, collector: OtlpReceiver) -> Iterator[SystemClient]:
    names = ("retell", "engage", *PROCESSES)
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    settings = settings_between(urls, "http://127.0.0.1:9", database_url, "calls", "events") | {
        "RINGBACK_TRACES_URL": collector.url,
        "RINGBACK_ATTEMPT_GAP_S": "0",
        "RINGBACK_ATTEMPTS_PER_DAY": "0",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    running = Processes(tmp_path)
    try:
        start_emulators(running, ports, urls, "webhook-receiver", speed=40)
        environment = clean_environment(settings)
        subprocess.run(ringback("db", "upgrade"), env=environment, check=True, stdout=subprocess.DEVNULL)
        for name in PROCESSES:
            running.start(name, ringback("serve", name, "--port", str(ports[name])), environment)
        for name in names:
            wait_until(lambda name=name: answers(f"{urls[name]}/healthz"), START_WITHIN_S, f"{name} answers")
        yield SystemClient(urls["internal-api"], API_KEY, urls["retell"], urls["engage"])
        assert running.stop(PROCESSES) == dict.fromkeys(PROCESSES, 0)
    finally:
        running.discard()


def _place(client: SystemClient, scenario: str, **more: object) -> str:
    contact = {"contact_id": CANARIES.words["tool"], "phone": CANARIES.phones["answered"], "time_zone": "UTC"}
    body = {
        "contact": contact | {"fields": {"first_name": CANARIES.words["first_name"]}, "time_zone": "America/New_York"},
        "agent_id": "agent_sales",
        "from_number": CANARIES.phones["own"],
        "variables": {"first_name": CANARIES.words["field"]},
        "metadata": {"emulator_scenario": scenario, "note": CANARIES.words["metadata"]},
        **more,
    }
    answer = client.ask("POST", "/v1/calls", body, {"traceparent": CALLER})
    assert answer.status == 202, answer.body
    call_id: str = answer.body["call_id"]
    client.wait_final(call_id, 60)
    client.wait_delivered(call_id)
    return call_id


def _shape(spans: list[ReceivedSpan]) -> Counter[tuple[str, str, str]]:
    names = {span.span_id: span.name for span in spans}
    assert len(names) == len(spans), "every span has an id of its own"
    # Whichever process commits an event delivers it.
    return Counter(
        (names.get(span.parent_id, ""), span.name, "any" if span.name == "event.deliver" else span.process)
        for span in spans
    )


def test_a_call_is_one_trace_and_its_second_attempt_a_trace_with_a_link(
    client: SystemClient, collector: OtlpReceiver
) -> None:
    call_id = _place(client, "00")
    trace_id = tracing.of_call(call_id).trace_id
    wanted = sum(OF_A_CONVERSATION.values())
    wait_until(lambda: len(collector.of_trace(trace_id)) >= wanted, 20, "the spans of the call")
    spans = collector.of_trace(trace_id)
    print("\n" + "\n".join(tree(spans)))  # noqa: T201 - the tree, for -s
    assert _shape(spans) == OF_A_CONVERSATION
    [root] = [span for span in spans if not span.parent_id]
    assert root.links == (tuple(CALLER.split("-")[1:3]),)
    delivered = [span.facts["ringback.event_type"] for span in spans if span.name == "event.deliver"]
    assert sorted(delivered) == [f"voice_ai_call_{name}" for name in ("completed", "initiated", "started")]

    noted = tracing.of_call(_place(client, "18")).trace_id
    wait_until(lambda: "action.perform" in {one.name for one in collector.of_trace(noted)}, 20, "the agent's action")
    assert _shape(collector.of_trace(noted)).items() >= OF_AN_ACTION.items()

    retried = _place(client, "01", retry={"max_attempts": 2, "delay_s": [1], "on": ["no_answer"]})
    second = client.call(retried)["attempts"][1]["attempt_id"]
    own = tracing.of_attempt(retried, AttemptIds(second, 2))
    wait_until(lambda: len(collector.of_trace(own.trace_id)) >= 7, 20, "the spans of the second attempt")
    [dial] = [span for span in collector.of_trace(own.trace_id) if not span.parent_id]
    call = tracing.of_call(retried)
    assert (dial.name, dial.span_id, dial.links) == ("attempt.dial", own.span_id, ((call.trace_id, call.span_id),))

    texts = "\n".join(body.decode("latin-1") for body in collector.bodies)
    assert call_id in texts
    assert list(leaks(texts, CANARIES.spellings())) == []
    assert [secret for secret in (API_KEY, *RETELL.values()) if secret in texts] == []
