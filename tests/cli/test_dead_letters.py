"""ringback dead-letters, on a real database."""

import json

import pytest
from typer.testing import CliRunner

from ringback import cli
from ringback.messages import CallRequested, WebhookReceived, encode

run = CliRunner().invoke
DEAD_MESSAGE = """
INSERT INTO queue_messages (queue, body, sent_at, visible_at, dead_at, dead_reason)
VALUES ('events', '{body}', now(), now(), now(), 'Permanent')
"""


def test_dead_letters_are_listed_shown_and_replayed(dead_event):
    listed = run(cli.app, ["dead-letters", "list"])
    header, row = listed.stdout.splitlines()
    assert header.split() == ["name", "dead_at", "kind", "event", "call", "tries", "reason"]
    assert row.split() == [
        "outbox:1", "2026-12-01T17:00:00.000Z", "abt_event", "voice_ai_call_failed", "c-1", "5", "http_400",
    ]  # fmt: skip
    assert listed.stderr == "1 dead letter\n"
    (row,) = json.loads(run(cli.app, ["dead-letters", "list", "--json"]).stdout)
    assert row["name"] == "outbox:1"
    shown = run(cli.app, ["dead-letters", "show", "outbox:1"])
    assert json.loads(shown.stdout)["payload"]["id"] == "e-1"
    assert run(cli.app, ["dead-letters", "show", "outbox:2"]).exit_code == 1
    replayed = run(cli.app, ["dead-letters", "replay", "outbox:1"])
    assert (replayed.exit_code, replayed.stdout) == (0, "1 replayed\n")
    assert "A running Ringback sends it within seconds." in replayed.stderr
    assert "ringback trace CALL_ID" in replayed.stderr
    again = run(cli.app, ["dead-letters", "replay", "outbox:1"])
    assert (again.exit_code, again.stdout) == (1, "0 replayed\n")
    assert again.stderr.endswith("there is no dead letter outbox:1: see ringback dead-letters list\n")
    assert run(cli.app, ["dead-letters", "replay", "outbox"]).exit_code == 0
    wrong = run(cli.app, ["dead-letters", "replay", "elsewhere"])
    assert (wrong.exit_code, wrong.stderr) == (
        1,
        "elsewhere is no source of dead letters; the sources are outbox, calls, events\n",
    )


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        (encode(CallRequested("c-1", "t-1", 2)), ("CallRequested", None, "c-1")),
        (
            encode(WebhookReceived("2026-12-01T17:00:00Z", '{"event": "call_ended", "call": {"call_id": "call_9"}}')),
            ("WebhookReceived", "call_ended", "call_9"),
        ),
        (
            encode(WebhookReceived("2026-12-01T17:00:00Z", None, "call_9", "call_analyzed")),
            ("WebhookReceived", "call_analyzed", "call_9"),
        ),
        ("not JSON", ("unreadable", None, None)),
        ("[]", ("unreadable", None, None)),
        ('{"type": "WebhookReceived", "body": "[]"}', ("WebhookReceived", None, None)),
    ],
)
def test_a_letter_of_a_queue_is_listed_with_what_its_body_tells(database, body, facts):
    database(DEAD_MESSAGE.format(body=body.replace("'", "''")))
    [row] = json.loads(run(cli.app, ["dead-letters", "list", "--json"]).stdout)
    assert (row["kind"], row["event"], row["call"]) == facts
    assert (row["tries"], row["reason"]) == (None, "Permanent")
