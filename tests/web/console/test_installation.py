"""Settings, the doctor, our numbers, and API keys."""

import re

import pytest

from ringback.domain.access import Role
from ringback.web.auth import hash_key

from .conftest import KEYS, Browser


async def test_settings_are_shown_with_their_origin_and_without_secrets(admin: Browser, parts) -> None:
    page = (await admin.get("/console/settings")).text
    shown = re.findall(r'<th scope="row"><code>([A-Z_]+)</code></th><td>(.*?)</td><td>(.*?)</td>', page)
    told = {name: (value, origin) for name, value, origin in shown}
    assert list(told) == [name for name, _, _ in parts.operator().settings()]
    assert told["RINGBACK_MAX_LIVE_CALLS"] == ("<code>400</code>", "default beside the emulators")
    assert told["RINGBACK_DATABASE_URL"][1] == "environment"
    assert told["RETELL_API_KEY"][0] == "not set"


async def test_the_doctor_says_what_is_wrong_and_what_to_do(admin: Browser, calls) -> None:
    page = (await admin.get("/console/doctor")).text
    assert re.search(r'<p role="status">\d checks? (is|are) wrong', page)
    assert '<th scope="row">database</th><td>PostgreSQL' in page
    assert "1 dead letter</td><td>run: ringback dead-letters list</td>" in page
    assert "set RINGBACK_ENGAGE_URL and RINGBACK_ENGAGE_SECRET" in page


async def test_the_doctor_that_takes_too_long_is_a_page(admin: Browser, monkeypatch) -> None:
    from ringback.web.console import installation

    monkeypatch.setattr(installation, "CHECKED_WITHIN_S", 0.0)
    answer = await admin.get("/console/doctor")
    assert answer.status_code == 503 and "ringback doctor waits longer" in answer.text


async def test_each_of_our_numbers_has_its_results(admin: Browser, calls) -> None:
    page = (await admin.get("/console/numbers")).text
    assert page.count("<tr data-row>") == 1
    assert '<th scope="row">+14155550199</th><td class="number"><a data-rows="3" href="/console/rows?' in page
    assert '3</a> <span class="hint">(0)</span></td>' in page


async def test_without_calls_there_is_no_number(admin: Browser) -> None:
    assert "No call was placed in the last seven days." in (await admin.get("/console/numbers")).text


async def test_a_key_is_created_shown_once_and_revoked(admin: Browser, parts, pool) -> None:
    page = (await admin.get("/console/keys")).text
    assert page.count("<tr data-row>") == len(Role)
    answer = await admin.post("/console/keys", page, name="dashboard", role="viewer")
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    (key,) = re.findall(r"<code>(rbk_[\w-]{43})</code>", answer.text)
    assert (await parts.api_keys.find(hash_key(key))).role is Role.VIEWER
    assert key not in str(answer.headers)
    page = (await admin.get("/console/keys")).text
    assert key not in page and page.count("<tr data-row>") == len(Role) + 1
    assert key not in str(await pool.fetch("SELECT * FROM api_keys"))
    answer = await admin.post("/console/keys/revoke", page, name="dashboard")
    assert answer.headers["location"] == "/console/keys"
    assert "1 key is revoked for good." in (await admin.get("/console/keys")).text
    assert await parts.api_keys.find(hash_key(key)) is None
    await admin.post("/console/keys/revoke", page, name="nothing")
    assert "0 keys are revoked" in (await admin.get("/console/keys")).text


@pytest.mark.parametrize(
    ("name", "role", "why"),
    [
        ("", "viewer", "A name has 1 to 64 visible characters."),
        ("x" * 65, "viewer", "A name has 1 to 64 visible characters."),
        ("a\u200bb", "viewer", "A name has 1 to 64 visible characters."),
        ("RINGBACK_API_KEY 2", "viewer", "are reserved for the key of that setting"),
        ("dashboard", "root", "A role is one of engage, viewer, operator, admin."),
        ("the viewer's", "admin", "There is a key of that name"),
    ],
)
async def test_a_key_that_cannot_be_is_explained(admin: Browser, pool, name: str, role: str, why: str) -> None:
    page = (await admin.get("/console/keys")).text
    answer = await admin.post("/console/keys", page, name=name, role=role)
    assert answer.status_code == 422 and why in answer.text
    assert await pool.fetchval("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL") == len(KEYS)


async def test_revoking_ones_own_key_ends_the_session(admin: Browser) -> None:
    page = (await admin.get("/console/keys")).text
    assert "It is your own: you are signed out." in page
    await admin.post("/console/keys/revoke", page, name="the admin's")
    assert (await admin.get("/console/keys")).headers["location"] == "/console/login"


async def test_the_menu_shows_what_a_visitor_may_see(visitors) -> None:
    for role, shown in ((Role.VIEWER, False), (Role.OPERATOR, True), (Role.ADMIN, True)):
        page = (await visitors[role].get("/console")).text
        assert ('href="/console/settings"' in page) is shown
    page = (await visitors[Role.OPERATOR].get("/console/settings")).text
    assert 'href="/console/keys"' not in page
