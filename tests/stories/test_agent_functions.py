"""The agent calls its functions while it talks: the events at Engage, the writes to its CRM, the timeline."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from .running_system import Json, SystemClient, ask, new_call, wait_until

FIELDS = {"fields": {"email": "ada.lovelace@example.com", "interest": "high"}}
NOTE = "Prefers e-mail over letters; the contract runs until May."
#: The reply's code by action. A refusal has a timeline entry of another kind.
CODES = {
    "field_writeback": "fields_written",
    "note_writeback": "note_added",
    "send_abt_event": "event_sent",
    "update_timezone": "time_zone_set",
    "reschedule_call": "rescheduled",
    "delete_scheduled_task": "deleted",
    "set_disposition": "disposition_set",
}
OWN_KEYS = {"call_id", "contact_id", "attempt", "attempt_id", "provider_call_id", "sequence", "occurred_at", "metadata"}


@dataclass(frozen=True, kw_only=True)
class ExpectedCall:
    """The expected outcome of one number. `events` follow initiated and started; `writes` go to the CRM."""

    events: tuple[str, ...] = ("completed",)
    actions: tuple[str, ...]
    writes: tuple[str, ...] = ()
    said: str

    @property
    def status(self) -> str:
        return "scheduled" if self.events[-1] == "rescheduled" else self.events[-1]


SAVED, NOTED = "Thank you, I have saved that.", "Thank you, I have noted that."
CALLBACK_SET = "Done, we will call you tomorrow at 3 PM."
EXPECTED = {
    "17": ExpectedCall(actions=("field_writeback",), writes=("fields",), said=SAVED),
    "18": ExpectedCall(actions=("note_writeback",), writes=("notes",), said=NOTED),
    "19": ExpectedCall(
        events=("lead_qualified", "completed"),
        actions=("send_abt_event",),
        said="Thank you, I have passed that on.",
    ),
    "20": ExpectedCall(events=("rescheduled",), actions=("update_timezone", "reschedule_call"), said=CALLBACK_SET),
    "21": ExpectedCall(
        events=("rescheduled", "partially_completed"),
        actions=("reschedule_call", "delete_scheduled_task"),
        said="Done, we will not call you for that any more.",
    ),
    "22": ExpectedCall(
        events=("lead_qualified", "rescheduled", "completed"),
        actions=(
            "update_timezone",
            "field_writeback",
            "note_writeback",
            "send_abt_event",
            "reschedule_call",
            "delete_scheduled_task",
            "set_disposition",
        ),
        writes=("fields", "notes"),
        said=CALLBACK_SET,
    ),
    "23": ExpectedCall(actions=("note_writeback",), writes=("notes",), said=NOTED),
    "24": ExpectedCall(actions=("set_disposition",), said=NOTED),
    "25": ExpectedCall(events=("rescheduled",), actions=("reschedule_call",), said=CALLBACK_SET),
}


@dataclass(frozen=True)
class ObservedCall:
    """All observations of a call from outside, after it has ended."""

    call: Json
    deliveries: list[Json]
    writes: list[Json]
    timeline: list[Json]

    @property
    def attempt(self) -> Json:
        [attempt] = self.call["attempts"]
        return attempt

    def data(self, type_: str) -> Json:
        [event] = [delivery["event"] for delivery in self.deliveries if _short(delivery["type"]) == type_]
        data: Json = event["data"]
        return data

    def entries(self, *kinds: str) -> list[Json]:
        return [entry for entry in self.timeline if entry["kind"] in kinds]


def _short(type_: str) -> str:
    return type_.removeprefix("voice_ai_call_")


def _is_over(call: Json) -> bool:
    states = [attempt["state"] for attempt in call["attempts"]]
    return states == ["analyzed"] and call["status"] != "in_progress"


def _writes_to(client: SystemClient, contact_id: str) -> list[Json]:
    items = ask("GET", f"{client.engage_url}/emulator/engage/writes").body["items"]
    return [item for item in items if item["contact_id"] == contact_id]


def _writes_are_done(client: SystemClient, call_id: str) -> bool:
    """Report whether every CRM write of the call was delivered or given up."""
    writes = [entry for entry in client.timeline(call_id) if entry["kind"].startswith("crm_")]
    return all(write["delivery"] != "waiting" for write in writes)


@pytest.fixture(scope="module")
def observed(client: SystemClient) -> dict[str, ObservedCall]:
    """Place all calls at once, wait for their ends, and return the observations."""
    bodies = {code: new_call(f"+172055501{code}", metadata={"campaign": "spring"}) for code in EXPECTED}
    with ThreadPoolExecutor(len(bodies)) as threads:
        ids = dict(zip(bodies, threads.map(client.place, bodies.values()), strict=True))
    calls = {code: client.wait_for(call_id, _is_over) for code, call_id in ids.items()}
    for call_id in ids.values():
        client.wait_delivered(call_id)
        wait_until(lambda call_id=call_id: _writes_are_done(client, call_id), 10, "every CRM write delivered")
    return {
        code: ObservedCall(
            calls[code],
            client.deliveries_of(call_id),
            _writes_to(client, calls[code]["contact_id"]),
            client.timeline(call_id),
        )
        for code, call_id in ids.items()
    }


@pytest.fixture(params=EXPECTED)
def one(request: pytest.FixtureRequest, observed: dict[str, ObservedCall]) -> tuple[ExpectedCall, ObservedCall]:
    return EXPECTED[request.param], observed[request.param]


def test_engage_receives_exactly_the_events_of_the_table_in_order(one: tuple[ExpectedCall, ObservedCall]) -> None:
    expected, call = one
    assert [_short(delivery["type"]) for delivery in call.deliveries] == ["initiated", "started", *expected.events]
    assert all(delivery["signature_ok"] for delivery in call.deliveries)
    data = [delivery["event"]["data"] for delivery in call.deliveries]
    assert [each["sequence"] for each in data] == list(range(1, len(expected.events) + 3))
    assert {each["attempt_id"] for each in data} == {call.attempt["attempt_id"]}
    final = [_short(item["type"]) for item in call.deliveries if item["event"]["data"].get("is_final")]
    assert final == ([] if expected.status == "scheduled" else [expected.status])
    assert (call.call["status"], call.call["final"]) == (expected.status, expected.status != "scheduled")


def test_the_crm_gets_each_write_once_under_the_key_of_the_timeline(one: tuple[ExpectedCall, ObservedCall]) -> None:
    expected, call = one
    kept = call.entries("crm_fields", "crm_note")
    assert [(write["kind"], write["idempotency_key"]) for write in call.writes] == [
        ("fields" if entry["kind"] == "crm_fields" else "notes", entry["message_id"]) for entry in kept
    ]
    assert tuple(write["kind"] for write in call.writes) == expected.writes
    note = {"note": NOTE, "author": "agent", "call_id": call.call["call_id"]}
    for write in call.writes:
        assert write["body"] == (FIELDS if write["kind"] == "fields" else note)


def test_the_timeline_shows_each_effective_function_call_and_its_deliveries(
    one: tuple[ExpectedCall, ObservedCall],
) -> None:
    expected, call = one
    actions = call.entries("action")
    assert [(entry["action"], entry["code"]) for entry in actions] == [(name, CODES[name]) for name in expected.actions]
    assert all((entry["door"], entry["ok"]) == ("retell", True) for entry in actions)
    for entry in call.entries("crm_fields", "crm_note"):
        assert entry["delivery"] == "delivered"
        assert entry["delivered_at"] >= entry["at"]
    for entry in call.entries("crm_fields"):
        assert sorted(entry["fields"]) == ["email", "interest"], "the names alone"
    assert "ada.lovelace" not in str(call.timeline)


def test_the_agent_speaks_the_reply_of_the_function(one: tuple[ExpectedCall, ObservedCall]) -> None:
    expected, call = one
    assert f"Agent: {expected.said}\n" in call.attempt["transcript"]


@pytest.mark.parametrize("code", ["19", "22"])
def test_a_custom_event_has_its_own_data_and_the_data_of_the_call(observed: dict[str, ObservedCall], code: str) -> None:
    data = observed[code].data("lead_qualified")
    assert data.keys() == OWN_KEYS | {"interest", "seats"}
    assert (data["interest"], data["seats"], data["metadata"]) == ("high", 12, {"campaign": "spring"})
    assert data["provider_call_id"] == observed[code].attempt["provider_call_id"]


@pytest.mark.parametrize(
    ("code", "zone"),
    [
        ("20", "America/New_York"),
        ("21", "America/Los_Angeles"),
        ("22", "America/New_York"),
        ("25", "America/Los_Angeles"),
    ],
)
def test_the_callback_is_tomorrow_at_three_in_the_zone_of_the_person(
    observed: dict[str, ObservedCall], code: str, zone: str
) -> None:
    moved = observed[code].data("rescheduled")
    asked_at = datetime.fromisoformat(moved["occurred_at"]).astimezone(ZoneInfo(zone))
    due = datetime.combine(asked_at.date() + timedelta(days=1), time(15), ZoneInfo(zone))
    assert datetime.fromisoformat(moved["due_at"]) == due
    assert (moved["local_time"], moved["time_zone"]) == (due.strftime("%Y-%m-%dT15:00"), zone)
    assert (moved["source"], moved["previous_due_at"]) == ("agent", None)


@pytest.mark.parametrize("code", ["20", "25"])
def test_a_planned_callback_is_the_only_open_task(observed: dict[str, ObservedCall], code: str) -> None:
    call, moved = observed[code].call, observed[code].data("rescheduled")
    first, callback = call["tasks"]
    assert (first["kind"], first["status"]) == ("first", "consumed")
    assert callback == {
        "task_id": moved["task_id"],
        "kind": "callback",
        "due_at": moved["due_at"],
        "local_time": moved["local_time"],
        "time_zone": moved["time_zone"],
        "status": "pending",
    }
    assert call["next_eligible_at"] == moved["due_at"]


@pytest.mark.parametrize("code", ["21", "22"])
def test_a_deleted_callback_leaves_nothing_planned(observed: dict[str, ObservedCall], code: str) -> None:
    call = observed[code].call
    assert [(task["kind"], task["status"]) for task in call["tasks"]] == [
        ("first", "consumed"),
        ("callback", "deleted"),
    ]
    assert call["next_eligible_at"] is None
    [deleted] = observed[code].entries("task_deleted")
    assert deleted["detail"] == {
        "task_id": observed[code].data("rescheduled")["task_id"],
        "source": "agent",
        "reason": "the person no longer wants a callback",
    }


def test_a_time_zone_from_the_person_is_stored_with_its_source(
    client: SystemClient, observed: dict[str, ObservedCall]
) -> None:
    contact_id = observed["20"].call["contact_id"]
    [contact] = client.get(f"/v1/why?contact_id={contact_id}")["contacts"]
    assert contact == {"contact_id": contact_id, "time_zone": "America/New_York", "time_zone_source": "person"}


@pytest.mark.parametrize("code", ["22", "24"])
def test_a_disposition_is_stored_with_its_attempt(observed: dict[str, ObservedCall], code: str) -> None:
    [filed] = observed[code].entries("disposition")
    assert (filed["code"], filed["note"]) == ("interested", "wants the contract today")
    assert filed["attempt_id"] == observed[code].attempt["attempt_id"]
    assert observed[code].attempt["business"] == {"goal_met": True, "disposition": "interested"} | (
        {"callback_asked": True} if code == "22" else {}
    )


def test_the_agent_asks_for_a_missing_clock_time_and_then_plans_the_callback(observed: dict[str, ObservedCall]) -> None:
    call = observed["25"]
    turns = call.attempt["transcript"].splitlines()
    asked = turns.index("Agent: What time on that day would suit you?")
    assert turns[asked + 1] == "User: Oh, sure. Tomorrow at 3pm, then."
    assert f"Agent: {CALLBACK_SET}" in turns[asked:]
    [refused] = call.entries("action_refused")
    assert refused["detail"] == {"action": "reschedule_call", "door": "retell", "code": "needs_clarification"}
    assert refused["attempt_id"] == call.attempt["attempt_id"]
    assert refused["at"] < call.entries("action")[0]["at"]
