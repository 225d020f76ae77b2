"""create-phone-call: what is refused, what rings, and what a caller gets to hear about it."""

import asyncio
from dataclasses import replace

import httpx
import pytest

GOOD = {"from_number": "+14155550199", "to_number": "+12125550100", "override_agent_id": "agent_sales"}


async def test_a_wrong_or_missing_key_is_refused_in_retells_shape(world):
    for headers in ({"authorization": "Bearer other"}, {"authorization": ""}):
        answer = await world.post(GOOD, headers=headers)
        assert answer.status_code == 401
        assert answer.json() == {"status": "error", "message": "API key is missing or invalid."}
    assert await world.rings() == []


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"to_number": "2125550100"}, 400, "E.164"),
        ({"to_number": "+0125550100"}, 400, "E.164"),
        ({"from_number": "anonymous"}, 400, "E.164"),
        ({"to_number": None}, 400, "`to_number` must be string"),
        ({"retell_llm_dynamic_variables": {"age": 7}}, 400, "`age` must be string"),
        ({"retell_llm_dynamic_variables": ["x"]}, 400, "must be object"),
        ({"metadata": {"x": "y" * 50_001}}, 400, "50kB"),
        ({"metadata": "text"}, 400, "must be object"),
        ({"agent_override": {"agent": {"webhook_url": 7}}}, 400, "must be string"),
        ({"override_agent_id": "agent_unknown"}, 422, "Cannot find"),
        ({"override_agent_id": "bot_1"}, 422, "Cannot find"),
    ],
)
async def test_a_bad_request_is_refused_and_does_not_ring(world, change, status, message):
    answer = await world.post(GOOD | change)
    assert (answer.status_code, answer.json()["status"]) == (status, "error")
    assert message in answer.json()["message"]
    assert await world.rings() == []


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b'{"metadata": {"x": "\\ud800"}}', b"[" * 100_000])
async def test_a_body_that_is_no_json_object_is_a_400(world, raw):
    assert (await world.http.post("/v2/create-phone-call", content=raw)).status_code == 400


async def test_an_unknown_field_is_ignored(world):
    assert (await world.post(GOOD | {"colour": "blue"})).status_code == 201


async def test_an_unknown_path_is_a_404_in_retells_shape(world):
    answer = await world.http.get("/v2/list-calls")
    assert (answer.status_code, answer.json()["status"]) == (404, "error")


async def test_the_same_idempotency_key_gives_the_same_call_and_one_ring(world):
    first = await world.post(GOOD | {"idempotency_key": "k1", "metadata": {"n": 1}})
    second = await world.post(GOOD | {"idempotency_key": "k1", "metadata": {"n": 1}})
    other = await world.post(GOOD | {"idempotency_key": "k2"})
    assert first.status_code == second.status_code == 201
    assert first.json()["call_id"] == second.json()["call_id"] != other.json()["call_id"]
    assert len(await world.rings()) == 2


async def test_with_idempotency_off_the_same_key_rings_again(settings, open_world):
    async with open_world(replace(settings, idempotency=False)) as world:
        for _ in range(2):
            await world.post(GOOD | {"idempotency_key": "k1"})
        assert len(await world.rings()) == 2


async def test_a_create_that_fails_after_the_ring_is_answered_on_the_second_try_without_ringing(world):
    body = GOOD | {"to_number": "+12125550111", "idempotency_key": "k1"}
    assert (await world.post(body)).status_code == 500
    assert (await world.post(body)).status_code == 201
    assert len(await world.rings()) == 1


async def test_a_create_that_hangs_has_rung_and_the_call_goes_on(world):
    body = GOOD | {"to_number": "+12125550112", "metadata": {"attempt": "a12"}}
    with pytest.raises(httpx.ReadTimeout):
        await world.post(body, timeout=0.1)
    (ring,) = await world.rings()
    assert (ring["to_number"], ring["metadata"]) == ("+12125550112", {"attempt": "a12"})
    assert (await world.finished(ring["provider_call_id"]))["call_status"] == "ended"
    assert world.recorder.events(ring["provider_call_id"])[0] == "call_started"


async def test_a_throttled_create_is_accepted_the_third_time_for_each_key_anew(world):
    body = GOOD | {"to_number": "+12125550113"}
    statuses = [(await world.post(body | {"idempotency_key": "a"})).status_code for _ in range(4)]
    assert statuses == [429, 429, 201, 201]
    assert (await world.post(body | {"idempotency_key": "b"})).status_code == 429
    assert len(await world.rings()) == 1


async def test_calls_above_the_concurrency_limit_are_429_until_one_ends(settings, open_world):
    async with open_world(replace(settings, concurrency_limit=1, speed=40.0)) as world:
        first = await world.post(GOOD)
        assert (await world.post(GOOD)).status_code == 429
        assert (await world.sdk.concurrency.retrieve()).current_concurrency == 1
        await world.finished(first.json()["call_id"])
        assert (await world.post(GOOD)).status_code == 201
        assert len(await world.rings()) == 2


async def test_calls_above_the_rate_are_429(settings, open_world):
    async with open_world(replace(settings, calls_per_second=3)) as world:
        answers = await asyncio.gather(*(world.post(GOOD) for _ in range(5)))
        assert sorted(answer.status_code for answer in answers) == [201, 201, 201, 429, 429]


async def test_webhooks_may_arrive_before_the_answer_of_create(settings, open_world):
    async with open_world(replace(settings, create_latency_s=0.4)) as world:
        answer = await world.post(GOOD)
        assert answer.json()["call_status"] == "registered"
        assert "call_started" in world.recorder.events(answer.json()["call_id"])


async def test_a_ring_is_in_the_ledger_with_its_metadata_and_time(world):
    call = await world.place("+12125550102", metadata={"ringback_attempt_id": "a1"})
    (ring,) = await world.rings()
    assert ring.keys() == {"provider_call_id", "to_number", "metadata", "rang_at"}
    assert ring["provider_call_id"] == call.call_id
    assert ring["metadata"] == {"ringback_attempt_id": "a1"}
    assert ring["rang_at"].endswith("Z")


async def test_scripted_create_faults_are_used_up_in_order(world):
    await world.faults(
        create=[
            {"status": 503, "times": 2},
            {"status": 502, "rings": True, "body": "<html>bad gateway</html>"},
            {"status": 200, "rings": True, "body": "{}"},
            {"status": None, "rings": False},
            {"status": 201, "delay_s": 0.05},
        ]
    )
    answers = [await world.post(GOOD) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [503, 503, 502, 200]
    assert answers[2].text == "<html>bad gateway</html>"
    with pytest.raises(httpx.ReadTimeout):
        await world.post(GOOD, timeout=0.05)
    assert (await world.post(GOOD)).status_code == 201
    assert (await world.post(GOOD)).status_code == 201
    assert len(await world.rings()) == 4


async def test_a_connection_can_be_reset_before_or_after_the_ring(world):
    await world.faults(create=[{"status": 0, "rings": False}, {"status": 0, "rings": True}])
    for rings in (0, 1):
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await world.post(GOOD)
        assert len(await world.rings()) == rings
    assert (await world.post(GOOD)).status_code == 201


async def test_the_accounts_fault_answers_every_api_request(world):
    await world.faults(account=402)
    assert (await world.post(GOOD)).status_code == 402
    assert (await world.http.get("/get-api-key-info")).status_code == 402
    assert (await world.http.get("/healthz")).status_code == 200
    await world.faults(account=None)
    assert (await world.post(GOOD)).status_code == 201


async def test_a_fault_that_cannot_be_read_is_refused(world):
    for wanted in ({"list_calls": "maybe"}, {"create": [{"colour": 1}]}, {"account": "x"}):
        assert (await world.http.post("/emulator/retell/faults", json=wanted)).status_code == 400
