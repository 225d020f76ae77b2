"""The command line against recorded answers of the Voice API."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ringback import cli
from ringback.config import SettingsError

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


class Recorded(BaseHTTPRequestHandler):
    asked: list[tuple[str, str, str | None, dict | None]]
    answers: dict[str, tuple[int, dict]]

    def answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        key = self.headers.get("Authorization")
        self.asked.append((self.command, self.path, key, json.loads(content) if content else None))
        status, body = self.answers[self.path]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    do_GET = do_POST = answer

    def log_message(self, *_) -> None: ...


@pytest.fixture
def voice_api(monkeypatch, tmp_path) -> Iterator[type[Recorded]]:
    class Here(Recorded):
        asked = []
        answers = {}

    server = ThreadingHTTPServer(("127.0.0.1", 0), Here)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RINGBACK_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("RINGBACK_API_KEY", "rbk_1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("COLUMNS", "200")
    yield Here
    server.shutdown()
    server.server_close()


def test_call_sends_what_was_asked_for_and_prints_the_id_alone_on_stdout(voice_api):
    voice_api.answers["/v1/calls"] = (202, {"call_id": "c-1", "status": "queued", "next_eligible_at": None})
    arguments = ["call", "+14155550100", "--agent", "agent_1", "--var", "first_name=Ada", "--var", "x=a=b"]
    result = run(cli.app, [*arguments, "--not-before", "2026-12-01T17:00:00Z"])
    assert (result.exit_code, result.stdout) == (0, "c-1\n")
    ((method, _, key, sent),) = voice_api.asked
    assert (method, key) == ("POST", "Bearer rbk_1")
    assert sent["contact"]["phone"] == "+14155550100"
    assert "4155550100" not in sent["contact"]["contact_id"]
    assert sent["variables"] == {"first_name": "Ada", "x": "a=b"}
    assert sent["not_before"] == "2026-12-01T17:00:00Z"


def test_a_call_that_ends_at_once_is_told_with_its_reason_and_ends_with_1(voice_api):
    ended = {"call_id": "c-1", "status": "failed", "reason": "suppressed", "next_eligible_at": None}
    voice_api.answers["/v1/calls"] = (202, ended)
    result = run(cli.app, ["call", "+14155550100", "--agent", "agent_1"])
    assert (result.exit_code, result.stdout) == (1, "c-1\n")
    assert result.stderr == "failed (suppressed); its story: ringback trace c-1\n"


def test_a_refusal_is_shown_with_every_problem_and_ends_with_1(voice_api):
    voice_api.answers["/v1/calls"] = (422, REFUSED)
    result = run(cli.app, ["call", "nonsense", "--agent", "agent_1"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "#/contact/phone: A phone number is E.164." in result.stderr


def test_a_server_that_is_not_there_is_said_in_one_line(monkeypatch):
    monkeypatch.setenv("RINGBACK_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("RINGBACK_API_KEY", "rbk_1")
    result = run(cli.app, ["trace", "c-1"])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)


def test_trace_tells_the_story_line_by_line(voice_api):
    voice_api.answers = {"/v1/calls/c-1": (200, CALL), "/v1/calls/c-1/timeline": (200, {"entries": ENTRIES})}
    result = run(cli.app, ["trace", "c-1"])
    assert result.exit_code == 0
    lines = [line.rstrip() for line in result.stdout.splitlines()]
    assert lines[0] == "call 019ad9f0-call  scheduled  contact crm-42  next at 12-01 18:00:00.000"
    story = {line.split("  ")[0]: line for line in lines[3:] if line}
    assert "#1" in story["12-01 17:00:00.250"]
    assert "verdict=admit  rule=admitted" in story["12-01 17:00:00.250"]
    assert "+0.250 s" in story["12-01 17:00:00.250"]
    assert "event=call_ended" in story["12-01 17:00:03.000"]
    last = story["12-01 18:01:04.000"]
    assert "+1:01:04" in last
    assert "voice_ai_call_failed" in last
    assert "reason=busy  is_final=false  delivered_at=12-01 18:01:04.020" in last
    assert "dial_busy" in lines[-1]


def test_trace_as_json_is_what_the_api_said(voice_api):
    voice_api.answers = {"/v1/calls/c-1": (200, CALL), "/v1/calls/c-1/timeline": (200, {"entries": ENTRIES})}
    told = json.loads(run(cli.app, ["trace", "c-1", "--json"]).stdout)
    assert told == {"call": CALL, "entries": ENTRIES}


def test_an_id_with_odd_characters_stays_one_path_segment(voice_api):
    voice_api.answers["/v1/calls/..%2F%3Fx"] = (404, {"detail": "There is no such call.", "errors": []})
    result = run(cli.app, ["trace", "../?x"])
    assert (result.exit_code, result.stderr) == (1, "404: There is no such call.\n")


def test_serving_without_a_database_is_refused_by_name(monkeypatch):
    monkeypatch.delenv("RINGBACK_DATABASE_URL", raising=False)
    result = run(cli.app, ["serve", "scheduler"])
    assert isinstance(result.exception, SettingsError)
    assert "RINGBACK_DATABASE_URL" in str(result.exception)


def test_bad_settings_end_with_2_and_every_problem(tmp_path: Path):
    env = {"RINGBACK_COUNTRIES": "USA", "RINGBACK_LOG_FORMAT": "xml", "PATH": "/usr/bin"}
    command = [sys.executable, "-c", "from ringback.cli import main; main()", "doctor"]
    ended = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 2


@pytest.mark.parametrize(
    "command",
    [
        "keys list",
        "db upgrade",
        "db rekey",
        "dead-letters list",
        "erase +14155550100 --reason x",
        "serve scheduler",
        "up --port 0",
    ],
)
def test_without_a_database_a_command_ends_with_2_and_one_sentence(tmp_path: Path, command: str):
    env = {
        "RINGBACK_DATABASE_URL": "postgresql://ringback:hunter2@127.0.0.1:1/ringback",
        "RINGBACK_ERASURE_KEY": "k" * 40,
        "RETELL_API_KEY": "key_1",
        "PATH": "/usr/bin",
    }
    arguments = [sys.executable, "-c", "from ringback.cli import main; main()", *command.split()]
    ended = subprocess.run(arguments, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1), ended.stderr
    assert "RINGBACK_DATABASE_URL" in ended.stderr
    assert "hunter2" not in ended.stderr


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from ringback import cli\n"
        "heavy = {'asyncpg', 'fastapi', 'aiohttp', 'retell', 'pydantic', 'alembic', 'uvicorn', 'aiobotocore'}\n"
        "sys.stdout.write(','.join(sorted(heavy & set(sys.modules))))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("", "")


def test_a_made_key_opens_the_door_and_its_name_is_taken(monkeypatch, database_url):
    monkeypatch.setenv("RINGBACK_DATABASE_URL", database_url)
    made = run(cli.app, ["keys", "create", "crm"])
    assert (made.exit_code, made.stdout.startswith("rbk_")) == (0, True)
    assert run(cli.app, ["keys", "create", "crm"]).exit_code == 1
    assert run(cli.app, ["db", "upgrade"]).stdout == "up to date already\n"
