"""Times in the report zone, in UTC or in the contact's zone: each title has all three."""

import re

import pytest

from ringback.web.auth import hash_key
from ringback.web.console.live import StoryViewer
from ringback.web.console.rendering import Times
from ringback.web.console.streams import live_updates

from .conftest import Browser, place
from .test_safety import crawl

TIME = re.compile(r'<time datetime="[^"]+" title="([^"]+)">([^<]+)</time>')
DUE = "2026-12-03T17:00:00Z"


@pytest.fixture
def report_zone() -> str:
    return "America/New_York"


async def choose(browser: Browser, times: str, **headers: str) -> str:
    """Send the form of the footer. Returns where it leads."""
    page = (await browser.get("/console/calls")).text
    browser.http.headers.update(headers)
    answer = await browser.post("/console/times", page, times=times)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def test_a_time_is_shown_as_chosen_with_all_zones_in_its_title(admin: Browser) -> None:
    call_id = await place(admin, not_before=DUE)
    title = (
        "Thu 2026-12-03 17:00:00 UTC · Thu 2026-12-03 12:00:00 America/New_York · "
        "Thu 2026-12-03 09:00:00 America/Los_Angeles"
    )
    for times, shown in (
        ("report", "2026-12-03 12:00:00"),
        ("utc", "2026-12-03 17:00:00"),
        ("contact", "2026-12-03 09:00:00 PST"),
    ):
        assert await choose(admin, times) == "/console"
        for path in ("/console/calls", f"/console/calls/{call_id}", "/console/people?contact_id=crm-42"):
            page = (await admin.get(path)).text
            assert (title, shown) in TIME.findall(page), (times, path)
            assert f'<option value="{times}" selected>' in page
    assert "12:00 " not in (await admin.get("/console/audit")).text


async def test_every_page_shows_the_chosen_zone(calls, admin: Browser) -> None:
    await choose(admin, "utc")
    pages, checked = await crawl(admin), 0
    for address, page in pages.items():
        for title, shown in TIME.findall(page):
            assert f" {shown} UTC · " in title, address
            checked += 1
    assert checked > 100


async def test_a_contact_without_a_zone_is_shown_in_the_report_zone(admin: Browser, pool) -> None:
    call_id = await place(admin, not_before=DUE)
    await pool.execute("UPDATE contacts SET time_zone = NULL")
    await choose(admin, "contact")
    page = (await admin.get(f"/console/calls/{call_id}")).text
    assert ("Thu 2026-12-03 17:00:00 UTC · Thu 2026-12-03 12:00:00 America/New_York", "2026-12-03 12:00:00 EST") in (
        TIME.findall(page)
    )


async def test_the_form_returns_to_its_page_of_our_own_host_alone(admin: Browser) -> None:
    for referer, leads_to in (
        ("http://localhost:8080/console/calls?phone=%2B14155550100", "/console/calls?phone=%2B14155550100"),
        ("http://localhost:8080/v1/calls", "/console"),
        ("http://localhost:8080//evil.example/console/", "/console"),
        ("https://evil.example/console/calls", "/console"),
    ):
        assert await choose(admin, "utc", Referer=referer) == leads_to
    page = (await admin.get("/console")).text
    assert (await admin.post("/console/times", page, times="local")).status_code == 422
    admin.http.cookies.set("ringback_console_times", "<script>", domain="localhost.local", path="/console")
    assert "<script>" not in (await admin.get("/console")).text


async def test_live_updates_show_each_viewer_the_chosen_zone(admin: Browser, parts) -> None:
    call_id = await place(admin, not_before=DUE)
    live = live_updates(parts.console())
    session = hash_key(admin.http.cookies["ringback_console"])
    viewers = [StoryViewer(session, times, [call_id]) for times in Times]
    live.viewers.update(viewers)
    await live.tell_all()
    told = [viewer.messages.get_nowait() or {} for viewer in viewers]
    assert [one["as_of"] for one in told] == ["12:00:00", "17:00:00", "12:00:00"]
    for message, shown in zip(told, ("03 12:00:00", "03 17:00:00", "03 09:00:00 PST"), strict=True):
        assert f">2026-12-{shown}</time>" in message["html"]
