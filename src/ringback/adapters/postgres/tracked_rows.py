"""The rows that a unit of work has read or inserted, and their changes as UPDATE statements."""

from typing import TypeVar

from asyncpg import UniqueViolationError

from ringback.adapters.postgres.pool import Connection
from ringback.adapters.postgres.rows import COMPARED, TABLES, Columns, Row, columns_of, same_instant
from ringback.domain.errors import Retryable

R = TypeVar("R", bound=Row)


class TrackedRows:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._read: dict[int, tuple[Row, Columns]] = {}  # the object is kept, so that its id() stays its own

    def remember(self, row: R) -> R:
        self._read[id(row)] = (row, columns_of(row))
        return row

    async def insert(self, row: Row) -> None:
        table, _ = TABLES[type(row)]
        columns = columns_of(row)
        names = ", ".join(f'"{name}"' for name in columns)
        values = ", ".join(f"${position}" for position in range(1, len(columns) + 1))
        await self._connection.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", *columns.values())
        self.remember(row)

    async def save(self, row: Row) -> None:
        known, before = self._read[id(row)]
        assert known is row, "only a row read or inserted by this transaction can be saved"
        after = columns_of(row)
        changed = {name: value for name, value in after.items() if not same_instant(value, before[name])}
        if not changed:
            return
        table, key = TABLES[type(row)]
        compared = {key: before[key], **{name: before[name] for name in COMPARED[type(row)]}}
        sets = ", ".join(f'"{name}" = ${position}' for position, name in enumerate(changed, 1))
        where = " AND ".join(f'"{name}" = ${position}' for position, name in enumerate(compared, len(changed) + 1))
        try:
            status = await self._connection.execute(
                f"UPDATE {table} SET {sets} WHERE {where}", *changed.values(), *compared.values()
            )
        except UniqueViolationError:
            # Another transaction has given the provider's call, or the contact, to another row.
            raise Retryable(f"{table} row lost a race", 0.1) from None
        if status != "UPDATE 1":
            raise Retryable(f"{table} row changed since it was read", 0.1)
        self.remember(row)
