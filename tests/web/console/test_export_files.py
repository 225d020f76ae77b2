"""The files that the statistics' page offers, and the search for a call by any of its ids."""

import csv
import io

import pytest

from ringback.domain.access import Role

from .conftest import PHONE, Browser

DAY = {"from": "2026-12-01", "to": "2026-12-02"}


async def test_the_page_offers_the_attempts_that_it_counts_without_their_phones(calls, admin: Browser) -> None:
    page = (await admin.get("/console/analytics", **DAY, agent_id="agent_1")).text
    assert '/console/exports/attempts.csv?from=2026-12-01&amp;to=2026-12-02&amp;agent_id=agent_1"' in page
    answer = await admin.get("/console/exports/attempts.csv", **DAY)
    assert answer.headers["content-disposition"] == 'attachment; filename="attempts.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 3
    assert {row["phone"][:6] for row in rows} == {"+1 415"} and PHONE not in answer.text


async def test_an_export_by_what_it_lacks_is_refused_with_what_is_possible(calls, admin: Browser) -> None:
    answer = await admin.get("/console/exports/calls.csv", **DAY, attempt_no="1")
    assert answer.status_code == 422
    assert "these can: agent_id, campaign_id, from_number, outcome" in answer.text


async def test_a_zone_shows_the_days_of_that_zone(calls, admin: Browser) -> None:
    query = {"from": "2026-12-01", "to": "2026-12-03", "zone": "Asia/Tokyo", "step": "day"}
    page = (await admin.get("/console/analytics", **query)).text
    assert ">2026-12-01</text>" in page and ">2026-11-30</text>" not in page
    assert 'name="zone" value="Asia/Tokyo"' in page


@pytest.mark.parametrize(
    "select",
    [
        "SELECT call_id FROM calls WHERE call_id = $1",
        "SELECT attempt_id FROM attempts WHERE call_id = $1",
        "SELECT provider_call_id FROM attempts WHERE call_id = $1",
        "SELECT task_id FROM tasks WHERE call_id = $1",
        "SELECT message_id FROM outbox WHERE call_id = $1 AND kind = 'abt_event' LIMIT 1",
    ],
)
async def test_any_id_of_a_call_leads_to_it(calls, visitors, pool, select: str) -> None:
    answer = await visitors[Role.VIEWER].get("/console/find", q=f" {await pool.fetchval(select, calls[0])} ")
    assert answer.headers["location"] == f"/console/calls/{calls[0]}"


async def test_a_phone_may_be_pasted_as_people_write_it(admin: Browser) -> None:
    answer = await admin.get("/console/find", q="+1 (415) 555-0100")
    assert answer.headers["location"] == "/console/calls?phone=%2B14155550100"
