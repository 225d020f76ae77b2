"""The operator's hands on a running system: looking, pausing, explaining, catching up and sending again."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from .running_system import Answer, Doors, Json, RunningSystem, ask, clean_environment, new_call, wait_until

#: A row that is refused for itself is offered five times; the waits between add up to 15 s at most.
DEAD_WITHIN_S = 25.0
PAUSED = ("+13035550100", "+13035550103", "+13035550105")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    running = RunningSystem(tmp_path_factory.mktemp("operated"), {"RINGBACK_EMULATOR_SPEED": "40"})
    try:
        running.start()
        yield running
        assert running.stop() == 0
    finally:
        running.discard()


@pytest.fixture(scope="module")
def doors(system: RunningSystem) -> Doors:
    return system.doors


def _command(system: RunningSystem, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ringback.cli", *words, "--data-dir", str(system.home / "data")],
        env=clean_environment({}),
        cwd=system.home,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def _why(doors: Doors, phone: str) -> Json:
    told: Json = doors.get(f"/v1/why?phone={quote(phone)}")
    return told


def _entries(doors: Doors, call_id: str, kind: str) -> list[Json]:
    return [entry for entry in doors.timeline(call_id) if entry["kind"] == kind]


def _dead(doors: Doors, call_id: str) -> list[Json]:
    return [entry for entry in _entries(doors, call_id, "abt_event") if "dead_at" in entry]


def _all_events(doors: Doors, limit: int, after: str | None = None) -> list[Json]:
    """Page by page until there is no next one; no page is longer than asked for."""
    found: list[Json] = []
    while True:
        page = doors.get(f"/v1/events?limit={limit}" + (f"&after={after}" if after else ""))
        assert len(page["items"]) <= limit
        found += page["items"]
        after = page["next_cursor"]
        if after is None:
            return found
        assert after == found[-1]["cursor"]


def test_doctor_finds_nothing_wrong_with_a_running_system(system: RunningSystem) -> None:
    told = _command(system, "doctor")
    assert told.returncode == 0, told.stdout
    assert "WRONG" not in told.stdout
    for key in (system.ready["api_key"], "whsec_"):
        assert key not in told.stdout
    examined = {line[7:26].strip() for line in told.stdout.splitlines() if line.startswith("ok ")}
    assert examined >= {"database", "clock", "schema", "dialing", "call queue", "event queue", "Retell API key"}


@dataclass(frozen=True)
class Pause:
    """What was seen while dialing was paused. Meanwhile Engage refused the first event of an earlier call for good:
    nothing else was delivered then, so the five refusals were that event's."""

    said: str
    refused: str
    given_up: Json
    placed: list[str]
    calls: list[Json]
    rings: list[Json]
    why: Json
    ready: Answer


@pytest.fixture(scope="module")
def pause(system: RunningSystem, doors: Doors) -> Pause:
    fault = {"status": 410, "times": 5}
    assert doors.control(f"{doors.engage_url}/emulator/engage/faults", fault).status == 204
    refused = doors.place(new_call("+12025550100"))
    doors.wait_final(refused)
    said = _command(system, "pause", "--reason", "wrong script").stdout
    placed = [doors.place(new_call(phone)) for phone in PAUSED]
    why, ready = _why(doors, PAUSED[0]), ask("GET", f"{doors.url}/readyz")
    [given_up] = wait_until(lambda: _dead(doors, refused), DEAD_WITHIN_S, "the event given up")
    wait_until(lambda: len(doors.deliveries_of(refused)) == 2, 10, "the events behind it")
    calls = [doors.call(call_id) for call_id in placed]
    return Pause(said, refused, given_up, placed, calls, doors.rings(), why, ready)


@pytest.fixture(scope="module")
def resumed(system: RunningSystem, doors: Doors, pause: Pause) -> datetime:
    """When; all that had waited is over by now."""
    moment = datetime.now(UTC)
    told = _command(system, "resume")
    assert (told.returncode, told.stdout) == (0, "dialing\n")
    for call_id in pause.placed:
        doors.wait_final(call_id)
        doors.wait_delivered(call_id)
    return moment


def test_during_a_pause_calls_are_accepted_and_wait(pause: Pause) -> None:
    assert pause.said.startswith("paused since ")
    assert pause.said.endswith(": wrong script\n")
    for call in pause.calls:
        assert call["status"] in ("queued", "scheduled")
        assert call["attempts"] == []
    rung = {ring["metadata"]["ringback_call_id"] for ring in pause.rings}
    assert rung == {pause.refused}
    assert (pause.ready.status, pause.ready.body["paused"]) == (200, True)


def test_why_explains_a_person_who_waits_for_the_end_of_a_pause(pause: Pause) -> None:
    assert (pause.why["next_eligible_at"], pause.why["because"]) == (None, "paused")
    assert (pause.why["dialing"]["paused"], pause.why["dialing"]["reason"]) == (True, "wrong script")
    assert [(task["call_id"], task["because"]) for task in pause.why["open_tasks"]] == [(pause.placed[0], "paused")]


def test_what_waited_is_dialed_once_dialing_is_resumed(doors: Doors, pause: Pause, resumed: datetime) -> None:
    for call_id, status in zip(pause.placed, ("completed", "left_voicemail", "partially_completed"), strict=True):
        call = doors.call(call_id)
        assert call["status"] == status
        [attempt] = call["attempts"]
        # The API's times end at the millisecond.
        assert datetime.fromisoformat(attempt["placed_at"]) > resumed - timedelta(milliseconds=1)
        *waits, admission = _entries(doors, call_id, "gate")
        assert {(gate["detail"]["verdict"], gate["detail"]["rule"]) for gate in waits} <= {("wait", "paused")}
        assert admission["detail"]["verdict"] == "admit"
        assert len(doors.rings_of(call_id)) == 1


@pytest.mark.usefixtures("resumed")
def test_a_second_pause_keeps_the_time_of_the_first_and_resuming_twice_changes_nothing(doors: Doors) -> None:
    first = doors.ask("POST", "/v1/dialing/pause", {"reason": "lunch"}).body
    second = doors.ask("POST", "/v1/dialing/pause").body
    assert first == second == {"paused": True, "paused_at": first["paused_at"], "reason": "lunch", "live": 0}
    for _ in range(2):
        answer = doors.ask("POST", "/v1/dialing/resume")
        assert (answer.status, answer.body["paused"], answer.body["reason"]) == (200, False, None)


@pytest.mark.usefixtures("resumed")
def test_why_explains_a_suppressed_person(system: RunningSystem, doors: Doors) -> None:
    body = new_call("+14045550100")
    asked = {"phone": body["contact"]["phone"], "reason": "asked by letter"}
    suppression_id = doors.ask("POST", "/v1/suppressions", asked).body["suppression_id"]
    ended = doors.ask("POST", "/v1/calls", body).body
    assert ended["status"] == "failed"
    why = _why(doors, asked["phone"])
    assert (why["next_eligible_at"], why["because"], why["open_tasks"]) == (None, "suppressed", [])
    [suppression] = why["suppressions"]
    assert suppression.pop("created_at")
    assert suppression == {
        "suppression_id": suppression_id,
        "matches": ["phone"],
        "reason": "asked by letter",
        "source": "api",
    }
    assert why["attempts_last_24h"] == []
    assert doors.get(f"/v1/why?contact_id={body['contact']['contact_id']}")["because"] == "suppressed"
    told = _command(system, "why", asked["phone"]).stdout
    assert "because suppressed" in told
    assert "asked by letter" in told


def test_why_explains_a_person_whose_call_is_not_due_yet(doors: Doors) -> None:
    not_before = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    call_id = doors.place(new_call("+15055550100", not_before=not_before))
    why = _why(doors, "+15055550100")
    assert (why["next_eligible_at"], why["because"], why["suppressions"]) == (not_before, "due_at", [])
    [task] = why["open_tasks"]
    assert task.pop("task_id") == doors.call(call_id)["tasks"][0]["task_id"]
    assert task == {
        "call_id": call_id,
        "kind": "first",
        "status": "pending",
        "held": False,
        "due_at": not_before,
        "local_time": None,
        "time_zone": None,
        "next_eligible_at": not_before,
        "because": "due_at",
        "waits": [],
    }
    assert why["calling_hours"]["time_zones"] == ["America/Los_Angeles"]


@pytest.mark.usefixtures("resumed")
def test_the_feed_pages_through_every_event_in_the_order_of_each_call(doors: Doors, pause: Pause) -> None:
    before = _all_events(doors, 200)
    placed = [doors.place(new_call(f"+160655501{code}")) for code in ("00", "01", "03", "05", "08")]
    for call_id in placed:
        doors.wait_final(call_id)
        doors.wait_delivered(call_id)
    # An event is shown once every transaction that began before its own is over.
    wait_until(lambda: _delivered(doors) <= _fed(doors), 10, "every event in the feed")
    whole = _all_events(doors, 200)
    paged = _all_events(doors, 3)
    assert paged == whole
    assert whole[: len(before)] == before
    assert len({item["cursor"] for item in whole}) == len(whole)
    delivered = {delivery["id"]: delivery["event"] for delivery in doors.deliveries()}
    fed = {item["event"]["id"]: item["event"] for item in whole}
    assert {id_: event for id_, event in fed.items() if id_ in delivered} == delivered
    assert fed.keys() - delivered.keys() <= {pause.given_up["event_id"]}, "what was refused can be caught up with here"
    for call_id in placed:
        events = [item["event"] for item in whole if item["event"]["subject"] == call_id]
        assert [event["data"]["sequence"] for event in events] == list(range(1, len(events) + 1))
        assert events == [delivery["event"] for delivery in doors.deliveries_of(call_id)]
    since = before[-1]["cursor"] if before else None
    assert _all_events(doors, 4, since) == whole[len(before) :]
    assert _all_events(doors, 3, whole[-1]["cursor"]) == []


def _delivered(doors: Doors) -> set[str]:
    return {delivery["id"] for delivery in doors.deliveries()}


def _fed(doors: Doors) -> set[str]:
    return {item["event"]["id"] for item in _all_events(doors, 200)}


@pytest.mark.parametrize("cursor", ["yesterday", "1", "-1-1", "1-x"])
def test_a_cursor_that_is_none_is_refused(doors: Doors, cursor: str) -> None:
    assert doors.ask("GET", f"/v1/events?after={cursor}").status == 422


@pytest.mark.usefixtures("resumed")
def test_an_event_that_engage_refused_five_times_is_listed_and_sent_again_under_its_id(
    system: RunningSystem, doors: Doors, pause: Pause
) -> None:
    refused, given_up = pause.refused, pause.given_up
    assert (given_up["type"], given_up["tries"], given_up["last_error"]) == ("voice_ai_call_initiated", 5, "http_410")
    behind = ["voice_ai_call_started", "voice_ai_call_completed"]
    assert [delivery["type"] for delivery in doors.deliveries_of(refused)] == behind
    [letter] = json.loads(_command(system, "dead-letters", "list", "--json").stdout)
    assert (letter["kind"], letter["reason"], letter["dead_at"]) == ("abt_event", "http_410", given_up["dead_at"])
    assert _command(system, "dead-letters", "replay", letter["name"]).stdout == "1 replayed\n"
    doors.wait_delivered(refused)
    assert _dead(doors, refused) == []
    again = doors.deliveries_of(refused)[2]
    assert (again["id"], again["event"]["data"]["sequence"]) == (given_up["event_id"], 1)
    assert (again["type"], again["signature_ok"]) == ("voice_ai_call_initiated", True)
    assert [line["event"] for line in system.logged("error")] == ["outbox.dead"]


@pytest.mark.usefixtures("resumed")
def test_a_contact_with_two_numbers_is_on_one_call_at_a_time_and_why_says_so(doors: Doors) -> None:
    first = new_call("+14155550100", metadata={"emulator_scenario": "16"})
    second = new_call("+14155550107")
    first["contact"]["contact_id"] = second["contact"]["contact_id"] = "crm-1"
    on_mobile = doors.place(first)
    wait_until(lambda: doors.rings_of(on_mobile), 10, "the first number rings")
    to_office = doors.place(second)
    decision, *_ = wait_until(lambda: _entries(doors, to_office, "gate"), 10, "the second call comes to the gate")
    assert decision["detail"]["rule"] == "person_on_another_attempt"
    by_number, by_contact = _why(doors, "+14155550107"), doors.get("/v1/why?contact_id=crm-1")
    assert by_number["because"] == by_contact["because"] == "person_on_another_attempt"
    assert doors.rings_of(to_office) == []
    assert doors.ask("POST", f"/v1/calls/{to_office}/cancel").body == {"result": "cancelled"}
