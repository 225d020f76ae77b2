"""Signing in and out of the console, and the requests that are refused."""

import re

import pytest

from ringback.domain.access import Role
from ringback.web.auth import hash_key
from tests.audit_log import entry_at

from .conftest import KEYS, Browser, csrf_in, place


async def test_a_key_signs_in_and_the_cookie_is_safe(stranger: Browser) -> None:
    answer = await stranger.sign_in(Role.VIEWER)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/signed-in")
    cookie = next(text for text in answer.headers.get_list("set-cookie") if text.startswith("ringback_console="))
    assert re.search("HttpOnly", cookie) and re.search("SameSite=strict", cookie)
    assert "Max-Age=43200" in cookie and "Path=/console" in cookie
    assert "Secure" not in cookie, "there is no HTTPS on loopback"
    assert (await stranger.get("/console/signed-in")).headers["location"] == "/console"
    assert (await stranger.get("/console/calls")).status_code == 200


async def test_the_cookie_is_secure_off_loopback(stranger: Browser) -> None:
    stranger.http.base_url = "https://ringback.example"
    page = (await stranger.get("/console/login")).text
    answer = await stranger.post("/console/login", page, origin="https://ringback.example", api_key=KEYS[Role.ADMIN])
    assert all("Secure" in text for text in answer.headers.get_list("set-cookie"))


async def test_a_browser_that_kept_no_cookie_is_told_why(stranger: Browser) -> None:
    answer = await stranger.get("/console/signed-in")
    assert answer.status_code == 401
    assert "The console needs HTTPS" in answer.text


@pytest.mark.parametrize("key", ["", "rbk_unknown", KEYS[Role.ENGAGE]])
async def test_a_key_that_may_not_use_the_console_does_not_sign_in(stranger: Browser, key: str) -> None:
    page = (await stranger.get("/console/login")).text
    answer = await stranger.post("/console/login", page, api_key=key)
    assert answer.status_code == 401
    assert "This key is unknown or revoked, or its role may not use the console." in answer.text
    assert (await stranger.get("/console/calls")).status_code == 303


async def test_without_a_session_every_page_leads_to_the_login(stranger: Browser) -> None:
    assert (await stranger.get("/")).headers["location"] == "/console"
    for path in ("", "/calls", "/calls/1", "/find", "/nothing"):
        answer = await stranger.get(f"/console{path}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/login"), path


async def test_a_session_ends_after_twelve_hours(stranger: Browser, clock) -> None:
    await stranger.sign_in(Role.VIEWER)
    clock.advance(12 * 3600 - 1)
    assert (await stranger.get("/console/calls")).status_code == 200
    clock.advance(1)
    assert (await stranger.get("/console/calls")).status_code == 303


async def test_signing_out_ends_the_session_in_the_database(admin: Browser, pool) -> None:
    cookies = dict(admin.http.cookies)
    page = (await admin.get("/console/calls")).text
    assert (await admin.post("/console/logout", page)).status_code == 303
    admin.http.cookies.update(cookies)
    assert (await admin.get("/console/calls")).status_code == 303, "the old cookie is worth nothing"


async def test_a_revoked_key_ends_its_sessions_at_once(visitors, parts) -> None:
    await parts.api_keys.revoke("the viewer's", entry_at(parts.clock.now()))
    assert (await visitors[Role.VIEWER].get("/console/calls")).status_code == 303
    assert (await visitors[Role.ADMIN].get("/console/calls")).status_code == 200


async def test_the_database_holds_no_token(admin: Browser, pool) -> None:
    kept = await pool.fetch("SELECT token_hash FROM console_sessions")
    assert hash_key(admin.http.cookies["ringback_console"]) in {row["token_hash"] for row in kept}
    assert admin.http.cookies["ringback_console"] not in str(kept)


async def test_a_link_signs_in_once_and_within_an_hour(stranger: Browser, parts, clock) -> None:
    await parts.api_keys.add("up", hash_key("rbk_up"), entry_at(clock.now()))
    for link in ("first", "second"):
        assert await parts.console().sessions.add_link(link, "rbk_up")
    assert not await parts.console().sessions.add_link("third", "rbk_unknown")
    for expected in (303, 401):
        page = (await stranger.get("/console/login", link="first")).text
        assert "This link signs you in once." in page
        assert (await stranger.post("/console/login", page, link="first")).status_code == expected
    clock.advance(3600)
    page = (await stranger.get("/console/login", link="second")).text
    assert (await stranger.post("/console/login", page, link="second")).status_code == 401


async def test_a_link_is_no_session(stranger: Browser, parts) -> None:
    assert await parts.console().sessions.add_link("link", KEYS[Role.ADMIN])
    stranger.http.cookies.set("ringback_console", "link")
    assert (await stranger.get("/console/calls")).status_code == 303


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "http://localhost:8081", "localhost:8080"])
async def test_a_form_of_another_origin_is_refused(admin: Browser, origin: str | None) -> None:
    call_id = await place(admin)
    page = (await admin.get(f"/console/calls/{call_id}")).text
    answer = await admin.post(f"/console/calls/{call_id}/cancel", page, origin=origin, confirm="cancel")
    assert answer.status_code == 403
    assert "nothing was done" in answer.text
    assert "queued" in (await admin.http.get(f"/v1/calls/{call_id}", headers={"X-API-Key": KEYS[Role.ADMIN]})).text


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
async def test_a_form_without_the_sessions_token_is_refused(admin: Browser, token: str) -> None:
    answer = await admin.http.post("/console/logout", data={"csrf": token}, headers={"Origin": "http://localhost:8080"})
    assert answer.status_code == 403
    assert (await admin.get("/console/calls")).status_code == 200


async def test_the_token_of_one_session_is_refused_in_another(visitors) -> None:
    token = csrf_in((await visitors[Role.VIEWER].get("/console/calls")).text)
    form, headers = {"csrf": token}, {"Origin": "http://localhost:8080"}
    assert (await visitors[Role.ADMIN].http.post("/console/logout", data=form, headers=headers)).status_code == 403


async def test_a_login_of_another_origin_is_refused(stranger: Browser) -> None:
    page = (await stranger.get("/console/login")).text
    answer = await stranger.post("/console/login", page, origin="https://evil.example", api_key=KEYS[Role.ADMIN])
    assert answer.status_code == 403
    assert "ringback_console" not in stranger.http.cookies


async def test_a_form_that_is_too_large_is_refused(admin: Browser) -> None:
    page = (await admin.get("/console/calls")).text
    assert (await admin.post("/console/logout", page, more="x" * 20_000)).status_code == 413


async def test_without_the_setting_there_is_no_console(database_url: str) -> None:
    import httpx

    from ringback.config import read_settings
    from ringback.process import application
    from ringback.services import internal_api
    from ringback.wiring import open_dependencies

    settings = read_settings({"RINGBACK_DATABASE_URL": database_url, "RINGBACK_CONSOLE": "off"}, emulated=True)
    async with open_dependencies(settings) as parts:
        transport = httpx.ASGITransport(application(parts, [internal_api.build_service(parts)]))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            assert {(await http.get(path)).status_code for path in ("/", "/console", "/console/login")} == {404}
