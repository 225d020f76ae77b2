"""Each change by a person or a key leaves exactly one row of the audit log, which names its author."""

import re

import pytest
from typer.main import get_command

from ringback import cli
from ringback.adapters.postgres.audit import PostgresAudit
from ringback.domain.access import Role
from ringback.domain.audit import AuditAction, AuditFilter
from ringback.flows.operator.dead_letters import DeadLetters
from ringback.flows.operator.reveal import PhoneReveal
from ringback.web.console.audit import address_of
from tests.audit_log import logged

from .conftest import KEYS, PHONE, Browser, place

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CALLS_AND_ACTIONS = "its own rows tell of it, and the log would order all of them one after the other"
SESSION = "it changes a session or a cookie alone"
SIGNED = "signed by Retell: no person and no key writes"
#: Every route that writes, with its action, or why it has none. A route that is missing here has no audit yet.
ROUTES = {
    "POST /v1/calls": CALLS_AND_ACTIONS,
    "POST /v1/actions/{action}": CALLS_AND_ACTIONS,
    "POST /v1/calls/{call_id}/cancel": AuditAction.CALL_CANCELLED,
    "POST /v1/suppressions": AuditAction.SUPPRESSION_ADDED,
    "DELETE /v1/suppressions/{suppression_id}": AuditAction.SUPPRESSION_LIFTED,
    "POST /v1/dialing/pause": AuditAction.DIALING_PAUSED,
    "POST /v1/dialing/resume": AuditAction.DIALING_RESUMED,
    "POST /v1/retell/functions/{action}": SIGNED,
    "POST /v1/retell/inbound": SIGNED,
    "POST /retell/webhook": SIGNED,
    "POST /console/login": SESSION,
    "POST /console/logout": SESSION,
    "POST /console/times": SESSION,
    "POST /console/pause": AuditAction.DIALING_PAUSED,
    "POST /console/resume": AuditAction.DIALING_RESUMED,
    "POST /console/calls/{call_id}/cancel": AuditAction.CALL_CANCELLED,
    "POST /console/calls/{call_id}/suppress": AuditAction.SUPPRESSION_ADDED,
    "POST /console/calls/{call_id}/reveal": AuditAction.PHONE_REVEALED,
    "POST /console/people/reveal": AuditAction.PHONE_REVEALED,
    "POST /console/people/erase": AuditAction.PERSON_ERASED,
    "POST /console/suppressions": AuditAction.SUPPRESSION_ADDED,
    "POST /console/suppressions/lift": AuditAction.SUPPRESSION_LIFTED,
    "POST /console/dead-letters/replay": AuditAction.DEAD_LETTERS_REPLAYED,
    "POST /console/deliveries/replay": AuditAction.DELIVERIES_REPLAYED,
    "POST /console/calls/{call_id}/replay": AuditAction.DELIVERIES_REPLAYED,
    "POST /console/calls/{call_id}/reschedule": AuditAction.CALL_RESCHEDULED,
    "POST /console/calls/{call_id}/note": AuditAction.NOTE_ADDED,
    "POST /console/keys": AuditAction.KEY_CREATED,
    "POST /console/keys/revoke": AuditAction.KEY_REVOKED,
}
READS = "it only reads"
RUNS = "it runs processes"
#: Every command, likewise. tests/cli/test_audit.py runs those that write to the database themselves.
COMMANDS = {
    "up": RUNS,
    "demo": RUNS,
    "serve": RUNS,
    "emulate": RUNS,
    "call": "POST /v1/calls",
    "calls": READS,
    "trace": READS,
    "why": READS,
    "pause": "POST /v1/dialing/pause",
    "resume": "POST /v1/dialing/resume",
    "doctor": READS,
    "catalog": READS,
    "erase": AuditAction.PERSON_ERASED,
    "conformance": "it sends requests to a receiver, and changes nothing here",
    "export": READS,
    "keys create": AuditAction.KEY_CREATED,
    "keys list": READS,
    "keys revoke": AuditAction.KEY_REVOKED,
    "db upgrade": "the schema has its version, and the log is part of it",
    "db rekey": AuditAction.HASHES_RENEWED,
    "dead-letters list": READS,
    "dead-letters show": READS,
    "dead-letters replay": AuditAction.DEAD_LETTERS_REPLAYED,
    "analytics check": READS,
    "analytics rebuild": AuditAction.STATISTICS_REBUILT,
    "analytics ddl": READS,
    "audit list": READS,
    "audit verify": READS,
    "retell tools": READS,
    "retell try": SIGNED,
}


def test_the_table_names_every_route_that_writes_and_no_other(app):
    writing = {
        f"{method} {route.path}"
        for route in app.routes
        for method in (getattr(route, "methods", None) or set()) - {"GET", "HEAD", "OPTIONS"}
    }
    assert writing == ROUTES.keys()


def test_the_table_names_every_command_and_no_other():
    found = set()
    for name, command in get_command(cli.app).commands.items():
        found |= {f"{name} {inner}" for inner in command.commands} if hasattr(command, "commands") else {name}
    assert found == COMMANDS.keys()


def test_every_action_is_written_by_a_route_or_a_command():
    assert {*ROUTES.values(), *COMMANDS.values()} >= set(AuditAction)


@pytest.fixture
def call_id(admin) -> object:
    return place(admin, not_before="2026-12-03T17:00:00Z")


async def send(browser: Browser, operation: str, call_id: str, suppression_id: str):
    """Send a request that changes something."""
    fields = {
        "POST /v1/suppressions": {"phone": PHONE, "reason": "asked by Ada"},
        "DELETE /v1/suppressions/{suppression_id}": {"reason": "asked by Ada"},
        "POST /v1/dialing/pause": {"reason": "Ada's script is wrong"},
        "POST /console/pause": {"reason": "Ada's script is wrong"},
        "POST /console/calls/{call_id}/cancel": {"confirm": "cancel"},
        "POST /console/calls/{call_id}/suppress": {"reason": "asked by Ada"},
        "POST /console/people/reveal": {"contact_id": "crm-42"},
        "POST /console/people/erase": {"contact_id": "crm-42", "confirm": "erase", "reason": "asked by Ada"},
        "POST /console/suppressions": {"contact_id": "crm-42", "reason": "asked by Ada"},
        "POST /console/suppressions/lift": {"suppression_id": suppression_id, "reason": "asked by Ada"},
        "POST /console/dead-letters/replay": {"name": "outbox:900"},
        "POST /console/deliveries/replay": {"state": "failed"},
        "POST /console/calls/{call_id}/replay": {"event_id": "e-1"},
        "POST /console/calls/{call_id}/reschedule": {"key": "of-a-page", "when": "2026-12-04 15:00", "reason": "Ada"},
        "POST /console/keys": {"name": "dashboard", "role": "viewer"},
        "POST /console/keys/revoke": {"name": "the viewer's"},
        "POST /console/calls/{call_id}/note": {"key": "of-a-page", "note": "Ada called the office."},
    }.get(operation, {})
    method, path = operation.split()
    path = path.replace("{call_id}", call_id).replace("{suppression_id}", suppression_id)
    if path.startswith("/console"):
        return await browser.post(path, (await browser.get("/console")).text, **fields)
    headers = {"X-API-Key": KEYS[Role.ADMIN]}
    return await browser.http.request(method, path, json=fields or None, headers=headers)


@pytest.mark.parametrize("operation", [name for name, action in ROUTES.items() if isinstance(action, AuditAction)])
async def test_a_write_leaves_exactly_one_row_with_its_author(admin, pool, call_id, operation):
    call_id = await call_id
    await pool.execute(
        """INSERT INTO outbox (id, kind, message_id, call_id, payload, created_at, due_at, dead_at)
           OVERRIDING SYSTEM VALUE
           VALUES (900, 'abt_event', 'e-1', $1, '{"type": "voice_ai_call_failed", "data": {"sequence": 2}}',
                   now(), now(), now())""",
        call_id,
    )
    suppression_id = "01a20491-a1b2-7c3d-8e4f-5a6b7c8d9e0f"
    await pool.execute(
        "INSERT INTO suppressions (suppression_id, phone, reason, source, created_at) "
        "VALUES ($1, '+14155550177', 'x', 'api', now())",
        suppression_id,
    )
    if operation.endswith("/resume"):
        await pool.execute("UPDATE installation SET paused_at = now()")
    if operation.endswith("/erase"):
        # A call that an erasure ends leaves a row of its own.
        await send(admin, "POST /console/calls/{call_id}/cancel", call_id, suppression_id)
    before = len(await logged(pool))
    answer = await send(admin, operation, call_id, suppression_id)
    assert answer.status_code < 400, answer.text
    (row,) = (await logged(pool))[before:]
    actor, action, named, detail = row
    assert action == ROUTES[operation]
    assert actor == ("console:the admin's" if "/console" in operation else "api:the admin's")
    assert (named is None) is ("dialing" in action or action == AuditAction.PERSON_ERASED)
    # A row outlives the erasure of a person, so it has no person's data and no free text.
    assert not re.search(r"Ada|crm-42|\d{7}", UUID.sub("", f"{named} {detail}"))
    again = await send(admin, operation, call_id, suppression_id)
    assert again.status_code < 500
    repeats = {AuditAction.PHONE_REVEALED}
    assert len(await logged(pool)) == before + 1 + (action in repeats), "a request that changes nothing leaves no row"
    assert (await PostgresAudit(pool).verify())[1] is None


async def test_placing_a_call_and_acting_leave_no_row(admin, pool, call_id):
    before = len(await logged(pool))
    body = {"call_id": await call_id, "args": {"note": "Call after lunch."}}
    answer = await admin.http.post("/v1/actions/note_writeback", json=body, headers={"X-API-Key": KEYS[Role.ENGAGE]})
    assert answer.status_code == 200
    assert len(await logged(pool)) == before


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
async def test_what_was_refused_leaves_no_row_and_shows_no_phone(visitors, pool, call_id, role):
    call_id, browser = await call_id, visitors[role]
    before = len(await logged(pool))
    for operation in ("POST /console/calls/{call_id}/reveal", "POST /console/people/reveal"):
        answer = await send(browser, operation, call_id, "")
        assert answer.status_code == 403
        assert PHONE not in answer.text
    assert "Reveal" not in (await browser.get(f"/console/calls/{call_id}")).text
    assert len(await logged(pool)) == before


async def test_a_revealed_phone_is_shown_once_and_kept_nowhere(admin, call_id):
    call_id = await call_id
    page = (await admin.get(f"/console/calls/{call_id}")).text
    assert PHONE not in page
    revealed = await admin.post(f"/console/calls/{call_id}/reveal", page)
    assert (revealed.status_code, revealed.headers["cache-control"]) == (200, "no-store")
    assert revealed.text.count(PHONE) == 1
    assert PHONE not in str(admin.http.cookies)
    assert PHONE not in (await admin.get(f"/console/calls/{call_id}")).text
    person = (await admin.get("/console/people", contact_id="crm-42")).text
    assert PHONE not in person
    assert PHONE in (await admin.post("/console/people/reveal", person, contact_id="crm-42")).text


async def test_a_reveal_needs_a_form_of_our_own_page(admin, pool, call_id):
    call_id = await call_id
    before = len(await logged(pool))
    page = (await admin.get(f"/console/calls/{call_id}")).text
    foreign = await admin.post(f"/console/calls/{call_id}/reveal", page, origin="https://evil.example")
    without_token = await admin.http.post(
        f"/console/calls/{call_id}/reveal", headers={"Origin": "http://localhost:8080"}
    )
    by_link = await admin.get(f"/console/calls/{call_id}/reveal")
    for answer, status in ((foreign, 403), (without_token, 403), (by_link, 404)):
        assert (answer.status_code, PHONE in answer.text) == (status, False)
    assert len(await logged(pool)) == before


async def test_a_phone_is_not_revealed_when_the_log_cannot_be_written(admin, pool, call_id):
    call_id = await call_id
    page = (await admin.get(f"/console/calls/{call_id}")).text
    await pool.execute("ALTER TABLE audit RENAME TO elsewhere")
    answer = await admin.post(f"/console/calls/{call_id}/reveal", page)
    assert (answer.status_code, PHONE in answer.text) == (500, False)


async def test_a_reveal_of_a_contact_without_a_call_names_none(store, clock, pool):
    await pool.execute("INSERT INTO contacts (contact_id, phone, updated_at) VALUES ('crm-7', '+14155550107', now())")
    assert await PhoneReveal(store, clock).of_contact("crm-7", None) == "+14155550107"
    assert (await logged(pool))[-1][2:] == (None, {"of": "contact"})
    assert await PhoneReveal(store, clock).of_contact("crm-8", None) is None
    assert await PhoneReveal(store, clock).of_call("no-call", None) is None
    assert len(await logged(pool)) == 1


async def test_a_queue_that_fails_after_the_row_is_not_replayed_unseen(pool, clock):
    """A queue has no transaction with the database, so its row is committed before."""

    class Broken:
        async def replay(self, letter_id):
            assert (await logged(pool))[-1][1:3] == ("dead_letters.replayed", "dead_letter:calls")
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await DeadLetters.of(None, {"calls": Broken()}, PostgresAudit(pool), clock).replay("calls", "cli:ada")
    assert len(await logged(pool)) == 1


async def test_the_page_shows_each_row_and_leads_to_its_object(admin, visitors, call_id):
    call_id = await call_id
    page = (await admin.get("/console")).text
    assert "No row is written yet" not in (await admin.get("/console/audit")).text, "keys were created"
    await admin.post(f"/console/calls/{call_id}/cancel", page, confirm="cancel")
    shown = (await visitors[Role.OPERATOR].get("/console/audit", action="call.cancelled")).text
    assert shown.count("<tr data-row>") == 1
    assert f'href="/console/calls/{call_id}"' in shown
    assert "console:the admin" in shown
    assert "No row matches" in (await admin.get("/console/audit", actor="cli:ada")).text
    assert (await admin.get("/console/audit", action="call.hidden")).status_code == 422


async def test_the_menu_names_the_log_to_those_who_may_read_it(visitors):
    named = {
        role: 'href="/console/audit"' in (await browser.get("/console")).text for role, browser in visitors.items()
    }
    assert named == {Role.VIEWER: False, Role.OPERATOR: True, Role.ADMIN: True}


async def test_the_log_is_read_over_the_api_page_by_page(admin, pool):
    keys = {"X-API-Key": KEYS[Role.OPERATOR]}
    first = (await admin.http.get("/v1/audit", params={"limit": 3}, headers=keys)).json()
    assert [item["sequence"] for item in first["items"]] == [4, 3, 2]
    rest = (await admin.http.get("/v1/audit", params={"cursor": first["next_cursor"]}, headers=keys)).json()
    assert ([item["sequence"] for item in rest["items"]], rest["next_cursor"]) == ([1], None)
    assert rest["items"][0] | {"hash": ""} == {
        "sequence": 1,
        "at": "2026-12-01T17:00:00.000Z",
        "actor": "api:tests",
        "action": "key.created",
        "object": None,
        "detail": {},
        "previous_hash": "0" * 64,
        "hash": "",
    }
    assert first["items"][-1]["previous_hash"] == rest["items"][0]["hash"]
    rows, _ = await PostgresAudit(pool).page(AuditFilter(), 50)
    assert rows == first["items"] + rest["items"]
    for wrong in ({"cursor": "x"}, {"action": "nothing"}, {"before": "3"}, {"since": "yesterday"}):
        assert (await admin.http.get("/v1/audit", params=wrong, headers=keys)).status_code == 422


def test_an_object_leads_to_its_page():
    assert address_of("call:c-1") == "/calls/c-1"
    assert address_of("suppression:s-1") == "/suppressions"
    assert address_of("dead_letter:outbox:17") == "/dead-letters?source=outbox"
    assert address_of("deliveries:failed") == "/deliveries?state=failed"
    assert address_of("dead_letter:calls") == "/dead-letters?source=calls"
    assert address_of("key:crm") is None
    assert address_of(None) is None
