import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import asyncpg
import pytest

from ringback.embedded import EmbeddedPostgresError
from ringback.embedded.binaries import find_binaries
from ringback.embedded.server import PostgresServer

START = """
import sys
from pathlib import Path
from ringback.embedded.server import PostgresServer
PostgresServer(Path(sys.argv[1])).start()
"""


def half_made(data_dir: Path) -> list[Path]:
    return list((data_dir / "postgres").glob("pgdata.making.*/PG_VERSION"))


def kill_during_initdb(data_dir: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", START, data_dir]) as first:
        while not half_made(data_dir):
            assert first.poll() is None
        first.send_signal(signal.SIGKILL)


async def test_first_start_makes_a_utf8_database_with_the_c_locale(ask, tmp_path):
    with PostgresServer(tmp_path) as server:
        url = server.start()
        assert await ask(url, "SELECT current_database()::text") == "ringback"
        described = "SELECT pg_encoding_to_char(encoding) || ' ' || datcollate FROM pg_database WHERE datname = $1"
        assert await ask(url, described, "ringback") == "UTF8 C"
        for name, value in (("fsync", "on"), ("full_page_writes", "on"), ("data_checksums", "on"), ("TimeZone", "UTC")):
            assert await ask(url, "SELECT current_setting($1)", name) == value
        assert await ask(url, "SELECT current_setting('listen_addresses')") == ""
    assert not server.is_alive()
    assert server.pid is None


async def test_data_stays_after_a_clean_stop(ask, server_at, tmp_path):
    server = server_at(tmp_path)
    url = server.start()
    await ask(url, "CREATE TABLE kept_1 AS SELECT 7 AS x")
    server.stop()
    server.stop()
    assert not (tmp_path / "postgres" / "pgdata" / "postmaster.pid").exists()
    assert await ask(server.start(), "SELECT x FROM kept_1") == 7


async def test_stop_does_not_wait_for_an_open_transaction(server_at, tmp_path):
    server = server_at(tmp_path)
    connection = await asyncpg.connect(server.start())
    await connection.execute("BEGIN; CREATE TABLE t (x int)")
    server.stop(timeout_s=5)
    connection.terminate()
    assert "received fast shutdown" in server.log_file.read_text()
    assert "immediate" not in server.log_file.read_text()


def test_incomplete_directory_is_made_again(tmp_path):
    making = tmp_path / "postgres" / "pgdata.making.x1"
    (making / "base").mkdir(parents=True)
    (making / "PG_VERSION").write_text("18\n")
    with PostgresServer(tmp_path) as server:
        assert server.is_alive()
    assert not making.exists()


async def test_initdb_killed_in_the_middle_is_repaired(ask, tmp_path):
    kill_during_initdb(tmp_path)
    assert not (tmp_path / "postgres" / "pgdata").exists()
    with PostgresServer(tmp_path) as server:
        assert await ask(server.start(), "SELECT 1") == 1
    assert half_made(tmp_path) == []


async def test_data_made_by_an_older_version_is_opened_by_that_version(ask, tmp_path):
    with PostgresServer(tmp_path, find_binaries(major=16)):
        pass
    with PostgresServer(tmp_path) as server:
        assert (await ask(server.start(), "SHOW server_version")).startswith("16.")


def test_terminal_signals_do_not_reach_the_server(server_at, tmp_path):
    server = server_at(tmp_path)
    server.start()
    assert os.getpgid(server.pid) == server.pid
    assert os.getsid(server.pid) == server.pid


def test_start_outside_the_main_thread_is_refused(server_at, tmp_path):
    server = server_at(tmp_path)
    refused = []

    def start() -> None:
        try:
            server.start()
        except RuntimeError as error:
            refused.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(refused[0])


async def test_values_do_not_reach_the_log(ask, server_at, tmp_path):
    server = server_at(tmp_path)
    url = server.start()
    await ask(url, "CREATE TABLE phones (phone text PRIMARY KEY)")
    await ask(url, "INSERT INTO phones VALUES ('+14155550100')")
    for statement in ("INSERT INTO phones VALUES ('+14155550100')", "SELECT '+14155550100'::uuid"):
        with pytest.raises(asyncpg.DataError if "uuid" in statement else asyncpg.UniqueViolationError):
            await ask(url, statement)
    assert "5550100" not in server.log_file.read_text()


def test_failed_start_shows_the_end_of_the_log_and_frees_the_directory(server_at, tmp_path):
    server = server_at(tmp_path)
    control = tmp_path / "postgres" / "pgdata" / "global" / "pg_control"
    content = control.read_bytes()
    control.unlink()
    with pytest.raises(EmbeddedPostgresError, match="could not find the database system"):
        server.start()
    control.write_bytes(content)
    control.chmod(0o600)
    assert server_at(tmp_path).start()
