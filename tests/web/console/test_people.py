"""A person: why they are or are not called; and the suppressions."""

import re

from .conftest import PHONE, Browser, place
from .test_calls import counted


async def test_a_person_who_may_be_called_later_is_explained(admin: Browser) -> None:
    call_id = await place(admin, not_before="2026-12-03T17:00:00Z")
    for query in ({"contact_id": "crm-42"}, {"phone": PHONE}):
        page = (await admin.get("/console/people", **query)).text
        assert "<h1>crm-42</h1>" in page
        assert "because the planned time has not come" in page
        assert f'href="/console/calls/{call_id}">the first attempt</a>, pending' in page
        assert "None. This person may be called when the rules allow it." in page
        assert counted(page) == 1


async def test_a_person_is_asked_for_by_one_name(admin: Browser) -> None:
    for query, status in (({}, 422), ({"contact_id": "a", "phone": PHONE}, 422), ({"contact_id": "unknown"}, 404)):
        assert (await admin.get("/console/people", **query)).status_code == status
    assert (await admin.get("/console/people", phone=PHONE)).status_code == 200, "every phone can be explained"


async def test_a_phone_or_contact_is_suppressed_and_lifted(admin: Browser) -> None:
    await place(admin)
    page = (await admin.get("/console/suppressions")).text
    assert "No suppression is in force." in page
    for fields in ({}, {"phone": PHONE, "contact_id": "crm-42"}, {"phone": "415"}):
        assert (await admin.post("/console/suppressions", page, reason="asked", **fields)).status_code == 422
    assert (await admin.post("/console/suppressions", page, phone=PHONE)).status_code == 422, "without a reason"
    assert (await admin.post("/console/suppressions", page, phone=PHONE, reason="asked by letter")).status_code == 303
    assert (await admin.post("/console/suppressions", page, contact_id="crm-9", reason="left")).status_code == 303
    page = (await admin.get("/console/suppressions")).text
    assert "1 contact is suppressed." in page and page.count("<tr data-row>") == 2
    assert "+1 415 ••• 0100" in page
    assert "because this person is suppressed" in (await admin.get("/console/people", contact_id="crm-42")).text
    (suppression_id,) = re.findall(
        r'name="suppression_id" value="([^"]+)"', (await admin.get("/console/suppressions", phone=PHONE)).text
    )
    assert (await admin.post("/console/suppressions/lift", page, suppression_id=suppression_id)).status_code == 422
    for told in ("1 suppression is lifted.", "0 suppressions are lifted: this one is not in force."):
        await admin.post("/console/suppressions/lift", page, suppression_id=suppression_id, reason="a mistake")
        assert told in (await admin.get("/console/suppressions")).text
    assert (await admin.post("/console/suppressions/lift", page, suppression_id="<b>", reason="x")).status_code == 404
