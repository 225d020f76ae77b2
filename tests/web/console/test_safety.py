"""Every page with every role: hostile texts, masked phones, headers, weight, and numbers that lead to their rows."""

import re
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest
from markupsafe import escape

from ringback.domain.access import Role
from ringback.web.auth import hash_key
from ringback.web.console.rendering import Times
from ringback.web.console.streams import live_updates
from tests.audit_log import entry_at

from .conftest import KEYS, Browser, place

#: The permission of each form and page; a route that is missing here has no roles yet.
MAY = {
    "GET /console": {"viewer", "operator", "admin"},
    "GET /console/calls": {"viewer", "operator", "admin"},
    "GET /console/calls/{call_id}": {"viewer", "operator", "admin"},
    "GET /console/live/now": {"viewer", "operator", "admin"},
    "GET /console/live/calls": {"viewer", "operator", "admin"},
    "GET /console/live/calls/{call_id}": {"viewer", "operator", "admin"},
    "GET /console/find": {"viewer", "operator", "admin"},
    "GET /console/analytics": {"viewer", "operator", "admin"},
    "GET /console/rows": {"viewer", "operator", "admin"},
    "GET /console/calls/{call_id}/webhooks": {"viewer", "operator", "admin"},
    "GET /console/exports/{export}": {"viewer", "operator", "admin"},
    "GET /console/people": {"viewer", "operator", "admin"},
    "GET /console/written": {"viewer", "operator", "admin"},
    "GET /console/suppressions": {"viewer", "operator", "admin"},
    "GET /console/dead-letters": {"viewer", "operator", "admin"},
    "GET /console/audit": {"operator", "admin"},
    "GET /console/deliveries": {"viewer", "operator", "admin"},
    "POST /console/deliveries/replay": {"operator", "admin"},
    "POST /console/calls/{call_id}/replay": {"operator", "admin"},
    "POST /console/calls/{call_id}/reschedule": {"admin"},
    "POST /console/calls/{call_id}/note": {"operator", "admin"},
    "GET /console/heatmap": {"viewer", "operator", "admin"},
    "GET /console/numbers": {"viewer", "operator", "admin"},
    "GET /console/settings": {"operator", "admin"},
    "GET /console/doctor": {"operator", "admin"},
    "GET /console/keys": {"admin"},
    "POST /console/keys": {"admin"},
    "POST /console/keys/revoke": {"admin"},
    "GET /console/help": {"viewer", "operator", "admin"},
    "GET /console/{rest:path}": {"viewer", "operator", "admin"},
    "POST /console/times": {"viewer", "operator", "admin"},
    "POST /console/logout": {"viewer", "operator", "admin"},
    "POST /console/pause": {"operator", "admin"},
    "POST /console/resume": {"operator", "admin"},
    "POST /console/calls/{call_id}/cancel": {"operator", "admin"},
    "POST /console/calls/{call_id}/suppress": {"operator", "admin"},
    "POST /console/calls/{call_id}/reveal": {"admin"},
    "POST /console/people/reveal": {"admin"},
    "POST /console/people/erase": {"admin"},
    "POST /console/suppressions": {"operator", "admin"},
    "POST /console/suppressions/lift": {"operator", "admin"},
    "POST /console/dead-letters/replay": {"operator", "admin"},
}
WITHOUT_A_SESSION = {
    "GET /console/login",
    "GET /console/signed-in",
    "POST /console/login",
    "GET /console/static/{name}",
}
HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": '"><img src=x onerror=alert(1)>',
    "quote": "' onmouseover='alert(1)",
    "scheme": "javascript:alert(1)",
    "element": "</title></style></textarea><svg onload=alert(1)>",
    "template": "{{ 7 * 7 }}{% raw %}${7*7}",
    "comment": "<!--<a href=//evil.example>",
}
hostile = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
LOADS = ("link", "script")
PHONE_LIKE = re.compile(r"(?:\+|%2B)1\d{10}")
#: The number of our own that calls come from is shown whole.
OWN = re.compile(r"(?:\+|%2B)14155550199")


class Tags(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def links(self) -> set[str]:
        return {attrs["href"] for tag, attrs in self.found if tag == "a" and "href" in attrs}


def is_harmless(page: str) -> list[str]:
    """Return everything that a page would run, load or send elsewhere."""
    wrong = []
    for tag, attrs in Tags(page).found:
        is_ours = tag == "script" and attrs.keys() == {"src", "defer"}
        if tag in ("script", "iframe", "object", "embed", "img", "base", "style") and not is_ours:
            wrong.append(tag)
        wrong += [f"{tag} {name}" for name in attrs if name.startswith("on") or name == "style"]
        wrong += [
            f"{tag} {name}={attrs[name]}"
            for name in ("href", "src", "action", "formaction")
            if name in attrs
            and not attrs[name].startswith(("/console", "#"))
            and not (tag == "a" and attrs[name].startswith("https://") and "noopener" in attrs.get("rel", ""))
        ]
    return wrong


async def crawl(browser: Browser, *start: str) -> dict[str, str]:
    """Every page that can be reached from the given ones or from the first one, by address."""
    pages: dict[str, str] = {}
    waiting = list(start or ["/console"])
    while waiting:
        address = waiting.pop()
        if address in pages:
            continue
        answer = await browser.get(address)
        if answer.status_code == 303:
            pages[address] = ""
            waiting.append(answer.headers["location"])
            continue
        assert answer.status_code == 200, (address, answer.status_code)
        pages[address] = answer.text
        waiting += [link for link in Tags(answer.text).links() if link.startswith("/")]
    return pages


async def test_every_page_and_form_has_the_roles_of_the_table(app, visitors, stranger) -> None:
    routes = {
        f"{method} {route.path}"
        for route in app.routes
        if route.path.startswith("/console")
        for method in route.methods - {"HEAD"}
    }
    assert routes == MAY.keys() | WITHOUT_A_SESSION
    wrong = []
    pages = {role: (await browser.get("/console")).text for role, browser in visitors.items()}
    for operation, roles in sorted(MAY.items(), key=lambda each: each[0].endswith("logout")):
        method, path = operation.split()
        # A stream has no end. Its head tells the same.
        method = "HEAD" if path.startswith("/console/live/") else method
        path = path.replace("{call_id}", "none").replace("{rest:path}", "none").replace("{export}", "attempts.csv")
        assert (await stranger.http.request(method, path)).headers["location"] == "/console/login", operation
        for role, browser in visitors.items():
            answer = await (browser.post(path, pages[role]) if method == "POST" else browser.http.request(method, path))
            if (answer.status_code == 403) is (role in roles) or answer.status_code >= 500:
                wrong.append((operation, role, answer.status_code))
    assert wrong == []


async def test_a_number_leads_to_exactly_its_rows(calls, admin: Browser) -> None:
    pages, checked = await crawl(admin), 0
    for page in pages.values():
        for tag, attrs in Tags(page).found:
            told = next((attrs[name] for name in ("data-count", "data-rows", "data-letters") if name in attrs), None)
            if tag != "a" or told is None:
                continue
            address, rows = attrs["href"], 0
            while address:
                listed = (await admin.get(address)).text
                rows += listed.count(" data-row>")
                older = [each["href"] for tag, each in Tags(listed).found if each.get("rel") == "next"]
                address = older[0] if older else ""
            assert rows == int(told), attrs["href"]
            checked += 1
    assert checked >= 20


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.ADMIN])
async def test_no_page_shows_a_phone_number(calls, visitors, role: Role, pool) -> None:
    await pool.execute(
        "UPDATE attempts SET transcript = 'Agent: call +14155550177 back', summary = 'asked for +14155550177', "
        "analysis = jsonb_build_object('number', '+14155550177')"
    )
    await pool.execute('UPDATE calls SET metadata = \'{"second_phone": "+14155550177"}\'')
    pages = await crawl(visitors[role])
    assert len(pages) > 15
    pages |= await crawl(visitors[role], "/console/analytics?by=number", "/console/numbers")
    leaks = {address: PHONE_LIKE.findall(OWN.sub("", page + address)) for address, page in pages.items()}
    assert {address: found for address, found in leaks.items() if found} == {}
    assert "+1 415 ••• 0177" in "".join(pages.values())
    for address in ("/console/analytics?by=number", "/console/numbers", f"/console/calls/{calls[0]}"):
        assert "+14155550199" in pages[address], "a number of our own"


async def test_what_was_typed_is_given_back_unmasked_to_its_own_form(calls, admin: Browser) -> None:
    page = (await admin.get("/console/calls", phone="+14155550104")).text
    assert 'value="+14155550104"' in page
    assert PHONE_LIKE.findall(page.replace('value="+14155550104"', "")) == []


@pytest.mark.matrix
@hostile
async def test_a_stored_text_is_only_ever_text(calls, admin: Browser, pool, parts, text: str) -> None:
    columns = ("transcript", "summary", "sentiment", "disconnection_reason", "recording_url")
    assignments = ", ".join(f"{column} = $1" for column in columns)
    await pool.execute(f"UPDATE attempts SET {assignments}, business = $2, analysis = $2", text, {text: text})
    await pool.execute(
        "UPDATE calls SET reason = $1, agent_id = $1, metadata = $2, from_number = $1", text, {text: text}
    )
    await pool.execute("UPDATE outbox SET last_error = $1, dead_at = now()", text)
    await pool.execute("UPDATE gate_decisions SET detail = detail || $1", {"rule": text, text: text, "verdict": text})
    await pool.execute("UPDATE provider_events SET fate = $1, event = $1", text)
    await pool.execute("UPDATE suppressions SET reason = $1, source = $1", text)
    await pool.execute("UPDATE dispositions SET code = $1, note = $1", text)
    await pool.execute("UPDATE notes SET note = $1, author = $1", text)
    await pool.execute(
        "UPDATE field_writes SET field = $1, source = $1, old_value = to_jsonb($1::text),"
        " new_value = to_jsonb($1::text)",
        text,
    )
    await pool.execute("UPDATE installation SET paused_at = now(), pause_reason = $1", text)
    key = "rbk_hostile"
    await parts.api_keys.add(text, hash_key(key), entry_at(parts.clock.now()), Role.OPERATOR)
    login = (await admin.get("/console/login")).text
    await admin.post("/console/login", login, api_key=key)
    pages = await crawl(admin)
    live = live_updates(parts.console())
    live_parts = {"now": await live.render_now()} | await live.render_rows(calls)
    live_parts |= {f"story {call_id}": await live.render_story(call_id) for call_id in calls}
    pages |= {name: part(Times.REPORT) for name, part in live_parts.items()}
    # No browser shows an export: it is a file to keep.
    shown = {address: page for address, page in pages.items() if not address.startswith("/console/exports/")}
    assert {address: wrong for address, page in shown.items() if (wrong := is_harmless(page))} == {}
    escaped = str(escape(text))
    assert escaped in pages["/console"], "the reason of the pause"
    assert escaped in pages[f"/console/calls/{calls[0]}"], "the transcript"
    written = [page for address, page in pages.items() if address.startswith("/console/written")]
    assert len(written) >= 3 and all(escaped in page for page in written), "what actions wrote"


@pytest.mark.matrix
@hostile
async def test_a_typed_text_is_only_ever_text(admin: Browser, stranger: Browser, text: str) -> None:
    for path, query in (
        ("/console/calls", {"contact_id": text, "agent_id": text}),
        ("/console/calls", {"since": text, "status": text, text: text}),
        ("/console/rows", {"measure": text}),
        ("/console/dead-letters", {"source": text}),
        ("/console/deliveries", {"answer": text, "type": text}),
        ("/console/deliveries", {"state": text, "since": text}),
        (f"/console/{text}", {}),
    ):
        assert is_harmless((await admin.get(path, **query)).text) == [], path
    assert is_harmless((await stranger.get("/console/login", link=text)).text) == []
    admin.http.cookies.set("ringback_console_notice", text.replace(";", ""))
    assert is_harmless((await admin.get("/console/calls")).text) == []


async def test_every_answer_forbids_frames_scripts_and_storing(calls, admin: Browser, stranger: Browser) -> None:
    for browser, path, status in (
        (admin, "/console", 200),
        (admin, f"/console/calls/{calls[0]}", 200),
        (admin, "/console/nothing", 404),
        (admin, "/console/calls?status=lost", 422),
        (stranger, "/console", 303),
        (stranger, "/console/login", 200),
    ):
        answer = await browser.get(path)
        assert answer.status_code == status
        policy = answer.headers.get("content-security-policy", "")
        assert {"default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} <= set(policy.split("; "))
        assert "unsafe" not in policy
        assert (answer.headers["x-frame-options"], answer.headers["x-content-type-options"]) == ("DENY", "nosniff")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "same-origin", "with no-referrer a form's Origin would be null"


async def test_a_page_weighs_at_most_100_kb_and_loads_only_its_own_host(calls, admin: Browser) -> None:
    for number in range(60):
        await place(admin, f"crm-many-{number}", f"+1415555{1000 + number}", not_before="2026-12-03T17:00:00Z")
    files: dict[str, int] = {}
    for address, page in (await crawl(admin)).items():
        loaded = [attrs["src" if tag == "script" else "href"] for tag, attrs in Tags(page).found if tag in LOADS]
        for link in loaded:
            assert urlsplit(urljoin("http://localhost:8080", link)).netloc == "localhost:8080"
            if link not in files:
                answer = await admin.get(link)
                assert "immutable" in answer.headers["cache-control"]
                files[link] = len(answer.content)
        assert len(page.encode()) + sum(files[link] for link in loaded) <= 100_000, address
    assert max(files.values()) <= 30_000


async def test_the_log_names_key_and_permission_and_no_text(admin: Browser) -> None:
    import structlog

    page = (await admin.get("/console")).text
    with structlog.testing.capture_logs() as logged:
        await admin.post("/console/pause", page, reason="because of Ada Lovelace")
    assert ("console.form_sent", "the admin's", "pause") in [
        (each["event"], each.get("key_name"), each.get("needs")) for each in logged
    ]
    assert "Ada" not in str(logged) and KEYS[Role.ADMIN] not in str(logged)
