"""Exports over HTTP: the same rows as the statistics count, in a stable order."""

import csv
import io
import json
from datetime import timedelta

import pytest

from ringback.adapters.postgres import export_rows
from tests.flows.analytics.conftest import Api
from tests.flows.event_processing import recordings as r
from tests.flows.rollups.conftest import CountingStack

DAY = {"from": "2026-12-01", "to": "2026-12-02"}


@pytest.fixture(autouse=True)
def small_pages_and_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_ATTEMPTS", "_CALLS", "_EVENTS"):
        statement = getattr(export_rows, name)
        monkeypatch.setattr(export_rows, name, statement.replace(f"LIMIT {export_rows.PAGE}", "LIMIT 2"))
    monkeypatch.setattr(export_rows, "SPAN", timedelta(hours=1))
    monkeypatch.setattr(export_rows, "IDS_TOGETHER", 2)


async def text_of(api: Api, path: str, **query: str) -> str:
    answer = await api.client.get(f"/v1/exports/{path}", params=DAY | query)
    assert answer.status_code == 200, answer.text
    return answer.text


async def rows_of(api: Api, path: str, **query: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(await text_of(api, path, **query))))


async def test_attempts_are_exported_in_order_of_their_dial(stack: CountingStack, api: Api) -> None:
    for number, recording in enumerate((r.COMPLETED, r.BUSY, r.VOICEMAIL)):
        await stack.play(await stack.talk(contact=number, agent_id=f"agent_{number}"), recording)
        stack.clock.advance(3000)
    await stack.talk(contact=3)  # still in progress
    rows = await rows_of(api, "attempts.csv")
    assert [(row["outcome"], row["reason"], row["goal_met"]) for row in rows] == [
        ("completed", "", "true"),
        ("failed", "busy", "false"),
        ("left_voicemail", "", "false"),
    ]
    assert (rows[0]["phone"], rows[0]["sent_at"]) == (stack.phone(0), "2026-12-01T17:00:00.000Z")
    assert [row["agent_id"] for row in await rows_of(api, "attempts.csv", agent_id="agent_1")] == ["agent_1"]
    lines = (await text_of(api, "attempts.jsonl")).splitlines()
    assert [json.loads(line)["outcome"] for line in lines] == ["completed", "failed", "left_voicemail"]


async def test_calls_and_events_are_exported(stack: CountingStack, api: Api) -> None:
    await stack.play(await stack.talk(contact=0), r.COMPLETED)
    await stack.accept(contact=1)
    assert [row["status"] for row in await rows_of(api, "calls.csv")] == ["completed", "scheduled"]
    assert [row["status"] for row in await rows_of(api, "calls.csv", outcome="completed")] == ["completed"]
    events = [json.loads(line) for line in (await text_of(api, "events.jsonl")).splitlines()]
    assert [event["type"].removeprefix("voice_ai_call_") for event in events] == ["initiated", "started", "completed"]
    assert events[2]["data"]["duration_ms"] == 83000
    assert await text_of(api, "events.jsonl", **{"from": "2026-11-01", "to": "2026-11-30"}) == ""


async def test_events_are_chosen_by_their_call_contact_and_type(stack: CountingStack, api: Api) -> None:
    talks = [await stack.talk(contact=number, agent_id=f"agent_{number}") for number in range(2)]
    for talk in talks:
        await stack.play(talk, r.COMPLETED)

    async def types(**query: str) -> list[str]:
        lines = (await text_of(api, "events.jsonl", **query)).splitlines()
        return [json.loads(line)["type"].removeprefix("voice_ai_call_") for line in lines]

    of_one = ["initiated", "started", "completed"]
    assert sorted(await types()) == sorted(of_one * 2)
    (call,) = {row["call_id"] for row in await rows_of(api, "events.csv", agent_id="agent_1")}
    assert call == talks[1].call_id
    contact = json.loads((await text_of(api, "events.jsonl", call_id=call)).splitlines()[0])["data"]["contact_id"]
    assert await types(call_id=call) == await types(agent_id="agent_1") == await types(contact_id=contact) == of_one
    assert await types(call_id=call, type="voice_ai_call_started") == ["started"]
    assert await types(type="voice_ai_call_completed", campaign_id="none") == ["completed"] * 2
    assert await types(type="voice_ai_call_completed", agent_id="agent_2") == []
    assert await types(call_id=call, agent_id="agent_0") == []


async def test_a_spreadsheet_runs_nothing_on_request(stack: CountingStack, api: Api) -> None:
    await stack.play(await stack.talk(), r.connected("=HYPERLINK(1)", r.analysis(True)))
    (plain,) = await rows_of(api, "attempts.csv")
    (safe,) = await rows_of(api, "attempts.csv", safe_for_spreadsheets="true")
    assert (plain["phone"], plain["disconnection_reason"]) == (stack.phone(), "=HYPERLINK(1)")
    assert (safe["phone"], safe["disconnection_reason"]) == (f"'{stack.phone()}", "'=HYPERLINK(1)")


async def test_an_unknown_export_and_a_filter_that_cannot_choose_are_refused(api: Api) -> None:
    answer = await api.client.get("/v1/exports/contacts.csv")
    assert answer.status_code == 404
    assert "attempts, calls, events" in answer.json()["detail"]
    problem = await api.refused("/v1/exports/events.csv", outcome="completed", attempt_no=1, call_id="c-1")
    assert [error["pointer"] for error in problem["errors"]] == ["query:attempt_no", "query:outcome"]
    possible = "agent_id, call_id, campaign_id, contact_id, from_number, type."
    assert problem["errors"][0]["message"] == f"This cannot choose among events; these can: {possible}"
    problem = await api.refused("/v1/exports/attempts.csv", type="voice_ai_call_completed", contact_id="crm-1")
    assert [error["pointer"] for error in problem["errors"]] == ["query:contact_id", "query:type"]


async def test_an_export_without_a_database_is_refused_before_it_begins(stack: CountingStack, api: Api) -> None:
    stack.pool.terminate()
    answer = await api.client.get("/v1/exports/attempts.csv", params=DAY)
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
