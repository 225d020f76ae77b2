"""The operator's commands: against recorded answers of the API, and on a real database."""

import asyncio
import json
import logging
from dataclasses import replace

import asyncpg
import pytest
import structlog
from typer.testing import CliRunner

from ringback import cli
from ringback.adapters.postgres.schema import NEWEST
from ringback.cli.doctor import _show_settings
from ringback.config import SettingsError, read_settings
from ringback.domain.catalog import built_in_catalog, catalog_toml, parse_catalog

run = CliRunner().invoke
WHY = {
    "next_eligible_at": "2026-12-02T14:00:00.000Z",
    "because": "outside_calling_hours",
    "dialing": {"paused": False, "reason": None, "breaker_until": None, "live": 2},
    "calling_hours": {"policy": "mon-sat 09:00-20:00", "time_zones": ["America/New_York"], "open_now": False,
                      "opens_at": "2026-12-02T14:00:00.000Z"},
    "contacts": [],
    "suppressions": [{"suppression_id": "s-1", "matches": ["phone"], "reason": "asked", "source": "api",
                      "created_at": "2026-12-01T17:00:00.000Z"}],
    "open_tasks": [{"call_id": "c-1", "task_id": "t-1", "kind": "callback", "status": "held", "held": True,
                    "due_at": "2026-12-02T01:00:00.000Z", "local_time": None, "time_zone": None,
                    "next_eligible_at": "2026-12-02T14:00:00.000Z", "because": "outside_calling_hours",
                    "waits": [{"rule": "outside_calling_hours", "until": "2026-12-02T14:00:00.000Z"}]}],
    "attempts_last_24h": [{"attempt_id": "a-1", "call_id": "c-1", "number": 1, "state": "analyzed",
                           "sent_at": "2026-12-01T17:00:00.000Z", "ended_at": None,
                           "disconnection_reason": "dial_busy", "holds_person": False}],
    "decisions": [{"at": "2026-12-01T17:00:00.000Z", "call_id": "c-1", "attempt_id": None, "kind": "gate",
                   "detail": {"verdict": "wait", "rule": "attempt_gap", "until": None}}],
}  # fmt: skip


@pytest.fixture
def answers(monkeypatch):
    """What the API answers, by (method, path), and what it was asked."""
    told, asked = {}, []

    def ask(data_dir, method, path, body=None):
        asked.append((method, path, body))
        return told[method, path]

    monkeypatch.setattr("ringback.cli.steering.ask", ask)
    return told, asked


def test_pause_says_since_when_and_what_goes_on(answers):
    told, asked = answers
    told["POST", "/v1/dialing/pause"] = {"paused": True, "paused_at": "T", "reason": "wrong script", "live": 3}
    result = run(cli.app, ["pause", "--reason", "wrong script"])
    assert (result.exit_code, result.stdout) == (0, "paused since T: wrong script\n")
    assert result.stderr == "3 calls are ringing or talking and go on\n"
    assert asked == [("POST", "/v1/dialing/pause", {"reason": "wrong script"})]


def test_resume_says_so(answers):
    told, _ = answers
    told["POST", "/v1/dialing/resume"] = {"paused": False}
    assert run(cli.app, ["resume"]).stdout == "dialing\n"


def test_why_asks_by_phone_or_by_contact_and_tells_line_by_line(answers):
    told, _ = answers
    told["GET", "/v1/why?phone=%2B14155550100"] = told["GET", "/v1/why?contact_id=a%26b"] = WHY
    assert run(cli.app, ["why", "a&b"]).exit_code == 0
    assert run(cli.app, ["why", "+14155550100"]).stdout.splitlines() == [
        "next call    2026-12-02T14:00:00.000Z  because outside_calling_hours",
        "hours        closed until 2026-12-02T14:00:00.000Z  (mon-sat 09:00-20:00 in America/New_York)",
        "dialing      on, 2 calls live",
        "suppressed   s-1  2026-12-01T17:00:00.000Z  api  asked",
        "open task    callback of call c-1  held (held)  due 2026-12-02T01:00:00.000Z"
        "  then outside_calling_hours until 2026-12-02T14:00:00.000Z",
        "attempt      2026-12-01T17:00:00.000Z  c-1  analyzed  dial_busy",
        'decision     2026-12-01T17:00:00.000Z  call c-1  gate  verdict="wait"  rule="attempt_gap"',
    ]
    assert json.loads(run(cli.app, ["why", "a&b", "--json"]).stdout) == WHY


def test_the_catalogue_is_printed_as_one_would_write_it(monkeypatch, tmp_path):
    monkeypatch.delenv("RINGBACK_CATALOG", raising=False)
    printed = run(cli.app, ["catalog"]).stdout
    assert parse_catalog(printed) == built_in_catalog()
    own = tmp_path / "catalog.toml"
    own.write_text('[fields]\n"plan" = ["a\\u007f", "Zoë \\"x\\""]\n[dispositions]\n')
    monkeypatch.setenv("RINGBACK_CATALOG", str(own))
    assert parse_catalog(run(cli.app, ["catalog"]).stdout) == parse_catalog(own.read_text())
    assert catalog_toml(parse_catalog(catalog_toml(built_in_catalog()))) == catalog_toml(built_in_catalog())


def test_a_catalogue_that_cannot_be_read_is_said_so(monkeypatch, tmp_path):
    monkeypatch.setenv("RINGBACK_CATALOG", str(tmp_path / "none.toml"))
    for command in (["catalog"], ["retell", "tools", "--url", "https://x"]):
        result = run(cli.app, command)
        assert isinstance(result.exception, SettingsError)
        assert "RINGBACK_CATALOG" in str(result.exception)


def test_the_tools_are_the_seven_of_an_agent_ready_to_be_pasted(monkeypatch):
    monkeypatch.setenv("RINGBACK_URL", "https://x.example/")
    tools = json.loads(run(cli.app, ["retell", "tools"]).stdout)
    assert {tool["name"] for tool in tools} == {
        "field_writeback", "reschedule_call", "delete_scheduled_task", "update_timezone", "set_disposition",
        "send_abt_event", "note_writeback",
    }  # fmt: skip
    for tool in tools:
        assert tool["url"] == f"https://x.example/v1/retell/functions/{tool['name']}"
        assert (tool["type"], tool["method"], tool["args_at_root"]) == ("custom", "POST", False)
        assert tool["parameters"]["type"] == "object"
        assert set(tool["parameters"].get("required", [])) <= set(tool["parameters"]["properties"])
        assert tool["description"]
        assert 1000 <= tool["timeout_ms"] <= 600_000


def test_args_at_the_root_carry_a_constant_that_says_whose_conversation_it_is():
    tools = json.loads(run(cli.app, ["retell", "tools", "--url", "https://x", "--args-at-root"]).stdout)
    for tool in tools:
        mark = tool["parameters"]["properties"]["ringback_attempt_id"]
        assert (tool["args_at_root"], mark["const"]) == (True, "{{ringback_attempt_id}}")
        assert "ringback_attempt_id" in tool["parameters"]["required"]


def test_the_tools_need_to_know_where_we_are(monkeypatch):
    monkeypatch.delenv("RINGBACK_URL", raising=False)
    assert "RINGBACK_URL" in str(run(cli.app, ["retell", "tools"]).exception)


@pytest.fixture
def own_logs():
    """A command sends the logs to its own stderr, which is gone after it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def database(own_logs, monkeypatch, tmp_path, database_url):
    for name in ("RETELL_API_KEY", "RETELL_WEBHOOK_KEY", "RETELL_BASE_URL", "RINGBACK_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RINGBACK_DATABASE_URL", database_url)
    monkeypatch.chdir(tmp_path)

    async def execute(statement):
        connection = await asyncpg.connect(database_url)
        await connection.execute(statement)
        await connection.close()

    return lambda statement: asyncio.run(execute(statement))


DEAD = """
INSERT INTO outbox (kind, message_id, order_key, call_id, payload, created_at, due_at, tries, dead_at, last_error)
VALUES ('abt_event', 'e-1', 'call:c-1', 'c-1', '{"id": "e-1"}', now(), now(), 5, '2026-12-01T17:00:00Z', 'http_400')
"""


def test_dead_letters_are_listed_shown_and_replayed(database):
    database(DEAD)
    listed = run(cli.app, ["dead-letters", "list"])
    assert listed.stdout == "outbox:1  2026-12-01T17:00:00.000Z  abt_event  http_400\n"
    assert listed.stderr == "1 dead letters\n"
    (told,) = json.loads(run(cli.app, ["dead-letters", "list", "--json"]).stdout)
    assert told["name"] == "outbox:1"
    shown = run(cli.app, ["dead-letters", "show", "outbox:1"])
    assert json.loads(shown.stdout)["payload"] == {"id": "e-1"}
    assert run(cli.app, ["dead-letters", "show", "outbox:2"]).exit_code == 1
    replayed = run(cli.app, ["dead-letters", "replay", "outbox:1"])
    assert (replayed.exit_code, replayed.stdout) == (0, "1 replayed\n")
    again = run(cli.app, ["dead-letters", "replay", "outbox:1"])
    assert (again.exit_code, again.stdout) == (1, "0 replayed\n")
    assert run(cli.app, ["dead-letters", "replay", "outbox"]).exit_code == 0
    wrong = run(cli.app, ["dead-letters", "replay", "elsewhere"])
    assert (wrong.exit_code, wrong.stderr) == (1, "known sources: outbox, calls, events\n")


def test_the_doctor_says_what_to_do_and_ends_with_1(database):
    database(DEAD)
    result = run(cli.app, ["doctor"])
    assert result.exit_code == 1
    lines = [line.split(maxsplit=1) for line in result.stdout.split("\n\n")[1].splitlines()]
    wrong = sorted(said.split("  ")[0] for mark, said in lines if mark == "WRONG")
    assert wrong == ["Retell API key", "outbox"]
    assert "run: ringback dead-letters list" in result.stdout
    assert f"schema              {NEWEST}, the newest" in result.stdout


def test_the_doctor_does_not_take_the_webhook_key_of_up_for_the_api_key(capsys):
    asked = read_settings({}, emulated=True)
    for keys, known in ((("key_1",), "RETELL_API_KEY"), (("key_2",), "a running ringback up")):
        _show_settings(replace(asked, retell_api_key="key_1", retell_webhook_key=keys))
        [shown] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("RETELL_WEBHOOK_KEY")]
        assert shown.endswith(f"({known})")


SUPPRESSED = """INSERT INTO suppressions (suppression_id, phone, reason, source, created_at)
                VALUES ('s', '+14155550100', 'asked', 'api', now())"""


def test_erasing_says_what_went(database, monkeypatch):
    database("INSERT INTO contacts (contact_id, phone, updated_at) VALUES ('crm-42', '+14155550100', now())")
    without_key = run(cli.app, ["erase", "+14155550100", "--reason", "request 17"])
    assert without_key.exception.problems == [
        "RINGBACK_ERASURE_KEY: must be set, here and for every process, to erase a person"
    ]
    monkeypatch.setenv("RINGBACK_ERASURE_KEY", "a" * 32)
    assert run(cli.app, ["db", "rekey"]).stdout == "nobody was erased whose hash would be kept\n"
    database(SUPPRESSED)
    result = run(cli.app, ["erase", "+14155550100", "--reason", "request 17"])
    assert result.exit_code == 0
    assert "contacts              1" in result.stdout
    assert "4155550100" not in result.stdout + result.stderr
    for phone in ("4155550100", "+1415555010"):
        refused = run(cli.app, ["erase", phone, "--reason", "x"])
        assert (refused.exit_code, phone in refused.stderr) == (1, False)
    monkeypatch.setenv("RINGBACK_ERASURE_KEY", f"{'b' * 32},{'a' * 32}")
    assert run(cli.app, ["db", "rekey"]).stdout == "every hash is under the newest key\n"
    monkeypatch.setenv("RINGBACK_ERASURE_KEY", "a" * 32)
    assert "RINGBACK_ERASURE_KEY" in str(run(cli.app, ["db", "rekey"]).exception)


def test_a_person_is_erased_under_any_spelling(monkeypatch, database):
    monkeypatch.setenv("RINGBACK_ERASURE_KEY", "a" * 32)
    database("INSERT INTO contacts (contact_id, phone, updated_at) VALUES ('crm-42', '+14155550100', now())")
    result = run(cli.app, ["erase", "+114155550100", "--reason", "request 18"])
    assert result.exit_code == 0
    assert "contacts              1" in result.stdout


def test_one_number_is_one_contact_however_it_is_spelled(monkeypatch):
    asked = []

    def ask(data_dir, method, path, body=None):
        asked.append(body["contact"]["contact_id"])
        return {"call_id": "c-1", "status": "queued", "next_eligible_at": None}

    monkeypatch.setattr("ringback.cli.calling.ask", ask)
    for phone in ("+14155550160", "+114155550160", "+14155550161"):
        assert run(cli.app, ["call", phone, "--agent", "agent_1"]).exit_code == 0
    assert asked[0] == asked[1] != asked[2]
