"""Retell's API, as the official SDK uses it."""

from dataclasses import replace

import httpx
import pytest

from tests.emulator.conftest import CREATE_BODY


async def test_a_wrong_or_missing_key_is_rejected_in_retells_form(emulator):
    for headers in ({"authorization": "Bearer other"}, {"authorization": ""}):
        answer = await emulator.post(CREATE_BODY, headers=headers)
        assert answer.status_code == 401
        assert answer.json() == {"status": "error", "message": "API key is missing or invalid."}
    assert await emulator.rings() == []


async def test_an_unknown_path_is_a_404_in_retells_form(emulator):
    answer = await emulator.http.get("/v2/list-calls")
    assert (answer.status_code, answer.json()["status"]) == (404, "error")


async def test_a_create_that_fails_after_the_ring_is_answered_on_the_second_try_without_ringing(emulator):
    body = CREATE_BODY | {"to_number": "+12125550111", "idempotency_key": "k1"}
    assert (await emulator.post(body)).status_code == 500
    assert (await emulator.post(body)).status_code == 201
    assert len(await emulator.rings()) == 1


async def test_a_create_that_hangs_has_rung_and_the_call_continues(emulator):
    body = CREATE_BODY | {"to_number": "+12125550112", "metadata": {"attempt": "a12"}}
    with pytest.raises(httpx.ReadTimeout):
        await emulator.post(body, timeout=0.1)
    (ring,) = await emulator.rings()
    assert (ring["to_number"], ring["metadata"]) == ("+12125550112", {"attempt": "a12"})
    assert (await emulator.finished(ring["provider_call_id"]))["call_status"] == "ended"
    assert emulator.receiver.events(ring["provider_call_id"])[0] == "call_started"


async def test_webhooks_may_arrive_before_the_answer_of_create(settings, open_emulator):
    async with open_emulator(replace(settings, create_latency_s=0.4)) as emulator:
        answer = await emulator.post(CREATE_BODY)
        assert answer.json()["call_status"] == "registered"
        assert "call_started" in emulator.receiver.events(answer.json()["call_id"])


async def test_scripted_create_faults_are_used_up_in_order(emulator):
    await emulator.set_faults(
        create=[
            {"status": 503, "times": 2},
            {"status": 502, "rings": True, "body": "<html>bad gateway</html>"},
            {"status": 200, "rings": True, "body": "{}"},
            {"status": None, "rings": False},
            {"status": 201, "delay_s": 0.05},
        ]
    )
    answers = [await emulator.post(CREATE_BODY) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [503, 503, 502, 200]
    assert answers[2].text == "<html>bad gateway</html>"
    with pytest.raises(httpx.ReadTimeout):
        await emulator.post(CREATE_BODY, timeout=0.05)
    assert (await emulator.post(CREATE_BODY)).status_code == 201
    assert (await emulator.post(CREATE_BODY)).status_code == 201
    assert len(await emulator.rings()) == 4


async def test_a_connection_can_be_reset_before_or_after_the_ring(emulator):
    await emulator.set_faults(create=[{"status": 0, "rings": False}, {"status": 0, "rings": True}])
    for rings in (0, 1):
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await emulator.post(CREATE_BODY)
        assert len(await emulator.rings()) == rings
    assert (await emulator.post(CREATE_BODY)).status_code == 201


async def test_the_account_fault_answers_every_api_request(emulator):
    await emulator.set_faults(account=402)
    assert (await emulator.post(CREATE_BODY)).status_code == 402
    assert (await emulator.http.get("/get-api-key-info")).status_code == 402
    assert (await emulator.http.get("/healthz")).status_code == 200
    await emulator.set_faults(account=None)
    assert (await emulator.post(CREATE_BODY)).status_code == 201


def has(key, value):
    return {"type": "string", "op": "eq", "key": key, "value": value}


async def test_a_call_is_listed_by_its_metadata_at_every_stage(settings, open_emulator):
    async with open_emulator(replace(settings, speed=60.0)) as emulator:
        call = await emulator.place("+12125550101", metadata={"ringback_attempt_id": "a1", "instance": "i1"})
        await emulator.place("+12125550102", metadata={"ringback_attempt_id": "a2", "instance": "i1"})
        await emulator.place("+12125550102")
        for _ in ("registered", "analyzed"):
            assert await emulator.find(metadata=[has("ringback_attempt_id", "a1")]) == [call.call_id]
            both = [has("ringback_attempt_id", "a1"), has("instance", "i1")]
            assert await emulator.find(metadata=both) == [call.call_id]
            assert len(await emulator.find(metadata=[has("instance", "i1")])) == 2
            assert await emulator.find(metadata=[has("ringback_attempt_id", "a2"), has("instance", "i2")]) == []
            assert len(await emulator.find()) == 3
            await emulator.finished(call.call_id)


@pytest.mark.parametrize(
    "body",
    [
        {"filter_criteria": {"call_id": {"type": "string", "op": "eq", "value": "call_1"}}},
        {"filter_criteria": {"metadata": has("k", "v")}},
        {"filter_criteria": {"metadata": ["k"]}},
        {"filter_criteria": {"metadata": [{"type": "range", "op": "bt", "value": 3, "key": "k"}]}},
        {"filter_criteria": {"metadata": [{"type": "string", "op": "eq", "value": "v"}]}},
        {"filter_criteria": {"colour": has("k", "blue")}},
        {"filter_criteria": []},
        {"limit": 0},
        {"limit": 1001},
        {"pagination_key": "?"},
    ],
)
async def test_an_unsupported_list_request_is_a_400(emulator, body):
    assert (await emulator.http.post("/v3/list-calls", json=body)).status_code == 400


async def test_an_unknown_call_is_a_422(emulator):
    assert (await emulator.http.get("/v2/get-call/call_unknown")).status_code == 422
    assert (await emulator.http.post("/v2/stop-call/call_unknown")).status_code == 422


async def test_pages_are_stable_while_new_calls_arrive(emulator):
    ids = [(await emulator.place("+12125550101")).call_id for _ in range(5)]
    first = await emulator.sdk.call.list(limit=2)
    assert (len(first.items), first.has_more) == (2, True)
    await emulator.place("+12125550101")
    second = await emulator.sdk.call.list(limit=3, pagination_key=first.pagination_key)
    assert {item.call_id for item in [*first.items, *second.items]} == set(ids)
    assert second.has_more is False


async def test_listed_calls_carry_no_transcript(emulator):
    call = await emulator.place("+12125550100")
    await emulator.finished(call.call_id)
    (item,) = (await emulator.http.post("/v3/list-calls", json={})).json()["items"]
    assert item["call_analysis"]["call_successful"] is True
    assert not [key for key in item if key.startswith("transcript")]


async def test_list_calls_can_fail_and_lag(emulator):
    old = await emulator.place("+12125550100")
    await emulator.set_faults(list_calls="fail")
    assert (await emulator.http.post("/v3/list-calls", json={})).status_code == 500
    await emulator.set_faults(list_calls="lag")
    new = await emulator.place("+12125550100")
    assert await emulator.find() == [old.call_id]
    await emulator.set_faults(list_calls=None)
    assert set(await emulator.find()) == {old.call_id, new.call_id}


async def test_an_agent_names_its_action_on_a_voicemail(emulator):
    leaves, hangs_up = await emulator.sdk.agent.retrieve("agent_a"), await emulator.sdk.agent.retrieve("agent_hangup_1")
    assert leaves.voicemail_option.action.type == "static_text"
    assert hangs_up.voicemail_option.action.type == "hangup"
    assert leaves.webhook_url == f"{emulator.receiver.url}/hook"
    assert (await emulator.http.get("/get-agent/agent_unknown")).status_code == 422


async def test_the_owner_of_the_key_is_the_emulator(emulator):
    assert (await emulator.http.get("/get-api-key-info")).json()["org_id"] == "org_emulator"
