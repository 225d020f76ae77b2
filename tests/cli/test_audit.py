"""ringback audit, and the row that each command leaves which writes to the database itself."""

import getpass
import json

import pytest
from typer.testing import CliRunner

from ringback import cli

run = CliRunner().invoke
SUPPRESSED = """
INSERT INTO suppressions (suppression_id, phone, reason, source, created_at)
VALUES ('s-1', '+14155550100', 'x', 'api', now())
"""


def listed(*options: str) -> list[dict]:
    return json.loads(run(cli.app, ["audit", "list", "--json", *options]).stdout)


def shown(rows: list[dict]) -> list[tuple]:
    return [(row["actor"], row["action"], row["object"], row["detail"]) for row in rows]


def test_each_command_that_writes_leaves_one_row(database, dead_event, monkeypatch):
    monkeypatch.setenv("RINGBACK_ERASURE_KEY", "k" * 40)
    user = f"cli:{getpass.getuser()}"
    letter = json.loads(run(cli.app, ["dead-letters", "list", "--json"]).stdout)[0]["name"]
    commands = {
        "keys create crm --role engage": ("key.created", "key:crm", {"role": "engage"}),
        "keys revoke crm": ("key.revoked", "key:crm", {}),
        f"dead-letters replay {letter}": ("dead_letters.replayed", f"dead_letter:{letter}", {"letters": 1}),
        "dead-letters replay events": ("dead_letters.replayed", "dead_letter:events", {}),
        "analytics rebuild": ("statistics.rebuilt", None, {}),
    }
    for number, (command, expected) in enumerate(commands.items(), 1):
        assert run(cli.app, command.split()).exit_code == 0, command
        rows = listed()
        assert len(rows) == number, command
        assert shown(rows[:1]) == [(user, *expected)]
    database(SUPPRESSED)
    result = run(cli.app, ["erase", "+14155550100", "--reason", "asked by Ada", "--yes"])
    assert result.exit_code == 0, result.output
    (row, *before) = listed()
    assert len(before) == len(commands)
    assert shown([row]) == [(user, "person.erased", None, {"suppressions": 1})]
    assert run(cli.app, ["db", "rekey"]).exit_code == 0
    (row, *before) = listed()
    assert len(before) == len(commands) + 1
    assert shown([row]) == [(user, "hashes.renewed", None, {})]


def test_a_command_that_changes_nothing_leaves_no_row(database, monkeypatch):
    monkeypatch.setenv("RINGBACK_ERASURE_KEY", "k" * 40)
    for command, code in {
        "keys revoke crm": 1,
        "dead-letters replay outbox": 0,
        "dead-letters replay outbox:17": 1,
        "db rekey": 0,
    }.items():
        assert run(cli.app, command.split()).exit_code == code, command
    assert listed() == []
    run(cli.app, ["keys", "create", "crm"])
    run(cli.app, ["keys", "create", "crm"])
    run(cli.app, ["keys", "revoke", "crm"])
    run(cli.app, ["keys", "revoke", "crm"])
    assert [row["action"] for row in listed()] == ["key.revoked", "key.created"]


def test_list_has_a_line_for_each_row_and_chooses_by_its_options(database):
    assert run(cli.app, ["audit", "list"]).stderr == "0 rows\n"
    for name in ("crm", "wall", "a b"):
        run(cli.app, ["keys", "create", name, "--role", "viewer"])
    run(cli.app, ["keys", "revoke", "wall"])
    result = run(cli.app, ["audit", "list", "--limit", "3"])
    header, *lines = result.stdout.splitlines()
    assert header.split() == ["row", "at", "(UTC)", "by", "action", "object", "detail"]
    assert [line.split()[0] for line in lines] == ["4", "3", "2"]
    assert "key:a b" in lines[1] and "role=viewer" in lines[1]
    assert result.stderr == "3 rows; there are more, see --limit\n"
    assert [row["sequence"] for row in listed("--action", "key.created")] == [3, 2, 1]
    assert [row["sequence"] for row in listed("--object", "key:wall")] == [4, 2]
    assert listed("--actor", "api:crm") == []
    assert len(listed("--since", "1h")) == 4
    assert run(cli.app, ["audit", "list", "--since", "yesterday"]).exit_code == 2
    assert run(cli.app, ["audit", "list", "--action", "key.lost"]).exit_code == 2


def test_verify_says_how_many_rows_are_whole(database):
    assert run(cli.app, ["audit", "verify"]).stdout == f"0 rows are whole; the last is 0, hash {'0' * 64}\n"
    run(cli.app, ["keys", "create", "crm"])
    (row,) = listed()
    result = run(cli.app, ["audit", "verify"])
    assert (result.exit_code, result.stdout) == (0, f"1 row is whole; the last is 1, hash {row['hash']}\n")


@pytest.mark.parametrize("as_json", [False, True])
def test_verify_names_the_row_that_breaks_the_chain_and_ends_with_1(database, as_json):
    for name in ("crm", "wall", "ops"):
        run(cli.app, ["keys", "create", name])
    database("SET session_replication_role = replica; UPDATE audit SET object = 'key:other' WHERE sequence = 2")
    result = run(cli.app, ["audit", "verify", *(["--json"] if as_json else [])])
    assert result.exit_code == 1
    assert result.stderr == "the chain breaks: row 2 was changed, or the hash of it in row 3\n"
    if as_json:
        told = json.loads(result.stdout)
        assert (told["rows"], told["last_sequence"], told["fault"]) == (
            2,
            2,
            "row 2 was changed, or the hash of it in row 3",
        )
    else:
        assert result.stdout == ""
