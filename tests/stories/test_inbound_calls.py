"""People call us: what the agent that answers is told, what becomes of the calls that were planned for them."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from .running_system import FROM_NUMBER, Doors, Json, RunningSystem, ask, left_in_peace, new_call, wait_until

WEBHOOKS = {"call_started", "call_ended", "call_analyzed"}
#: Slow enough that a planned call falls due in the middle of a talk.
SPEED = {"RINGBACK_EMULATOR_SPEED": "8"}


@dataclass(frozen=True)
class Caller:
    """Somebody for whom a call is planned, and who calls first. `body` is of the request from outside; `from_number` in
    it is the caller id where the carrier spells it in another way."""

    phone: str
    due_in_s: float
    body: dict[str, Any]


CALLERS = {
    # The planned call falls due in the middle of a talk of two and a half seconds.
    "asks": Caller("+12025550100", 1.5, {"scenario": "talk"}),
    "moves": Caller("+13035550100", 3600.0, {"scenario": "reschedule", "from_number": "(303) 555-0100"}),
    "opts out": Caller("+14045550100", 3600.0, {"scenario": "opt_out", "from_number": "14045550100"}),
    "tells": Caller("+15055550100", 3600.0, {"scenario": "tools", "from_number": "sip:+15055550100@carrier.example"}),
    "hangs up": Caller("+16065550100", 3600.0, {"scenario": "hang_up", "names_call": False}),
    "finds no agent": Caller("+17075550100", 3600.0, {"scenario": "talk", "agent_id": None}),
}
STRANGERS = {
    "withheld": {"from_number": "anonymous"},
    "unknown": {"from_number": "+18085550100"},
    "nobody there": {"from_number": "+18085550101", "agent_id": None},
}


@dataclass(frozen=True)
class Told:
    """`answer` is what the caller's phone met, `during` the planned call while they talked, the rest is afterwards."""

    asked: Json
    answer: Json
    during: Json
    call: Json
    deliveries: list[Json]
    timeline: list[Json]

    @property
    def reply(self) -> Json:
        reply: Json = self.answer["webhook"]["answer"]["call_inbound"]
        return reply

    def at(self, kind: str) -> str:
        """When the one entry of this kind happened."""
        [at] = [entry["at"] for entry in self.timeline if entry["kind"] == kind]
        return str(at)


@dataclass(frozen=True)
class Day:
    """Everything that happened; `rows` are the calls written down by the provider's id."""

    callers: dict[str, Told]
    strangers: dict[str, Json]
    rows: dict[str, Json]
    deliveries: list[Json]
    rings: list[Json]

    @property
    def call_ids(self) -> set[str]:
        answers = [*(told.answer for told in self.callers.values()), *self.strangers.values()]
        return {answer["call_id"] for answer in answers if answer["call_id"]}


def _ring_in(doors: Doors, body: Json) -> Json:
    answer = doors.control(f"{doors.retell_url}/emulator/retell/inbound", {"to_number": FROM_NUMBER, **body})
    assert answer.status == 200, answer.body
    told: Json = answer.body
    return told


def _plan(caller: Caller) -> Json:
    due_at = (datetime.now(UTC) + timedelta(seconds=caller.due_in_s)).isoformat(timespec="milliseconds")
    body = new_call(caller.phone, not_before=due_at.replace("+00:00", "Z"), variables={"campaign": "spring"})
    body["contact"]["fields"] = {"first_name": "Ada", "opted_in": True}
    return body


def _fetch(system: RunningSystem, statement: str) -> list[Json]:
    async def fetch() -> list[Json]:
        connection = await asyncpg.connect(system.ready["database_url"])
        try:
            return [dict(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    return asyncio.run(fetch())


def _heard(system: RunningSystem) -> dict[str, set[str]]:
    heard: dict[str, set[str]] = {}
    for row in _fetch(system, "SELECT provider_call_id, event FROM provider_events WHERE fate = 'inbound'"):
        heard.setdefault(row["provider_call_id"], set()).add(row["event"])
    return heard


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    with left_in_peace(tmp_path_factory.mktemp("inbound"), SPEED) as running:
        yield running


@pytest.fixture(scope="module")
def day(system: RunningSystem) -> Day:
    """All call within a moment of one another; each planned call is looked at while its person talks."""
    doors = system.doors
    plans, answers, during = {}, {}, {}
    for name, caller in CALLERS.items():
        plans[name] = _plan(caller)
        call_id = doors.place(plans[name])
        answers[name] = _ring_in(doors, {"from_number": caller.phone, **caller.body})
        during[name] = doors.call(call_id)
    strangers = {name: _ring_in(doors, body) for name, body in STRANGERS.items()}
    inbound = [answer["call_id"] for answer in (*answers.values(), *strangers.values()) if answer["call_id"]]
    wait_until(lambda: _heard(system) == dict.fromkeys(inbound, WEBHOOKS), 20, "every inbound call analyzed")
    doors.wait_final(during["asks"]["call_id"])
    callers = {}
    for name, before in during.items():
        call_id = before["call_id"]
        doors.wait_delivered(call_id)
        after = doors.call(call_id), doors.deliveries_of(call_id), doors.timeline(call_id)
        callers[name] = Told(plans[name], answers[name], before, *after)
    rows = {row["provider_call_id"]: row for row in _fetch(system, "SELECT * FROM inbound_calls")}
    return Day(callers, strangers, rows, doors.deliveries(), doors.rings())


@pytest.fixture(params=CALLERS)
def known(request: pytest.FixtureRequest, day: Day) -> Told:
    return day.callers[request.param]


def test_the_agent_knows_the_caller_and_what_is_planned_for_them(known: Told) -> None:
    variables = dict(known.reply["dynamic_variables"])
    inbound_id = variables.pop("ringback_attempt_id")
    assert variables.pop("callback_spoken").startswith(("today at ", "tomorrow at "))
    assert variables == {
        "is_known": "true",
        "contact_id": known.call["contact_id"],
        "first_name": "Ada",
        "time_zone": "America/Los_Angeles",
        "ringback_call_id": known.call["call_id"],
        "has_callback": "true",
        "callback_kind": "first",
        "callback_at": known.asked["not_before"],
    }
    metadata = known.reply["metadata"]
    assert metadata.keys() == {"ringback_instance", "ringback_contact_id", "ringback_inbound_id"}
    assert (metadata["ringback_contact_id"], metadata["ringback_inbound_id"]) == (known.call["contact_id"], inbound_id)
    assert (known.answer["outcome"], known.answer["webhook"]["problem"]) == ("connected", None)


def test_the_number_s_own_agent_answers_and_ours_only_where_there_is_none(day: Day) -> None:
    asks, without = day.callers["asks"], day.callers["finds no agent"]
    assert asks.answer["agent_id"] == "agent_emulator"
    assert "override_agent_id" not in asks.reply
    assert without.answer["agent_id"] == without.reply["override_agent_id"] == "agent_sales"


@pytest.mark.parametrize("name", STRANGERS)
def test_a_caller_whom_nobody_knows_is_answered_as_unknown(day: Day, name: str) -> None:
    answer = day.strangers[name]
    reply = answer["webhook"]["answer"]["call_inbound"]
    assert answer["webhook"]["statuses"] == [200]
    assert reply["dynamic_variables"] == {"is_known": "false"}
    assert reply["metadata"].keys() == {"ringback_instance"}
    assert answer["outcome"] == ("disconnected" if name == "nobody there" else "connected")
    assert answer["call_id"] not in day.rows


def test_the_planned_task_is_held_while_the_person_talks_to_us(known: Told) -> None:
    [task] = known.during["tasks"]
    assert (known.during["status"], task["kind"], task["status"]) == ("scheduled", "first", "held")
    [held] = [entry["detail"] for entry in known.timeline if entry["kind"] == "held_by_inbound_call"]
    assert held["task_id"] == task["task_id"]
    assert held["inbound_id"] == known.reply["metadata"]["ringback_inbound_id"]
    assert task["due_at"] == max(held["until"], known.asked["not_before"])


def test_a_call_that_fell_due_meanwhile_is_gated_once_and_only_after_the_talk(day: Day) -> None:
    told = day.callers["asks"]
    row = day.rows[told.answer["call_id"]]
    released_at = datetime.fromisoformat(told.at("released_after_inbound_call"))
    assert datetime.fromisoformat(told.asked["not_before"]) < row["ended_at"] <= released_at
    assert told.at("held_by_inbound_call") < told.at("released_after_inbound_call") < told.at("call_message")
    assert told.at("call_message") <= told.at("gate") <= told.at("attempt_placed")
    [gate] = [entry["detail"] for entry in told.timeline if entry["kind"] == "gate"]
    assert (gate["verdict"], gate["rule"]) == ("admit", "admitted")
    assert (told.call["status"], len(told.call["attempts"])) == ("completed", 1)


@pytest.mark.parametrize("name", ["tells", "hangs up", "finds no agent"])
def test_a_task_that_is_due_later_stands_as_before(day: Day, name: str) -> None:
    told = day.callers[name]
    [task] = told.call["tasks"]
    assert (told.call["status"], task["status"], task["due_at"]) == ("scheduled", "pending", told.asked["not_before"])
    assert told.at("held_by_inbound_call") < told.at("released_after_inbound_call")
    assert told.deliveries == []


def test_a_caller_moves_the_callback_of_the_call_that_is_planned(day: Day) -> None:
    told = day.callers["moves"]
    [delivery] = told.deliveries
    moved = delivery["event"]["data"]
    zone = ZoneInfo("America/Los_Angeles")
    asked_at = datetime.fromisoformat(moved["occurred_at"]).astimezone(zone)
    due = datetime.combine(asked_at.date() + timedelta(days=1), time(15), zone)
    assert delivery["type"] == "voice_ai_call_rescheduled"
    assert datetime.fromisoformat(moved["due_at"]) == due
    expected = {"attempt": None, "attempt_id": None, "sequence": 1, "source": "agent", "time_zone": str(zone)}
    assert {name: moved[name] for name in expected} == expected
    assert moved["previous_due_at"] == told.asked["not_before"], "what was planned, not the end of the hold"
    assert [(task["kind"], task["status"]) for task in told.call["tasks"]] == [
        ("first", "superseded"),
        ("callback", "pending"),
    ]
    assert (told.call["status"], told.call["next_eligible_at"]) == ("scheduled", moved["due_at"])


def test_who_opts_out_on_the_phone_is_suppressed_and_the_planned_call_is_over(system: RunningSystem, day: Day) -> None:
    told, doors = day.callers["opts out"], system.doors
    contact = told.asked["contact"]
    [suppression] = doors.get(f"/v1/suppressions?contact_id={contact['contact_id']}")["items"]
    assert (suppression["phone"], suppression["reason"], suppression["source"]) == (
        contact["phone"],
        "do_not_call",
        "agent",
    )
    [delivery] = told.deliveries
    ended = delivery["event"]["data"]
    assert delivery["type"] == "voice_ai_call_failed"
    assert (ended["reason"], ended["attempted"], ended["is_final"]) == ("suppressed", False, True)
    assert (told.call["status"], told.call["attempts"]) == ("failed", [])
    assert [task["status"] for task in told.call["tasks"]] == ["deleted"]
    again = doors.ask("POST", "/v1/calls", new_call(contact["phone"]))
    assert (again.status, again.body["status"]) == (202, "failed")


def test_the_tools_of_an_inbound_call_write_to_the_caller_s_own_contact(system: RunningSystem, day: Day) -> None:
    told = day.callers["tells"]
    items = ask("GET", f"{system.doors.engage_url}/emulator/engage/writes").body["items"]
    assert [(item["kind"], item["contact_id"]) for item in items] == [
        ("fields", told.call["contact_id"]),
        ("notes", told.call["contact_id"]),
    ]
    assert items[0]["body"] == {"fields": {"email": "ada.lovelace@example.com", "interest": "high"}}
    assert items[1]["body"]["call_id"] == told.call["call_id"]
    actions = [entry["action"] for entry in told.timeline if entry["kind"] == "action"]
    assert actions == ["incoming_call", "field_writeback", "note_writeback", "set_disposition"]
    [filed] = [entry for entry in told.timeline if entry["kind"] == "disposition"]
    assert filed["code"] == "interested"
    assert "attempt_id" not in filed, "no attempt of ours was under way"


def test_every_call_of_a_known_person_is_written_down(known: Told, day: Day) -> None:
    row = day.rows[known.answer["call_id"]]
    contact = known.asked["contact"]
    expected = {
        "inbound_id": known.reply["metadata"]["ringback_inbound_id"],
        "phone": contact["phone"],
        "to_number": FROM_NUMBER,
        "contact_id": contact["contact_id"],
        "disconnection_reason": "user_hangup",
    }
    assert {name: row[name] for name in expected} == expected
    assert row["rang_at"] <= row["started_at"] < row["ended_at"] <= row["released_at"] < row["hold_until"]
    assert row["duration_ms"] > 0


def test_no_event_tells_engage_of_a_call_to_us(day: Day) -> None:
    planned = {told.call["call_id"] for told in day.callers.values()}
    heard = [delivery["event"] for delivery in day.deliveries]
    assert {event["subject"] for event in heard} <= planned
    assert not day.call_ids & {event["data"].get("provider_call_id") for event in heard}
    asks = [event["type"] for event in heard if event["subject"] == day.callers["asks"].call["call_id"]]
    assert asks == ["voice_ai_call_initiated", "voice_ai_call_started", "voice_ai_call_completed"]
    assert not day.call_ids & {ring["provider_call_id"] for ring in day.rings}
