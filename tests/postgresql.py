"""A real PostgreSQL without fsync, and its databases by name."""

import asyncio
import contextlib
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from ringback.embedded.binaries import Binaries, find_binaries
from ringback.embedded.server import PostgresServer

#: A database per test is mostly fsync, and what survives a crash of the machine is proved on servers of its own.
NOT_DURABLE = ("fsync", "full_page_writes", "synchronous_commit")


def programs() -> Binaries:
    """The PostgreSQL of every server that the tests start: RINGBACK_TEST_POSTGRESQL_BIN, or the embedded one."""
    given = os.environ.get("RINGBACK_TEST_POSTGRESQL_BIN")
    return find_binaries(Path(given) if given else None)


@contextmanager
def server_without_fsync(data_dir: Path) -> Iterator[str]:
    """Its administrator's URL. Enter it on the main thread: the kernel ties the server's life to that."""
    server = PostgresServer(data_dir, programs())
    server.start()
    url = server.superuser_url
    try:
        statements = [f"ALTER SYSTEM SET {setting} = off" for setting in NOT_DURABLE]
        asyncio.run(execute(url, *statements, "SELECT pg_reload_conf()"))
        yield url
    finally:
        server.stop()


#: For a database whose provider is the emulator, or a test's own; a start would write the same.
EMULATED = "UPDATE installation SET emulated = true"


def named(url: str, name: str) -> str:
    """Return the URL of another database on the same server."""
    head, _, query = url.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{query}" if query else "")


async def copy_database(url: str, template: str, name: str) -> str:
    """The copy's URL. A copy takes a tenth of a migration's time."""
    await execute(url, f"CREATE DATABASE {name} TEMPLATE {template}")
    return named(url, name)


#: Of the schema below one database: how many rows the catalogue has, and the newest transaction that wrote one of them.
_CATALOGUE = {
    "pg_attribute": "attrelid",
    "pg_attrdef": "oid",
    "pg_class": "oid",
    "pg_constraint": "oid",
    "pg_index": "indexrelid",
    "pg_namespace": "oid",
    "pg_proc": "oid",
    "pg_trigger": "oid",
    "pg_type": "oid",
}
_FIRST_OID_OF_USERS = 16384
_SCHEMA = "SELECT (sum(rows), max(newest))::text FROM ({}) AS catalogue".format(
    " UNION ALL ".join(
        f"SELECT count(*) AS rows, max(xmin::text::bigint) AS newest FROM {table} WHERE {key} >= {_FIRST_OID_OF_USERS}"
        for table, key in _CATALOGUE.items()
    )
)
_OTHER_SESSIONS = (
    "SELECT {} FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


class ReusedDatabase:
    """A copy of the template, restored for each test: a small part of the time that a new copy takes.

    Every row and every sequence is as in the template. A test that changed the schema is followed by a new copy.
    """

    def __init__(self, server_url: str, template: str) -> None:
        self._server_url, self._template = server_url, template
        self._name = ""
        self._schema = ""
        self._restoring = ""
        #: Its loop and its connection stay, because a new backend reads the catalogue for longer than a restore takes.
        self._runner = asyncio.Runner()
        self._connection: asyncpg.Connection | None = None

    def restore(self) -> str:
        """Ends every other session of the database, and returns its URL."""
        return self._runner.run(self._restore())

    def drop(self) -> None:
        with self._runner:
            self._runner.run(self._drop())

    async def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
        if self._name:
            await execute(self._server_url, f"DROP DATABASE {self._name} WITH (FORCE)")
            self._name = ""

    async def _restore(self) -> str:
        if self._connection is not None:
            # A test may have ended this session too, or have renamed or dropped what the restore needs.
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await self._connection.execute(_OTHER_SESSIONS.format("pg_terminate_backend(pid)"))
                while await self._connection.fetchval(_OTHER_SESSIONS.format("count(*)")):
                    await asyncio.sleep(0.005)
                if await self._connection.fetchval(_SCHEMA) == self._schema:
                    await self._connection.execute(self._restoring)
                    return named(self._server_url, self._name)
        await self._drop()
        self._name = f"test_{uuid.uuid4().hex[:12]}"
        url = await copy_database(self._server_url, self._template, self._name)
        self._connection = await asyncpg.connect(url)
        self._schema = await self._connection.fetchval(_SCHEMA)
        self._restoring = await _restoring(self._connection)
        return url


async def _restoring(connection: asyncpg.Connection) -> str:
    """The statements that bring every table and sequence back to what they have now."""
    relations = (
        "SELECT oid::regclass::text FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace AND relkind::text = $1 ORDER BY oid"
    )
    # Neither triggers nor foreign keys: the order of the tables does not matter.
    statements = ["SET session_replication_role = replica"]
    for (table,) in await connection.fetch(relations, "r"):
        statements.append(f"DELETE FROM {table}")
        rows = await connection.fetchval(f"SELECT json_agg(kept) FROM {table} AS kept")
        if rows is not None:
            kept = f"json_populate_recordset(NULL::{table}, $kept${rows}$kept$)"
            statements.append(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM {kept}")
    for (sequence,) in await connection.fetch(relations, "S"):
        state = await connection.fetchrow(f"SELECT last_value, is_called FROM {sequence}")
        assert state is not None, "a sequence has one row"
        value, is_called = state
        statements.append(f"SELECT setval('{sequence}', {value}, {is_called})")
    return ";".join(statements)


@contextmanager
def short_lived_copy(url: str, template: str) -> Iterator[str]:
    """The URL of a copy that is dropped at the end."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    copy = asyncio.run(copy_database(url, template, name))
    try:
        yield copy
    finally:
        asyncio.run(execute(url, f"DROP DATABASE {name} WITH (FORCE)"))


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
