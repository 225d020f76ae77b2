"""The emulated Engage stores every delivery in order, and rejects some on request."""

import json
from datetime import UTC, datetime

import httpx
import pytest
from standardwebhooks import Webhook

from ringback_emulator import engage
from ringback_emulator.settings import EngageEmulatorSettings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


EVENT = {"specversion": "1.0", "id": "evt_1", "type": "voice_ai_call_started", "subject": "c1", "data": {"name": "Zoë"}}


def signed(event, secret=SECRET, sent_at=None):
    body = json.dumps(event)
    sent_at = sent_at or datetime.now(UTC)
    headers = {
        "content-type": "application/cloudevents+json",
        "webhook-id": event["id"],
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": Webhook(secret).sign(event["id"], sent_at, body),
    }
    return {"content": body, "headers": headers}


@pytest.fixture
async def http(tmp_path, serve):
    settings = EngageEmulatorSettings(state_dir=tmp_path / "engage", secret=SECRET, control_key="rbk_control")
    app, key = engage.create_app(settings), {"authorization": "Bearer rbk_control"}
    async with serve(app) as url, httpx.AsyncClient(base_url=url, verify=False, headers=key) as client:
        yield client


async def events(http):
    return (await http.get("/emulator/engage/events")).json()["items"]


async def test_a_signed_event_is_stored_and_every_repeat_is_listed(http):
    for _ in range(2):
        assert (await http.post("/abt-events", **signed(EVENT))).status_code == 202
    items = await events(http)
    assert [(item["id"], item["type"], item["signature_ok"]) for item in items] == [
        ("evt_1", "voice_ai_call_started", True),
        ("evt_1", "voice_ai_call_started", True),
    ]
    assert items[0]["event"] == EVENT
    assert items[0].keys() == {"received_at", "id", "type", "signature_ok", "event"}


async def test_a_bad_signature_is_stored_as_bad_and_refused(http):
    old = datetime(2020, 1, 1, tzinfo=UTC)
    deliveries = [
        signed(EVENT, secret="whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        signed(EVENT, sent_at=old),
        {"content": json.dumps(EVENT), "headers": {}},
        {"content": b"\xff", "headers": {**signed(EVENT)["headers"], "webhook-signature": "nonsense"}},
    ]
    for delivery in deliveries:
        assert (await http.post("/abt-events", **delivery)).status_code == 401
    assert [item["signature_ok"] for item in await events(http)] == [False] * 4


async def test_crm_writes_are_stored_with_their_key(http):
    fields = {"id": "k1", "fields": {"budget": 3}}
    note = {"note": "called", "author": "agent", "call_id": "c1"}
    write = signed(fields)
    write["headers"]["idempotency-key"] = "k1"
    assert (await http.patch("/contacts/crm%2F42/fields", **write)).status_code == 204
    assert (await http.post("/contacts/crm-42/notes", json=note)).status_code == 401
    assert (await http.post("/contacts/crm-42/notes", content=b"[")).status_code == 400
    writes = (await http.get("/emulator/engage/writes")).json()["items"]
    assert [(w["kind"], w["contact_id"], w["idempotency_key"], w["signature_ok"], w["body"]) for w in writes] == [
        ("fields", "crm/42", "k1", True, fields),
        ("notes", "crm-42", None, False, note),
    ]


async def test_a_fault_refuses_so_many_deliveries_and_stores_only_on_request(http):
    await http.post("/emulator/engage/faults", json={"status": 503, "times": 2})
    statuses = [(await http.post("/abt-events", **signed(EVENT))).status_code for _ in range(3)]
    assert statuses == [503, 503, 202]
    assert len(await events(http)) == 1
    await http.post("/emulator/engage/faults", json={"status": 500, "times": 1, "keep": True})
    assert (await http.post("/abt-events", **signed(EVENT))).status_code == 500
    assert len(await events(http)) == 2
    assert (await http.post("/emulator/engage/faults", json={"colour": 1})).status_code == 400


async def test_a_fault_needs_the_control_key(http):
    fault = {"status": 503, "times": 2}
    assert (await http.post("/emulator/engage/faults", json=fault, headers={"authorization": ""})).status_code == 401
    assert (await http.post("/abt-events", **signed(EVENT))).status_code == 202


async def test_what_was_stored_survives_a_restart(tmp_path, serve):
    settings = EngageEmulatorSettings(state_dir=tmp_path, secret=SECRET)
    async with serve(engage.create_app(settings)) as url, httpx.AsyncClient(base_url=url, verify=False) as http:
        await http.post("/abt-events", **signed(EVENT))
        await http.post("/abt-events", **signed({**EVENT, "id": "evt_2"}))
    async with serve(engage.create_app(settings)) as url, httpx.AsyncClient(base_url=url, verify=False) as http:
        assert [item["id"] for item in await events(http)] == ["evt_1", "evt_2"]
        health = (await http.get("/healthz")).json()
        assert health == {"status": "ok", "emulator": "engage", "state_dir": str(tmp_path.resolve())}


async def test_a_write_about_a_contact_that_engage_no_longer_has_is_stored_and_refused(http):
    note = {"id": "note_1", "note": "Prefers e-mail."}
    answer = await http.post("/contacts/gone-42/notes", **signed(note))
    assert answer.status_code == 404
    (item,) = (await http.get("/emulator/engage/writes")).json()["items"]
    assert (item["contact_id"], item["signature_ok"]) == ("gone-42", True)
