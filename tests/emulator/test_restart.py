"""A killed emulator: its ledger is whole and its calls go on."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace

import httpx
import pytest

from ringback_emulator.journal import Journal, JournalInUse

RUN = """
import sys
from pathlib import Path
from ringback_emulator.retell import run_retell
from ringback_emulator.settings import RetellEmulatorSettings
state, port, hook, speed = sys.argv[1:]
run_retell(RetellEmulatorSettings(state_dir=Path(state), api_key="k", webhook_key="w", webhook_url=hook,
    speed=float(speed)), int(port))
"""


class Process:
    def __init__(self, state_dir, hook, port, speed):
        command = [sys.executable, "-c", RUN, str(state_dir), str(port), hook, str(speed)]
        self.popen = subprocess.Popen(command, stderr=subprocess.PIPE)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"authorization": "Bearer k"})
        for _ in range(1000):
            try:
                self.http.get("/healthz")
                return
            except httpx.TransportError:
                time.sleep(0.01)
        raise AssertionError("the emulator did not start")

    def place(self, to_number, timeout_s=5.0, **fields):
        body = {"from_number": "+14155550199", "to_number": to_number, **fields}
        return self.http.post("/v2/create-phone-call", json=body, timeout=timeout_s)

    def rings(self):
        return [ring["provider_call_id"] for ring in self.http.get("/emulator/retell/rings").json()["items"]]

    def kill(self):
        self.popen.kill()
        self.popen.communicate()
        self.http.close()

    def leave(self):
        self.popen.send_signal(signal.SIGTERM)
        _, errors = self.popen.communicate(timeout=10)
        return self.popen.returncode, errors.decode()


async def test_a_kill_loses_no_ring_and_the_calls_go_on(world, tmp_path, wait_until, port):
    hook = f"{world.recorder.url}/hook"
    first = await asyncio.to_thread(Process, tmp_path / "state", hook, port, 20)
    answer = await asyncio.to_thread(first.place, "+12125550100", idempotency_key="k1")
    throttled = await asyncio.to_thread(first.place, "+12125550113", idempotency_key="k2")
    call_id = answer.json()["call_id"]

    async def started():
        return "call_started" in world.recorder.events(call_id)

    await wait_until(started)
    first.kill()

    second = await asyncio.to_thread(Process, tmp_path / "state", hook, port, 20)
    try:
        assert await asyncio.to_thread(second.rings) == [call_id]
        again = await asyncio.to_thread(second.place, "+12125550100", idempotency_key="k1")
        assert (throttled.status_code, again.status_code, again.json()["call_id"]) == (429, 201, call_id)

        async def analyzed():
            return "call_analyzed" in world.recorder.events(call_id)

        await wait_until(analyzed)
        assert list(dict.fromkeys(world.recorder.events(call_id))) == ["call_started", "call_ended", "call_analyzed"]
        assert await asyncio.to_thread(second.rings) == [call_id]
    finally:
        second.kill()


async def test_a_signal_ends_the_process_cleanly_even_while_a_create_hangs(tmp_path, port):
    process = await asyncio.to_thread(Process, tmp_path / "state", "http://127.0.0.1:9/hook", port, 20)
    hanging = asyncio.create_task(asyncio.to_thread(process.place, "+12125550112"))
    while not await asyncio.to_thread(process.rings):
        await asyncio.sleep(0.01)
    assert await asyncio.to_thread(process.leave) == (0, "")
    assert (await hanging).status_code == 503


async def test_webhooks_that_were_owed_are_sent_by_the_next_process(world, settings, open_world, wait_until, tmp_path):
    hook = f"{world.recorder.url}/hook"
    other = replace(settings, state_dir=tmp_path / "other", webhook_url=hook)
    world.recorder.refuse["call_ended"] = 1
    async with open_world(replace(other, speed=1.0)) as first:
        call = await first.place("+12125550106")
    async with open_world(other) as second:
        await second.finished(call.call_id)
    assert world.recorder.events(call.call_id).count("call_analyzed") <= 1
    async with open_world(other):

        async def all_delivered():
            return len(world.recorder.events(call.call_id)) == 3

        await wait_until(all_delivered)
    assert sorted(world.recorder.events(call.call_id)) == ["call_analyzed", "call_ended", "call_ended"]


async def test_a_ring_that_was_not_yet_in_the_ledger_is_written_at_the_next_start(settings, open_world):
    async with open_world(settings) as world:
        call = await world.place("+12125550100")
    (settings.state_dir / "rings.jsonl").write_text("")
    async with open_world(settings) as world:
        assert [ring["provider_call_id"] for ring in await world.rings()] == [call.call_id]


def test_a_torn_last_line_is_dropped(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_text('{"a":1}\n{"b":')
    journal = Journal(path)
    journal.append({"c": 3})
    assert list(journal.records()) == [{"a": 1}, {"c": 3}]
    assert json.loads(journal.as_items()) == {"items": [{"a": 1}, {"c": 3}]}
    journal.close()


def test_one_state_directory_serves_one_process(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    with pytest.raises(JournalInUse):
        Journal(tmp_path / "j.jsonl")
    journal.close()
