"""Deliveries to Engage: what waits, what was given up, what Engage answers, and the three replays."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from ringback.adapters.postgres.deliveries import PostgresDeliveries
from ringback.domain.access import Role
from ringback.domain.audit import AuditAction
from ringback.domain.deliveries import DeliveryFilter, DeliveryState
from tests.audit_log import entry_at, logged

from .conftest import Browser

_EVENTS = "SELECT id, message_id FROM outbox WHERE kind = 'abt_event' ORDER BY id"


async def listed(browser: Browser, **query: str) -> list[str]:
    page = (await browser.get("/console/deliveries", **query)).text
    ids = re.findall(r"<td><code>([^<]+)</code></td>", page)
    assert page.count("<tr data-row>") == len(ids) == int(re.search(r'strong data-count="(\d+)"', page)[1])
    return ids


@pytest.fixture
async def events(calls, pool) -> list[str]:
    """The ids of the events of five calls: the first delivered, two refused, one given up, and the others waiting.

    Messages for queues are delivered.
    """
    await pool.execute("UPDATE outbox SET delivered_at = now(), dead_at = NULL WHERE kind = 'call_message'")
    found = await pool.fetch(_EVENTS)
    ids = [row["id"] for row in found]
    assert len(ids) >= 6
    await pool.execute("UPDATE outbox SET delivered_at = '2026-12-01T16:50:00Z', tries = 1 WHERE id = $1", ids[0])
    later = "due_at = '2026-12-01T18:00:00Z', ready_at = '2026-12-01T18:00:00Z'"
    await pool.execute(f"UPDATE outbox SET tries = 3, last_error = 'http_503', {later} WHERE id = ANY ($1)", ids[1:3])
    await pool.execute(
        "UPDATE outbox SET tries = 5, last_error = 'http_422', dead_at = '2026-12-01T16:00:00Z', refusals = 5 "
        "WHERE id = $1",
        ids[3],
    )
    return [row["message_id"] for row in found]


async def states(pool) -> list[tuple[Any, ...]]:
    """(delivered, given up, tries, due by the real clock) of each event."""
    rows = await pool.fetch(
        "SELECT delivered_at IS NOT NULL, dead_at IS NOT NULL, tries, due_at <= now() AND ready_at <= now() "
        "FROM outbox WHERE kind = 'abt_event' ORDER BY id"
    )
    return [tuple(row) for row in rows]


async def test_an_idle_outbox_says_so(admin: Browser) -> None:
    page = (await admin.get("/console/deliveries")).text
    assert "Nothing waits for its delivery." in page and "nothing waits" in page and "Replay" not in page


async def test_the_lists_and_the_health_tell_what_became_of_each_message(events, admin: Browser) -> None:
    waiting = await listed(admin, state="waiting")
    assert [one for one in waiting if one in events] == [*events[1:3], *events[4:]]
    assert len(waiting) == len(events) - 2 + 2, "a note and a write of fields wait for the CRM"
    assert await listed(admin, state="failed") == [events[3]]
    assert await listed(admin, state="delivered") == [events[0]]
    assert await listed(admin, state="delivered", until="2026-12-01") == []
    assert await listed(admin, answer="http_503") == events[1:3]
    page = (await admin.get("/console/deliveries")).text
    assert "2 of them after a failed try" in page and "the last at <time" in page
    assert re.search(r'<th scope="row">http_503</th><td class="number"><a data-count="2"', page)
    assert re.search(
        r'<th scope="row">http_422</th><td class="number">0</td><td class="number"><a data-count="1"', page
    )
    assert "next: <time" in page


async def test_a_filter_narrows_the_list(events, calls, admin: Browser, pool) -> None:
    of_call = await pool.fetch(
        "SELECT message_id FROM outbox WHERE kind = 'abt_event' AND call_id = $1 ORDER BY id", calls[2]
    )
    found = await listed(admin, call_id=calls[2]) + await listed(admin, call_id=calls[2], state="failed")
    assert sorted(found) == sorted(row["message_id"] for row in of_call if row["message_id"] != events[0])
    assert len(await listed(admin, kind="crm_note")) == 1
    of_type = await listed(admin, type="voice_ai_call_failed") + await listed(
        admin, type="voice_ai_call_failed", state="failed"
    )
    assert len(of_type) == await pool.fetchval(
        "SELECT count(*) FROM outbox WHERE payload ->> 'type' = 'voice_ai_call_failed'"
    )


async def test_what_failed_is_replayed(events, admin: Browser, pool) -> None:
    page = " ".join((await admin.get("/console/deliveries", state="failed")).text.split())
    assert "What failed: 1 message that was given up is sent again, with all its tries." in page
    answer = await admin.post("/console/deliveries/replay", page, state="failed", kind="")
    assert answer.headers["location"] == "/console/deliveries?state=failed"
    page = (await admin.get(answer.headers["location"])).text
    assert "1 message is sent again." in page and "Nothing was given up." in page
    assert (await states(pool))[3] == (False, False, 0, True)
    await admin.post("/console/deliveries/replay", page, state="failed")
    assert "0 messages are sent again" in (await admin.get("/console/deliveries")).text


async def test_what_was_never_delivered_is_sent_now(events, admin: Browser, pool) -> None:
    page = " ".join((await admin.get("/console/deliveries")).text.split())
    assert "What was never delivered: 2 messages whose next try is later are sent now." in page
    await admin.post("/console/deliveries/replay", page, state="waiting", answer="http_503")
    assert "2 messages are sent again, in their order." in (await admin.get("/console/deliveries")).text
    assert (await states(pool))[1:3] == [(False, False, 3, True)] * 2, "their tries count on"


async def test_a_message_that_is_being_sent_is_not_sent_twice(events, admin: Browser, pool) -> None:
    # A relay that has taken a row has moved its due time alone.
    await pool.execute("UPDATE outbox SET due_at = '2026-12-01T19:00:00Z' WHERE message_id = ANY ($1)", events[1:3])
    page = (await admin.get("/console/deliveries")).text
    await admin.post("/console/deliveries/replay", page, state="waiting")
    assert "0 messages are sent again" in (await admin.get("/console/deliveries")).text


async def test_everything_that_matches_is_replayed(events, admin: Browser, pool) -> None:
    page = " ".join((await admin.get("/console/deliveries", state="delivered")).text.split())
    assert "Everything that matches: 1 event that Engage has confirmed is sent again." in page
    await admin.post("/console/deliveries/replay", page, state="delivered", kind="abt_event")
    assert (await states(pool))[0] == (False, False, 0, True)
    assert [row["message_id"] for row in await pool.fetch(_EVENTS)] == events, "ids stay"


async def test_a_delivered_write_for_the_crm_is_not_sent_again(events, admin: Browser, pool) -> None:
    await pool.execute("UPDATE outbox SET kind = 'crm_fields' WHERE message_id = $1", events[0])
    page = (await admin.get("/console/deliveries", state="delivered")).text
    assert page.count("<tr data-row>") == 1 and "Replay" not in page
    for kind in ("crm_fields", ""):
        answer = await admin.post("/console/deliveries/replay", page, state="delivered", kind=kind)
        assert answer.status_code == 422 and "a later write may count" in answer.text
    assert await pool.fetchval("SELECT delivered_at IS NOT NULL FROM outbox WHERE message_id = $1", events[0])


async def test_an_event_is_replayed_from_its_call(events, admin: Browser, pool) -> None:
    call_id = await pool.fetchval("SELECT call_id FROM outbox WHERE message_id = $1", events[0])
    path = f"/console/calls/{call_id}"
    page = (await admin.get(path)).text
    assert f'<option value="{events[0]}">1 · voice ai call initiated, delivered</option>' in page
    answer = await admin.post(f"{path}/replay", page, event_id=events[0])
    assert answer.headers["location"] == path
    assert "1 message is sent again." in (await admin.get(path)).text
    assert (await states(pool))[0] == (False, False, 0, True)
    for event_id in ("", "none", next(one for one in events if one not in page)):
        assert (await admin.post(f"{path}/replay", page, event_id=event_id)).status_code == 422


async def test_one_replay_sends_at_most_a_thousand(events, pool) -> None:
    rows = PostgresDeliveries(pool)
    wanted = DeliveryFilter(state=DeliveryState.WAITING)
    assert await rows.count(wanted, 2) == 2
    entry = entry_at(datetime(2026, 12, 1, 17, tzinfo=UTC), AuditAction.DELIVERIES_REPLAYED)
    assert [await rows.replay(wanted, 1, entry) for _ in range(3)] == [1, 1, 0]
    assert [row[3] for row in await logged(pool)][-2:] == [{"messages": 1}] * 2, "a replay of none leaves no row"


async def test_a_viewer_sees_deliveries_and_replays_none(events, visitors) -> None:
    page = (await visitors[Role.VIEWER].get("/console/deliveries", state="failed")).text
    assert page.count("<tr data-row>") == 1 and "Replay" not in page
    answer = await visitors[Role.VIEWER].post("/console/deliveries/replay", page, state="failed")
    assert answer.status_code == 403


@pytest.mark.parametrize("query", ["state=lost", "kind=stop_call", "cursor=x", "since=yesterday", "call_id=%3Cb%3E"])
async def test_a_filter_that_means_nothing_is_explained(admin: Browser, query: str) -> None:
    answer = await admin.get(f"/console/deliveries?{query}")
    assert answer.status_code == 422 and f"<code>query:{query.partition('=')[0]}</code>" in answer.text
