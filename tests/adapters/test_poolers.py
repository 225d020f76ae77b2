"""A pooler between the product and PostgreSQL: its session mode works, and sessions that are shared are refused."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from ringback.adapters.postgres.person_hash import Hashing
from ringback.adapters.postgres.pool import IDLE_IN_TRANSACTION_S, LOCK_TIMEOUT_S, open_pool
from ringback.adapters.postgres.schema import upgrade
from ringback.adapters.postgres.store import PostgresStore
from ringback.domain.errors import StoreUnavailable
from ringback.embedded.binaries import find_binaries
from ringback.embedded.privileges import choose_identity
from tests.loopback import free_ports

PGBOUNCER = shutil.which("pgbouncer")
pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed: apt-get install pgbouncer")

_SETTINGS = """
[databases]
* = host={host} port={server_port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
"""

_LOCKS = """
SELECT count(*) FROM pg_locks JOIN pg_database ON oid = database
WHERE locktype = 'advisory' AND datname = current_database()
"""


@pytest.fixture
def pooler(database_url: str) -> Iterator[Callable[[str], str]]:
    """Starts PgBouncer in a mode before the test's database. Returns the URL through it."""
    server = urlsplit(database_url)
    host = server.hostname or parse_qs(server.query)["host"][0]
    [port] = free_ports(1)
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    folder.chmod(0o755)  # for its other user
    started: list[subprocess.Popen[bytes]] = []

    def start(mode: str) -> str:
        file = folder / "pgbouncer.ini"
        named = {"host": host, "server_port": server.port or 5432, "user": server.username}
        file.write_text(_SETTINGS.format(port=port, mode=mode, **named))
        # PgBouncer does not run as root either, and the socket's directory is closed to others.
        identity = choose_identity(find_binaries(), Path(host) if host.startswith("/") else folder)
        started.append(subprocess.Popen(identity.command(folder, [str(PGBOUNCER), "-q", str(file)])))
        give_up_at = time.monotonic() + 20
        while not listens(port):
            assert started[-1].poll() is None, "PgBouncer has ended"
            assert time.monotonic() < give_up_at
            time.sleep(0.02)
        return f"postgresql://{server.username}@127.0.0.1:{port}{server.path}"

    yield start
    for process in started:
        process.terminate()
        process.wait()
    shutil.rmtree(folder)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_a_pooler_that_shares_sessions_is_refused(pooler):
    with pytest.raises(StoreUnavailable, match="use a pooler's session mode"):
        await open_pool(pooler("transaction"), max_size=2)


async def test_through_session_mode_a_unit_of_work_has_its_limits_and_its_locks(pooler, hashing: Hashing):
    url = pooler("session")
    await upgrade(url)
    pool = await open_pool(url, max_size=2)
    try:
        async with PostgresStore(pool, clock_is_real=False, hashing=hashing).transaction() as tx:
            await tx.lock_contacts(["+14155550100"], "crm-1")
            assert await tx.instance() == "test-instance"
            connection = await pool.acquire()
            assert await connection.fetchval(_LOCKS) == 2
        for setting, limit_s in (
            ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_S),
            ("lock_timeout", LOCK_TIMEOUT_S),
        ):
            assert await connection.fetchval(f"SHOW {setting}") == f"{limit_s}s"
        assert await connection.fetchval("SHOW ringback.counts") == "on"
    finally:
        pool.terminate()


async def test_without_a_pooler_no_second_connection_is_opened(database_url, monkeypatch):
    async def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a second connection")

    monkeypatch.setattr(asyncpg, "connect", refuse)
    (await open_pool(database_url, max_size=1)).terminate()
