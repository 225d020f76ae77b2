"""Inbound calls: the variables for the agent, and the outcome of the calls planned for the callers."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from .conftest import MakeQueues
from .running_system import (
    FROM_NUMBER,
    Json,
    RunningSystem,
    SystemClient,
    ask,
    new_call,
    system_without_errors,
    wait_until,
)

WEBHOOKS = {"call_started", "call_ended", "call_analyzed"}
#: Slow enough that a planned call becomes due in the middle of a talk.
SPEED = {"RINGBACK_EMULATOR_SPEED": "8"}


@dataclass(frozen=True)
class Caller:
    """A contact that calls before its planned call is due.

    `body` goes to the emulator. Its `from_number` is the caller id if the carrier spells it differently.
    """

    phone: str
    due_in_s: float
    body: dict[str, Any]


CALLERS = {
    # The planned call becomes due in the middle of a talk of two and a half seconds.
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
    "no agent": {"from_number": "+18085550101", "agent_id": None},
}


@dataclass(frozen=True)
class ObservedCall:
    """`answer` is the result of the inbound call, `during` the planned call at that time. The others are from later."""

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
        """Return the time of the only entry of this kind."""
        [at] = [entry["at"] for entry in self.timeline if entry["kind"] == kind]
        return str(at)


@dataclass(frozen=True)
class Day:
    """All observations. `rows` are the recorded inbound calls by the provider's id."""

    callers: dict[str, ObservedCall]
    strangers: dict[str, Json]
    rows: dict[str, Json]
    deliveries: list[Json]
    rings: list[Json]

    @property
    def call_ids(self) -> set[str]:
        answers = [*(observed.answer for observed in self.callers.values()), *self.strangers.values()]
        return {answer["call_id"] for answer in answers if answer["call_id"]}


def _ring_in(client: SystemClient, body: Json) -> Json:
    answer = client.control(f"{client.retell_url}/emulator/retell/inbound", {"to_number": FROM_NUMBER, **body})
    assert answer.status == 200, answer.body
    observed: Json = answer.body
    return observed


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
def system(make_queues: MakeQueues, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    with system_without_errors(tmp_path_factory.mktemp("inbound"), SPEED | make_queues()) as running:
        yield running


@pytest.fixture(scope="module")
def day(system: RunningSystem) -> Day:
    """Make all inbound calls at about the same time, and read each planned call during the talk."""
    client = system.client
    plans, answers, during = {}, {}, {}
    for name, caller in CALLERS.items():
        plans[name] = _plan(caller)
        call_id = client.place(plans[name])
        answers[name] = _ring_in(client, {"from_number": caller.phone, **caller.body})
        during[name] = client.call(call_id)
    strangers = {name: _ring_in(client, body) for name, body in STRANGERS.items()}
    inbound = [answer["call_id"] for answer in (*answers.values(), *strangers.values()) if answer["call_id"]]
    wait_until(lambda: _heard(system) == dict.fromkeys(inbound, WEBHOOKS), 20, "every inbound call analyzed")
    client.wait_final(during["asks"]["call_id"])
    callers = {}
    for name, before in during.items():
        call_id = before["call_id"]
        client.wait_delivered(call_id)
        after = client.call(call_id), client.deliveries_of(call_id), client.timeline(call_id)
        callers[name] = ObservedCall(plans[name], answers[name], before, *after)
    rows = {row["provider_call_id"]: row for row in _fetch(system, "SELECT * FROM inbound_calls")}
    return Day(callers, strangers, rows, client.deliveries(), client.rings())


@pytest.fixture(params=CALLERS)
def known(request: pytest.FixtureRequest, day: Day) -> ObservedCall:
    return day.callers[request.param]


def test_the_agent_gets_variables_about_the_caller_and_the_planned_call(known: ObservedCall) -> None:
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


def test_the_agent_of_the_number_answers_and_the_agent_of_the_call_only_without_one(day: Day) -> None:
    asks, without = day.callers["asks"], day.callers["finds no agent"]
    assert asks.answer["agent_id"] == "agent_emulator"
    assert "override_agent_id" not in asks.reply
    assert without.answer["agent_id"] == without.reply["override_agent_id"] == "agent_sales"


@pytest.mark.parametrize("name", STRANGERS)
def test_an_unknown_caller_gets_the_variables_of_an_unknown_caller(day: Day, name: str) -> None:
    answer = day.strangers[name]
    reply = answer["webhook"]["answer"]["call_inbound"]
    assert answer["webhook"]["statuses"] == [200]
    assert reply["dynamic_variables"] == {"is_known": "false"}
    assert reply["metadata"].keys() == {"ringback_instance"}
    assert answer["outcome"] == ("disconnected" if name == "no agent" else "connected")
    assert answer["call_id"] not in day.rows


def test_the_planned_task_is_held_during_the_inbound_call(known: ObservedCall) -> None:
    [task] = known.during["tasks"]
    assert (known.during["status"], task["kind"], task["status"]) == ("scheduled", "first", "held")
    [held] = [entry["detail"] for entry in known.timeline if entry["kind"] == "held_by_inbound_call"]
    assert held["task_id"] == task["task_id"]
    assert held["inbound_id"] == known.reply["metadata"]["ringback_inbound_id"]
    assert task["due_at"] == max(held["until"], known.asked["not_before"])


def test_a_call_that_becomes_due_during_the_talk_is_checked_once_after_it(day: Day) -> None:
    observed = day.callers["asks"]
    row = day.rows[observed.answer["call_id"]]
    released_at = datetime.fromisoformat(observed.at("released_after_inbound_call"))
    assert datetime.fromisoformat(observed.asked["not_before"]) < row["ended_at"] <= released_at
    assert (
        observed.at("held_by_inbound_call") < observed.at("released_after_inbound_call") < observed.at("call_message")
    )
    assert observed.at("call_message") <= observed.at("gate") <= observed.at("attempt_placed")
    [decision] = [entry["detail"] for entry in observed.timeline if entry["kind"] == "gate"]
    assert (decision["verdict"], decision["rule"]) == ("admit", "admitted")
    assert (observed.call["status"], len(observed.call["attempts"])) == ("completed", 1)


@pytest.mark.parametrize("name", ["tells", "hangs up", "finds no agent"])
def test_a_task_that_is_due_later_is_unchanged(day: Day, name: str) -> None:
    observed = day.callers[name]
    [task] = observed.call["tasks"]
    assert (observed.call["status"], task["status"], task["due_at"]) == (
        "scheduled",
        "pending",
        observed.asked["not_before"],
    )
    assert observed.at("held_by_inbound_call") < observed.at("released_after_inbound_call")
    assert observed.deliveries == []


def test_a_caller_moves_the_callback_of_the_call_that_is_planned(day: Day) -> None:
    observed = day.callers["moves"]
    [delivery] = observed.deliveries
    moved = delivery["event"]["data"]
    zone = ZoneInfo("America/Los_Angeles")
    asked_at = datetime.fromisoformat(moved["occurred_at"]).astimezone(zone)
    due = datetime.combine(asked_at.date() + timedelta(days=1), time(15), zone)
    assert delivery["type"] == "voice_ai_call_rescheduled"
    assert datetime.fromisoformat(moved["due_at"]) == due
    expected = {"attempt": None, "attempt_id": None, "sequence": 1, "source": "agent", "time_zone": str(zone)}
    assert {name: moved[name] for name in expected} == expected
    assert moved["previous_due_at"] == observed.asked["not_before"], "the planned time, not the end of the hold"
    assert [(task["kind"], task["status"]) for task in observed.call["tasks"]] == [
        ("first", "superseded"),
        ("callback", "pending"),
    ]
    assert (observed.call["status"], observed.call["next_eligible_at"]) == ("scheduled", moved["due_at"])


def test_a_caller_who_opts_out_is_suppressed_and_the_planned_call_ends(system: RunningSystem, day: Day) -> None:
    observed, client = day.callers["opts out"], system.client
    contact = observed.asked["contact"]
    [suppression] = client.get(f"/v1/suppressions?contact_id={contact['contact_id']}")["items"]
    assert (suppression["phone"], suppression["reason"], suppression["source"]) == (
        contact["phone"],
        "do_not_call",
        "agent",
    )
    [delivery] = observed.deliveries
    ended = delivery["event"]["data"]
    assert delivery["type"] == "voice_ai_call_failed"
    assert (ended["reason"], ended["attempted"], ended["is_final"]) == ("suppressed", False, True)
    assert (observed.call["status"], observed.call["attempts"]) == ("failed", [])
    assert [task["status"] for task in observed.call["tasks"]] == ["deleted"]
    again = client.ask("POST", "/v1/calls", new_call(contact["phone"]))
    assert (again.status, again.body["status"]) == (202, "failed")


def test_the_tools_of_an_inbound_call_write_to_the_caller_s_own_contact(system: RunningSystem, day: Day) -> None:
    observed = day.callers["tells"]
    items = ask("GET", f"{system.client.engage_url}/emulator/engage/writes").body["items"]
    assert [(item["kind"], item["contact_id"]) for item in items] == [
        ("fields", observed.call["contact_id"]),
        ("notes", observed.call["contact_id"]),
    ]
    assert items[0]["body"] == {"fields": {"email": "ada.lovelace@example.com", "interest": "high"}}
    assert items[1]["body"]["call_id"] == observed.call["call_id"]
    actions = [entry["action"] for entry in observed.timeline if entry["kind"] == "action"]
    assert actions == ["incoming_call", "field_writeback", "note_writeback", "set_disposition"]
    [filed] = [entry for entry in observed.timeline if entry["kind"] == "disposition"]
    assert filed["code"] == "interested"
    assert "attempt_id" not in filed, "no attempt was in progress"


def test_every_inbound_call_of_a_known_contact_is_recorded(known: ObservedCall, day: Day) -> None:
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


def test_no_event_to_engage_is_about_an_inbound_call(day: Day) -> None:
    planned = {observed.call["call_id"] for observed in day.callers.values()}
    heard = [delivery["event"] for delivery in day.deliveries]
    assert {event["subject"] for event in heard} <= planned
    assert not day.call_ids & {event["data"].get("provider_call_id") for event in heard}
    asks = [event["type"] for event in heard if event["subject"] == day.callers["asks"].call["call_id"]]
    assert asks == ["voice_ai_call_initiated", "voice_ai_call_started", "voice_ai_call_completed"]
    assert not day.call_ids & {ring["provider_call_id"] for ring in day.rings}
