"""GET /v1/calls: its filters, on a real database."""

from datetime import UTC, datetime, timedelta

import pytest

from ringback.adapters.postgres import views
from ringback.storage import CallFilter
from tests.fixed_clock import FixedClock

from .test_internal_api import api, body

__all__ = ["api"]


@pytest.fixture
def clock() -> FixedClock:
    """The ids of calls hold the real time, so the times of acceptance are near it."""
    return FixedClock(datetime.now(UTC).replace(microsecond=0))


UNKNOWN_ATTEMPT = """
INSERT INTO attempts (attempt_id, call_id, contact_id, phone, number, task_id, request, state, fence, resent, waits,
                      lookups, clean_lookups, polls, holds_person, holds_slot, voicemail_action, business,
                      transcript_withheld, agent_spoke, initiated_event, started_event, revision, next_check_at)
SELECT 'attempt of ' || call_id, call_id, contact_id, phone, 1, task_id, '{}', 'unknown', 1, false, 0, 0, 0, 0, false,
       false, 'unknown', '{}', false, false, false, false, 0, $2
FROM calls JOIN tasks USING (call_id) WHERE call_id = $1
"""


async def place(api, **given) -> str:
    answer = await api.post("/v1/calls", json=body(**given))
    assert answer.status_code == 202, answer.text
    return answer.json()["call_id"]


async def listed(api, **query) -> list[str]:
    answer = await api.get("/v1/calls", params=query)
    assert answer.status_code == 200, answer.text
    return [item["call_id"] for item in answer.json()["items"]]


async def test_the_list_is_filtered_by_phone_and_agent(api):
    ada = await place(api, contact_id="crm-1", phone="+14155550101")
    ben = await place(api, contact_id="crm-2", phone="+14155550102", agent_id="agent_2")
    assert await listed(api) == [ben, ada]
    assert await listed(api, phone="+14155550101") == [ada]
    assert await listed(api, phone="+114155550101") == [ada], "every spelling is one number"
    assert await listed(api, agent_id="agent_2") == [ben]
    assert await listed(api, agent_id="agent_2", phone="+14155550101") == []


async def test_since_and_until_compare_with_the_acceptance(api, clock):
    now = clock.now()
    first = await place(api, contact_id="crm-1")
    clock.advance(60)
    second = await place(api, contact_id="crm-2")

    def at(seconds: int) -> str:
        return (now + timedelta(seconds=seconds)).isoformat()

    assert await listed(api, since=at(0)) == [second, first]
    assert await listed(api, since=at(1)) == [second]
    assert await listed(api, until=at(60)) == [first]
    assert await listed(api, since=at(0), until=at(0)) == []
    assert await listed(api, since=at(61)) == []


@pytest.mark.parametrize("query", ["since=yesterday", "until=2026-12-01T17:00:00", "phone=4155550100", "stuck=maybe"])
async def test_a_malformed_filter_is_a_422(api, query):
    assert (await api.get(f"/v1/calls?{query}")).status_code == 422


@pytest.mark.parametrize("few", [1000, 0], ids=["few are late", "many are late"])
async def test_stuck_lists_what_is_late_or_unknown_and_not_what_waits_or_ended(api, pool, monkeypatch, few):
    monkeypatch.setattr(views, "_FEW", few)
    calls = {name: await place(api, contact_id=f"crm-{name}") for name in ("unknown", "late", "waits", "ended")}
    assert await listed(api, stuck=True) == []
    for name, late in (("late", 6), ("waits", 4), ("ended", 6)):
        due = datetime.now(UTC) - timedelta(minutes=late)
        await pool.execute("UPDATE tasks SET due_at = $2 WHERE call_id = $1", calls[name], due)
    await pool.execute("UPDATE calls SET final = true WHERE call_id = $1", calls["ended"])
    for name in ("unknown", "ended"):
        await pool.execute(UNKNOWN_ATTEMPT, calls[name], datetime.now(UTC) + timedelta(minutes=4))
    assert await listed(api, stuck=True) == [calls["late"], calls["unknown"]]
    # Of those that are perhaps stuck, some may be too many to look at, and others may not be stuck.
    counts = [await views.PostgresViews(pool).count_calls(CallFilter(stuck=True), most) for most in (1, 2, 3)]
    assert counts == [1, 2, 2]
    assert await listed(api, stuck=False) == [calls[name] for name in ("ended", "waits", "late", "unknown")]
