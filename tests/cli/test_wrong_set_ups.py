"""Wrong set-ups: each ends a command with one sentence and exit code 2, and never with a traceback."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import asyncpg
import pytest

from ringback.embedded.data_dir import DataDirectoryLock
from tests.postgresql import named

WHY = "why +14155550100"
SERVE = "serve scheduler --port {free}"
RETELL = {"RETELL_API_KEY": "key_1", "RETELL_BASE_URL": "http://127.0.0.1:1"}
#: Of a database that exists.
GOOD = {"RINGBACK_DATABASE_URL": "{database}"}


@dataclass(frozen=True)
class WrongSetUp:
    """A command in a wrong environment, and a part of its sentence. Names in braces are those of `Surroundings`."""

    name: str
    command: str
    said: str
    env: dict[str, str] = field(default_factory=dict)


def wrong_setting(setting: str, value: str, said: str) -> WrongSetUp:
    return WrongSetUp(f"{setting}={value}", "doctor", f"{setting}: {said}", {setting: value})


SET_UPS = (
    wrong_setting("RINGBACK_COUNTRIES", "USA", "must be ISO 3166 country codes"),
    wrong_setting("RINGBACK_COUNTRIES", "US,ZZ", "ZZ is no country of ISO 3166"),
    wrong_setting("RINGBACK_NUMBER_TYPES", "fax", "must be none, or some of premium"),
    wrong_setting("RINGBACK_CALLING_HOURS", "whenever", ""),
    wrong_setting("RINGBACK_MAX_LIVE_CALLS", "many", "must be a whole number from 1 to 100000"),
    wrong_setting("RINGBACK_ATTEMPT_GAP_S", "-1", "must be a whole number from 0 to 604800"),
    wrong_setting("RINGBACK_CREATE_TIMEOUT_S", "0", "must be a number from 0.1 to 300"),
    wrong_setting("RINGBACK_UNKNOWN_LOOKUPS_S", "30,5", "must be rising whole seconds"),
    wrong_setting("RINGBACK_LOG_FORMAT", "xml", "must be console or json"),
    wrong_setting("RINGBACK_ERASURE_KEY", "short", "must be at least 32 random characters"),
    wrong_setting("RINGBACK_DATABASE_URL", "mysql://x/y", "must be a URL that begins with postgresql://"),
    wrong_setting("RINGBACK_DATABASE_URL", "postgresql://u@h:port/x", "must have a number from 0 to 65535"),
    wrong_setting("RETELL_BASE_URL", "api.retellai.com", "must be a URL that begins with http://"),
    wrong_setting("RETELL_BASE_URL", "http://", "must name a host"),
    WrongSetUp(
        "an engage without its secret",
        "doctor",
        "RINGBACK_ENGAGE_SECRET: must be set with RINGBACK_ENGAGE_URL",
        {"RINGBACK_ENGAGE_URL": "https://engage.example"},
    ),
    WrongSetUp(
        "two deadlines that exclude each other",
        "doctor",
        "RINGBACK_ANALYSIS_GIVE_UP_S: must not be shorter than RINGBACK_ANALYSIS_DEADLINE_S",
        {"RINGBACK_ANALYSIS_GIVE_UP_S": "10"},
    ),
    WrongSetUp(
        "one queue for both",
        "doctor",
        "RINGBACK_EVENT_QUEUE: must be another queue than RINGBACK_CALL_QUEUE",
        {"RINGBACK_CALL_QUEUE": "q", "RINGBACK_EVENT_QUEUE": "q"},
    ),
    WrongSetUp(
        "a catalogue that does not exist",
        "catalog",
        "RINGBACK_CATALOG: none.toml cannot be read (No such file or directory)",
        {"RINGBACK_CATALOG": "none.toml"},
    ),
    WrongSetUp("bad TOML", SERVE, "the catalogue is not TOML", {**GOOD, **RETELL, "RINGBACK_CATALOG": "bad.toml"}),
    WrongSetUp(
        "a catalogue that is no text", "retell tools --url https://x.io", "is not UTF-8", {"RINGBACK_CATALOG": "binary"}
    ),
    WrongSetUp("no database setting", SERVE, "RINGBACK_DATABASE_URL: must be set to serve a process"),
    WrongSetUp("no Retell key", "serve call-processor", "RETELL_API_KEY: must be set to serve", GOOD),
    WrongSetUp("a real Retell without a key", "up --data-dir real", "RETELL_API_KEY: must be set with RETELL_BASE_URL",
               {"RETELL_BASE_URL": "https://api.retellai.com"}),
    WrongSetUp("no webhook key", "serve webhook-receiver", "RETELL_WEBHOOK_KEY: must be set to serve", GOOD),
    WrongSetUp(
        "no database server", "keys list", "no server listens there", {"RINGBACK_DATABASE_URL": "postgresql://h@127.0.0.1:1/x"}
    ),
    WrongSetUp(
        "an unknown host", "db upgrade", "the host has no address", {"RINGBACK_DATABASE_URL": "postgresql://u@x.invalid/x"}
    ),
    WrongSetUp(
        "a wrong user",
        "keys list",
        "the server refuses the user or the password",
        {"RINGBACK_DATABASE_URL": "{unknown_user}"},
    ),
    WrongSetUp(
        "an unknown database",
        "dead-letters list",
        "the server has no such database",
        {"RINGBACK_DATABASE_URL": "{unknown_database}"},
    ),
    WrongSetUp(
        "a queue without a region",
        SERVE,
        "AWS_REGION: must be set, because the URL of the queue names no region",
        {**GOOD, **RETELL, "RINGBACK_EVENT_QUEUE": "http://127.0.0.1:1/queue"},
    ),
    WrongSetUp("a database before its upgrade", "keys list", "it has no tables yet: run ringback db upgrade",
               {"RINGBACK_DATABASE_URL": "{empty}"}),
    WrongSetUp("a process before the upgrade", SERVE, "the database is not upgraded",
               {**RETELL, "RINGBACK_DATABASE_URL": "{empty}"}),
    WrongSetUp("an old database", SERVE, "it is at 0001, and this program needs",
               {**RETELL, "RINGBACK_DATABASE_URL": "{old}"}),
    WrongSetUp("a port in use by a process", "serve scheduler --port {taken}", "Address already in use",
               {**GOOD, **RETELL}),
    WrongSetUp("a port in use by up", "up --port {taken}", "choose another with --port"),
    WrongSetUp("a port in use by an emulator", "emulate engage --port {taken}", "choose another with --port"),
    WrongSetUp("an address of another machine", "up --host 203.0.113.1", "cannot listen on 203.0.113.1"),
    WrongSetUp("a data directory in use", "up --data-dir used", "is in use by process {pid}"),
    WrongSetUp("a data directory that cannot be made", "up --data-dir bad.toml", "bad.toml cannot be a data directory"),
    WrongSetUp("an emulator without a directory", "emulate retell --state bad.toml", "cannot be a data directory"),
    WrongSetUp("no running system", WHY, "no Ringback to talk to: set RINGBACK_URL and RINGBACK_API_KEY"),
    WrongSetUp("an address without a scheme", WHY, "RINGBACK_URL: must be a URL", {"RINGBACK_URL": "localhost:8080"}),
    WrongSetUp(
        "an API that is down",
        "calls",
        "no Ringback responds at http://127.0.0.1:1 (Connection refused): start it with ringback up",
        {"RINGBACK_URL": "http://127.0.0.1:1", "RINGBACK_API_KEY": "rbk_1"},
    ),
    WrongSetUp(
        "a wrong key",
        "calls",
        "RINGBACK_API_KEY: {api} does not accept this key",
        {"RINGBACK_URL": "{api}", "RINGBACK_API_KEY": "rbk_1"},
    ),
    WrongSetUp(
        "a wrong webhook key",
        "retell try note_writeback",
        "RETELL_WEBHOOK_KEY: {api} does not accept a signature with this key",
        {"RINGBACK_URL": "{api}", "RETELL_WEBHOOK_KEY": "key_2"},
    ),
    WrongSetUp("no webhook key to sign", "retell try note_writeback", "RETELL_WEBHOOK_KEY: must be set to sign",
               {"RINGBACK_URL": "{api}"}),
    WrongSetUp(
        "another server",
        "pause",
        "what responds at {api}/other is no Ringback: correct RINGBACK_URL",
        {"RINGBACK_URL": "{api}/other", "RINGBACK_API_KEY": "rbk_1"},
    ),
    WrongSetUp("an export into a file", "export --out bad.toml --format csv", "--out: bad.toml cannot be", GOOD),
    WrongSetUp("no erasure key", "erase +14155550100 --reason x", "RINGBACK_ERASURE_KEY: must be set, here and", GOOD),
)  # fmt: skip


class RefusingApi(BaseHTTPRequestHandler):
    """An API that accepts no key, and a page of another server below /other."""

    def do_GET(self) -> None:
        is_other = self.path.startswith("/other")
        body = b"<html></html>" if is_other else b'{"detail": "A key is missing or wrong.", "errors": []}'
        self.send_response(404 if is_other else 401)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_) -> None: ...


@pytest.fixture(scope="module")
def surroundings(server_url, template_database, tmp_path_factory) -> Iterator[dict[str, str]]:
    """Return the names that a set-up may use, among them a port that is taken and a directory that is in use."""
    home = tmp_path_factory.mktemp("wrong")
    (home / "bad.toml").write_text("[fields")
    (home / "binary").write_bytes(b"x = \xff")
    asyncio.run(make_databases(server_url, template_database))
    api = ThreadingHTTPServer(("127.0.0.1", 0), RefusingApi)
    Thread(target=api.serve_forever, args=(0.01,), daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as taken, DataDirectoryLock(home / "used"):
        yield {
            "home": str(home),
            "database": named(server_url, template_database),
            "empty": named(server_url, "wrong_empty"),
            "old": named(server_url, "wrong_old"),
            "unknown_user": named(server_url, "postgres").replace("//postgres@", "//stranger@"),
            "unknown_database": named(server_url, "wrong_none"),
            "taken": str(taken.getsockname()[1]),
            "free": "0",
            "api": f"http://127.0.0.1:{api.server_port}",
            "pid": str(os.getpid()),
        }
    api.shutdown()
    api.server_close()


async def make_databases(server_url: str, template: str) -> None:
    connection = await asyncpg.connect(server_url)
    for name, source in (("wrong_empty", "template1"), ("wrong_old", template)):
        await connection.execute(f"DROP DATABASE IF EXISTS {name}")
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {source}")
    await connection.close()
    old = await asyncpg.connect(named(server_url, "wrong_old"))
    await old.execute("UPDATE alembic_version SET version_num = '0001'")
    await old.close()


@pytest.mark.matrix
@pytest.mark.parametrize("set_up", SET_UPS, ids=lambda set_up: set_up.name)
def test_a_wrong_set_up_ends_with_one_sentence_and_exit_code_2(set_up: WrongSetUp, surroundings):
    env = {name: value.format(**surroundings) for name, value in set_up.env.items()}
    ended = subprocess.run(
        [sys.executable, "-m", "ringback.cli", *set_up.command.format(**surroundings).split()],
        env={"PATH": "/usr/bin", **env},
        cwd=surroundings["home"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (2, ""), ended.stderr
    # The log lines of a process that began to start are JSON, and keys of an emulator are name=value.
    [sentence] = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    assert set_up.said.format(**surroundings) in sentence
    assert "Traceback" not in ended.stderr


def test_the_doctor_of_a_database_before_its_upgrade_says_what_to_do(surroundings):
    ended = subprocess.run(
        [sys.executable, "-m", "ringback.cli", "doctor"],
        env={"PATH": "/usr/bin", **RETELL, "RINGBACK_DATABASE_URL": surroundings["empty"]},
        cwd=surroundings["home"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False), ended.stderr
    assert "WRONG  schema              no tables yet, this program wants" in ended.stdout
    for queue in ("call queue ", "event queue"):
        assert f"WRONG  {queue}         the queue's database is not upgraded: run ringback db upgrade" in ended.stdout


def test_at_least_thirty_set_ups_are_tried():
    assert len({set_up.name for set_up in SET_UPS}) == len(SET_UPS) >= 30
