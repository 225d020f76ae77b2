"""The other endpoints, as the official SDK uses them."""

from dataclasses import replace

import pytest


def enum(*values):
    return {"type": "enum", "op": "in", "value": list(values)}


def eq(value, **key):
    return {"type": "string", "op": "eq", "value": value, **key}


async def test_a_fresh_call_is_found_by_metadata_alone_and_missed_by_status_or_start(settings, open_world):
    async with open_world(replace(settings, speed=60.0)) as world:
        await check_fresh_call(world)


async def check_fresh_call(world):
    call = await world.place("+12125550101", metadata={"ringback_attempt_id": "a1"})
    by_attempt = [eq("a1", key="ringback_attempt_id")]
    statuses = enum("not_connected", "ongoing", "ended", "error")
    assert await world.find(metadata=by_attempt) == [call.call_id]
    assert await world.find(metadata=[enum("a1", "a2") | {"key": "ringback_attempt_id"}]) == [call.call_id]
    assert await world.find(metadata=by_attempt, call_status=statuses) == []
    assert await world.find(metadata=by_attempt, start_timestamp={"type": "number", "op": "gt", "value": 0}) == []
    await world.finished(call.call_id)
    assert await world.find(metadata=by_attempt, call_status=statuses) == [call.call_id]


async def test_every_filter_narrows_the_list(world):
    call = await world.place("+12125550100", metadata={"n": 7, "b": True}, retell_llm_dynamic_variables={"x": "y"})
    await world.place("+12125550102", override_agent_id="agent_other")
    started = (await world.finished(call.call_id))["start_timestamp"]
    for criteria in (
        {"call_id": eq(call.call_id)},
        {"to_number": {"type": "string", "op": "ew", "value": "0100"}},
        {"agent": [{"agent_id": "agent_sales", "version": [0]}]},
        {"metadata": [{"type": "number", "op": "ge", "value": 7, "key": "n"}]},
        {"metadata": [{"type": "boolean", "op": "eq", "value": True, "key": "b"}]},
        {"metadata": [{"type": "present", "op": "pr", "key": "n"}]},
        {"dynamic_variables": [eq("y", key="x")]},
        {"start_timestamp": {"type": "range", "op": "bt", "value": [started, started]}},
        {"disconnection_reason": enum("agent_hangup")},
        {"call_successful": {"type": "boolean", "op": "eq", "value": True}},
    ):
        assert await world.find(**criteria) == [call.call_id], criteria
    assert await world.find(from_number=eq("+14155550199"), direction=enum("inbound")) == []
    assert len(await world.find(from_number=eq("+14155550199"), direction=enum("outbound"))) == 2


@pytest.mark.parametrize(
    "body",
    [
        {"filter_criteria": {"call_id": "call_1"}},
        {"filter_criteria": {"call_status": enum("registered")}},
        {"filter_criteria": {"call_status": enum({})}},
        {"filter_criteria": {"metadata": eq("a")}},
        {"filter_criteria": {"metadata": [{"type": "range", "op": "bt", "value": 3, "key": "k"}]}},
        {"filter_criteria": {"colour": eq("blue")}},
        {"filter_criteria": []},
        {"limit": 0},
        {"pagination_key": "?"},
    ],
)
async def test_a_malformed_list_request_is_a_400(world, body):
    assert (await world.http.post("/v3/list-calls", json=body)).status_code == 400


async def test_pages_are_stable_while_new_calls_arrive(world):
    ids = [(await world.place("+12125550101")).call_id for _ in range(5)]
    first = await world.sdk.call.list(limit=2, sort_order="descending", include_total=True)
    assert (first.has_more, first.total) == (True, 5)
    await world.place("+12125550101")
    second = await world.sdk.call.list(limit=3, sort_order="descending", pagination_key=first.pagination_key)
    assert {item.call_id for item in [*first.items, *second.items]} == set(ids)
    assert second.has_more is False


async def test_listed_calls_carry_no_transcript(world):
    call = await world.place("+12125550100")
    await world.finished(call.call_id)
    (item,) = (await world.http.post("/v3/list-calls", json={})).json()["items"]
    assert item["call_analysis"]["call_successful"] is True
    assert not [key for key in item if key.startswith("transcript")]


async def test_list_calls_can_fail_and_lag(world):
    old = await world.place("+12125550100")
    await world.faults(list_calls="fail")
    assert (await world.http.post("/v3/list-calls", json={})).status_code == 500
    await world.faults(list_calls="lag")
    new = await world.place("+12125550100")
    assert await world.find() == [old.call_id]
    await world.faults(list_calls=None)
    assert set(await world.find()) == {old.call_id, new.call_id}


async def test_an_ongoing_call_can_be_stopped_and_no_other(settings, open_world, wait_until):
    async with open_world(replace(settings, speed=20.0)) as world:
        await check_stop(world, wait_until)


async def check_stop(world, wait_until):
    call = await world.place("+12125550100")
    assert (await world.http.post(f"/v2/stop-call/{call.call_id}")).status_code == 400

    async def ongoing():
        return (await world.sdk.call.retrieve(call.call_id)).call_status == "ongoing"

    await wait_until(ongoing)
    assert await world.sdk.call.stop(call.call_id) is None
    body = await world.finished(call.call_id)
    assert body["disconnection_reason"] == "manual_stopped"
    assert body["call_analysis"]["call_successful"] is False


async def test_an_updated_call_shows_its_new_metadata_and_its_storage_only_gets_stricter(world):
    call = await world.place("+12125550100", metadata={"a": "1"})
    updated = await world.sdk.call.update(
        call.call_id, metadata={"b": "2"}, data_storage_setting="basic_attributes_only"
    )
    assert updated.metadata == {"b": "2"}
    path = f"/v2/update-call/{call.call_id}"
    assert (await world.http.patch(path, json={"data_storage_setting": "everything"})).status_code == 400
    assert (await world.http.patch(path, json={"metadata": {"x": "y" * 50_001}})).status_code == 400
    assert "transcript" not in await world.finished(call.call_id)


async def test_a_deleted_call_is_gone(world):
    call = await world.place("+12125550100")
    await world.sdk.call.delete(call.call_id)
    assert (await world.http.get(f"/v2/get-call/{call.call_id}")).status_code == 422
    assert await world.find() == []
    assert len(await world.rings()) == 1


async def test_agents_tell_what_they_do_on_a_voicemail(world):
    leaves, hangs_up = await world.sdk.agent.retrieve("agent_a"), await world.sdk.agent.retrieve("agent_hangup_1")
    assert leaves.voicemail_option.action.type == "static_text"
    assert hangs_up.voicemail_option.action.type == "hangup"
    assert leaves.webhook_url == f"{world.recorder.url}/hook"
    assert (await world.http.get("/get-agent/agent_unknown")).status_code == 422


async def test_the_account_can_be_asked_about(world):
    assert (await world.sdk.concurrency.retrieve()).concurrency_limit == 1000
    assert (await world.sdk.phone_number.list()).items[0].phone_number == "+14155550199"
    assert (await world.sdk.phone_number.retrieve("+12125550142")).phone_number == "+12125550142"
    assert (await world.http.get("/get-api-key-info")).json()["org_id"] == "org_emulator"


async def test_health_says_who_and_where(world, settings):
    health = (await world.http.get("/healthz", headers={"authorization": ""})).json()
    assert health == {"status": "ok", "emulator": "retell", "state_dir": str(settings.state_dir.resolve())}
