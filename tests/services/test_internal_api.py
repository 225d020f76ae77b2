"""The Voice API with the real flows on a real database: accept, show, list and cancel calls."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import pytest
import uuid_utils

from ringback.adapters.number_plan import PhoneNumbersPlan
from ringback.adapters.postgres.api_keys import PostgresApiKeys
from ringback.adapters.postgres.views import PostgresViews
from ringback.config import read_settings
from ringback.domain.access import KnownKey, Role
from ringback.domain.attempt import Attempt, AttemptState
from ringback.domain.contact import Disposition
from ringback.domain.provider_report import ProviderReport, ReportKind
from ringback.flows.call_initiation import CallInitiation
from ringback.flows.ending_calls import cancel_call
from ringback.flows.suppression import lift_suppression, suppress_now
from ringback.services.internal_api import internal_routes
from ringback.storage import ActionResult
from ringback.telemetry import make_metrics
from ringback.web.app import create_application
from ringback.web.auth import ApiKeys, hash_key
from ringback.web.routes.calls import VoiceApi
from tests.audit_log import entry_at

KEY = "rbk_a-key-for-tests"
PHONE = "+14155550100"


def new_id() -> str:
    return str(uuid_utils.uuid7())


def body(contact_id: str = "crm-42", phone: str = PHONE, **more):
    contact = {"contact_id": contact_id, "phone": phone, "time_zone": "America/Los_Angeles"}
    return {"contact": contact, "agent_id": "agent_1", "from_number": "+14155550199", **more}


@pytest.fixture
async def api(pool, store, clock) -> AsyncIterator[httpx.AsyncClient]:
    settings = read_settings({}, emulated=True)
    initiation = CallInitiation(store, clock, new_id, PhoneNumbersPlan(), settings.dial_policy)
    voice = VoiceApi(
        accept=initiation.accept_call,
        answered_before=initiation.answered_before,
        cancel=partial(cancel_call, store, clock),
        suppress=partial(suppress_now, store, clock, new_id),
        lift=partial(lift_suppression, store, clock),
        views=PostgresViews(pool),
        now=clock.now,
        numbers=PhoneNumbersPlan(),
    )
    keys = PostgresApiKeys(pool)
    await keys.add("tests", hash_key(KEY), entry_at(clock.now()))
    guard = ApiKeys(keys.find, clock.monotonic)
    app = create_application("test", [internal_routes(voice, guard.require)], [], make_metrics())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers={"X-API-Key": KEY}) as client:
        yield client


async def test_an_accepted_call_is_seen_as_it_was_promised(api):
    accepted = (await api.post("/v1/calls", json=body(not_before="2026-12-02T17:00:00Z"))).json()
    call = (await api.get(f"/v1/calls/{accepted['call_id']}")).json()
    assert set(call) == {"call_id", "contact_id", "status", "reason", "final", "next_eligible_at", "attempts", "tasks"}
    assert accepted["status"] == call["status"] == "scheduled"
    assert accepted["next_eligible_at"] == call["next_eligible_at"] == "2026-12-02T17:00:00.000Z"
    assert (call["contact_id"], call["final"], call["attempts"]) == ("crm-42", False, [])
    (task,) = call["tasks"]
    assert set(task) == {"task_id", "kind", "due_at", "local_time", "time_zone", "status"}
    assert (task["kind"], task["status"]) == ("first", "pending")


async def test_ten_requests_at_once_with_one_key_make_one_call(api):
    headers = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(*(api.post("/v1/calls", json=body(), headers=headers) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 9
    assert len((await api.get("/v1/calls")).json()["items"]) == 1
    other = await api.post("/v1/calls", json=body(phone="+14155550101"), headers=headers)
    assert other.status_code == 409


async def test_a_cancelled_call_is_over_and_a_second_cancel_changes_nothing(api):
    call_id = (await api.post("/v1/calls", json=body())).json()["call_id"]
    for _ in range(2):
        assert (await api.post(f"/v1/calls/{call_id}/cancel")).json() == {"result": "cancelled"}
    call = (await api.get(f"/v1/calls/{call_id}")).json()
    assert (call["status"], call["final"], call["next_eligible_at"]) == ("cancelled", True, None)


async def test_calls_are_listed_newest_first_in_pages_that_join_without_gap(api):
    made = [(await api.post("/v1/calls", json=body())).json()["call_id"] for _ in range(5)]
    await api.post("/v1/calls", json=body(contact_id="crm-43", phone="+14155550101"))
    await api.post(f"/v1/calls/{made[0]}/cancel")
    seen, cursor = [], ""
    while cursor is not None:
        page = (await api.get("/v1/calls", params={"contact_id": "crm-42", "limit": 2, "cursor": cursor})).json()
        seen += [item["call_id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == made[::-1]
    cancelled = (await api.get("/v1/calls?contact_id=crm-42&status=cancelled")).json()
    assert [item["call_id"] for item in cancelled["items"]] == [made[0]]
    assert cancelled["next_cursor"] is None
    assert len((await api.get("/v1/calls")).json()["items"]) == 6


async def test_a_suppression_ends_planned_calls_is_listed_and_can_be_lifted(api):
    call_id = (await api.post("/v1/calls", json=body())).json()["call_id"]
    made = await api.post("/v1/suppressions", json={"phone": PHONE, "reason": "asked by letter"})
    assert made.status_code == 201
    assert made.json()["already_dispatched"] == []
    assert (await api.get(f"/v1/calls/{call_id}")).json()["final"] is True
    suppression_id = made.json()["suppression_id"]
    other = (await api.post("/v1/suppressions", json={"contact_id": "crm-9", "reason": "left"})).json()
    for query in ({"phone": PHONE}, {"phone": PHONE, "contact_id": "unknown"}):
        page = (await api.get("/v1/suppressions", params=query)).json()
        assert [(item["suppression_id"], item["reason"]) for item in page["items"]] == [
            (suppression_id, "asked by letter")
        ]
    whole = (await api.get("/v1/suppressions")).json()
    assert [item["suppression_id"] for item in whole["items"]] == [other["suppression_id"], suppression_id]
    again = await api.post("/v1/suppressions", json={"phone": PHONE, "reason": "asked by letter again"})
    assert (again.status_code, again.json()) == (200, made.json())
    gone = await api.request("DELETE", f"/v1/suppressions/{suppression_id}", json={"reason": "a mistake"})
    assert gone.status_code == 204
    gone = await api.delete(f"/v1/suppressions/{other['suppression_id']}", params={"reason": "a mistake"})
    assert gone.status_code == 204
    assert (await api.get("/v1/suppressions", params={"phone": PHONE})).json()["items"] == []


async def test_a_timeline_is_complete_in_order_and_without_private_data(api, store, clock):
    call_id = (await api.post("/v1/calls", json=body())).json()["call_id"]
    began = clock.now()
    clock.advance(1)
    async with store.transaction() as tx:
        task = await tx.tasks.open_for(call_id)
        attempt = Attempt(new_id(), call_id, "crm-42", PHONE, 1, task.task_id, {"to": PHONE}, AttemptState.ONGOING)
        attempt.placed_at = began + timedelta(seconds=2)
        attempt.started_at = began + timedelta(seconds=5)
        attempt.provider_call_id = "call_1"
        attempt.transcript = "User: private words"
        await tx.insert(attempt)
        await tx.decisions.log(call_id, attempt.attempt_id, "gate", {"verdict": "admit"}, clock.now())
    clock.advance(5)
    async with store.transaction() as tx:
        report = ProviderReport(ReportKind.STARTED, "call_1", "call_started", attempt.attempt_id, call_id)
        await tx.provider_events.record(report, attempt, b"hash", '{"private": "body"}', "applied", clock.now())
        reply = {"ok": True, "code": "ok", "say": "private words", "result": {}}
        done = ActionResult("retell", "k", "set_disposition", "h", call_id, "crm-42", clock.now(), reply)
        await tx.action_results.store(done)
        await tx.action_results.add_disposition(
            Disposition(new_id(), call_id, attempt.attempt_id, "crm-42", "interested", None, clock.now())
        )
    story = (await api.get(f"/v1/calls/{call_id}/timeline")).json()
    assert story["call_id"] == call_id
    assert [entry["kind"] for entry in story["entries"]] == [
        "call_accepted",
        "task_created",
        "call_message",
        "gate",
        "attempt_placed",
        "attempt_connected",
        "provider_event",
        "action",
        "disposition",
    ]
    times = [datetime.fromisoformat(entry["at"]) for entry in story["entries"]]
    assert times == sorted(times)
    assert times[0] == began.astimezone(UTC)
    assert story["entries"][3]["detail"] == {"verdict": "admit"}
    assert PHONE not in str(story)
    assert "private" not in str(story)


async def test_a_lifecycle_event_is_in_the_timeline_with_its_name(api):
    call_id = (await api.post("/v1/calls", json=body())).json()["call_id"]
    await api.post(f"/v1/calls/{call_id}/cancel")
    entries = (await api.get(f"/v1/calls/{call_id}/timeline")).json()["entries"]
    (event,) = (entry for entry in entries if entry["kind"] == "abt_event")
    assert (event["type"], event["reason"], event["is_final"]) == ("voice_ai_call_failed", "cancelled", True)


async def test_every_path_is_503_while_the_database_is_unavailable(api, pool):
    pool.terminate()
    api.headers["X-API-Key"] = "rbk_not-remembered"
    for method, path in (("POST", "/v1/calls"), ("GET", "/v1/calls"), ("GET", "/v1/calls/some-id")):
        answer = await api.request(method, path, json=body() if method == "POST" else None)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1


async def test_a_key_name_is_unique(pool, clock):
    keys = PostgresApiKeys(pool)
    assert await keys.add("crm", hash_key("one"), entry_at(clock.now()))
    assert await keys.add("crm", hash_key("one"), entry_at(clock.now()))
    assert not await keys.add("crm", hash_key("two"), entry_at(clock.now()))
    assert not await keys.add("other", hash_key("one"), entry_at(clock.now()))
    assert await keys.find(hash_key("one")) == KnownKey("crm", Role.ADMIN)
    assert await keys.find(hash_key("two")) is None


async def test_suppressions_of_a_person_are_paged(api):
    made = []
    for asked in ({"phone": PHONE}, {"contact_id": "crm-42"}, {"phone": "+14155550177"}):
        made.append((await api.post("/v1/suppressions", json={**asked, "reason": "asked"})).json()["suppression_id"])
    query = {"phone": PHONE, "contact_id": "crm-42", "limit": 1}
    first = (await api.get("/v1/suppressions", params=query)).json()
    rest = (await api.get("/v1/suppressions", params={**query, "cursor": first["next_cursor"]})).json()
    assert [item["suppression_id"] for item in first["items"] + rest["items"]] == made[1::-1]
    assert rest["next_cursor"] is None


async def test_a_repeat_after_the_expiry_gets_the_stored_response(api, clock):
    asked = body(expires_at=(clock.now() + timedelta(seconds=5)).isoformat())
    first = await api.post("/v1/calls", json=asked, headers={"Idempotency-Key": "order-17"})
    clock.advance(60)
    again = await api.post("/v1/calls", json=asked, headers={"Idempotency-Key": "order-17"})
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await api.post("/v1/calls", json=body("crm-43"), headers={"Idempotency-Key": "order-17"})
    assert other.status_code == 409
    late = await api.post("/v1/calls", json=asked, headers={"Idempotency-Key": "order-18"})
    assert (late.status_code, late.json()["errors"][0]["code"]) == (422, "not_after_now")
