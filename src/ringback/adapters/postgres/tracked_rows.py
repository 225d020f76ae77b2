"""The rows that a unit of work reads and changes, and the one statement that writes its changes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import asyncpg

from ringback.adapters.postgres.pool import Connection
from ringback.adapters.postgres.rows import COMPARED, TABLES, Columns, Row, columns_of
from ringback.domain.errors import Retryable

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class Write:
    """An INSERT or UPDATE. If `expected` is not None, it must change exactly so many rows."""

    statement: str
    values: Sequence[Any]
    expected: int | None = None
    table: str = ""


class TrackedRows:
    """Writes are collected until a statement reads, or until the commit. Then one statement makes them all.

    A statement changes one row of a table at most: the unique indexes see changes of one table in the order of the
    calls of `insert` and `save`.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._read: dict[int, tuple[Row, Columns]] = {}  # the object is kept, so that its id() stays its own
        self._changed: dict[type[Row], tuple[Row, Columns]] = {}

    def remember(self, row: R) -> R:
        self._read[id(row)] = (row, columns_of(row))
        return row

    async def insert(self, row: Row) -> None:
        await self._change(row)

    async def save(self, row: Row) -> None:
        """Write the changes since the row was read. Raises Retryable, at the latest at the commit.

        It is raised if a compared column changed meanwhile, or if a unique value now belongs to another row.
        """
        pending, _ = self._changed.get(type(row), (None, None))
        assert pending is row or id(row) in self._read, "only a row read or inserted by this unit can be saved"
        await self._change(row)

    async def _change(self, row: Row) -> None:
        pending, _ = self._changed.get(type(row), (row, None))
        if pending is not row:
            await self.flush()
        self._changed[type(row)] = (row, columns_of(row))

    async def flush(self, more: Sequence[Write] = ()) -> None:
        """Write the changed rows and `more`. Raises Retryable."""
        changed = [self._write(row, columns) for row, columns in self._changed.values()]
        self._read |= {id(row): (row, columns) for row, columns in self._changed.values()}
        self._changed.clear()
        writes = [*filter(None, changed), *more]
        if not writes:
            return
        parts: list[str] = []
        values: list[Any] = []
        for position, write in enumerate(writes):
            parts.append(f"w{position} AS ({_renumbered(write.statement, len(values))} RETURNING true)")
            values += write.values
        counts = ", ".join(f"(SELECT count(*) FROM w{position})" for position in range(len(writes)))
        try:
            record = await self._connection.fetchrow(f"WITH {', '.join(parts)} SELECT {counts}", *values)
        except asyncpg.UniqueViolationError as violation:
            # Another transaction has given the provider's call, or the contact, to another row.
            raise Retryable(f"{violation.table_name} row lost a race", 0.1) from None
        assert record is not None
        for write, count in zip(writes, record, strict=True):
            if write.expected not in (None, count):
                raise Retryable(f"{write.table} row changed since it was read", 0.1)

    def _write(self, row: Row, after: Columns) -> Write | None:
        table, key = TABLES[type(row)]
        if id(row) not in self._read:
            names = ", ".join(f'"{name}"' for name in after)
            values = ", ".join(f"${position}" for position in range(1, len(after) + 1))
            return Write(f"INSERT INTO {table} ({names}) VALUES ({values})", tuple(after.values()))
        _, before = self._read[id(row)]
        changed = {name: value for name, value in after.items() if not _is_same(value, before[name])}
        if not changed:
            return None
        compared = {key: before[key], **{name: before[name] for name in COMPARED[type(row)]}}
        sets = ", ".join(f'"{name}" = ${position}' for position, name in enumerate(changed, 1))
        where = " AND ".join(f'"{name}" = ${position}' for position, name in enumerate(compared, len(changed) + 1))
        statement = f"UPDATE {table} SET {sets} WHERE {where}"
        return Write(statement, (*changed.values(), *compared.values()), expected=1, table=table)


def _renumbered(statement: str, by: int) -> str:
    return re.sub(r"\$(\d+)", lambda match: f"${int(match[1]) + by}", statement)


class FlushingConnection:
    """The connection of the repositories. Each of their statements sees the unit's own changes."""

    def __init__(self, connection: Connection, rows: TrackedRows) -> None:
        self.raw = connection
        self._rows = rows

    async def fetch(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        await self._rows.flush()
        return await self.raw.fetch(statement, *values)

    async def fetchrow(self, statement: str, *values: Any) -> asyncpg.Record | None:
        await self._rows.flush()
        return await self.raw.fetchrow(statement, *values)

    async def fetchval(self, statement: str, *values: Any) -> Any:
        await self._rows.flush()
        return await self.raw.fetchval(statement, *values)

    async def execute(self, statement: str, *values: Any) -> str:
        await self._rows.flush()
        status: str = await self.raw.execute(statement, *values)
        return status


def _is_same(left: object, right: object) -> bool:
    """Compare two values for change detection. True equals 1 in Python, but not in a column."""
    if isinstance(left, datetime) and isinstance(right, datetime):
        return left == right
    return type(left) is type(right) and left == right
