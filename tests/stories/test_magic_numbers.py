"""Every magic number at once: the events at Engage, the call in the API, and the phones that rang."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from .running_system import Json, SystemClient, new_call

IDENTITY = {"call_id", "contact_id", "attempt", "attempt_id", "sequence", "occurred_at", "metadata"}
ENDED = {"ended_at", "duration_ms", "analysis", "is_final"}
OWN_KEYS = {
    "initiated": {"placed_at"},
    "started": {"started_at"},
    "completed": ENDED,
    "partially_completed": ENDED,
    "left_voicemail": ENDED,
    "rescheduled": {"task_id", "due_at", "previous_due_at", "local_time", "time_zone", "source", "reason"},
    "failed": {"reason", "provider_reason", "attempted", "will_retry", "next_attempt_at", "is_final"},
}
MARKS = {"ringback_call_id", "ringback_attempt_id", "ringback_instance"}
CONNECTED = {"call_started", "call_ended", "call_analyzed"}
NOT_CONNECTED = {"call_ended", "call_analyzed"}


@dataclass(frozen=True, kw_only=True)
class Story:
    """The expected outcome of one number. `heard`: applied webhooks; `answers`: results of create-phone-call."""

    events: tuple[str, ...]
    status: str
    facts: tuple[str, str, str, str]  # dial, party, end, disconnection_reason
    failure: str | None = None
    rings: int = 1
    heard: frozenset[str] = frozenset(CONNECTED)
    answers: tuple[str, ...] = ("placed",)


def _talked(last: str, end: str = "agent", reason: str = "agent_hangup", **more: Any) -> Story:
    given = {"status": last, "facts": ("answered", "human", end, reason), **more}
    return Story(events=("initiated", "started", last), **given)


def _not_reached(failure: str, dial: str, end: str, reason: str, **more: Any) -> Story:
    facts = (dial, "unknown", end, reason)
    heard = frozenset(NOT_CONNECTED)
    return Story(events=("initiated", "failed"), status="failed", facts=facts, failure=failure, heard=heard, **more)


def _machine(last: str, status: str, failure: str | None = None) -> Story:
    facts = ("answered", "voicemail", "agent", "voicemail_reached")
    return Story(events=("initiated", "started", last), status=status, facts=facts, failure=failure)


STORIES = {
    "00": _talked("completed"),
    "01": _not_reached("no_answer", "no_answer", "network", "dial_no_answer"),
    "02": _not_reached("busy", "busy", "network", "dial_busy"),
    "03": _machine("left_voicemail", "left_voicemail"),
    "04": _machine("failed", "failed", "voicemail_no_message"),
    "05": _talked("partially_completed", "person", "user_hangup"),
    "06": _not_reached("invalid_number", "invalid", "network", "invalid_destination", rings=0),
    "07": _talked("rescheduled", status="scheduled"),
    "08": _talked("partially_completed"),
    "09": _talked("completed", heard=frozenset()),
    "10": _talked("completed"),
    "11": _talked("completed", answers=("ambiguous",)),
    "12": _talked("completed", answers=("ambiguous",)),
    "13": _talked("completed", answers=("deferred", "deferred", "placed")),
    "14": _not_reached("declined", "declined", "person", "user_declined"),
    "15": _talked("completed", "transfer", "call_transfer"),
    "16": _talked("completed"),
}
#: Calls with a retry policy, by name: number and policy.
RETRIED = {
    "01 retried": ("+12125550101", {"max_attempts": 2, "delay_s": [1]}),
    "02 retried": ("+12125550102", {"max_attempts": 3, "delay_s": [1, 2], "on": ["busy"]}),
    "02 not asked": ("+13125550102", {"max_attempts": 3, "delay_s": [1], "on": ["no_answer"]}),
    "03 retried": ("+12125550103", {"max_attempts": 3, "rules": {"voicemail": [1, 2]}}),
    "04 retried": ("+12125550104", {"max_attempts": 2, "rules": {"voicemail": [1], "busy": [600]}}),
    "03 not named": ("+13125550103", {"max_attempts": 3, "rules": {"no_answer": [1], "busy": [1]}}),
    "06 never": ("+12125550106", {"max_attempts": 3, "delay_s": [1]}),
    "14 never": ("+12125550114", {"max_attempts": 3, "delay_s": [1]}),
}


@dataclass(frozen=True)
class ObservedCall:
    """All observations of a call from outside, after it has ended."""

    asked: Json
    call: Json
    deliveries: list[Json]
    timeline: list[Json]
    rings: list[Json]

    @property
    def types(self) -> list[str]:
        return [delivery["type"].removeprefix("voice_ai_call_") for delivery in self.deliveries]

    @property
    def data(self) -> list[Json]:
        return [delivery["event"]["data"] for delivery in self.deliveries]

    @property
    def attempt(self) -> Json:
        [attempt] = self.call["attempts"]
        return attempt

    def details(self, kind: str) -> list[Json]:
        return [entry["detail"] for entry in self.timeline if entry["kind"] == kind]


def _bodies() -> dict[str, Json]:
    plain = {code: new_call(f"+141555501{code}", metadata={"campaign": "spring", "weight": 2}) for code in STORIES}
    return plain | {name: new_call(phone, retry=retry) for name, (phone, retry) in RETRIED.items()}


@pytest.fixture(scope="module")
def observed(client: SystemClient) -> dict[str, ObservedCall]:
    """Place all calls at once, wait for their ends, and return the observations."""
    bodies = _bodies()
    with ThreadPoolExecutor(len(bodies)) as threads:
        ids = dict(zip(bodies, threads.map(client.place, bodies.values()), strict=True))
    calls = {
        name: client.wait_for(id_, _is_waiting if name == "07" else lambda call: call["final"], 30)
        for name, id_ in ids.items()
    }
    for id_ in ids.values():
        client.wait_delivered(id_)
    return {
        name: ObservedCall(
            bodies[name], calls[name], client.deliveries_of(id_), client.timeline(id_), client.rings_of(id_)
        )
        for name, id_ in ids.items()
    }


def _is_waiting(call: Json) -> bool:
    """Report whether the callback is planned and its conversation is analyzed."""
    return call["status"] == "scheduled" and call["attempts"] != [] and call["attempts"][0]["state"] == "analyzed"


@pytest.fixture(params=STORIES)
def one(request: pytest.FixtureRequest, observed: dict[str, ObservedCall]) -> tuple[Story, ObservedCall]:
    return STORIES[request.param], observed[request.param]


def test_events_are_those_of_the_table_in_order_once_and_signed(one: tuple[Story, ObservedCall]) -> None:
    story, call = one
    assert call.types == list(story.events)
    assert all(delivery["signature_ok"] for delivery in call.deliveries)
    assert [data["sequence"] for data in call.data] == list(range(1, len(story.events) + 1))
    ids = [delivery["event"]["id"] for delivery in call.deliveries]
    assert len(set(ids)) == len(ids)
    assert ids == [delivery["id"] for delivery in call.deliveries]


def test_each_event_is_a_cloud_event_with_exactly_the_data_of_its_type(one: tuple[Story, ObservedCall]) -> None:
    story, call = one
    for type_, delivery in zip(story.events, call.deliveries, strict=True):
        data = delivery["event"]["data"]
        assert delivery["event"] == {
            "specversion": "1.0",
            "id": delivery["id"],
            "source": "/ringback",
            "type": f"voice_ai_call_{type_}",
            "subject": call.call["call_id"],
            "time": data["occurred_at"],
            "datacontenttype": "application/json",
            "data": data,
        }
        assert data.keys() == IDENTITY | {"provider_call_id"} | OWN_KEYS[type_]
        assert data["contact_id"] == call.asked["contact"]["contact_id"]
        assert data["metadata"] == call.asked["metadata"]
        assert (data["attempt"], data["attempt_id"]) == (1, call.attempt["attempt_id"])
        assert data["provider_call_id"] == call.attempt["provider_call_id"]


def test_event_times_are_the_attempts_own(one: tuple[Story, ObservedCall]) -> None:
    story, call = one
    for type_, data in zip(story.events, call.data, strict=True):
        if type_ == "initiated":
            assert data["placed_at"] == data["occurred_at"] == call.attempt["placed_at"]
        elif type_ == "started":
            assert data["started_at"] == data["occurred_at"] == call.attempt["started_at"]
        elif type_ in ("completed", "partially_completed", "left_voicemail"):
            assert data["ended_at"] == data["occurred_at"] == call.attempt["ended_at"]
            assert data["duration_ms"] == call.attempt["duration_ms"] > 0


def test_only_the_last_event_is_final_and_it_has_the_reason(one: tuple[Story, ObservedCall]) -> None:
    story, call = one
    *before, last = call.data
    assert not any("is_final" in data for data in before)
    if story.status == "scheduled":
        assert "is_final" not in last
        return
    assert last["is_final"] is True
    if story.failure is None:
        assert last["analysis"].keys() == {"successful", "summary", "sentiment", "in_voicemail", "custom"}
        assert last["analysis"]["successful"] is (story.status == "completed")
        assert last["analysis"]["in_voicemail"] is (story.status == "left_voicemail")
        assert last["analysis"]["summary"] == call.attempt["summary"] != ""
        assert last["analysis"]["custom"] == call.attempt["analysis"]
    else:
        failure = {name: last[name] for name in OWN_KEYS["failed"]}
        assert failure == {
            "reason": story.failure,
            "provider_reason": story.facts[3],
            "attempted": True,
            "will_retry": False,
            "next_attempt_at": None,
            "is_final": True,
        }


def test_the_call_and_its_one_attempt_agree(one: tuple[Story, ObservedCall]) -> None:
    story, call = one
    assert call.call["status"] == story.status
    assert call.call["final"] is (story.status != "scheduled")
    attempt = call.attempt
    assert (attempt["number"], attempt["state"]) == (1, "analyzed")
    assert tuple(attempt[name] for name in ("dial", "party", "end", "disconnection_reason")) == story.facts
    talked = story.facts[0] == "answered"
    assert (attempt["started_at"] is not None, attempt["ended_at"] is not None) == (talked, talked)
    if story.facts[1] == "human":
        assert attempt["transcript"].startswith("Agent: ")
        assert "User: " in attempt["transcript"]


def test_a_phone_rings_once_with_the_metadata_of_ringback_or_not_at_all(one: tuple[Story, ObservedCall]) -> None:
    story, call = one
    assert len(call.rings) == story.rings
    for ring in call.rings:
        assert ring["provider_call_id"] == call.attempt["provider_call_id"]
        assert ring["to_number"] == call.asked["contact"]["phone"]
        assert ring["metadata"].keys() == MARKS | call.asked["metadata"].keys()
        assert ring["metadata"]["ringback_attempt_id"] == call.attempt["attempt_id"]


def test_the_timeline_goes_from_the_decision_to_the_delivery(one: tuple[Story, ObservedCall]) -> None:
    story, call = one
    times = [entry["at"] for entry in call.timeline]
    assert times == sorted(times)
    kinds = [entry["kind"] for entry in call.timeline]
    assert kinds[:4] == ["call_accepted", "task_created", "call_message", "gate"]
    dialing = [kind for kind in kinds if kind in ("gate", "dial_answer")]
    assert dialing == ["gate", "dial_answer"] * len(story.answers)
    assert {decision["verdict"] for decision in call.details("gate")} == {"admit"}
    assert tuple(answer["answer"] for answer in call.details("dial_answer")) == story.answers
    heard = [entry for entry in call.timeline if entry["kind"] == "provider_event"]
    assert sorted(entry["event"] for entry in heard) == sorted(story.heard)
    assert {entry["fate"] for entry in heard} <= {"applied"}
    announced = [entry for entry in call.timeline if entry["kind"] == "abt_event"]
    assert [(entry["event_id"], entry["type"]) for entry in announced] == [
        (delivery["id"], delivery["type"]) for delivery in call.deliveries
    ]
    assert kinds.index("abt_event") > kinds.index("gate")
    assert all("delivered_at" in entry and "dead_at" not in entry for entry in announced)


def test_a_silent_call_is_looked_up(observed: dict[str, ObservedCall]) -> None:
    asked = observed["09"].details("asked_provider")
    assert asked[-1] == {"status": "ended", "reason": "agent_hangup"}


def test_webhooks_that_come_twice_and_in_the_wrong_order_are_applied_once(observed: dict[str, ObservedCall]) -> None:
    # Milliseconds lie between them, and events of one queue are applied side by side: any order is possible.
    heard = [(entry["event"], entry["fate"]) for entry in observed["10"].timeline if entry["kind"] == "provider_event"]
    assert sorted(heard) == [("call_analyzed", "applied"), ("call_ended", "applied"), ("call_started", "applied")]


@pytest.mark.parametrize(
    ("code", "cause"),
    [("11", {"cause": "http_500", "message": "An unexpected server error occurred."}), ("12", {"cause": "timeout"})],
)
def test_an_unclear_answer_is_never_sent_again(
    observed: dict[str, ObservedCall], code: str, cause: dict[str, str]
) -> None:
    assert observed[code].details("dial_answer") == [{"answer": "ambiguous", "resend": False, **cause}]


def test_throttling_costs_no_attempt(observed: dict[str, ObservedCall]) -> None:
    call = observed["13"]
    assert [answer["cause"] for answer in call.details("dial_answer")] == ["http_429", "http_429", "http_201"]
    assert [task["kind"] for task in call.call["tasks"]] == ["first"]
    assert call.attempt["number"] == 1


def test_the_callback_is_due_tomorrow_at_three_in_the_zone_of_the_person(observed: dict[str, ObservedCall]) -> None:
    call = observed["07"]
    zone = ZoneInfo("America/Los_Angeles")
    asked_at = datetime.fromisoformat(call.data[-1]["occurred_at"]).astimezone(zone)
    due = datetime.combine(asked_at.date() + timedelta(days=1), time(15), zone)
    moved = call.data[-1]
    assert datetime.fromisoformat(moved["due_at"]) == due
    assert moved["local_time"] == due.strftime("%Y-%m-%dT%H:%M")
    wanted = {"time_zone": "America/Los_Angeles", "source": "agent", "previous_due_at": None}
    assert {name: moved[name] for name in wanted} == wanted
    assert moved["reason"] == "busy at the moment"
    assert call.call["next_eligible_at"] == moved["due_at"]
    first, callback = call.call["tasks"]
    assert (first["kind"], first["status"]) == ("first", "consumed")
    assert (callback["kind"], callback["status"]) == ("callback", "pending")
    assert (callback["task_id"], callback["due_at"]) == (moved["task_id"], moved["due_at"])
    assert "call you tomorrow" in call.attempt["transcript"]


def test_a_person_who_opted_out_is_not_called_again(client: SystemClient, observed: dict[str, ObservedCall]) -> None:
    asked = observed["08"].asked["contact"]
    [suppression] = client.get(f"/v1/suppressions?contact_id={asked['contact_id']}")["items"]
    assert (suppression["reason"], suppression["source"]) == ("do_not_call", "agent")
    kinds = [entry["kind"] for entry in observed["08"].timeline]
    assert kinds.index("suppression_added") < kinds.index("action") < len(kinds) - 1
    by_phone, by_contact = new_call(asked["phone"]), new_call("+16465550100")
    by_phone["contact"]["contact_id"] = "crm-another-contact"
    by_contact["contact"]["contact_id"] = asked["contact_id"]
    for body in (by_phone, by_contact):
        answer = client.ask("POST", "/v1/calls", body)
        assert (answer.status, answer.body["status"], answer.body["next_eligible_at"]) == (202, "failed", None)
        call_id = answer.body["call_id"]
        client.wait_delivered(call_id)
        [delivery] = client.deliveries_of(call_id)
        data = delivery["event"]["data"]
        assert data.keys() == IDENTITY | OWN_KEYS["failed"]
        assert (data["attempt"], data["attempt_id"], data["sequence"]) == (None, None, 1)
        assert {name: data[name] for name in OWN_KEYS["failed"]} == {
            "reason": "suppressed",
            "provider_reason": None,
            "attempted": False,
            "will_retry": False,
            "next_attempt_at": None,
            "is_final": True,
        }
        assert client.rings_of(call_id) == []


@pytest.mark.parametrize(("name", "attempts"), [("01 retried", 2), ("02 retried", 3)])
def test_a_retry_follows_as_the_policy_says_until_the_budget_is_used(
    observed: dict[str, ObservedCall], name: str, attempts: int
) -> None:
    call = observed[name]
    assert call.types == ["initiated", "failed"] * attempts
    assert [data["sequence"] for data in call.data] == list(range(1, 2 * attempts + 1))
    assert [attempt["number"] for attempt in call.call["attempts"]] == list(range(1, attempts + 1))
    assert len({ring["metadata"]["ringback_attempt_id"] for ring in call.rings}) == len(call.rings) == attempts
    failures = call.data[1::2]
    assert [data["is_final"] for data in failures] == [False] * (attempts - 1) + [True]
    assert [data["will_retry"] for data in failures] == [True] * (attempts - 1) + [False]
    delays_s = RETRIED[name][1]["delay_s"]
    for data, attempt, delay_s in zip(failures, call.call["attempts"], delays_s, strict=False):
        promised = datetime.fromisoformat(attempt["placed_at"]) + timedelta(seconds=delay_s)
        if data["will_retry"]:
            assert datetime.fromisoformat(data["next_attempt_at"]) == promised
    assert failures[-1]["next_attempt_at"] is None
    assert [task["kind"] for task in call.call["tasks"]] == ["first"] + ["retry"] * (attempts - 1)
    assert {task["status"] for task in call.call["tasks"]} == {"consumed"}
    for earlier, later in zip(failures, call.call["attempts"][1:], strict=False):
        assert later["placed_at"] >= earlier["next_attempt_at"]
    assert (call.call["status"], call.call["final"]) == ("failed", True)


def test_a_voicemail_is_called_again_as_its_rule_says_with_or_without_a_message(
    observed: dict[str, ObservedCall],
) -> None:
    call = observed["03 retried"]
    assert call.types == ["initiated", "started", "left_voicemail"] * 3
    ends = call.data[2::3]
    assert [data["is_final"] for data in ends] == [False, False, True]
    for data, attempt, delay_s in zip(ends, call.call["attempts"], [1, 2], strict=False):
        promised = datetime.fromisoformat(attempt["placed_at"]) + timedelta(seconds=delay_s)
        assert datetime.fromisoformat(data["next_attempt_at"]) == promised
    assert "next_attempt_at" not in ends[-1]
    assert len(call.rings) == 3
    assert (call.call["status"], call.call["final"]) == ("left_voicemail", True)

    silent = observed["04 retried"]
    assert silent.types == ["initiated", "started", "failed"] * 2
    assert [data["will_retry"] for data in silent.data[2::3]] == [True, False]
    assert (silent.call["status"], silent.call["reason"]) == ("failed", "voicemail_no_message")


def test_a_voicemail_that_no_rule_names_ends_the_call(observed: dict[str, ObservedCall]) -> None:
    call = observed["03 not named"]
    assert call.types == ["initiated", "started", "left_voicemail"]
    assert (call.data[-1]["is_final"], len(call.rings)) == (True, 1)


@pytest.mark.parametrize("name", ["02 not asked", "06 never", "14 never"])
def test_no_retry_follows_a_reason_outside_the_policy(observed: dict[str, ObservedCall], name: str) -> None:
    call = observed[name]
    assert call.types == ["initiated", "failed"]
    assert (call.data[-1]["will_retry"], call.data[-1]["is_final"]) == (False, True)
    assert len(call.call["attempts"]) == len(call.call["tasks"]) == 1
