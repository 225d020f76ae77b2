"""The command line as a whole: help, missing settings, an unavailable database."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from ringback import cli
from ringback.config import SettingsError

run = CliRunner().invoke
#: Without pydantic, with which typer itself reads the options of a command.
HEAVY = {
    *("asyncio", "asyncpg", "fastapi", "aiohttp", "retell", "alembic", "uvicorn", "aiobotocore", "rich", "phonenumbers")
}


def test_serve_names_the_setting_when_there_is_no_database(monkeypatch):
    monkeypatch.delenv("RINGBACK_DATABASE_URL", raising=False)
    result = run(cli.app, ["serve", "scheduler"])
    assert isinstance(result.exception, SettingsError)
    assert "RINGBACK_DATABASE_URL" in str(result.exception)


@pytest.mark.parametrize("group", ["", "keys", "db", "dead-letters", "retell", "analytics", "audit"])
def test_help_lists_each_command_with_a_whole_sentence(group):
    listed = run(cli.app, [*group.split(), "--help"]).output.partition("Commands:\n")[2].splitlines()
    assert listed
    assert [line for line in listed if not line.endswith(".")] == []
    assert [line for line in listed if line.endswith("...")] == []


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
        "audit verify",
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


@pytest.mark.parametrize(
    "command", ["--version", "--help", "why +14155550100", "calls", "trace c-1", "pause", "retell try note_writeback"]
)
def test_a_light_command_imports_nothing_heavy(tmp_path: Path, command: str):
    (tmp_path / "up.json").write_text('{"url": "http://127.0.0.1:9", "api_key": "rbk_1"}')
    code = (
        "import atexit, sys; from ringback import cli\n"
        f"heavy = {HEAVY}\n"
        "atexit.register(lambda: sys.stderr.write('heavy: ' + ','.join(sorted(heavy & set(sys.modules)))))\n"
        "cli.main()"
    )
    words = command.split() if command.startswith("--") else [*command.split(), "--data-dir", "."]
    env = {"PATH": "/usr/bin", "RETELL_WEBHOOK_KEY": "key_1"}
    ended = subprocess.run(
        [sys.executable, "-c", code, *words], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in ended.stderr
    assert ended.stderr.endswith("heavy: "), ended.stderr


@pytest.mark.parametrize("command", ["up", "serve scheduler", "emulate engage"])
def test_a_port_that_does_not_exist_is_wrong_use(command: str):
    result = run(cli.app, [*command.split(), "--port", "65536"])
    assert (result.exit_code, "less than or equal to 65535" in result.stderr) == (2, True), result.stderr


def test_version_is_that_of_the_package():
    assert run(cli.app, ["--version"]).stdout == f"ringback {version('ringback')}\n"


def test_the_shell_completes_commands_and_options():
    for words, completed in {
        "ringback ca": {"call", "calls", "catalog"},
        "ringback dead-letters re": {"replay"},
        "ringback calls --st": {"--status", "--stuck"},
        "ringback calls --status unk": {"unknown"},
    }.items():
        env = {
            "PATH": "/usr/bin",
            "_RINGBACK_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        }
        code = "import sys; sys.argv[0] = 'ringback'; from ringback.cli import main; main()"
        ended = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
        assert set(ended.stdout.split()) == completed, ended.stderr


def test_every_command_that_prints_data_has_json():
    def leaves(group, path=()):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from leaves(command, (*path, name))
            else:
                yield " ".join((*path, name)), {option for parameter in command.params for option in parameter.opts}

    without = {name for name, options in leaves(get_command(cli.app)) if "--json" not in options}
    # These run until a signal, tell a result in one word, write files, or print JSON or SQL only.
    assert without == {
        "demo", "serve", "emulate", "db upgrade", "db rekey", "keys revoke", "dead-letters show", "retell tools",
        "analytics ddl", "export",
    }  # fmt: skip
