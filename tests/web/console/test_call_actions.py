"""Forms of one call that run business actions."""

import re

import pytest

from ringback.domain.access import Role

from .conftest import Browser, place


async def sent(browser: Browser, call_id: str, form: str, **fields: str) -> tuple[int, str]:
    """Send a form of the page of a call. Returns the status, and the page that follows."""
    page = (await browser.get(f"/console/calls/{call_id}")).text
    (key,) = set(re.findall(r'name="key" value="([^"]+)"', page))
    answer = await browser.post(f"/console/calls/{call_id}/{form}", page, **{"key": key, **fields})
    if answer.status_code != 303:
        return answer.status_code, answer.text
    return 303, (await browser.get(answer.headers["location"])).text


async def test_a_call_is_rescheduled_in_the_words_of_the_operator(admin: Browser, pool) -> None:
    call_id = await place(admin, not_before="2026-12-03T17:00:00Z")
    page = " ".join((await admin.get(f"/console/calls/{call_id}")).text.split())
    assert "1 attempt is planned, in the time zone of the contact" in page and "It replaces the one of <time" in page
    status, page = await sent(admin, call_id, "reschedule", when="2026-12-04 15:00", reason="asked by letter")
    assert status == 303
    assert "1 attempt is planned for 2026-12-04 15:00 America/Los_Angeles, 2026-12-04 23:00 UTC." in page
    assert "because the callback that was asked for" in page
    tasks = await pool.fetch("SELECT status, kind, source, reason FROM tasks ORDER BY created_at, task_id")
    assert [tuple(one) for one in tasks] == [
        ("superseded", "first", None, None),
        ("pending", "callback", "api", "asked by letter"),
    ]


async def test_a_time_at_night_is_moved_into_calling_hours(admin: Browser, pool) -> None:
    call_id = await place(admin, not_before="2026-12-03T17:00:00Z")
    await pool.execute("UPDATE contacts SET time_zone = 'America/New_York'")
    status, page = await sent(admin, call_id, "reschedule", when="tomorrow at 3pm")
    assert status == 303 and "2026-12-02 15:00 America/New_York" in page


@pytest.mark.parametrize(
    ("when", "rule"),
    [
        ("later", "Day or clock time is missing"),
        ("2026-11-01 15:00", "Day or clock time is missing, has passed"),
        ("2027-02-01 15:00", "More than fourteen days ahead."),
        ("in one minute", "Less than five minutes ahead."),
        ("", "Day or clock time is missing"),
        ("x" * 201, "when: longer than 200 characters."),
    ],
)
async def test_a_time_that_breaks_a_rule_is_refused_with_the_rule(admin: Browser, pool, when: str, rule: str) -> None:
    call_id = await place(admin, not_before="2026-12-03T17:00:00Z")
    status, page = await sent(admin, call_id, "reschedule", when=when)
    assert status == 422 and rule in page and "<code>form:when</code>" in page
    assert await pool.fetchval("SELECT count(*) FROM tasks") == 1


async def test_a_suppressed_or_finished_call_is_not_rescheduled(admin: Browser) -> None:
    call_id = await place(admin)
    stale = (await admin.get(f"/console/calls/{call_id}")).text
    await admin.post(f"/console/calls/{call_id}/suppress", stale, reason="asked by letter")
    page = (await admin.get(f"/console/calls/{call_id}")).text
    assert "Reschedule this call" not in page
    answer = await admin.post(f"/console/calls/{call_id}/reschedule", stale, when="2026-12-04 15:00")
    assert answer.status_code == 422
    assert "The call has ended" in answer.text or "must not be called" in answer.text


async def test_a_form_that_is_sent_twice_acts_once(admin: Browser, pool) -> None:
    call_id = await place(admin)
    page = (await admin.get(f"/console/calls/{call_id}")).text
    (key,) = set(re.findall(r'name="key" value="([^"]+)"', page))
    for _ in range(2):
        answer = await admin.post(f"/console/calls/{call_id}/note", page, key=key, note="Called the office.")
        assert answer.status_code == 303
    assert await pool.fetchval("SELECT count(*) FROM notes") == 1
    # Back, and another text: another note.
    await admin.post(f"/console/calls/{call_id}/note", page, key=key, note="Called again.")
    assert [row["note"] for row in await pool.fetch("SELECT note FROM notes ORDER BY at, note_id")] == [
        "Called the office.",
        "Called again.",
    ]


async def test_an_operator_adds_a_note_and_does_not_reschedule(visitors, pool) -> None:
    call_id = await place(visitors[Role.ADMIN])
    operator = visitors[Role.OPERATOR]
    page = (await operator.get(f"/console/calls/{call_id}")).text
    assert "Add a note" in page and "Reschedule this call" not in page
    status, page = await sent(operator, call_id, "note", note=" Asked for Ben. ")
    assert status == 303 and "1 note is kept, and on its way to the CRM." in page
    assert await pool.fetchval("SELECT note FROM notes") == "Asked for Ben."
    answer = await operator.post(f"/console/calls/{call_id}/reschedule", page, when="2026-12-04 15:00")
    assert answer.status_code == 403


async def test_a_note_without_text_or_call_is_refused(admin: Browser) -> None:
    call_id = await place(admin)
    status, page = await sent(admin, call_id, "note", note=" ")
    assert status == 422 and "There is no text in the note." in page
    page = (await admin.get(f"/console/calls/{call_id}")).text
    assert (await admin.post("/console/calls/none/note", page, note="x")).status_code == 404
