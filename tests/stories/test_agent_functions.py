"""The agent uses its functions while it talks: what Engage hears, what its CRM is told, and what the timeline keeps."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from .running_system import Doors, Json, ask, new_call, wait_until

FIELDS = {"fields": {"email": "ada.lovelace@example.com", "interest": "high"}}
NOTE = "Prefers e-mail over letters; the contract runs until May."
#: Code of the reply by action; a refusal has an entry of another kind.
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
class Tale:
    """What one number must come to; `events` follow initiated and started, `writes` are those that the CRM gets."""

    events: tuple[str, ...] = ("completed",)
    actions: tuple[str, ...]
    writes: tuple[str, ...] = ()
    said: str

    @property
    def status(self) -> str:
        return "scheduled" if self.events[-1] == "rescheduled" else self.events[-1]


SAVED, NOTED = "Thank you, I have saved that.", "Thank you, I have noted that."
CALLBACK_SET = "Done, we will call you tomorrow at 3 PM."
TALES = {
    "17": Tale(actions=("field_writeback",), writes=("fields",), said=SAVED),
    "18": Tale(actions=("note_writeback",), writes=("notes",), said=NOTED),
    "19": Tale(
        events=("lead_qualified", "completed"),
        actions=("send_abt_event",),
        said="Thank you, I have passed that on.",
    ),
    "20": Tale(events=("rescheduled",), actions=("update_timezone", "reschedule_call"), said=CALLBACK_SET),
    "21": Tale(
        events=("rescheduled", "partially_completed"),
        actions=("reschedule_call", "delete_scheduled_task"),
        said="Done, we will not call you for that any more.",
    ),
    "22": Tale(
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
    "23": Tale(actions=("note_writeback",), writes=("notes",), said=NOTED),
    "24": Tale(actions=("set_disposition",), said=NOTED),
    "25": Tale(events=("rescheduled",), actions=("reschedule_call",), said=CALLBACK_SET),
}


@dataclass(frozen=True)
class Told:
    """All that can be learnt about a call from outside, after it has settled."""

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


def _has_settled(call: Json) -> bool:
    states = [attempt["state"] for attempt in call["attempts"]]
    return states == ["analyzed"] and call["status"] != "in_progress"


def _writes_to(doors: Doors, contact_id: str) -> list[Json]:
    items = ask("GET", f"{doors.engage_url}/emulator/engage/writes").body["items"]
    return [item for item in items if item["contact_id"] == contact_id]


def _have_left(doors: Doors, call_id: str) -> bool:
    """Every CRM write of the call has an end."""
    writes = [entry for entry in doors.timeline(call_id) if entry["kind"].startswith("crm_")]
    return all(write["delivery"] != "waiting" for write in writes)


@pytest.fixture(scope="module")
def told(doors: Doors) -> dict[str, Told]:
    """All placed at once."""
    bodies = {code: new_call(f"+172055501{code}", metadata={"campaign": "spring"}) for code in TALES}
    with ThreadPoolExecutor(len(bodies)) as threads:
        ids = dict(zip(bodies, threads.map(doors.place, bodies.values()), strict=True))
    calls = {code: doors.wait_for(call_id, _has_settled) for code, call_id in ids.items()}
    for call_id in ids.values():
        doors.wait_delivered(call_id)
        wait_until(lambda call_id=call_id: _have_left(doors, call_id), 10, "every CRM write delivered")
    return {
        code: Told(
            calls[code],
            doors.deliveries_of(call_id),
            _writes_to(doors, calls[code]["contact_id"]),
            doors.timeline(call_id),
        )
        for code, call_id in ids.items()
    }


@pytest.fixture(params=TALES)
def one(request: pytest.FixtureRequest, told: dict[str, Told]) -> tuple[Tale, Told]:
    return TALES[request.param], told[request.param]


def test_engage_hears_exactly_the_events_of_the_table_in_order(one: tuple[Tale, Told]) -> None:
    tale, call = one
    assert [_short(delivery["type"]) for delivery in call.deliveries] == ["initiated", "started", *tale.events]
    assert all(delivery["signature_ok"] for delivery in call.deliveries)
    data = [delivery["event"]["data"] for delivery in call.deliveries]
    assert [each["sequence"] for each in data] == list(range(1, len(tale.events) + 3))
    assert {each["attempt_id"] for each in data} == {call.attempt["attempt_id"]}
    final = [_short(item["type"]) for item in call.deliveries if item["event"]["data"].get("is_final")]
    assert final == ([] if tale.status == "scheduled" else [tale.status])
    assert (call.call["status"], call.call["final"]) == (tale.status, tale.status != "scheduled")


def test_the_crm_gets_each_write_once_under_the_key_that_the_timeline_shows(one: tuple[Tale, Told]) -> None:
    tale, call = one
    kept = call.entries("crm_fields", "crm_note")
    assert [(write["kind"], write["idempotency_key"]) for write in call.writes] == [
        ("fields" if entry["kind"] == "crm_fields" else "notes", entry["message_id"]) for entry in kept
    ]
    assert tuple(write["kind"] for write in call.writes) == tale.writes
    note = {"note": NOTE, "author": "agent", "call_id": call.call["call_id"]}
    for write in call.writes:
        assert write["body"] == (FIELDS if write["kind"] == "fields" else note)


def test_the_timeline_shows_each_tool_call_that_changed_something_and_what_the_crm_answered(
    one: tuple[Tale, Told],
) -> None:
    tale, call = one
    actions = call.entries("action")
    assert [(entry["action"], entry["code"]) for entry in actions] == [(name, CODES[name]) for name in tale.actions]
    assert all((entry["door"], entry["ok"]) == ("retell", True) for entry in actions)
    for entry in call.entries("crm_fields", "crm_note"):
        assert entry["delivery"] == "delivered"
        assert entry["delivered_at"] >= entry["at"]
    for entry in call.entries("crm_fields"):
        assert sorted(entry["fields"]) == ["email", "interest"], "the names alone"
    assert "ada.lovelace" not in str(call.timeline)


def test_the_agent_speaks_what_the_function_answered(one: tuple[Tale, Told]) -> None:
    tale, call = one
    assert f"Agent: {tale.said}\n" in call.attempt["transcript"]


@pytest.mark.parametrize("code", ["19", "22"])
def test_a_custom_event_carries_its_own_data_beside_the_call_s(told: dict[str, Told], code: str) -> None:
    data = told[code].data("lead_qualified")
    assert data.keys() == OWN_KEYS | {"interest", "seats"}
    assert (data["interest"], data["seats"], data["metadata"]) == ("high", 12, {"campaign": "spring"})
    assert data["provider_call_id"] == told[code].attempt["provider_call_id"]


@pytest.mark.parametrize(
    ("code", "zone"),
    [
        ("20", "America/New_York"),
        ("21", "America/Los_Angeles"),
        ("22", "America/New_York"),
        ("25", "America/Los_Angeles"),
    ],
)
def test_the_callback_is_tomorrow_at_three_on_the_clock_of_the_person(
    told: dict[str, Told], code: str, zone: str
) -> None:
    moved = told[code].data("rescheduled")
    asked_at = datetime.fromisoformat(moved["occurred_at"]).astimezone(ZoneInfo(zone))
    due = datetime.combine(asked_at.date() + timedelta(days=1), time(15), ZoneInfo(zone))
    assert datetime.fromisoformat(moved["due_at"]) == due
    assert (moved["local_time"], moved["time_zone"]) == (due.strftime("%Y-%m-%dT15:00"), zone)
    assert (moved["source"], moved["previous_due_at"]) == ("agent", None)


@pytest.mark.parametrize("code", ["20", "25"])
def test_a_callback_that_stands_is_the_one_open_task(told: dict[str, Told], code: str) -> None:
    call, moved = told[code].call, told[code].data("rescheduled")
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
def test_a_deleted_callback_leaves_nothing_planned(told: dict[str, Told], code: str) -> None:
    call = told[code].call
    assert [(task["kind"], task["status"]) for task in call["tasks"]] == [
        ("first", "consumed"),
        ("callback", "deleted"),
    ]
    assert call["next_eligible_at"] is None
    [deleted] = told[code].entries("task_deleted")
    assert deleted["detail"] == {
        "task_id": told[code].data("rescheduled")["task_id"],
        "source": "agent",
        "reason": "the person no longer wants a callback",
    }


def test_what_the_person_said_of_their_time_zone_is_kept_as_their_word(doors: Doors, told: dict[str, Told]) -> None:
    contact_id = told["20"].call["contact_id"]
    [contact] = doors.get(f"/v1/why?contact_id={contact_id}")["contacts"]
    assert contact == {"contact_id": contact_id, "time_zone": "America/New_York", "time_zone_source": "person"}


@pytest.mark.parametrize("code", ["22", "24"])
def test_a_disposition_is_filed_with_the_attempt_in_which_it_was_said(told: dict[str, Told], code: str) -> None:
    [filed] = told[code].entries("disposition")
    assert (filed["code"], filed["note"]) == ("interested", "wants the contract today")
    assert filed["attempt_id"] == told[code].attempt["attempt_id"]
    assert told[code].attempt["business"] == {"goal_met": True, "disposition": "interested"} | (
        {"callback_asked": True} if code == "22" else {}
    )


def test_a_wish_without_a_clock_time_is_asked_about_and_then_granted(told: dict[str, Told]) -> None:
    call = told["25"]
    turns = call.attempt["transcript"].splitlines()
    asked = turns.index("Agent: What time on that day would suit you?")
    assert turns[asked + 1] == "User: Oh, sure. Tomorrow at 3pm, then."
    assert f"Agent: {CALLBACK_SET}" in turns[asked:]
    [refused] = call.entries("action_refused")
    assert refused["detail"] == {"action": "reschedule_call", "door": "retell", "code": "needs_clarification"}
    assert refused["attempt_id"] == call.attempt["attempt_id"]
    assert refused["at"] < call.entries("action")[0]["at"]
