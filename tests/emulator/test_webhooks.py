"""Webhook delivery: headers, retries, and independence of one event from another."""

import json


async def test_a_webhook_looks_like_retells(world):
    call = await world.place("+12125550101")
    await world.finished(call.call_id)
    _, headers = world.recorder.webhooks[0]
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"] == "axios/1.15.2"


async def test_a_refused_webhook_is_sent_again_with_the_same_body_and_a_new_signature(world, wait_until):
    world.recorder.refuse["call_ended"] = 2
    call = await world.place("+12125550101")

    async def three_times():
        return world.recorder.events(call.call_id).count("call_ended") == 3

    await wait_until(three_times)
    ended = [(body, headers) for body, headers in world.recorder.webhooks if b'"call_ended"' in body]
    assert len({body for body, _ in ended}) == 1
    assert len({headers["x-retell-signature"] for _, headers in ended}) == 3


async def test_a_webhook_is_dropped_after_three_retries_and_holds_nothing_back(world, wait_until):
    world.recorder.refuse["call_started"] = 99
    call = await world.place("+12125550100")

    async def four_times():
        return world.recorder.events(call.call_id).count("call_started") == 4

    await wait_until(four_times)
    events = world.recorder.events(call.call_id)
    assert events.index("call_ended") < len(events) - 1 - events[::-1].index("call_started")
    settled = [record for record in journal(world.state_dir) if record.get("delivery") == "call_started#0"]
    assert len(settled) == 1


def journal(state_dir):
    return [json.loads(line) for line in (state_dir / "calls.jsonl").read_text().splitlines()]


async def test_a_call_may_name_its_own_webhook_url_and_events(world, wait_until):
    override = {"agent": {"webhook_url": f"{world.recorder.url}/elsewhere"}}
    away = await world.place("+12125550101", agent_override=override)
    few = await world.place("+12125550101", agent_override={"agent": {"webhook_events": ["call_analyzed"]}})
    await world.finished(away.call_id)
    await world.finished(few.call_id)

    async def told() -> list[str]:
        return world.recorder.events(few.call_id)

    # A webhook is sent after the analysis can be read.
    assert await wait_until(told) == ["call_analyzed"]
    assert world.recorder.events(away.call_id) == []


async def test_dropped_webhooks_never_arrive_but_the_api_tells_the_truth(world):
    await world.faults(webhooks="drop")
    call = await world.place("+12125550100")
    assert (await world.finished(call.call_id))["call_status"] == "ended"
    assert world.recorder.webhooks == []
