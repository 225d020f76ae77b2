"""The list of calls and the story of one."""

import re

import pytest

from ringback.domain.access import Role
from ringback.domain.attempt import DialAnswer, DialAnswerKind

from .conftest import PHONE, Browser, place


def rows(page: str) -> list[str]:
    return re.findall(r'data-row>\s*<th scope="row"><a href="/console/calls/([^"]+)"', page)


def counted(page: str) -> int:
    found = re.search(r'data-count="(\d+)"', page)
    assert found
    return int(found[1])


async def test_an_empty_list_says_how_to_begin(admin: Browser) -> None:
    page = (await admin.get("/console/calls")).text
    assert "There is no call yet." in page and "ringback call" in page
    assert counted(page) == 0


async def test_the_list_is_filtered_by_its_address(admin: Browser) -> None:
    ada = await place(admin, "crm-1", "+14155550101")
    ben = await place(admin, "crm-2", "+14155550102", agent_id="agent_2")
    later = await place(admin, "crm-3", "+14155550103", not_before="2026-12-03T17:00:00Z")
    assert rows((await admin.get("/console/calls")).text) == [later, ben, ada]
    for query, expected in (
        ({"contact_id": "crm-1"}, [ada]),
        ({"phone": "+14155550102"}, [ben]),
        ({"agent_id": "agent_2"}, [ben]),
        ({"status": "scheduled"}, [later]),
        ({"status": "queued", "contact_id": "", "stuck": ""}, [ben, ada]),
        ({"since": "2000-01-01", "until": "2100-01-01"}, [later, ben, ada]),
        ({"until": "2000-01-02"}, []),
    ):
        page = (await admin.get("/console/calls", **query)).text
        assert (rows(page), counted(page)) == (expected, len(expected)), query


async def test_a_page_of_the_list_leads_to_the_older_calls(admin: Browser) -> None:
    made = [await place(admin, f"crm-{n}", f"+1415555{n:04}") for n in range(100, 155)]
    page = (await admin.get("/console/calls", agent_id="agent_1")).text
    assert counted(page) == 55
    older = re.search(r'rel="next" href="([^"]+)"', page)
    assert older and len(rows(page)) == 50
    address = older[1].replace("&amp;", "&")
    assert "agent_id=agent_1" in address
    assert rows((await admin.get(address)).text) == made[4::-1]


@pytest.mark.parametrize("query", ["status=lost", "since=yesterday", "phone=4155550100", "cursor=%3Cb%3E", "x=1"])
async def test_a_filter_that_means_nothing_is_explained(admin: Browser, query: str) -> None:
    answer = await admin.get(f"/console/calls?{query}")
    assert answer.status_code == 422
    assert f"<code>query:{query.partition('=')[0]}</code>" in answer.text


async def test_a_planned_call_says_when_and_why(admin: Browser, pool) -> None:
    call_id = await place(admin, not_before="2026-12-03T17:00:00Z")
    page = (await admin.get(f"/console/calls/{call_id}")).text
    assert "because the first attempt" in page
    title = "Thu 2026-12-03 17:00:00 UTC · Thu 2026-12-03 09:00:00 America/Los_Angeles"
    assert f'<time datetime="2026-12-03T17:00:00.000Z" title="{title}">2026-12-03 17:00:00</time>' in page
    await pool.execute(
        "INSERT INTO gate_decisions (call_id, at, kind, detail) SELECT call_id, now(), 'gate', "
        "jsonb_build_object('verdict', 'wait', 'rule', 'outside_calling_hours', 'until', '2026-12-03T17:00:00.000Z') "
        "FROM calls"
    )
    page = (await admin.get(f"/console/calls/{call_id}")).text
    assert "because it is outside the calling hours" in page
    assert "The call waits until 2026-12-03 17:00:00 UTC, because it is outside the calling hours." in page


async def test_the_story_has_every_entry_of_the_timeline(admin: Browser, parts) -> None:
    call_id = await place(admin)
    await parts.operator().why(phone=PHONE, contact_id=None)
    timeline = await parts.views.timeline(call_id)
    page = (await admin.get(f"/console/calls/{call_id}")).text
    assert page.count(" data-entry>") == len(timeline) == 3
    assert "The request was accepted. Without an end before, the call expires at 2026-12-08 17:00:00 UTC." in page
    assert "The task was sent to the call queue, dispatch 1." in page


async def test_the_story_of_a_talk_is_told_in_sentences(calls, admin: Browser) -> None:
    page = (await admin.get(f"/console/calls/{calls[0]}")).text
    for sentence in (
        "The eligibility check admitted the call.",
        "Retell answered the request to dial: placed.",
        "Attempt 1 was answered.",
        "Retell reported call_analyzed; the event was applied.",
        "Event voice_ai_call_completed was written.",
        "Hello, is this Ada?",
    ):
        assert sentence in page, sentence
    assert "The eligibility check decided." not in page


async def test_the_story_of_a_refused_dial_has_the_message_of_retell(stack, admin: Browser) -> None:
    stack.provider.answer = DialAnswer(DialAnswerKind.REJECTED, "http_422", message="agent <b>7</b> not found")
    page = (await admin.get(f"/console/calls/{(await stack.talk(contact=1)).call_id}")).text
    told = "Retell answered the request to dial: refused. Its message: agent &lt;b&gt;7&lt;/b&gt; not found"
    assert told in page


async def test_a_call_is_cancelled_after_the_word_is_typed(admin: Browser) -> None:
    call_id = await place(admin)
    path = f"/console/calls/{call_id}"
    page = (await admin.get(path)).text
    assert (await admin.post(f"{path}/cancel", page, confirm="yes")).status_code == 422
    answer = await admin.post(f"{path}/cancel", page, confirm="cancel")
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    page = (await admin.get(path)).text
    assert "1 call is cancelled: it will not dial." in page and ">cancelled</span>" in page
    assert "Cancel this call" not in page
    assert "1 call is cancelled" not in (await admin.get(path)).text, "a notice is shown once"


async def test_a_person_is_suppressed_from_a_call(admin: Browser) -> None:
    call_id = await place(admin)
    path = f"/console/calls/{call_id}"
    page = (await admin.get(path)).text
    assert "its 1 planned attempt is deleted" in " ".join(page.split())
    assert (await admin.post(f"{path}/suppress", page, reason=" ")).status_code == 422
    assert (await admin.post(f"{path}/suppress", page, reason="asked by letter")).status_code == 303
    page = (await admin.get(path)).text
    assert "1 phone is suppressed. 0 attempts may be ringing." in page
    assert "The person was suppressed (api): asked by letter." in page


async def test_a_call_that_does_not_exist_is_a_page(admin: Browser) -> None:
    for path in ("/console/calls/none", "/console/calls/%3Cb%3E", "/console/nothing"):
        answer = await admin.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    page = (await admin.get(f"/console/calls/{await place(admin)}")).text
    assert (await admin.post("/console/calls/none/cancel", page, confirm="cancel")).status_code == 404


async def test_the_search_box_jumps_and_understands_qualifiers(admin: Browser) -> None:
    call_id = await place(admin)
    for text, expected in (
        (call_id, f"/console/calls/{call_id}"),
        (PHONE, "/console/calls?phone=%2B14155550100"),
        ("crm-42", "/console/calls?contact_id=crm-42"),
        ("state:failed agent:agent_1", "/console/calls?status=failed&agent_id=agent_1"),
        ("after:2026-12-01", "/console/calls?since=2026-12-01"),
        ("reason:busy", "/console/calls?reason=busy"),
        ("number:+14155550199", "/console/calls?from_number=%2B14155550199"),
        ("hubspot:42 state:failed", "/console/calls?contact_id=hubspot%3A42&status=failed"),
        ("", "/console/calls?"),
    ):
        assert (await admin.get("/console/find", q=text)).headers["location"] == expected


async def test_the_list_finds_calls_by_reason_and_by_our_number(calls, admin: Browser) -> None:
    assert rows((await admin.get("/console/calls", reason="busy")).text) == [calls[2]]
    found = (await admin.get("/console/calls", from_number="+14155550199", status="scheduled")).text
    assert rows(found) == [calls[4]]
    assert "No call matches." in (await admin.get("/console/calls", from_number="+14155550198")).text


async def test_a_search_that_is_not_understood_says_what_is_possible(admin: Browser) -> None:
    words = "contact:, phone:, state:, reason:, agent:, number:, after:, before:"
    for text, why in (
        ("state:failed state:expired", "state: is given twice."),
        ("john smith", "contact: is given twice."),
        ("agent:", "agent: has no value."),
    ):
        answer = await admin.get("/console/find", q=text)
        assert answer.status_code == 422
        assert f"{why} A search has each of {words} at most once." in answer.text
    for query, told in (
        ({"status": "lost"}, "known are &#39;scheduled&#39;,"),
        ({"reason": "lost"}, "known are &#39;no_answer&#39;, &#39;busy&#39;,"),
        ({"from_number": "415"}, "query:from_number"),
        ({"since": "yesterday"}, "query:since"),
    ):
        answer = await admin.get("/console/calls", **query)
        assert answer.status_code == 422 and told in answer.text, answer.text
    page = (await admin.get("/console/calls", contact_id="status:failed")).text
    assert "took <code>status:failed</code> for the id of a contact: its words are <code>contact:</code>," in page


async def test_a_viewer_sees_no_form_that_writes(visitors) -> None:
    call_id = await place(visitors[Role.ADMIN])
    page = (await visitors[Role.VIEWER].get(f"/console/calls/{call_id}")).text
    assert re.findall(r'action="([^"]+)"', page) == ["/console/find", "/console/logout", "/console/times"]


async def test_the_webhooks_of_an_attempt_are_shown_as_retell_sent_them(calls, admin: Browser, pool) -> None:
    attempt_id = await pool.fetchval("SELECT attempt_id FROM attempts WHERE call_id = $1", calls[0])
    address = f"/console/calls/{calls[0]}/webhooks"
    assert f'href="{address}?attempt={attempt_id}"' in (await admin.get(f"/console/calls/{calls[0]}")).text
    page = (await admin.get(address, attempt=attempt_id)).text
    assert [page.count(f"<h2>Call {event},") for event in ("started", "ended", "analyzed")] == [1, 1, 1]
    assert "&#34;disconnection_reason&#34;:" in page and PHONE not in page
    await pool.execute("UPDATE provider_events SET body = NULL")
    assert "Its content is not kept." in (await admin.get(address, attempt=attempt_id)).text
    other = await pool.fetchval("SELECT attempt_id FROM attempts WHERE call_id <> $1 LIMIT 1", calls[0])
    assert (await admin.get(address, attempt=other)).status_code == 404
    assert (await admin.get(address)).status_code == 422
