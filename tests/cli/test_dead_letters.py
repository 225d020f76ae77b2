"""ringback dead-letters, on a real database."""

import json

from typer.testing import CliRunner

from ringback import cli

run = CliRunner().invoke


def test_dead_letters_are_listed_shown_and_replayed(dead_event):
    listed = run(cli.app, ["dead-letters", "list"])
    assert listed.stdout == "outbox:1  2026-12-01T17:00:00.000Z  abt_event  http_400\n"
    assert listed.stderr == "1 dead letters\n"
    (row,) = json.loads(run(cli.app, ["dead-letters", "list", "--json"]).stdout)
    assert row["name"] == "outbox:1"
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
