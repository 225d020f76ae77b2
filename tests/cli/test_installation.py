"""The commands for an installation: catalogue, agent's functions, doctor, erasure, new keys for hashes."""

import json
import tomllib
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from ringback import cli
from ringback.adapters.postgres.schema import NEWEST
from ringback.config import SettingsError, describe, read_settings
from ringback.domain.catalog import built_in_catalog, catalog_toml, parse_catalog

run = CliRunner().invoke


def test_catalog_prints_toml_that_parses_to_the_same_catalogue(monkeypatch, tmp_path):
    monkeypatch.delenv("RINGBACK_CATALOG", raising=False)
    printed = run(cli.app, ["catalog"]).stdout
    assert parse_catalog(printed) == built_in_catalog()
    assert json.loads(run(cli.app, ["catalog", "--json"]).stdout) == tomllib.loads(printed)
    own = tmp_path / "catalog.toml"
    own.write_text('[fields]\n"plan" = ["a\\u007f", "Zoë \\"x\\""]\n[dispositions]\n')
    monkeypatch.setenv("RINGBACK_CATALOG", str(own))
    assert parse_catalog(run(cli.app, ["catalog"]).stdout) == parse_catalog(own.read_text())
    assert catalog_toml(parse_catalog(catalog_toml(built_in_catalog()))) == catalog_toml(built_in_catalog())


def test_commands_report_a_catalogue_that_cannot_be_read(monkeypatch, tmp_path):
    monkeypatch.setenv("RINGBACK_CATALOG", str(tmp_path / "none.toml"))
    for command in (["catalog"], ["retell", "tools", "--url", "https://x.example"]):
        result = run(cli.app, command)
        assert isinstance(result.exception, SettingsError)
        assert "RINGBACK_CATALOG" in str(result.exception)


def test_retell_tools_prints_the_seven_functions_of_an_agent(monkeypatch):
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


def test_retell_tools_has_the_words_and_the_speech_of_the_catalogue(monkeypatch, tmp_path):
    own = tmp_path / "catalog.toml"
    own.write_text("""
        [dispositions.liked]
        description = "The person liked it."
        [fields]
        seats = { type = "number", description = "How many seats." }
        [events.paid]
        description = "The person paid."
        [events.paid.data]
        amount = { type = "number", required = true, description = "In dollars." }
        [events.seen]
        [events.seen.data]
        amount = { type = "text", description = "As they said it." }
        page = ["home", "prices"]
        [tools.set_disposition]
        speak_after_execution = false
        [tools.reschedule_call]
        speak_during_execution = true
    """)
    monkeypatch.setenv("RINGBACK_CATALOG", str(own))
    printed = json.loads(run(cli.app, ["retell", "tools", "--url", "https://x.example"]).stdout)
    tools = {tool["name"]: tool for tool in printed}
    of_event = tools["send_abt_event"]["parameters"]["properties"]
    assert tools["field_writeback"]["parameters"]["properties"]["fields"]["properties"] == {
        "seats": {"type": "number", "description": "How many seats."}
    }
    assert "liked: The person liked it." in tools["set_disposition"]["parameters"]["properties"]["code"]["description"]
    assert of_event["type"]["description"] == "What happened. paid: The person paid."
    assert of_event["data"]["properties"] == {
        "amount": {"description": "Needed for paid. In dollars. Optional for seen. As they said it."},
        "page": {"type": "string", "enum": ["home", "prices"], "description": "Optional for seen."},
    }
    assert of_event["data"]["additionalProperties"] is False
    silent = {name for name, tool in tools.items() if not tool["speak_after_execution"]}
    assert (silent, {name for name, tool in tools.items() if tool["speak_during_execution"]}) == (
        {"note_writeback", "send_abt_event", "set_disposition"},
        {"reschedule_call"},
    )
    assert "Nothing is spoken after it" in tools["set_disposition"]["description"]


def test_notes_and_events_are_filed_silently_by_default():
    printed = json.loads(run(cli.app, ["retell", "tools", "--url", "https://x.example"]).stdout)
    silent = {tool["name"] for tool in printed if not tool["speak_after_execution"]}
    assert silent == {"note_writeback", "send_abt_event"}


def test_functions_with_args_at_the_root_have_the_attempt_id_as_a_constant():
    tools = json.loads(run(cli.app, ["retell", "tools", "--url", "https://x.example", "--args-at-root"]).stdout)
    for tool in tools:
        mark = tool["parameters"]["properties"]["ringback_attempt_id"]
        assert (tool["args_at_root"], mark["const"]) == (True, "{{ringback_attempt_id}}")
        assert "ringback_attempt_id" in tool["parameters"]["required"]


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://calls.example", "must begin with https://"),
        ("calls.example", "must begin with https://"),
        ("https://", "must begin with https://"),
        ("https://calls.example?x=1", "must have neither a query"),
        ("https://me:secret@calls.example", "must have neither a query"),
        ("https://127.0.0.1:8080", "Retell cannot reach 127.0.0.1"),
        ("https://10.1.2.3", "Retell cannot reach 10.1.2.3"),
        ("https://[::1]", "Retell cannot reach ::1"),
        ("https://localhost", "Retell cannot reach localhost"),
        ("https://ringback.internal", "Retell cannot reach ringback.internal"),
        ("https://ringback", "Retell cannot reach ringback"),
        ("https://ringback.lan.", "Retell cannot reach ringback.lan."),
        ("https://calls.example/retell/webhook", "must be the address of the installation alone"),
        ("https://calls.example/v1/retell/functions/", "must be the address of the installation alone"),
    ],
)
def test_retell_tools_refuses_a_url_that_retell_cannot_call(url, fault):
    result = run(cli.app, ["retell", "tools", "--url", url])
    assert isinstance(result.exception, SettingsError)
    assert fault in str(result.exception)
    assert "secret" not in str(result.exception)
    assert result.stdout == ""


def test_retell_tools_says_where_to_paste_its_output():
    result = run(cli.app, ["retell", "tools", "--url", "https://x.example"])
    assert "general_tools" in result.stderr
    assert len(json.loads(result.stdout)) == 7


def test_retell_tools_needs_a_url(monkeypatch):
    monkeypatch.delenv("RINGBACK_URL", raising=False)
    assert "RINGBACK_URL" in str(run(cli.app, ["retell", "tools"]).exception)


def test_doctor_gives_advice_and_ends_with_1_if_something_is_wrong(dead_event):
    result = run(cli.app, ["doctor"])
    assert result.exit_code == 1
    lines = [line.split(maxsplit=1) for line in result.stdout.split("\n\n")[1].splitlines()]
    wrong = sorted(text.split("  ")[0] for mark, text in lines if mark == "WRONG")
    assert wrong == ["Retell API key", "outbox"]
    assert "run: ringback dead-letters list" in result.stdout
    assert f"schema              {NEWEST}, the newest" in result.stdout


def test_doctor_names_the_origin_of_a_webhook_key_that_is_not_the_api_key():
    defaults = read_settings({}, emulated=True)
    for keys, origin in ((("key_1",), "RETELL_API_KEY"), (("key_2",), "a running ringback up")):
        shown = describe(replace(defaults, retell_api_key="key_1", retell_webhook_key=keys))
        assert [row[2] for row in shown if row[0] == "RETELL_WEBHOOK_KEY"] == [origin]


SUPPRESSED = """INSERT INTO suppressions (suppression_id, phone, reason, source, created_at)
                VALUES ('s', '+14155550100', 'asked', 'api', now())"""


def test_erase_prints_the_number_of_erased_rows(database, monkeypatch):
    database("INSERT INTO contacts (contact_id, phone, updated_at) VALUES ('crm-42', '+14155550100', now())")
    without_key = run(cli.app, ["erase", "+14155550100", "--reason", "request 17"])
    assert without_key.exception.problems == [
        "RINGBACK_ERASURE_KEY: must be set, here and for every process, to erase a person"
    ]
    monkeypatch.setenv("RINGBACK_ERASURE_KEY", "a" * 32)
    assert run(cli.app, ["db", "rekey"]).stdout == "there is no hash of an erased person\n"
    database(SUPPRESSED)
    declined = run(cli.app, ["erase", "+14155550100", "--reason", "request 17"], input="n\n")
    assert declined.exit_code == 1
    counts = ("contacts              1", "calls                 0", "suppressions          1")
    assert all(count in declined.stderr for count in counts)
    assert declined.stderr.endswith("nothing was erased\n")
    result = run(cli.app, ["erase", "+14155550100", "--reason", "request 17"], input="y\n")
    assert result.exit_code == 0
    assert "contacts              1" in result.stdout
    assert "4155550100" not in result.stdout + result.stderr
    for phone in ("4155550100", "+1415555010"):
        refused = run(cli.app, ["erase", phone, "--reason", "x", "--yes"])
        assert (refused.exit_code, phone in refused.stderr) == (1, False)
    monkeypatch.setenv("RINGBACK_ERASURE_KEY", f"{'b' * 32},{'a' * 32}")
    assert run(cli.app, ["db", "rekey"]).stdout == "every hash is under the newest key\n"
    monkeypatch.setenv("RINGBACK_ERASURE_KEY", "a" * 32)
    assert "RINGBACK_ERASURE_KEY" in str(run(cli.app, ["db", "rekey"]).exception)


def test_erase_accepts_any_spelling_of_the_number(monkeypatch, database):
    monkeypatch.setenv("RINGBACK_ERASURE_KEY", "a" * 32)
    database("INSERT INTO contacts (contact_id, phone, updated_at) VALUES ('crm-42', '+14155550100', now())")
    result = run(cli.app, ["erase", "+114155550100", "--reason", "request 18", "--yes", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["rows"]["contacts"] == 1
