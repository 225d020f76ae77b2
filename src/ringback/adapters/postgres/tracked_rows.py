"""The rows that a unit of work reads and changes, and the statements that write changes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args

import asyncpg

from ringback.adapters.postgres.pool import Connection
from ringback.adapters.postgres.rows import COMPARED, TABLES, Columns, Row, columns_of
from ringback.domain.errors import Retryable

R = TypeVar("R", bound=Row)
#: Units change few sets of columns, and a group runs each write by itself.
_TEXTS_KEPT = 4096

_TYPES = {bool: "boolean", int: "bigint", float: "double precision", datetime: "timestamptz"}


def _array_type(annotation: Any) -> str:
    """Return the SQL type of an array of such values. The assignment casts an element to the type of its column."""
    if isinstance(annotation, UnionType):
        (annotation,) = (one for one in get_args(annotation) if one is not NoneType)
    is_text = isinstance(annotation, type) and issubclass(annotation, str)
    return "text[]" if is_text else f"{_TYPES.get(annotation, 'json')}[]"


_ARRAY_TYPES = {
    table: {**{field.name: _array_type(field.type) for field in fields(row)}, "holds_contact": "boolean[]"}
    for row, (table, _) in TABLES.items()
}


@dataclass(frozen=True, slots=True)
class Statement:
    """An INSERT or UPDATE of several rows. Each parameter is an array, with one value of every row.

    `for_one` is the faster form for one row, with its values as parameters. If a table is named, each row must be
    written. `is_insert`: its form for several rows ends with a list of tables.
    """

    for_several: str
    for_one: str | None = None
    table: str | None = None
    is_insert: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    statement: Statement
    rows: Sequence[tuple[Any, ...]]


class TrackedRows:
    """The rows of one unit of work. Of a table at most one changed row waits to be written, and then one new row.

    So the unique indexes see the changes of a table in the order in which the unit made them.
    """

    def __init__(self) -> None:
        self._read: dict[int, tuple[Row, Columns]] = {}  # the object is kept, so that its id() stays its own
        self._by_key: dict[tuple[type[Row], str], Row] = {}
        self._changed: dict[tuple[type[Row], bool], tuple[Row, Columns]] = {}  # by table, and whether the row is new

    @property
    def is_changed(self) -> bool:
        return bool(self._changed)

    def remember(self, row: R) -> R:
        self._read[id(row)] = (row, columns_of(row))
        read: Row = row
        _, key = TABLES[type(read)]
        self._by_key[type(read), getattr(read, key)] = row
        return row

    def find(self, kind: type[Row], key: str) -> Row | None:
        """Return the row if this unit has read it. The unit's changes are in it."""
        return self._by_key.get((kind, key))

    def is_known(self, row: Row) -> bool:
        """Whether the row was read or inserted by this unit."""
        return id(row) in self._read or self._waiting(row, is_new=True) is row

    def must_be_written_before(self, row: Row, *, in_order: bool) -> bool:
        """Whether another row of the table waits to be written first.

        `in_order`: a changed row and then a new one are written in one statement, in this order.
        """
        is_new = id(row) not in self._read
        changed, new = self._waiting(row, is_new=False), self._waiting(row, is_new=True)
        if is_new and in_order:
            return new is not None and new is not row
        return any(waiting is not None and waiting is not row for waiting in (changed, new))

    def change(self, row: Row) -> bool:
        """Let the row wait to be written. Returns False if it is as it was read, so that there is nothing to write."""
        key, columns = (type(row), id(row) not in self._read), columns_of(row)
        if key not in self._changed and not key[1] and not _changes(self._read[id(row)][1], columns):
            return False
        self._changed[key] = (row, columns)
        return True

    def take_writes(self) -> list[Write]:
        """Return the writes of the changed rows, which count as written from now on."""
        writes = [self._write(row, columns) for row, columns in self._changed.values()]
        self._read |= {id(row): (row, columns) for row, columns in self._changed.values()}
        self._changed.clear()
        return [write for write in writes if write is not None]

    def _waiting(self, row: Row, *, is_new: bool) -> Row | None:
        waiting, _ = self._changed.get((type(row), is_new), (None, None))
        return waiting

    def _write(self, row: Row, after: Columns) -> Write | None:
        kind = type(row)
        table, key = TABLES[kind]
        if id(row) not in self._read:
            return Write(_insert(table, tuple(after)), [tuple(after.values())])
        _, before = self._read[id(row)]
        changed = _changes(before, after)
        if not changed:
            return None
        compared = {name: before[name] for name in (key, *COMPARED[kind])}
        return Write(_update(table, tuple(changed), tuple(compared)), [(*changed.values(), *compared.values())])


@lru_cache(_TEXTS_KEPT)
def _insert(table: str, columns: tuple[str, ...]) -> Statement:
    names = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    insert = f"INSERT INTO {table} ({names})"
    return Statement(
        f"{insert} SELECT {names} FROM unnest({_arrays(table, columns)}) AS given ({names})",
        f"{insert} VALUES ({values})",
        table,
        is_insert=True,
    )


@lru_cache(_TEXTS_KEPT)
def _update(table: str, changed: tuple[str, ...], compared: tuple[str, ...]) -> Statement:
    new = [f'"new {name}"' for name in changed]
    old = [f'"old {name}"' for name in compared]
    given = f"unnest({_arrays(table, (*changed, *compared))}) AS given ({', '.join((*new, *old))})"
    numbers = [f"${number}" for number in range(1, len(changed) + len(compared) + 1)]

    def update(values: Sequence[str], source: str = "") -> str:
        sets = ", ".join(f'"{name}" = {value}' for name, value in zip(changed, values, strict=False))
        where = " AND ".join(
            f'"{name}" = {value}' for name, value in zip(compared, values[len(changed) :], strict=True)
        )
        return f"UPDATE {table} SET {sets}{source} WHERE {where}"

    return Statement(update((*new, *old), f" FROM {given}"), update(numbers), table)


def _arrays(table: str, columns: Sequence[str]) -> str:
    return ", ".join(f"${number}::{_ARRAY_TYPES[table][name]}" for number, name in enumerate(columns, 1))


async def write_together(connection: Connection, writes: Sequence[Write]) -> None:
    """Make all writes in one statement. An insert is made after the updates of its table that come before it.

    Raises Retryable if a compared column changed since the row was read, or if a unique value now belongs to another
    row.
    """
    if not writes:
        return
    parts: list[str] = []
    values: list[Any] = []
    for position, write in enumerate(writes):
        earlier = _of_same_table(write, writes[:position])
        for_one = write.statement.for_one if len(write.rows) == 1 and not earlier else None
        text = for_one or f"{write.statement.for_several}{earlier}"
        parts.append(f"w{position} AS ({renumbered(text, len(values))} RETURNING true)")
        values += write.rows[0] if for_one else map(list, zip(*write.rows, strict=True))
    counts = ", ".join(f"(SELECT count(*) FROM w{position})" for position in range(len(writes)))
    try:
        record = await connection.fetchrow(f"WITH {', '.join(parts)} SELECT {counts}", *values)
    except asyncpg.UniqueViolationError as violation:
        # Another transaction has given the provider's call, or the contact, to another row.
        raise Retryable(f"{violation.table_name} row lost a race", 0.1) from None
    assert record is not None
    for write, count in zip(writes, record, strict=True):
        if write.statement.table is not None and count != len(write.rows):
            raise Retryable(f"{write.statement.table} row changed since it was read", 0.1)


def _of_same_table(write: Write, before: Sequence[Write]) -> str:
    """Continue an insert's list of tables by the writes that it waits for.

    PostgreSQL executes the parts of a WITH in any order, except that a count is complete before it is read.
    """
    if not write.statement.is_insert:
        return ""
    return "".join(
        f", (SELECT count(*) FROM w{position}) AS made{position}"
        for position, earlier in enumerate(before)
        if earlier.statement.table == write.statement.table
    )


@lru_cache(_TEXTS_KEPT)
def renumbered(statement: str, by: int) -> str:
    """Return the statement with the numbers of its parameters raised."""
    return re.sub(r"\$(\d+)", lambda match: f"${int(match[1]) + by}", statement)


def _changes(before: Columns, after: Columns) -> Columns:
    return {name: value for name, value in after.items() if not _is_same(value, before[name])}


def _is_same(left: object, right: object) -> bool:
    """Compare two values for change detection. True equals 1 in Python, but not in a column."""
    if isinstance(left, datetime) and isinstance(right, datetime):
        return left == right
    return type(left) is type(right) and left == right
