"""ringback call and trace, against recorded responses of the Voice API."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner

from ringback import cli
from ringback.config import SettingsError
from ringback.tracing import of_call

CALL = {
    "call_id": "019ad9f0-call",
    "contact_id": "crm-42",
    "status": "scheduled",
    "final": False,
    "next_eligible_at": "2026-12-01T18:00:00.000Z",
    "attempts": [
        {
            "attempt_id": "019ad9f0-attempt",
            "number": 1,
            "state": "analyzed",
            "provider_call_id": "call_9",
            "dial": "busy",
            "party": "unknown",
            "end": "provider",
            "disconnection_reason": "dial_busy",
            "duration_ms": 0,
            "cost_cents": None,
        }
    ],
    "tasks": [],
}
ENTRIES = [
    {"at": "2026-12-01T17:00:00.000Z", "kind": "call_accepted", "contact_id": "crm-42", "agent_id": "agent_1"},
    {
        "at": "2026-12-01T17:00:00.250Z",
        "kind": "gate",
        "attempt_id": "019ad9f0-attempt",
        "detail": {"verdict": "admit", "rule": "admitted", "until": None},
    },
    {
        "at": "2026-12-01T17:00:03.000Z",
        "kind": "provider_event",
        "event": "call_ended",
        "fate": "applied",
        "attempt_id": "019ad9f0-attempt",
    },
    {
        "at": "2026-12-01T18:01:04.000Z",
        "kind": "abt_event",
        "type": "voice_ai_call_failed",
        "reason": "busy",
        "is_final": False,
        "tries": 1,
        "delivered_at": "2026-12-01T18:01:04.020Z",
    },
]
REFUSED = {
    "detail": "The request has one problem; see errors.",
    "errors": [{"pointer": "#/contact/phone", "code": "not_e164", "message": "A phone number is E.164."}],
}
run = CliRunner().invoke


class RecordedApi(BaseHTTPRequestHandler):
    """An API that records its requests and sends prepared responses."""

    requests: list[tuple[str, str, str | None, dict | None]]
    responses: dict[str, tuple[int, dict]]

    def respond(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        key = self.headers.get("Authorization")
        self.requests.append((self.command, self.path, key, json.loads(content) if content else None))
        status, body = self.responses[self.path]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    do_GET = do_POST = respond

    def log_message(self, *_) -> None: ...


@pytest.fixture
def voice_api(monkeypatch, tmp_path) -> Iterator[type[RecordedApi]]:
    class OneApi(RecordedApi):
        requests = []
        responses = {}

    server = ThreadingHTTPServer(("127.0.0.1", 0), OneApi)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RINGBACK_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("RINGBACK_API_KEY", "rbk_1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("COLUMNS", "200")
    yield OneApi
    server.shutdown()
    server.server_close()


def test_call_sends_its_options_and_prints_the_id_alone_on_stdout(voice_api):
    voice_api.responses["/v1/calls"] = (202, {"call_id": "c-1", "status": "queued", "next_eligible_at": None})
    arguments = ["call", "+14155550100", "--agent", "agent_1", "--var", "first_name=Ada", "--var", "x=a=b"]
    result = run(cli.app, [*arguments, "--not-before", "2026-12-01T17:00:00Z"])
    assert (result.exit_code, result.stdout) == (0, "c-1\n")
    ((method, _, key, sent),) = voice_api.requests
    assert (method, key) == ("POST", "Bearer rbk_1")
    assert sent["contact"]["phone"] == "+14155550100"
    assert "4155550100" not in sent["contact"]["contact_id"]
    assert sent["variables"] == {"first_name": "Ada", "x": "a=b"}
    assert sent["not_before"] == "2026-12-01T17:00:00Z"


@pytest.mark.parametrize(
    ("options", "retry"),
    [
        (["--retry", "no_answer=3600,14400"], {"max_attempts": 3, "rules": {"no_answer": [3600, 14400]}}),
        (
            ["--retry", "busy=600", "--retry", "voicemail=86400", "--max-attempts", "4"],
            {"max_attempts": 4, "rules": {"busy": [600], "voicemail": [86400]}},
        ),
        (["--max-attempts", "2"], {"max_attempts": 2}),
    ],
)
def test_call_sends_its_retry_options_as_rules(voice_api, options, retry):
    voice_api.responses["/v1/calls"] = (202, {"call_id": "c-1", "status": "queued", "next_eligible_at": None})
    assert run(cli.app, ["call", "+14155550100", "--agent", "agent_1", *options]).exit_code == 0
    ((_, _, _, sent),) = voice_api.requests
    assert sent["retry"] == retry


@pytest.mark.parametrize("rules", [["busy"], ["busy="], ["=60"], ["busy=1h"], ["busy=60,"], ["busy=60", "busy=90"]])
def test_call_says_how_a_retry_is_written(voice_api, rules):
    options = [part for rule in rules for part in ("--retry", rule)]
    result = run(cli.app, ["call", "+14155550100", "--agent", "agent_1", *options])
    assert (result.exit_code, voice_api.requests) == (2, [])
    assert "--retry" in result.stderr


def test_call_prints_the_reason_and_ends_with_1_when_the_call_fails_at_once(voice_api):
    ended = {"call_id": "c-1", "status": "failed", "reason": "suppressed", "next_eligible_at": None}
    voice_api.responses["/v1/calls"] = (202, ended)
    result = run(cli.app, ["call", "+14155550100", "--agent", "agent_1"])
    assert (result.exit_code, result.stdout) == (1, "c-1\n")
    assert result.stderr == "failed (suppressed); its story: ringback trace c-1\n"


def test_call_names_the_data_directory_of_the_next_command(voice_api):
    voice_api.responses["/v1/calls"] = (202, {"call_id": "c-1", "status": "queued", "next_eligible_at": None})
    result = run(cli.app, ["call", "+14155550100", "--agent", "agent_1", "--data-dir", "my data"])
    assert result.stderr == "queued; its story: ringback trace c-1 --data-dir 'my data'\n"


def test_call_prints_every_problem_and_ends_with_1_when_it_is_refused(voice_api):
    voice_api.responses["/v1/calls"] = (422, REFUSED)
    result = run(cli.app, ["call", "nonsense", "--agent", "agent_1"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "#/contact/phone: A phone number is E.164." in result.stderr


def test_trace_prints_one_line_when_the_server_does_not_respond(monkeypatch):
    monkeypatch.setenv("RINGBACK_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("RINGBACK_API_KEY", "rbk_1")
    result = run(cli.app, ["trace", "c-1"])
    assert isinstance(result.exception, SettingsError)
    assert "no Ringback responds at http://127.0.0.1:9" in str(result.exception)


def test_trace_prints_the_timeline_line_by_line(voice_api):
    voice_api.responses = {"/v1/calls/c-1": (200, CALL), "/v1/calls/c-1/timeline": (200, {"entries": ENTRIES})}
    result = run(cli.app, ["trace", "c-1"])
    assert result.exit_code == 0
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert lines == [
        "call 019ad9f0-call  scheduled  contact crm-42  next at 2026-12-01 18:00:00.000 UTC",
        "",
        "2026-12-01 17:00:00.000  +0.000 s      call_accepted         contact_id=crm-42  agent_id=agent_1",
        "2026-12-01 17:00:00.250  +0.250 s  #1  gate                  verdict=admit  rule=admitted",
        "2026-12-01 17:00:03.000  +3.000 s  #1  provider_event        event=call_ended  fate=applied",
        "2026-12-01 18:01:04.000  +1:01:04      voice_ai_call_failed  reason=busy  is_final=false"
        "  delivered_at=2026-12-01 18:01:04.020",
        "",
        "attempt 1  state=analyzed  dial=busy  party=unknown  end=provider  disconnection_reason=dial_busy"
        "  duration_ms=0  provider_call_id=call_9",
    ]


def test_trace_as_a_tree_nests_messages_and_attempts_and_names_processes(voice_api):
    task = {"at": "2026-12-01T17:00:00.000Z", "kind": "task_created", "task_id": "t-1", "task_kind": "first"}
    message = {"at": "2026-12-01T17:00:00.010Z", "kind": "call_message", "task_id": "t-1", "dispatch": 1}
    entries = [ENTRIES[0], task, message, *ENTRIES[1:]]
    voice_api.responses = {"/v1/calls/c-1": (200, CALL), "/v1/calls/c-1/timeline": (200, {"entries": entries})}
    result = run(cli.app, ["trace", "c-1", "--tree"])
    assert result.exit_code == 0
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        "call 019ad9f0-call  scheduled  contact crm-42  next at 2026-12-01 18:00:00.000 UTC"
        f"  trace {of_call('019ad9f0-call').trace_id}",
        "+0.000 s  ├─ call_accepted         Voice API  contact_id=crm-42  agent_id=agent_1",
        "+0.000 s  ├─ task_created          task_id=t-1  task_kind=first",
        "+0.010 s  │  └─ call_message       outbox to queue 1  task_id=t-1  dispatch=1",
        "+0.250 s  ├─ attempt 1",
        "+0.250 s  │  ├─ gate               call processor  verdict=admit  rule=admitted",
        "+3.000 s  │  └─ provider_event     webhook processor  event=call_ended  fate=applied",
        "+1:01:04  └─ voice_ai_call_failed  outbox to Engage  reason=busy  is_final=false"
        "  delivered_at=2026-12-01 18:01:04.020",
    ]


def test_trace_as_json_is_the_response_of_the_api(voice_api):
    voice_api.responses = {"/v1/calls/c-1": (200, CALL), "/v1/calls/c-1/timeline": (200, {"entries": ENTRIES})}
    printed = json.loads(run(cli.app, ["trace", "c-1", "--json"]).stdout)
    assert printed == {"call": CALL, "entries": ENTRIES}


def test_calls_lists_a_row_per_call_with_its_reason(voice_api):
    talking = {**CALL["attempts"][0], "state": "ongoing", "ended_at": None, "started_at": "2026-12-01T17:00:04.000Z"}
    open_call = {**CALL, "reason": None, "next_eligible_at": "2020-12-01T18:00:00.000Z"}
    on_the_phone = {**CALL, "call_id": "c-2", "status": "in_progress", "next_eligible_at": None, "attempts": [talking]}
    refused = {**CALL, "call_id": "c-3", "status": "failed", "reason": "suppressed", "next_eligible_at": None}
    refused["attempts"] = []
    voice_api.responses = {
        "/v1/calls?phone=%2B14155550100&stuck=true&limit=3": (200, {"items": [open_call], "next_cursor": "c-9"}),
        "/v1/calls?phone=%2B14155550100&stuck=true&limit=2&cursor=c-9": (
            200,
            {"items": [{**on_the_phone, "reason": None}, refused], "next_cursor": "c-3"},
        ),
    }
    arguments = ["calls", "--phone", "+14155550100", "--stuck", "--limit", "3"]
    result = run(cli.app, arguments)
    assert result.stdout.splitlines() == [
        "call           status       contact  attempts  reason",
        "019ad9f0-call  scheduled    crm-42   1         was due 2020-12-01 18:00:00.000 UTC, after dial_busy",
        "c-2            in_progress  crm-42   1         talking since 2026-12-01 17:00:04.000 UTC",
        "c-3            failed       crm-42   0         suppressed",
    ]
    assert result.stderr == "3 calls; there are more, see --limit\n"
    listed = json.loads(run(cli.app, [*arguments, "--json"]).stdout)
    assert [call["call_id"] for call in listed] == ["019ad9f0-call", "c-2", "c-3"]


def test_a_call_that_waits_for_its_retry_has_the_time_and_the_reason(voice_api):
    waiting = {**CALL, "reason": "no_answer", "next_eligible_at": "2999-12-01T18:00:00.000Z"}
    voice_api.responses["/v1/calls?limit=50"] = (200, {"items": [waiting], "next_cursor": None})
    _, row = run(cli.app, ["calls"]).stdout.splitlines()
    assert row.endswith("  due 2999-12-01 18:00:00.000 UTC, after no_answer")


def test_calls_sends_since_as_a_time_and_refuses_another_text(voice_api):
    class AnyPage(dict):
        def __getitem__(self, path):
            return 200, {"items": [], "next_cursor": None}

    voice_api.responses = AnyPage()
    began = datetime.now(UTC)
    for text, ago in {"90s": 90, "30m": 1800, "1h": 3600, "2d": 172800}.items():
        assert run(cli.app, ["calls", "--since", text]).exit_code == 0
        sent = parse_qs(urlsplit(voice_api.requests[-1][1]).query)["since"][0]
        assert abs((began - datetime.fromisoformat(sent)).total_seconds() - ago) < 10
    assert run(cli.app, ["calls", "--since", "2026-12-01T18:00:00+01:00"]).exit_code == 0
    assert "since=2026-12-01T17%3A00%3A00.000Z" in voice_api.requests[-1][1]
    refused = run(cli.app, ["calls", "--since", "yesterday"])
    assert (refused.exit_code, "90s, 30m, 1h, 2d" in refused.stderr) == (2, True)


def test_trace_encodes_an_id_with_odd_characters_as_one_path_segment(voice_api):
    voice_api.responses["/v1/calls/..%2F%3Fx"] = (404, {"detail": "There is no such call.", "errors": []})
    result = run(cli.app, ["trace", "../?x"])
    assert (result.exit_code, result.stderr) == (1, "404: There is no such call.\n")


def test_call_makes_one_contact_id_for_all_spellings_of_a_number(monkeypatch):
    contact_ids = []

    def request(data_dir, method, path, body=None):
        contact_ids.append(body["contact"]["contact_id"])
        return {"call_id": "c-1", "status": "queued", "next_eligible_at": None}

    monkeypatch.setattr("ringback.cli.calls.request", request)
    for phone in ("+14155550160", "+114155550160", "+14155550161"):
        assert run(cli.app, ["call", phone, "--agent", "agent_1"]).exit_code == 0
    assert contact_ids[0] == contact_ids[1] != contact_ids[2]
