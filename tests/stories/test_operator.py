"""The operator on a running system: doctor, pause, why, event feed and dead letters."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from .conftest import MakeQueues
from .running_system import Answer, Json, RunningSystem, SystemClient, ask, clean_environment, new_call, wait_until

#: A refused row is sent five times; the waits between add up to 15 s at most.
DEAD_WITHIN_S = 25.0
PAUSED = ("+13035550100", "+13035550103", "+13035550105")


@pytest.fixture(scope="module")
def system(make_queues: MakeQueues, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSystem]:
    running = RunningSystem(tmp_path_factory.mktemp("operated"), {"RINGBACK_EMULATOR_SPEED": "40", **make_queues()})
    try:
        running.start()
        yield running
        assert running.stop() == 0
    finally:
        running.discard()


@pytest.fixture(scope="module")
def client(system: RunningSystem) -> SystemClient:
    return system.client


def _command(system: RunningSystem, *words: str) -> subprocess.CompletedProcess[str]:
    return _run(system, {}, *words, "--data-dir", str(system.home / "data"))


def _run(system: RunningSystem, env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ringback.cli", *words],
        env=clean_environment(env),
        cwd=system.home,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_doctor_of_another_shell_warns_and_knows_what_it_does_not_know(system: RunningSystem) -> None:
    env = {
        "RINGBACK_URL": system.ready["url"],
        "RINGBACK_API_KEY": system.ready["api_key"],
        "RINGBACK_COUNTRIES": "CA",
        "RINGBACK_DATABASE_URL": "",
    }
    result = _run(system, env, "doctor", "--data-dir", str(system.home / "none"))
    assert "RINGBACK_COUNTRIES                US  (default)" in result.stdout, result.stdout
    assert "RINGBACK_COUNTRIES  is CA in this shell, and US in the running system, which counts" in result.stdout
    assert "RETELL_API_KEY                    ••••  (a running ringback up, not known here)" in result.stdout
    assert "warn   Retell API key      RETELL_API_KEY of the running system is not known here" in result.stdout
    assert system.ready["url"] + " is ready" in result.stdout
    # The queues are in the database that this shell does not know.
    assert (result.returncode, "WRONG" in result.stdout) == (0, False), result.stdout


def test_doctor_says_when_up_is_not_running(system: RunningSystem) -> None:
    data_dir = system.home / "stopped"
    data_dir.mkdir()
    (data_dir / "up.json").write_text('{"url": "http://127.0.0.1:9", "api_key": "rbk_1"}')
    result = _run(system, {}, "doctor", "--data-dir", str(data_dir))
    assert "warn   running system      ringback up is not running: no Ringback responds at http://127.0.0.1:9" in (
        result.stdout
    )
    assert "none is configured: events and CRM writes wait in the outbox" in result.stdout


def test_retell_try_tells_what_the_agent_would_hear_and_writes_nothing(
    system: RunningSystem, client: SystemClient
) -> None:
    heard = _command(system, "retell", "try", "reschedule_call", "--args", '{"when": "tomorrow at 3pm"}')
    assert heard.returncode == 0, heard.stderr
    assert heard.stdout.startswith("The agent would hear: ")
    assert heard.stdout.endswith("Nothing was written: this was the playground.\n")
    silent = _command(system, "retell", "try", "note_writeback", "--args", '{"note": "Prefers mornings."}')
    assert silent.stdout.splitlines()[:2] == [
        "The agent hears nothing: note_writeback is silent, because the catalogue has speak_after_execution = false.",
        "The model reads in its next turn: Thank you, I have noted that.",
    ]
    unclear = _command(system, "retell", "try", "reschedule_call", "--args", '{"when": "soon"}', "--json")
    reply = json.loads(unclear.stdout)
    assert (unclear.returncode, reply["ok"], reply["code"]) == (1, False, "needs_clarification")
    unknown = _command(system, "retell", "try", "call_analysed")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr.startswith(
        f"{client.url} has no function call_analysed for agents: see ringback retell tools"
    )
    real = _command(system, "retell", "try", "note_writeback", "--args", '{"note": "x"}', "--call-id", "call_unknown")
    assert (real.returncode, "Nothing was written" in real.stdout) == (1, False)
    no_object = _command(system, "retell", "try", "note_writeback", "--args", "[]")
    assert (no_object.returncode, "--args is a JSON object" in no_object.stderr) == (2, True)


def _why(client: SystemClient, phone: str) -> Json:
    result: Json = client.get(f"/v1/why?phone={quote(phone)}")
    return result


def _entries(client: SystemClient, call_id: str, kind: str) -> list[Json]:
    return [entry for entry in client.timeline(call_id) if entry["kind"] == kind]


def _dead(client: SystemClient, call_id: str) -> list[Json]:
    return [entry for entry in _entries(client, call_id, "abt_event") if "dead_at" in entry]


def _all_events(client: SystemClient, limit: int, after: str | None = None) -> list[Json]:
    """Return the events of all pages. No page may be longer than the limit."""
    found: list[Json] = []
    while True:
        page = client.get(f"/v1/events?limit={limit}" + (f"&after={after}" if after else ""))
        assert len(page["items"]) <= limit
        found += page["items"]
        assert page["next_cursor"] == (page["items"][-1]["cursor"] if page["items"] else after or "0-0")
        after = page["next_cursor"]
        if not page["has_more"]:
            return found


def test_doctor_reports_no_problem_of_a_running_system(system: RunningSystem) -> None:
    result = _command(system, "doctor")
    assert result.returncode == 0, result.stdout
    assert "WRONG" not in result.stdout
    for key in (system.ready["api_key"], "whsec_"):
        assert key not in result.stdout
    assert "warn" not in result.stdout
    examined = {line[7:26].strip() for line in result.stdout.splitlines() if line.startswith("ok ")}
    assert examined >= {"database", "clock", "schema", "dialing", "call queue", "event queue", "Retell API key"}


@dataclass(frozen=True)
class Pause:
    """Observations during a pause of dialing.

    Engage also refused the first event of an earlier call for good. No other event was sent then, so all five refusals
    were of this event.
    """

    output: str
    refused: str
    given_up: Json
    placed: list[str]
    calls: list[Json]
    rings: list[Json]
    why: Json
    ready: Answer


@pytest.fixture(scope="module")
def pause(system: RunningSystem, client: SystemClient) -> Pause:
    fault = {"status": 410, "times": 5}
    assert client.control(f"{client.engage_url}/emulator/engage/faults", fault).status == 204
    refused = client.place(new_call("+12025550100"))
    client.wait_final(refused)
    output = _command(system, "pause", "--reason", "wrong script").stdout
    placed = [client.place(new_call(phone)) for phone in PAUSED]
    why, ready = _why(client, PAUSED[0]), ask("GET", f"{client.url}/readyz")
    [given_up] = wait_until(lambda: _dead(client, refused), DEAD_WITHIN_S, "the event given up")
    wait_until(lambda: len(client.deliveries_of(refused)) == 2, 10, "the events after it")
    calls = [client.call(call_id) for call_id in placed]
    return Pause(output, refused, given_up, placed, calls, client.rings(), why, ready)


@pytest.fixture(scope="module")
def resumed(system: RunningSystem, client: SystemClient, pause: Pause) -> datetime:
    """Resume dialing and return its time, after all calls that waited have ended."""
    moment = datetime.now(UTC)
    result = _command(system, "resume")
    assert result.returncode == 0
    assert result.stdout.startswith("dialing; it was paused since ")
    assert result.stdout.endswith("UTC because wrong script\n")
    for call_id in pause.placed:
        client.wait_final(call_id)
        client.wait_delivered(call_id)
    return moment


def test_during_a_pause_calls_are_accepted_and_wait(pause: Pause) -> None:
    assert pause.output.startswith("paused since ")
    assert pause.output.endswith(": wrong script\n")
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


def test_waiting_calls_are_dialed_once_after_a_resume(client: SystemClient, pause: Pause, resumed: datetime) -> None:
    for call_id, status in zip(pause.placed, ("completed", "left_voicemail", "partially_completed"), strict=True):
        call = client.call(call_id)
        assert call["status"] == status
        [attempt] = call["attempts"]
        # Times in the API have milliseconds.
        assert datetime.fromisoformat(attempt["placed_at"]) > resumed - timedelta(milliseconds=1)
        *waits, admission = _entries(client, call_id, "gate")
        assert {(decision["detail"]["verdict"], decision["detail"]["rule"]) for decision in waits} <= {
            ("wait", "paused")
        }
        assert admission["detail"]["verdict"] == "admit"
        assert len(client.rings_of(call_id)) == 1


@pytest.mark.usefixtures("resumed")
def test_a_second_pause_keeps_the_time_of_the_first_and_resuming_twice_changes_nothing(client: SystemClient) -> None:
    first = client.ask("POST", "/v1/dialing/pause", {"reason": "lunch"}).body
    second = client.ask("POST", "/v1/dialing/pause").body
    assert first == second == {"paused": True, "paused_at": first["paused_at"], "reason": "lunch", "live": 0}
    for _ in range(2):
        answer = client.ask("POST", "/v1/dialing/resume")
        assert (answer.status, answer.body["paused"], answer.body["reason"]) == (200, False, None)


@pytest.mark.usefixtures("resumed")
def test_why_explains_a_suppressed_person(system: RunningSystem, client: SystemClient) -> None:
    body = new_call("+14045550100")
    asked = {"phone": body["contact"]["phone"], "reason": "asked by letter"}
    suppression_id = client.ask("POST", "/v1/suppressions", asked).body["suppression_id"]
    ended = client.ask("POST", "/v1/calls", body).body
    assert ended["status"] == "failed"
    why = _why(client, asked["phone"])
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
    assert client.get(f"/v1/why?contact_id={body['contact']['contact_id']}")["because"] == "suppressed"
    result = _command(system, "why", asked["phone"]).stdout
    assert "because this person is suppressed (suppressed)." in result
    assert "UTC because asked by letter (by phone, from api" in result


def test_why_explains_a_person_whose_call_is_not_due_yet(client: SystemClient) -> None:
    not_before = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    call_id = client.place(new_call("+15055550100", not_before=not_before))
    why = _why(client, "+15055550100")
    assert (why["next_eligible_at"], why["because"], why["suppressions"]) == (not_before, "due_at", [])
    [task] = why["open_tasks"]
    assert task.pop("task_id") == client.call(call_id)["tasks"][0]["task_id"]
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
def test_the_feed_pages_through_every_event_in_the_order_of_each_call(client: SystemClient, pause: Pause) -> None:
    before = _all_events(client, 200)
    placed = [client.place(new_call(f"+160655501{code}")) for code in ("00", "01", "03", "05", "08")]
    for call_id in placed:
        client.wait_final(call_id)
        client.wait_delivered(call_id)
    # An event is shown after the end of every transaction that began before its own.
    wait_until(lambda: _delivered(client) <= _fed(client), 10, "every event in the feed")
    whole = _all_events(client, 200)
    paged = _all_events(client, 3)
    assert paged == whole
    assert whole[: len(before)] == before
    assert len({item["cursor"] for item in whole}) == len(whole)
    delivered = {delivery["id"]: delivery["event"] for delivery in client.deliveries()}
    fed = {item["event"]["id"]: item["event"] for item in whole}
    assert {id_: event for id_, event in fed.items() if id_ in delivered} == delivered
    assert fed.keys() - delivered.keys() <= {pause.given_up["event_id"]}, "the feed has the refused event too"
    for call_id in placed:
        events = [item["event"] for item in whole if item["event"]["subject"] == call_id]
        assert [event["data"]["sequence"] for event in events] == list(range(1, len(events) + 1))
        assert events == [delivery["event"] for delivery in client.deliveries_of(call_id)]
    since = before[-1]["cursor"] if before else None
    assert _all_events(client, 4, since) == whole[len(before) :]
    assert _all_events(client, 3, whole[-1]["cursor"]) == []


def _delivered(client: SystemClient) -> set[str]:
    return {delivery["id"] for delivery in client.deliveries()}


def _fed(client: SystemClient) -> set[str]:
    return {item["event"]["id"] for item in _all_events(client, 200)}


@pytest.mark.parametrize("cursor", ["yesterday", "1", "-1-1", "1-x"])
def test_an_invalid_cursor_is_refused(client: SystemClient, cursor: str) -> None:
    assert client.ask("GET", f"/v1/events?after={cursor}").status == 422


@pytest.mark.usefixtures("resumed")
def test_an_event_is_a_dead_letter_after_five_refusals_and_keeps_its_id_in_a_replay(
    system: RunningSystem, client: SystemClient, pause: Pause
) -> None:
    refused, given_up = pause.refused, pause.given_up
    assert (given_up["type"], given_up["tries"], given_up["last_error"]) == ("voice_ai_call_initiated", 5, "http_410")
    behind = ["voice_ai_call_started", "voice_ai_call_completed"]
    assert [delivery["type"] for delivery in client.deliveries_of(refused)] == behind
    [letter] = json.loads(_command(system, "dead-letters", "list", "--json").stdout)
    assert (letter["kind"], letter["reason"], letter["dead_at"]) == ("abt_event", "http_410", given_up["dead_at"])
    assert _command(system, "dead-letters", "replay", letter["name"]).stdout == "1 replayed\n"
    client.wait_delivered(refused)
    assert _dead(client, refused) == []
    again = client.deliveries_of(refused)[2]
    assert (again["id"], again["event"]["data"]["sequence"]) == (given_up["event_id"], 1)
    assert (again["type"], again["signature_ok"]) == ("voice_ai_call_initiated", True)
    assert [line["event"] for line in system.logged("error")] == ["outbox.dead"]


@pytest.mark.usefixtures("resumed")
def test_a_contact_with_two_numbers_has_one_call_at_a_time_and_why_explains_it(client: SystemClient) -> None:
    first = new_call("+14155550100", metadata={"emulator_scenario": "16"})
    second = new_call("+14155550107")
    first["contact"]["contact_id"] = second["contact"]["contact_id"] = "crm-1"
    on_mobile = client.place(first)
    wait_until(lambda: client.rings_of(on_mobile), 10, "the first number rings")
    to_office = client.place(second)
    decision, *_ = wait_until(lambda: _entries(client, to_office, "gate"), 10, "the second call is checked")
    assert decision["detail"]["rule"] == "person_on_another_attempt"
    by_number, by_contact = _why(client, "+14155550107"), client.get("/v1/why?contact_id=crm-1")
    assert by_number["because"] == by_contact["because"] == "person_on_another_attempt"
    assert client.rings_of(to_office) == []
    assert client.ask("POST", f"/v1/calls/{to_office}/cancel").body == {"result": "cancelled"}
