import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest

from ringback.embedded.binaries import find_binaries
from ringback.embedded.data_dir import DataDirectoryInUse
from ringback.embedded.privileges import choose_identity
from ringback.embedded.processes import FAST_SHUTDOWN_TAKES_S, is_ready, postgres_processes, postmaster_pid

WRITER = """
import asyncio, sys
from pathlib import Path
import asyncpg
from ringback.embedded.server import PostgresServer

async def write(url):
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE IF NOT EXISTS acked (x bigint PRIMARY KEY)")
    x = await connection.fetchval("SELECT coalesce(max(x), 0) FROM acked")
    while True:
        x += 1
        await connection.execute("INSERT INTO acked VALUES ($1)", x)
        print(x, flush=True)

asyncio.run(write(PostgresServer(Path(sys.argv[1])).start()))
"""


def pgdata_of(data_dir: Path) -> Path:
    return data_dir / "postgres" / "pgdata"


def spawn_writer(data_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER, data_dir], stdout=subprocess.PIPE, text=True)


def spawn_orphan(pgdata: Path) -> subprocess.Popen[bytes]:
    """Start a postmaster of that directory without a PostgresServer."""
    binaries = find_binaries()
    command = choose_identity(binaries, pgdata.parent).command(pgdata, [str(binaries.postgres), "-D", str(pgdata)])
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)


def kill_after(rows: int, writer: subprocess.Popen[str], pgdata: Path, *, server_too: bool) -> int:
    """Return the last number that was acknowledged before the writer, and perhaps the server, were killed."""
    with writer:
        for _ in range(rows):
            acked = int(writer.stdout.readline())
        for pid in postgres_processes(pgdata) if server_too else []:
            os.kill(pid, signal.SIGKILL)
        writer.send_signal(signal.SIGKILL)
        # A line without its end was cut by the kill.
        rest = [int(line) for line in writer.stdout if line.endswith("\n")]
    return rest[-1] if rest else acked


def wait_until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


async def test_killed_server_is_started_again_at_the_same_url(ask, server_at, tmp_path):
    server = server_at(tmp_path)
    url = server.start()
    await ask(url, "CREATE TABLE kept_2 AS SELECT 7 AS x")
    for _ in range(3):
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: not server.is_alive())
        assert server.start() == url
        assert await ask(url, "SELECT x FROM kept_2") == 7


async def test_killed_backend_leaves_the_server_alive(ask, server_at, tmp_path):
    server = server_at(tmp_path)
    url = server.start()
    connection = await asyncpg.connect(url)
    os.kill(connection.get_server_pid(), signal.SIGKILL)
    pid = server.pid
    connection.terminate()
    wait_until(lambda: server.log_file.read_text().count("ready to accept connections") == 2)
    assert await ask(url, "SELECT 1") == 1
    assert server.pid == pid


async def test_shutdown_that_hangs_in_a_backend_crash_is_ended(ask, server_at, tmp_path):
    server = server_at(tmp_path)
    await ask(server.start(), "CREATE TABLE kept_3 AS SELECT 7 AS x")
    os.kill(next(pid for pid in postgres_processes(pgdata_of(tmp_path)) if pid != server.pid), signal.SIGKILL)
    wait_until(lambda: "reinitializing" in server.log_file.read_text())
    os.kill(server.pid, signal.SIGINT)
    server.stop(timeout_s=0.2)
    assert await ask(server.start(), "SELECT x FROM kept_3") == 7


def test_backend_and_parent_killed_together_do_not_delay_the_next_start(server_at, tmp_path):
    server = server_at(tmp_path)
    with spawn_writer(tmp_path) as parent:
        parent.stdout.readline()
        postmaster = postmaster_pid(pgdata_of(tmp_path))
        os.kill(next(pid for pid in postgres_processes(pgdata_of(tmp_path)) if pid != postmaster), signal.SIGKILL)
        wait_until(lambda: "reinitializing" in server.log_file.read_text())
        parent.send_signal(signal.SIGKILL)
    began = time.monotonic()
    server.start()
    assert time.monotonic() - began < FAST_SHUTDOWN_TAKES_S


async def test_kill_of_the_parent_loses_no_acknowledged_row(ask, server_at, tmp_path):
    server = server_at(tmp_path)
    for number in range(5):
        acked = kill_after(20 + 37 * number, spawn_writer(tmp_path), pgdata_of(tmp_path), server_too=number % 2 == 1)
        url = server.start()
        assert await ask(url, "SELECT count(*) FROM acked WHERE x <= $1", acked) == acked
        server.stop()


def test_server_dies_with_its_killed_parent(server_at, short_dir):
    server_at(short_dir)
    with spawn_writer(short_dir) as parent:
        parent.stdout.readline()
        assert postgres_processes(pgdata_of(short_dir))
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not postgres_processes(pgdata_of(short_dir)))
    assert not (pgdata_of(short_dir) / "postmaster.pid").exists()


def test_server_with_an_owner_is_never_taken_over(server_at, short_dir):
    server_at(short_dir)
    with spawn_writer(short_dir) as parent:
        parent.stdout.readline()
        with pytest.raises(DataDirectoryInUse) as refused:
            server_at(short_dir).start()
        assert refused.value.pid == parent.pid
        assert parent.stdout.readline() != ""
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not postgres_processes(pgdata_of(short_dir)))


async def test_live_orphan_is_stopped_and_taken_over(ask, server_at, short_dir):
    server = server_at(short_dir)
    await ask(server.start(), "CREATE TABLE kept_4 AS SELECT 7 AS x")
    server.stop()
    pgdata = pgdata_of(short_dir)
    with spawn_orphan(pgdata) as orphan:
        wait_until(lambda: is_ready(pgdata, orphan.pid))
        assert await ask(server.start(), "SELECT x FROM kept_4") == 7
        assert orphan.wait(5) == 0


async def test_backend_that_outlives_its_postmaster_does_not_block_the_next_start(ask, server_at, tmp_path):
    server = server_at(tmp_path)
    connection = await asyncpg.connect(server.start())
    os.kill(connection.get_server_pid(), signal.SIGSTOP)
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not server.is_alive())
    assert await ask(server.start(), "SELECT 1") == 1
    connection.terminate()


async def test_pid_files_that_name_another_program_are_removed(ask, server_at, short_dir):
    server = server_at(short_dir)
    server.start()
    server.stop()
    stranger = f"{os.getpid()}\n{pgdata_of(short_dir)}\n1\n5432\n\n\n\nready\n"
    (pgdata_of(short_dir) / "postmaster.pid").write_text(stranger)
    (short_dir / "postgres" / "socket" / ".s.PGSQL.5432.lock").write_text(stranger)
    assert await ask(server.start(), "SELECT 1") == 1
