"""ringback keys: create, list, revoke."""

import json

import pytest
from typer.testing import CliRunner

from ringback import cli
from ringback.web.auth import hash_key

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def database(monkeypatch, database_url):
    monkeypatch.setenv("RINGBACK_DATABASE_URL", database_url)


def listed() -> list[dict]:
    return json.loads(run(cli.app, ["keys", "list", "--json"]).stdout)


def test_create_gives_a_key_the_role_of_the_option_or_admin():
    for arguments in (
        ["crm", "--role", "engage"],
        ["wall", "--role", "viewer"],
        ["ops", "--role", "operator"],
        ["old"],
    ):
        assert run(cli.app, ["keys", "create", *arguments]).stdout.startswith("rbk_")
    assert {one["name"]: one["role"] for one in listed()} == {
        "crm": "engage",
        "wall": "viewer",
        "ops": "operator",
        "old": "admin",
    }


def test_create_refuses_an_unknown_role_and_names_the_known_ones():
    result = run(cli.app, ["keys", "create", "crm", "--role", "root"])
    assert result.exit_code == 2
    assert all(role in result.stderr for role in ("engage", "viewer", "operator", "admin"))
    assert listed() == []


def test_list_shows_everything_but_the_key():
    key = run(cli.app, ["keys", "create", "crm", "--role", "engage"]).stdout.strip()
    run(cli.app, ["keys", "create", "a longer name"])
    assert run(cli.app, ["keys", "revoke", "crm"]).stdout == "revoked\n"
    result = run(cli.app, ["keys", "list"])
    header, *rows = [line.split("  ") for line in result.stdout.splitlines()]
    (crm, other) = listed()
    assert [cell.strip() for cell in header if cell] == ["name", "role", "created_at", "last_used_at", "revoked_at"]
    assert [[cell.strip() for cell in row if cell.strip()] for row in rows] == [
        ["crm", "engage", crm["created_at"], "never", crm["revoked_at"]],
        ["a longer name", "admin", other["created_at"], "never", "never"],
    ]
    assert crm.keys() == {"name", "role", "created_at", "last_used_at", "revoked_at"}
    assert key not in result.stdout and hash_key(key) not in result.stdout + json.dumps([crm, other])


def test_create_refuses_the_name_of_a_revoked_key_and_revoke_an_unknown_name():
    run(cli.app, ["keys", "create", "crm"])
    run(cli.app, ["keys", "revoke", "crm"])
    result = run(cli.app, ["keys", "create", "crm"])
    assert (result.exit_code, result.stderr) == (
        1,
        "there is a key of that name, or there was: see ringback keys list, and choose another name\n",
    )
    result = run(cli.app, ["keys", "revoke", "unknown"])
    assert (result.exit_code, result.stderr) == (1, "there is no key of that name: see ringback keys list\n")


def test_create_refuses_the_name_of_the_setting():
    """A change of the setting would end a key of that name."""
    result = run(cli.app, ["keys", "create", "RINGBACK_API_KEY"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert listed() == []


def test_create_prints_a_key_and_refuses_a_name_that_exists():
    made = run(cli.app, ["keys", "create", "crm"])
    assert (made.exit_code, made.stdout.startswith("rbk_")) == (0, True)
    assert run(cli.app, ["keys", "create", "crm"]).exit_code == 1
    other = json.loads(run(cli.app, ["keys", "create", "wall", "--role", "viewer", "--json"]).stdout)
    assert (other["name"], other["role"], other["key"].startswith("rbk_")) == ("wall", "viewer", True)
    assert run(cli.app, ["db", "upgrade"]).stdout == "up to date already\n"
