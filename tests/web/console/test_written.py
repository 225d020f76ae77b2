"""Dispositions, notes and fields of a person, each with its status at the CRM."""

import re

import pytest

from ringback.adapters.postgres.erasure import PostgresEraser
from ringback.adapters.postgres.pool import Pool
from ringback.domain.access import Role
from ringback.flows.operator.erasure import erase_person
from tests.audit_log import TESTER

from .conftest import KEYS, PHONE, Browser, act, place
from .test_safety import Tags


def lists_of(page: str) -> dict[str, tuple[int, str]]:
    """The count of each list of a page, with the address of the whole list."""
    links = [attrs for tag, attrs in Tags(page).found if tag == "a" and "kind=" in attrs.get("href", "")]
    return {re.search(r"kind=(\w+)", one["href"])[1]: (int(one["data-count"]), one["href"]) for one in links}


def words_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


@pytest.fixture
async def call_id(admin: Browser) -> str:
    """A planned call of a person with two of them: a disposition, three notes, two writes of fields.

    The person has another disposition, of no call.
    """
    call_id = await place(admin, not_before="2026-12-03T17:00:00Z")
    await place(admin, not_before="2026-12-04T17:00:00Z")
    await act(admin, "set_disposition", {"code": "interested", "note": "wants the brochure"}, call_id=call_id)
    await act(admin, "set_disposition", {"code": "no_decision"}, contact_id="crm-42")
    for note in ("asked for Bob", f"rings back from {PHONE}", "line one\nline two"):
        await act(admin, "note_writeback", {"note": note}, call_id=call_id)
    await act(admin, "field_writeback", {"fields": {"budget": 100}}, call_id=call_id)
    await act(admin, "field_writeback", {"fields": {"budget": 250, "company": "Acme"}}, call_id=call_id)
    return call_id


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.ADMIN])
async def test_a_person_has_what_actions_wrote_with_links_to_exactly_these_rows(call_id, visitors, role) -> None:
    browser = visitors[role]
    for query in ({"contact_id": "crm-42"}, {"phone": PHONE}):
        page = (await browser.get("/console/people", **query)).text
        counts = lists_of(page)
        assert {kind: count for kind, (count, _) in counts.items()} == {"dispositions": 2, "notes": 3, "fields": 2}
        assert "budget: 250 before: 100 company: Acme" in words_of(page)
        assert "rings back from +1 415 ••• 0100" in page and f"from {PHONE}" not in page
        for count, address in counts.values():
            listed = (await browser.get(address)).text
            assert listed.count(" data-row>") == count
            assert PHONE not in listed.replace("phone=%2B14155550100", "").replace(f'value="{PHONE}"', "")


async def test_the_page_of_a_call_has_only_what_was_written_in_it(call_id, admin) -> None:
    page = (await admin.get(f"/console/calls/{call_id}")).text
    assert {kind: count for kind, (count, _) in lists_of(page).items()} == {"dispositions": 1, "notes": 3, "fields": 2}
    for count, address in lists_of(page).values():
        assert (await admin.get(address)).text.count(" data-row>") == count


async def test_a_list_goes_on_over_its_pages(call_id, admin) -> None:
    for number in range(10):
        await act(admin, "note_writeback", {"note": f"note {number}"}, call_id=call_id)
    assert lists_of((await admin.get("/console/people", contact_id="crm-42")).text)["notes"][0] == 13
    page = (await admin.get("/console/written", kind="notes", contact_id="crm-42")).text
    (older,) = [attrs["href"] for tag, attrs in Tags(page).found if attrs.get("rel") == "next"]
    rest = (await admin.get(older)).text
    assert page.count(" data-row>") + rest.count(" data-row>") == 13
    assert "note 9" in page and "asked for Bob" in rest


async def test_each_state_of_a_delivery_is_said_in_words(call_id, admin, pool: Pool) -> None:
    async def told(change: str) -> str:
        await pool.execute("UPDATE outbox SET delivered_at = NULL, dead_at = NULL WHERE kind LIKE 'crm%'")
        await pool.execute(f"UPDATE outbox SET {change} WHERE kind LIKE 'crm%'")
        return words_of((await admin.get("/console/written", kind="notes", contact_id="crm-42")).text)

    assert "waiting It has not been tried yet." in await told("tries = 0, last_error = NULL")
    assert "tried 3 times the last answer was http_503; next try: 2026-12-01 18:00:00" in await told(
        "tries = 3, last_error = 'http_503', due_at = '2026-12-01T18:00:00Z'"
    )
    refused = await told("tries = 5, last_error = 'http_422', dead_at = '2026-12-01T19:00:00Z'")
    assert "given up 2026-12-01 19:00:00 after 5 tries; the last answer was http_422." in refused
    page = (await admin.get("/console/written", kind="notes", contact_id="crm-42")).text
    replays = [link for link in Tags(page).links() if "state=failed" in link and "message_id=" in link]
    assert [(await admin.get(address)).text.count(" data-row>") for address in replays] == [1, 1, 1]
    assert "delivered 2026-12-01 20:00:00" in await told("last_error = NULL, delivered_at = '2026-12-01T20:00:00Z'")
    await pool.execute("DELETE FROM outbox WHERE kind LIKE 'crm%'")
    page = (await admin.get("/console/written", kind="fields", contact_id="crm-42")).text
    assert "A message is kept for 30 days after its delivery." in page


async def test_a_list_is_asked_for_by_one_name(call_id, admin) -> None:
    for query, status in (
        ({}, 422),
        ({"kind": "notes"}, 422),
        ({"kind": "letters", "contact_id": "crm-42"}, 422),
        ({"kind": "notes", "contact_id": "crm-42", "phone": PHONE}, 422),
        ({"kind": "notes", "contact_id": "unknown"}, 404),
        ({"kind": "notes", "call_id": "01900000-0000-7000-8000-000000000000"}, 404),
        ({"kind": "notes", "phone": "+14155550177"}, 200),
    ):
        assert (await admin.get("/console/written", **query)).status_code == status, query


async def test_an_erased_person_has_nothing_written(call_id, admin, parts) -> None:
    http, keys = admin.http, {"X-API-Key": KEYS[Role.ADMIN]}
    assert (await http.post(f"/v1/calls/{call_id}/cancel", headers=keys)).status_code == 200
    eraser = PostgresEraser(parts.pool, parts.hashing)
    await erase_person(parts.store, eraser, parts.clock, PHONE, "asked by letter", TESTER)
    assert (await admin.get("/console/people", contact_id="crm-42")).status_code == 404
    pages = [
        (await admin.get(f"/console/calls/{call_id}")).text,
        (await admin.get("/console/people", phone=PHONE)).text,
    ]
    for page in pages:
        assert lists_of(page) == {}
        assert "Bob" not in page and "brochure" not in page
