"""The first page: what needs a person, the pause, and numbers that lead to their rows."""

import json
import re

from ringback.domain.access import Role
from ringback.ports import OutgoingMessage

from .conftest import KEYS, PHONE, Browser, place


async def test_an_idle_system_says_that_nothing_needs_a_person(admin: Browser) -> None:
    page = (await admin.get("/console")).text
    assert "<h1>Now</h1>" in page and "nothing waits" in page
    assert "problem" not in page and "data-count" not in page


async def test_dialing_is_paused_and_resumed(admin: Browser) -> None:
    await place(admin)
    page = (await admin.get("/console")).text
    assert "1 planned call waits; 0 in progress continue." in page
    answer = await admin.post("/console/pause", page, reason="Engage is being repaired")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")
    page = (await admin.get("/console")).text
    assert "Dialing is paused. 0 attempts may be ringing and continue." in page
    assert "Engage is being repaired. Calls are accepted and wait." in page
    assert (await admin.http.get("/readyz")).json()["paused"] is True
    assert (await admin.post("/console/resume", page)).status_code == 303
    page = (await admin.get("/console")).text
    assert "Dialing is resumed. 0 attempts may be ringing." in page
    assert (await admin.http.get("/readyz")).json()["paused"] is False


async def test_a_reason_that_is_too_long_is_refused(admin: Browser) -> None:
    page = (await admin.get("/console")).text
    assert (await admin.post("/console/pause", page, reason="x" * 501)).status_code == 422
    assert (await admin.http.get("/readyz")).json()["paused"] is False


async def test_what_is_late_and_what_was_given_up_is_counted(admin: Browser, pool) -> None:
    call_id = await place(admin)
    await pool.execute("UPDATE tasks SET due_at = now() - interval '1 hour'")
    await pool.execute("UPDATE outbox SET dead_at = now(), tries = 7, last_error = 'http_500'")
    page = (await admin.get("/console")).text
    assert '<a data-count="1" href="/console/calls?stuck=true">1</a>' in page
    assert '<a data-letters="1" href="/console/dead-letters?source=outbox">1</a>' in page
    letters = (await admin.get("/console/dead-letters", source="outbox")).text
    assert letters.count("<tr data-row>") == 1
    assert "http_500" in letters and f'href="/console/calls/{call_id}"' in letters


async def test_a_webhook_that_was_given_up_needs_a_person(admin: Browser, parts) -> None:
    await parts.event_queue.send([OutgoingMessage("no JSON")])
    (message,) = await parts.event_queue.receive(1, 1, 30)
    await parts.event_queue.dead_letter(message, "message is not JSON")
    page = (await admin.get("/console")).text
    assert "1 thing needs a person." in page and "dead letters of the queue of events" in page
    assert '<a data-letters="1" href="/console/dead-letters?source=events">1</a>' in page
    assert (await admin.get("/console/dead-letters", source="events")).text.count("<tr data-row>") == 1


async def test_todays_numbers_say_what_part_has_an_analysis_and_a_cost(calls, admin: Browser, pool) -> None:
    assert "The cost is known of" not in (await admin.get("/console")).text
    await pool.execute("UPDATE rollup_deltas SET cost_known = 0 WHERE attempts > 0")
    await pool.execute("UPDATE rollup_hour SET cost_known = 0")
    assert "The cost is known of 0 % of the attempts." in (await admin.get("/console")).text


async def test_one_dead_letter_is_replayed_once(admin: Browser, pool) -> None:
    for contact_id, phone in (("crm-1", PHONE), ("crm-2", "+14155550101")):
        await place(admin, contact_id, phone)
    await pool.execute("UPDATE outbox SET dead_at = now(), last_error = 'http_500'")
    page = (await admin.get("/console/dead-letters")).text
    first = await pool.fetchval("SELECT min(id) FROM outbox")
    assert (await admin.post("/console/dead-letters/replay", page, name=f"outbox:{first}")).status_code == 303
    page = (await admin.get("/console/dead-letters")).text
    assert "1 message is sent again." in page
    assert await pool.fetchval("SELECT count(*) FROM outbox WHERE dead_at IS NOT NULL") == 1
    for name in (f"outbox:{first}", "outbox:", "outbox", "elsewhere:1", ""):
        await admin.post("/console/dead-letters/replay", page, name=name)
        assert "0 messages are sent again" in (await admin.get("/console/dead-letters")).text, name
    assert await pool.fetchval("SELECT count(*) FROM outbox WHERE dead_at IS NOT NULL") == 1


async def test_a_poisonous_message_is_shown(admin: Browser, parts) -> None:
    from ringback.ports import OutgoingMessage

    for body in ("<script>alert(1)</script>", json.dumps({"call_id": "../evil"}), "[1]"):
        await parts.event_queue.send([OutgoingMessage(body)])
        (message,) = await parts.event_queue.receive(1, 0, 30)
        await parts.event_queue.dead_letter(message, "poison <b>")
    page = (await admin.get("/console/dead-letters", source="events")).text
    assert page.count("<tr data-row>") == 3
    assert "poison &lt;b&gt;" in page and "evil" not in page


async def test_an_unknown_source_is_explained(admin: Browser) -> None:
    answer = await admin.get("/console/dead-letters", source="elsewhere")
    assert answer.status_code == 422
    assert "Choose one of outbox, calls, events." in answer.text


async def test_a_refused_account_is_told_until_it_is_tried_again(admin: Browser, pool, clock) -> None:
    await pool.execute("UPDATE installation SET breaker_until = $1, breaker_reason = 'http_401'", clock.now())
    assert "Retell refuses the account" not in (await admin.get("/console")).text
    clock.advance(-60)
    assert "Retell refuses the account (http_401)" in (await admin.get("/console")).text


async def test_the_database_being_unavailable_is_a_page(admin: Browser, parts) -> None:
    assert (await admin.get("/console")).status_code == 200
    parts.pool.terminate()
    answer = await admin.get("/console")
    assert answer.status_code == 503
    assert "Calls in progress go on" in answer.text
    assert "Traceback" not in answer.text


async def test_a_viewer_cannot_pause(visitors) -> None:
    page = (await visitors[Role.VIEWER].get("/console")).text
    assert "Pause dialing" not in page
    assert (await visitors[Role.VIEWER].post("/console/pause", page)).status_code == 403
    ready = await visitors[Role.VIEWER].http.get("/readyz", headers={"X-API-Key": KEYS[Role.VIEWER]})
    assert ready.json()["paused"] is False


async def test_a_card_has_a_line_of_the_last_day_and_the_table_its_values(calls, admin: Browser) -> None:
    page = (await admin.get("/console")).text
    assert re.findall(r'<svg class="spark"[^>]*aria-label="([^"]+)"', page) == [
        "attempts in the last 24 hours, at most 3",
        "human rate in the last 24 hours, at most 66.7 %",
    ]
    (line,) = re.findall(r'at most 66.7 %"><path class="line" d="([^"]*)"', page)
    assert line == "M117.5 2.0h0", "the current hour is the only one with attempts"
    row = (
        r'<td class="number"><a data-rows="3"[^>]*>3</a></td><td class="number"><a data-rows="2"[^>]*>66.7 %</a>, 20.8'
    )
    assert len(re.findall(row, page)) == 1
