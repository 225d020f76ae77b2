"""Simulated calls: their limits, their end by a stop, and how they continue after a restart."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import httpx

from tests.emulator.conftest import CREATE_BODY


async def test_the_same_idempotency_key_gives_the_same_call_and_one_ring(emulator):
    first = await emulator.post(CREATE_BODY | {"idempotency_key": "k1", "metadata": {"n": 1}})
    second = await emulator.post(CREATE_BODY | {"idempotency_key": "k1", "metadata": {"n": 1}})
    other = await emulator.post(CREATE_BODY | {"idempotency_key": "k2"})
    assert first.status_code == second.status_code == 201
    assert first.json()["call_id"] == second.json()["call_id"] != other.json()["call_id"]
    assert len(await emulator.rings()) == 2


async def test_with_idempotency_off_the_same_key_rings_again(settings, open_emulator):
    async with open_emulator(replace(settings, idempotency=False)) as emulator:
        for _ in range(2):
            await emulator.post(CREATE_BODY | {"idempotency_key": "k1"})
        assert len(await emulator.rings()) == 2


async def test_a_throttled_create_is_accepted_the_third_time_for_each_key_anew(emulator):
    body = CREATE_BODY | {"to_number": "+12125550113"}
    statuses = [(await emulator.post(body | {"idempotency_key": "a"})).status_code for _ in range(4)]
    assert statuses == [429, 429, 201, 201]
    assert (await emulator.post(body | {"idempotency_key": "b"})).status_code == 429
    assert len(await emulator.rings()) == 1


async def test_calls_above_the_concurrency_limit_are_429_until_one_ends(settings, open_emulator):
    async with open_emulator(replace(settings, concurrency_limit=1, speed=40.0)) as emulator:
        first = await emulator.post(CREATE_BODY)
        assert (await emulator.post(CREATE_BODY)).status_code == 429
        await emulator.finished(first.json()["call_id"])
        assert (await emulator.post(CREATE_BODY)).status_code == 201
        assert len(await emulator.rings()) == 2


async def test_calls_above_the_rate_are_429(settings, open_emulator):
    async with open_emulator(replace(settings, calls_per_second=3)) as emulator:
        answers = await asyncio.gather(*(emulator.post(CREATE_BODY) for _ in range(5)))
        assert sorted(answer.status_code for answer in answers) == [201, 201, 201, 429, 429]


async def test_a_ring_is_in_the_ledger_with_its_metadata_and_time(emulator):
    call = await emulator.place("+12125550102", metadata={"ringback_attempt_id": "a1"})
    (ring,) = await emulator.rings()
    assert ring.keys() == {"provider_call_id", "to_number", "metadata", "rang_at"}
    assert ring["provider_call_id"] == call.call_id
    assert ring["metadata"] == {"ringback_attempt_id": "a1"}
    assert ring["rang_at"].endswith("Z")


async def test_a_person_who_opts_out_cannot_be_called_again_with_the_do_not_call_check(emulator):
    call = await emulator.place("+12125550108")
    await emulator.finished(call.call_id)
    assert json.loads(emulator.receiver.functions[0][1])["args"]["code"] == "do_not_call"
    again = {"from_number": "+14155550199", "to_number": "+12125550108"}
    assert (await emulator.post({**again, "honor_internal_dnc": True})).status_code == 400
    assert len(await emulator.rings()) == 1
    assert (await emulator.post(again)).status_code == 201


async def test_only_an_ongoing_call_can_be_stopped(settings, open_emulator, wait_until):
    async with open_emulator(replace(settings, speed=20.0)) as emulator:
        call = await emulator.place("+12125550100")
        assert (await emulator.http.post(f"/v2/stop-call/{call.call_id}")).status_code == 400

        async def ongoing():
            return (await emulator.sdk.call.retrieve(call.call_id)).call_status == "ongoing"

        await wait_until(ongoing)
        assert await emulator.sdk.call.stop(call.call_id) is None
        body = await emulator.finished(call.call_id)
        assert body["disconnection_reason"] == "manual_stopped"
        assert body["call_analysis"]["call_successful"] is False


RUN_CODE = """
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
        command = [sys.executable, "-c", RUN_CODE, str(state_dir), str(port), hook, str(speed)]
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

    def terminate(self):
        self.popen.send_signal(signal.SIGTERM)
        _, errors = self.popen.communicate(timeout=10)
        return self.popen.returncode, errors.decode()


async def test_a_kill_loses_no_ring_and_the_calls_continue(emulator, tmp_path, wait_until, port):
    hook = f"{emulator.receiver.url}/hook"
    first = await asyncio.to_thread(Process, tmp_path / "state", hook, port, 20)
    answer = await asyncio.to_thread(first.place, "+12125550100", idempotency_key="k1")
    throttled = await asyncio.to_thread(first.place, "+12125550113", idempotency_key="k2")
    call_id = answer.json()["call_id"]

    async def started():
        return "call_started" in emulator.receiver.events(call_id)

    await wait_until(started)
    first.kill()

    second = await asyncio.to_thread(Process, tmp_path / "state", hook, port, 20)
    try:
        assert await asyncio.to_thread(second.rings) == [call_id]
        again = await asyncio.to_thread(second.place, "+12125550100", idempotency_key="k1")
        assert (throttled.status_code, again.status_code, again.json()["call_id"]) == (429, 201, call_id)

        async def analyzed():
            return "call_analyzed" in emulator.receiver.events(call_id)

        await wait_until(analyzed)
        assert list(dict.fromkeys(emulator.receiver.events(call_id))) == ["call_started", "call_ended", "call_analyzed"]
        assert await asyncio.to_thread(second.rings) == [call_id]
    finally:
        second.kill()


async def test_a_signal_ends_the_process_with_0_while_a_create_hangs(tmp_path, port):
    process = await asyncio.to_thread(Process, tmp_path / "state", "http://127.0.0.1:9/hook", port, 20)
    hanging = asyncio.create_task(asyncio.to_thread(process.place, "+12125550112"))
    while not await asyncio.to_thread(process.rings):
        await asyncio.sleep(0.01)
    assert await asyncio.to_thread(process.terminate) == (0, "")
    assert (await hanging).status_code == 503


async def test_webhooks_not_yet_sent_are_sent_by_the_next_process(
    emulator, settings, open_emulator, wait_until, tmp_path
):
    hook = f"{emulator.receiver.url}/hook"
    other = replace(settings, state_dir=tmp_path / "other", webhook_url=hook)
    emulator.receiver.rejections["call_ended"] = 1
    async with open_emulator(replace(other, speed=1.0)) as first:
        call = await first.place("+12125550106")
    async with open_emulator(other) as second:
        await second.finished(call.call_id)
    assert emulator.receiver.events(call.call_id).count("call_analyzed") <= 1
    async with open_emulator(other):

        async def all_delivered():
            # A process that ends between the receiver's answer and its own record leaves the webhook to be sent again.
            sent = Counter(emulator.receiver.events(call.call_id))
            return sent["call_ended"] >= 2 and sent["call_analyzed"] >= 1

        await wait_until(all_delivered)
    assert set(emulator.receiver.events(call.call_id)) == {"call_analyzed", "call_ended"}


async def test_a_ring_that_was_not_yet_in_the_ledger_is_written_at_the_next_start(settings, open_emulator):
    async with open_emulator(settings) as emulator:
        call = await emulator.place("+12125550100")
    (settings.state_dir / "rings.jsonl").write_text("")
    async with open_emulator(settings) as emulator:
        assert [ring["provider_call_id"] for ring in await emulator.rings()] == [call.call_id]


async def test_a_create_that_fails_rings_nowhere_and_leaves_no_call(emulator):
    for _ in range(2):
        answer = await emulator.post(CREATE_BODY | {"to_number": "+12125550126", "idempotency_key": "k1"})
        assert answer.status_code == 500
    assert await emulator.rings() == []
    assert await emulator.find() == []
