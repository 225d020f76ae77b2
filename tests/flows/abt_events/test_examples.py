"""The examples that the package has for receivers are what the product emits."""

import json
from typing import Any

import pytest

from ringback.domain.abt_event import AbtType, FailReason
from ringback.web.event_reference import EXAMPLES, read_examples

from .examples import play_all


@pytest.fixture(scope="module")
def examples() -> dict[str, list[dict[str, Any]]]:
    return read_examples()


async def test_the_examples_are_the_events_of_their_stories(store, pool, request) -> None:
    """`--write-examples` writes them anew, after the events were changed on purpose."""
    emitted = await play_all(store, pool)
    if request.config.getoption("--write-examples"):
        EXAMPLES.mkdir(exist_ok=True)
        for name, events in emitted.items():
            (EXAMPLES / f"{name}.json").write_text(json.dumps(events, indent=2) + "\n")
    assert read_examples() == emitted


def test_every_type_and_every_reason_has_an_example(examples) -> None:
    types = {event["type"] for events in examples.values() for event in events}
    assert types == {*AbtType, "lead_qualified"}
    for reason in FailReason:
        last = examples[f"failed_{reason}"][-1]
        assert (last["type"], last["data"]["reason"]) == (AbtType.FAILED, reason)


def test_the_examples_show_what_their_names_say(examples) -> None:
    short = {
        name: [event["type"].removeprefix("voice_ai_call_") for event in events] for name, events in examples.items()
    }
    assert short["completed"] == ["initiated", "started", "completed"]
    assert short["rescheduled"] == ["initiated", "started", "rescheduled"]
    assert short["retried"] == ["initiated", "failed", "initiated", "started", "completed"]
    assert short["retry_cancelled"] == ["initiated", "failed", "failed"]
    assert short["corrected"] == ["initiated", "started", "partially_completed", "completed"]
    assert short["corrected_retry"] == ["initiated", "failed", "started", "completed"]
    assert short["custom_event"] == ["initiated", "started", "lead_qualified", "completed"]
    assert examples["analysis_missing"][-1]["data"]["analysis"] == "missing"
    assert {events[-1]["data"]["source"] for name, events in examples.items() if name.startswith("rescheduled")} == {
        "agent",
        "api",
        "timezone",
    }
