"""The receiver of docs/engage.md gets every event of a running system, also across a stop of its own."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ringback import cli
from tests.event_schemas import checked_event

from .documented_receiver import SECRET, DocumentedReceiver, documented_receiver
from .running_system import Json, RunningSystem, SystemClient, clean_environment, new_call


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[DocumentedReceiver]:
    with documented_receiver(tmp_path) as running:
        yield running


def test_every_event_arrives_verified_in_order_and_is_in_the_feed(receiver: DocumentedReceiver, make_system) -> None:
    running = make_system(RINGBACK_ENGAGE_URL=receiver.url, RINGBACK_ENGAGE_SECRET=SECRET)
    running.start()
    client = running.client
    assert f"{receiver.url} responds" in _doctor(running)
    before = [client.place(new_call(f"+121255501{code}")) for code in ("00", "01", "03")]
    for call_id in before:
        client.wait_final(call_id)
        client.wait_delivered(call_id)
    receiver.stop()
    assert f"{receiver.url}: no connection (Connection refused)" in _doctor(running)
    during = [client.place(new_call(f"+131255501{code}")) for code in ("00", "05")]
    for call_id in during:
        client.wait_final(call_id)
    receiver.start()
    for call_id in during:
        client.wait_delivered(call_id)

    stored = receiver.stored()
    for call_id in before + during:
        own = [checked_event(event) for event in stored if event["subject"] == call_id]
        assert [event["data"]["sequence"] for event in own] == list(range(1, len(own) + 1))
        assert [event["data"].get("is_final", False) for event in own] == [False] * (len(own) - 1) + [True]
    assert sorted(event["id"] for event in stored) == sorted(event["id"] for event in _feed(client))
    assert running.stop() == 0


def _doctor(running: RunningSystem) -> str:
    """Examine the system from a shell that has none of its settings, and return the line about Engage."""
    words = ["doctor", "--data-dir", str(running.home / "data")]
    told = subprocess.run(
        [sys.executable, "-m", "ringback.cli", *words],
        env=clean_environment({}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    [line] = [line for line in told.stdout.splitlines() if re.match("(ok|warn|WRONG) +Engage ", line)]
    return line


def _feed(client: SystemClient) -> list[Json]:
    """Read the feed as docs/engage.md says, page by page."""
    events, after, has_more = [], "", True
    while has_more:
        page = client.get("/v1/events?limit=4" + (f"&after={after}" if after else ""))
        events += [item["event"] for item in page["items"]]
        after, has_more = page["next_cursor"], page["has_more"]
    return events


def test_it_keeps_every_rule_of_the_conformance(receiver: DocumentedReceiver) -> None:
    result = CliRunner().invoke(cli.app, ["conformance", receiver.url, "--secret", SECRET])
    assert result.exit_code == 0, result.output
    ids = [event["id"] for event in receiver.stored()]
    assert len(ids) == len(set(ids)) > 100
