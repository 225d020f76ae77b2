"""An admin erases a person on their page: counted first, confirmed by a typed word, and told in numbers after."""

import pytest

from ringback.domain.access import Role

from .conftest import PHONE, Browser, place

ERASE = "/console/people/erase"


@pytest.fixture
async def call_id(admin: Browser) -> str:
    """A planned call, whose person is suppressed under another contact of the same phone."""
    return await place(admin, not_before="2026-12-03T17:00:00Z")


async def test_the_page_of_a_person_counts_what_an_erasure_would_erase(call_id, visitors, admin) -> None:
    for query in ({"contact_id": "crm-42"}, {"phone": PHONE}):
        page = (await admin.get("/console/people", **query)).text
        assert "is erased: 1 contact, 1 call, 0 attempts, 0 notes and 0 inbound calls, with transcripts" in page
        assert "1 call that is not finished ends now. 0 suppressions stay in force as hashes." in page
        for role in (Role.VIEWER, Role.OPERATOR):
            assert "Erase" not in (await visitors[role].get("/console/people", **query)).text
    assert "Erase" not in (await admin.get("/console/people", phone="+14155550177")).text, "nothing is stored"


async def test_an_erasure_says_what_it_erased_and_happens_once(call_id, admin, pool) -> None:
    await place(admin, "crm-43", not_before="2026-12-04T17:00:00Z")
    page = (await admin.get("/console/people", contact_id="crm-42")).text
    assert "is erased: 2 contacts, 2 calls," in page, "every contact of the phone"
    fields = {"contact_id": "crm-42", "confirm": "erase", "reason": "asked by letter"}
    erased = await admin.post(ERASE, page, **fields)
    assert (erased.status_code, erased.headers["cache-control"]) == (200, "no-store")
    assert "<h1>1 person is erased</h1>" in erased.text
    assert '<th scope="row">contacts</th><td class="number">2</td>' in erased.text
    assert '<th scope="row">calls</th><td class="number">2</td>' in erased.text
    assert PHONE not in erased.text and "crm-4" not in erased.text
    assert await pool.fetchval("SELECT count(*) FROM contacts WHERE phone = $1", PHONE) == 0
    assert await pool.fetchval("SELECT actor FROM audit WHERE action = 'person.erased'") == "console:the admin's"
    assert (await admin.get("/console/people", contact_id="crm-42")).status_code == 404
    assert (await admin.post(ERASE, page, **fields)).status_code == 404
    again = await admin.post(ERASE, page, phone=PHONE, confirm="erase", reason="asked by letter")
    assert "<h1>Nothing was stored about this person</h1>" in again.text
    stand_in = await pool.fetchval("SELECT contact_id FROM contacts WHERE phone = 'erased'")
    assert (await admin.post(ERASE, page, **fields | {"contact_id": stand_in})).status_code == 404


async def test_the_calls_that_retell_still_holds_are_shown_once(calls, admin, pool) -> None:
    contact_id, phone = await pool.fetchrow("SELECT contact_id, phone FROM calls WHERE call_id = $1", calls[0])
    held = await pool.fetchval("SELECT provider_call_id FROM attempts WHERE call_id = $1", calls[0])
    page = (await admin.get("/console/people", contact_id=contact_id)).text
    erased = (await admin.post(ERASE, page, phone=phone, confirm="erase", reason="asked by letter")).text
    assert "<h2>Retell still holds 1 call</h2>" in erased and f"<pre>{held}</pre>" in erased
    assert await pool.fetchval("SELECT count(*) FROM attempts WHERE provider_call_id = $1", held) == 0
    # The list still has the call. Its phone is the word "erased", unmasked.
    assert '<td class="phone">erased</td>' in (await admin.get("/console/calls")).text


async def test_nothing_is_erased_without_the_word_a_reason_and_one_name(call_id, admin, pool) -> None:
    page = (await admin.get("/console/people", contact_id="crm-42")).text
    for fields in (
        {"contact_id": "crm-42", "reason": "asked"},
        {"contact_id": "crm-42", "reason": "asked", "confirm": "cancel"},
        {"contact_id": "crm-42", "confirm": "erase"},
        {"confirm": "erase", "reason": "asked"},
        {"contact_id": "crm-42", "phone": PHONE, "confirm": "erase", "reason": "asked"},
    ):
        assert (await admin.post(ERASE, page, **fields)).status_code == 422, fields
    wanted = {"contact_id": "crm-42", "confirm": "erase", "reason": "asked"}
    assert (await admin.post(ERASE, page, origin="https://evil.example", **wanted)).status_code == 403
    assert (await admin.post(ERASE, page, **wanted | {"csrf": "0" * 64})).status_code == 403
    assert await pool.fetchval("SELECT status FROM calls") == "scheduled"


async def test_no_person_is_erased_while_a_call_is_in_progress(calls, admin, pool) -> None:
    """The fourth call has an unclear outcome, and is looked up."""
    phone = await pool.fetchval("SELECT phone FROM calls WHERE call_id = $1", calls[3])
    page = (await admin.get("/console/people", phone=phone)).text
    answer = await admin.post(ERASE, page, phone=phone, confirm="erase", reason="asked")
    assert answer.status_code == 409
    assert "Nothing is erased: calls to or from the person that are not finished: 1;" in answer.text
    assert phone not in answer.text
    assert await pool.fetchval("SELECT count(*) FROM contacts WHERE phone = $1", phone) == 1
