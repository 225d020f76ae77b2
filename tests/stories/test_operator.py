"""The operator's hands on a running system: looking, pausing, explaining, catching up and sending again."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from .running_system import Doors, Json, RunningSystem, ask, clean_environment, new_call, wait_until

#: A row that is refused for itself is offered five times; the waits between add up to 15 s at most.
DEAD_WITHIN_S = 25.0
UNPAUSED_IT_RINGS_WITHIN_S = 0.5


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


@pytest.fixture
def refused(doors: Doors) -> str:
    """A call whose first event Engage answers with 410 five times."""
    fault = {"status": 410, "times": 5}
    assert ask("POST", f"{doors.engage_url}/emulator/engage/faults", fault).status == 204
    return doors.place(new_call("+12025550100"))


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


def test_a_pause_keeps_what_is_accepted_waiting_until_dialing_is_resumed(system: RunningSystem, doors: Doors) -> None:
    paused = _command(system, "pause", "--reason", "wrong script")
    assert paused.returncode == 0
    assert paused.stdout.startswith("paused since ")
    phones = ["+13035550100", "+13035550103", "+13035550105"]
    placed = [doors.place(new_call(phone)) for phone in phones]
    ready = ask("GET", f"{doors.url}/readyz")
    assert (ready.status, ready.body["paused"]) == (200, True)
    why = _why(doors, phones[0])
    assert (why["next_eligible_at"], why["because"]) == (None, "paused")
    assert (why["dialing"]["paused"], why["dialing"]["reason"]) == (True, "wrong script")
    assert [(task["call_id"], task["because"]) for task in why["open_tasks"]] == [(placed[0], "paused")]
    time.sleep(UNPAUSED_IT_RINGS_WITHIN_S)
    for call_id in placed:
        call = doors.call(call_id)
        assert (call["status"] in ("queued", "scheduled"), call["attempts"]) == (True, [])
        assert doors.rings_of(call_id) == []
    resumed_at = datetime.now(UTC)
    resumed = _command(system, "resume")
    assert (resumed.returncode, resumed.stdout) == (0, "dialing\n")
    for call_id, status in zip(placed, ("completed", "left_voicemail", "partially_completed"), strict=True):
        call = doors.wait_final(call_id)
        assert call["status"] == status
        [attempt] = call["attempts"]
        # The API's times end at the millisecond.
        assert datetime.fromisoformat(attempt["placed_at"]) > resumed_at - timedelta(milliseconds=1)
        *waits, admission = _entries(doors, call_id, "gate")
        assert {(gate["detail"]["verdict"], gate["detail"]["rule"]) for gate in waits} <= {("wait", "paused")}
        assert admission["detail"]["verdict"] == "admit"
        assert len(doors.rings_of(call_id)) == 1


def test_a_second_pause_keeps_the_time_of_the_first_and_resuming_twice_changes_nothing(doors: Doors) -> None:
    first = doors.ask("POST", "/v1/dialing/pause", {"reason": "lunch"}).body
    second = doors.ask("POST", "/v1/dialing/pause").body
    assert first == second == {"paused": True, "paused_at": first["paused_at"], "reason": "lunch", "live": 0}
    for _ in range(2):
        answer = doors.ask("POST", "/v1/dialing/resume")
        assert (answer.status, answer.body["paused"], answer.body["reason"]) == (200, False, None)


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


def test_the_feed_pages_through_every_event_in_the_order_of_each_call(doors: Doors) -> None:
    before = _all_events(doors, 200)
    placed = [doors.place(new_call(f"+160655501{code}")) for code in ("00", "01", "03", "05", "08")]
    for call_id in placed:
        doors.wait_final(call_id)
        doors.wait_delivered(call_id)
    # An event is shown once every transaction that began before its own is over.
    wait_until(lambda: len(_all_events(doors, 200)) == _kept(doors), 10, "every event in the feed")
    whole = _all_events(doors, 200)
    paged = _all_events(doors, 3)
    assert paged == whole
    assert whole[: len(before)] == before
    assert len({item["cursor"] for item in whole}) == len(whole)
    delivered = {delivery["id"]: delivery["event"] for delivery in doors.deliveries()}
    assert {item["event"]["id"]: item["event"] for item in whole} == delivered
    for call_id in placed:
        events = [item["event"] for item in whole if item["event"]["subject"] == call_id]
        assert [event["data"]["sequence"] for event in events] == list(range(1, len(events) + 1))
        assert events == [delivery["event"] for delivery in doors.deliveries_of(call_id)]
    since = before[-1]["cursor"] if before else None
    assert _all_events(doors, 4, since) == whole[len(before) :]
    assert _all_events(doors, 3, whole[-1]["cursor"]) == []


def _kept(doors: Doors) -> int:
    return len({delivery["id"] for delivery in doors.deliveries()})


@pytest.mark.parametrize("cursor", ["yesterday", "1", "-1-1", "1-x"])
def test_a_cursor_that_is_none_is_refused(doors: Doors, cursor: str) -> None:
    assert doors.ask("GET", f"/v1/events?after={cursor}").status == 422


def test_an_event_that_engage_refused_five_times_is_listed_and_sent_again_under_its_id(
    system: RunningSystem, doors: Doors, refused: str
) -> None:
    doors.wait_final(refused)

    def dead() -> list[Json]:
        return [entry for entry in _entries(doors, refused, "abt_event") if "dead_at" in entry]

    [given_up] = wait_until(dead, DEAD_WITHIN_S, "the event given up")
    assert (given_up["type"], given_up["tries"], given_up["last_error"]) == ("voice_ai_call_initiated", 5, "http_410")
    later = ["voice_ai_call_started", "voice_ai_call_completed"]
    wait_until(lambda: len(doors.deliveries_of(refused)) == 2, 10, "the events behind it")
    assert [delivery["type"] for delivery in doors.deliveries_of(refused)] == later
    [letter] = json.loads(_command(system, "dead-letters", "list", "--json").stdout)
    assert (letter["kind"], letter["reason"], letter["dead_at"]) == ("abt_event", "http_410", given_up["dead_at"])
    assert _command(system, "dead-letters", "replay", letter["name"]).stdout == "1 replayed\n"
    doors.wait_delivered(refused)
    [again] = [item for item in doors.deliveries_of(refused) if item["type"] not in later]
    assert (again["id"], again["event"]["data"]["sequence"]) == (given_up["event_id"], 1)
    assert again["signature_ok"]
    [entry] = [entry for entry in _entries(doors, refused, "abt_event") if entry["event_id"] == again["id"]]
    assert "dead_at" not in entry
    assert [line["event"] for line in system.logged("error")] == ["outbox.dead"]
