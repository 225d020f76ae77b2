"""Phone numbers in every answer of the API: whole for systems and admins, masked for viewers and operators."""

import pytest

from ringback.domain.access import Role
from ringback.domain.masking import hide_phones_in
from ringback.flows.exports import KINDS
from tests.web.test_permissions import MAY

from .conftest import KEYS, PHONE, Browser, place

MASKED = "+1 415 ••• 0100"
#: The answers that have a phone number here. All others are asked too.
WITH_PHONES = {
    "GET /v1/calls",
    "GET /v1/calls/{call_id}",
    "GET /v1/calls/{call_id}/timeline",
    "GET /v1/suppressions",
    "GET /v1/why",
    "GET /v1/events",
    "GET /v1/exports/attempts.csv",
    "GET /v1/exports/attempts.jsonl",
    "GET /v1/exports/calls.csv",
    "GET /v1/exports/calls.jsonl",
    "GET /v1/exports/events.csv",
    "GET /v1/exports/events.jsonl",
    "POST /v1/dialing/pause",
    "POST /v1/dialing/resume",
}
RANGE = {"from": "2026-11-01", "to": "2026-12-31"}
QUERIES = {
    "GET /v1/why": {"contact_id": "crm-42"},
    "GET /v1/analytics/summary": RANGE,
    "GET /v1/analytics/series": RANGE | {"metric": "attempts"},
    "GET /v1/analytics/breakdown": RANGE | {"metric": "attempts", "by": "number"},
    "GET /v1/analytics/rows": RANGE | {"measure": "attempts"},
}
BODIES = {
    "POST /v1/suppressions": {"phone": PHONE, "reason": f"{PHONE} asked"},
    "POST /v1/dialing/pause": {"reason": f"{PHONE} complains"},
}


def operations() -> list[str]:
    """Every operation of the API, with one of each export."""
    exports = [f"GET /v1/exports/{kind}.{suffix}" for kind in KINDS for suffix in ("csv", "jsonl")]
    return [name for name in MAY if "{export}" not in name and "{action}" not in name] + exports


@pytest.fixture
async def ids(calls, admin: Browser, pool) -> dict[str, str]:
    """Calls whose every text names a person's number, and a suppression of it."""
    call_id = await place(admin, metadata={"note": f"or {PHONE}", PHONE: 1}, not_before="2026-12-03T17:00:00Z")
    await pool.execute(
        """UPDATE attempts SET phone = $1, transcript = 'Agent: ' || $1, summary = $1,
        recording_url = 'https://x/' || $1, analysis = jsonb_build_object('number', $1::text),
        business = jsonb_build_object('note', $1::text)""",
        PHONE,
    )
    await pool.execute(
        """UPDATE outbox SET last_error = $1,
        payload = jsonb_set(payload::jsonb, '{data,metadata}', jsonb_build_object('note', $1::text))
        WHERE kind = 'abt_event'""",
        PHONE,
    )
    await pool.execute("UPDATE gate_decisions SET detail = detail || jsonb_build_object('number', $1::text)", PHONE)
    keys = {"X-API-Key": KEYS[Role.ADMIN]}
    body = {"contact_id": "crm-42", "reason": f"{PHONE} asked"}
    await admin.http.post("/v1/suppressions", json=body, headers=keys)
    stop = (await admin.http.post("/v1/suppressions", json={"phone": PHONE, "reason": "asked"}, headers=keys)).json()
    return {"call_id": calls[0], "suppression_id": stop["suppression_id"], "own": call_id}


async def ask(browser: Browser, operation: str, role: Role, ids: dict[str, str]) -> str:
    method, path = operation.split()
    answer = await browser.http.request(
        method,
        path.format(**ids),
        params=QUERIES.get(operation, RANGE if "/exports/" in path else None),
        json=BODIES.get(operation),
        headers={"X-API-Key": KEYS[role]},
    )
    assert answer.status_code < 500, (operation, answer.text)
    return answer.text


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
async def test_no_answer_shows_a_number_to_a_role_that_may_not_see_it(ids, admin, role):
    wrong, masked = [], set()
    for operation in operations():
        told = await ask(admin, operation, role, ids)
        wrong += [operation] if PHONE in told or PHONE.replace("+", "%2B") in told else []
        masked |= {operation} if MASKED in told or "+1 415 \\u2022\\u2022\\u2022 0100" in told else set()
    assert wrong == []
    assert masked == {name for name in WITH_PHONES if role is Role.OPERATOR or name.startswith("GET")}


async def test_an_admin_sees_whole_numbers_in_the_same_answers(ids, admin):
    told = {operation: await ask(admin, operation, Role.ADMIN, ids) for operation in operations()}
    assert {operation for operation, text in told.items() if PHONE in text} == WITH_PHONES
    assert [operation for operation, text in told.items() if " ••• " in text] == []


async def test_a_system_sees_the_numbers_that_it_sends(ids, admin):
    assert PHONE in await ask(admin, "GET /v1/suppressions", Role.ENGAGE, ids)
    assert PHONE in await ask(admin, "GET /v1/exports/calls.csv", Role.ENGAGE, ids)


async def test_a_link_to_rows_still_leads_there_for_a_viewer(ids, admin):
    """Its only number is a caller id of our own."""
    keys = {"X-API-Key": KEYS[Role.VIEWER]}
    query = QUERIES["GET /v1/analytics/breakdown"]
    answer = (await admin.http.get("/v1/analytics/breakdown", params=query, headers=keys)).json()
    counted = [item for item in answer["items"] if item["rows"]]
    assert counted
    for item in counted:
        rows = (await admin.http.get(item["rows_url"], headers=keys)).json()["items"]
        assert len(rows) == item["rows"]


@pytest.mark.parametrize("link", ["rows_url", "denominator_rows_url"])
def test_both_links_of_a_figure_keep_their_caller_id(link):
    shown = {link: "/v1/analytics/rows?from_number=%2B14155550199&measure=attempts"}
    assert hide_phones_in(shown) == shown


def test_numbers_are_hidden_at_any_depth_and_the_rest_stays():
    value = {"to": "+14155550100", "all": ["+442079460100", 5, None, {"+14155550100": True}], "at": "2026-12-01T17:00Z"}
    assert hide_phones_in(value) == {
        "to": MASKED,
        "all": ["+44 ••• 00", 5, None, {MASKED: True}],
        "at": "2026-12-01T17:00Z",
    }
