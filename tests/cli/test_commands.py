"""The command line as a whole: help, missing settings, an unavailable database."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ringback import cli
from ringback.config import SettingsError

run = CliRunner().invoke


def test_serve_names_the_setting_when_there_is_no_database(monkeypatch):
    monkeypatch.delenv("RINGBACK_DATABASE_URL", raising=False)
    result = run(cli.app, ["serve", "scheduler"])
    assert isinstance(result.exception, SettingsError)
    assert "RINGBACK_DATABASE_URL" in str(result.exception)


def test_a_command_prints_every_problem_of_the_settings_and_ends_with_2(tmp_path: Path):
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
def test_a_command_prints_one_sentence_and_ends_with_2_when_the_database_is_unavailable(tmp_path: Path, command: str):
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


def test_the_command_line_imports_nothing_heavy():
    code = (
        "import sys; from ringback import cli\n"
        "heavy = {'asyncpg', 'fastapi', 'aiohttp', 'retell', 'pydantic', 'alembic', 'uvicorn', 'aiobotocore'}\n"
        "sys.stdout.write(','.join(sorted(heavy & set(sys.modules))))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("", "")
