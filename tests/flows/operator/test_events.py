"""Every ABT event, in an order that a late commit cannot disturb."""

import asyncio
import random

from ringback.domain.abt_event import AbtEvent


def event(call_id, sequence, clock):
    data = {"call_id": call_id, "sequence": sequence}
    return AbtEvent(f"{call_id}/{sequence}", "voice_ai_call_started", call_id, clock.now(), data)


async def emit(store, clock, *facts):
    async with store.transaction() as tx:
        for call_id, sequence in facts:
            await tx.outbox.enqueue_event(event(call_id, sequence, clock), clock.now())


async def read_all(api, limit=200, after=None):
    """(ids, the last cursor), reading on to the end."""
    ids = []
    while True:
        query = {"limit": limit} | ({"after": after} if after else {})
        page = (await api.get("/v1/events", params=query)).json()
        ids += [item["event"]["id"] for item in page["items"]]
        assert page["next_cursor"] == (page["items"][-1]["cursor"] if page["items"] else after or "0-0")
        after = page["next_cursor"]
        if not page["has_more"]:
            return ids, after


async def test_events_come_whole_in_pages_and_each_cursor_leads_on(api, store, clock):
    assert (await api.get("/v1/events")).json() == {"items": [], "next_cursor": "0-0", "has_more": False}
    await emit(store, clock, *((f"call-{call}", sequence) for call in range(3) for sequence in (1, 2)))
    first = (await api.get("/v1/events?limit=1")).json()["items"][0]
    assert first["event"] == event("call-0", 1, clock).envelope()
    assert await read_all(api, 200) == await read_all(api, 2)
    ids, _ = await read_all(api, 200)
    assert await read_all(api, 200, first["cursor"]) == (ids[1:], await last_cursor(api))
    assert await read_all(api, 200, await last_cursor(api)) == ([], await last_cursor(api))


async def last_cursor(api):
    return (await read_all(api))[1]


async def test_only_abt_events_are_in_the_feed(api, store, clock):
    async with store.transaction() as tx:
        await tx.outbox.enqueue("crm_note", "note-1", {"note": "private"}, "contact:crm-42", clock.now())
    assert await read_all(api) == ([], "0-0")


async def test_an_event_that_commits_later_than_its_elders_is_not_missed(api, store, clock):
    """The trap of a feed ordered by a sequence: the reader has passed the place before the row appears there."""
    release, began = asyncio.Event(), asyncio.Event()

    async def slow():
        async with store.transaction() as tx:
            await tx.outbox.enqueue_event(event("slow", 1, clock), clock.now())
            await tx.finish()
            began.set()
            await release.wait()

    task = asyncio.create_task(slow())
    await began.wait()
    await emit(store, clock, ("fast", 1))
    seen, cursor = await read_all(api)
    assert seen == [], "what commits earlier must wait for its elders"
    release.set()
    await task
    await emit(store, clock, ("last", 1))
    assert (await read_all(api, after=cursor))[0] == ["slow/1", "fast/1", "last/1"]


async def test_a_reader_beside_many_writers_sees_each_event_once_and_a_calls_events_in_order(api, store, clock, pool):
    rng = random.Random(11)
    pauses_s = [rng.uniform(0, 0.01) for _ in range(200)]

    async def write(call):
        for sequence in range(1, 9):
            async with store.transaction() as tx:
                await tx.lock_contacts([f"+{call}"], None)
                await tx.outbox.enqueue_event(event(f"call-{call}", sequence, clock), clock.now())
                await tx.finish()
                await asyncio.sleep(pauses_s[(call * 8 + sequence) % 200])

    writers = [asyncio.create_task(write(call)) for call in range(8)]
    seen, cursor = [], None
    while not all(writer.done() for writer in writers):
        more, cursor = await read_all(api, 7, cursor)
        seen += more
    await asyncio.gather(*writers)
    more, cursor = await read_all(api, 7, cursor)
    seen += more
    assert len(seen) == len(set(seen)) == 64
    for call in range(8):
        assert [one for one in seen if one.startswith(f"call-{call}/")] == [f"call-{call}/{n}" for n in range(1, 9)]
    assert seen == (await read_all(api))[0]


async def test_a_cursor_that_was_never_given_out_is_refused(api):
    for after in ("x", "1", "1-", "1-2-3", "-1-2", "1-9999999999999999999999"):
        answer = await api.get("/v1/events", params={"after": after})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "bad_cursor")
    for query in ("limit=0", "limit=201", "before=1-1"):
        assert (await api.get(f"/v1/events?{query}")).status_code == 422
