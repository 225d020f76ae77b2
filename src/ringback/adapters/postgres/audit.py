"""The SQL of `audit` and of its chain. Rows are only appended, and purged from the oldest on."""

import json
from typing import Any

from ringback.adapters.postgres.conditions import conditions_of
from ringback.adapters.postgres.pool import Connection, Pool, connection_of, encode_json
from ringback.adapters.postgres.unit_connection import UnitConnection
from ringback.domain.abt_event import iso
from ringback.domain.audit import AuditEntry, AuditFilter, AuditRow, ChainCheck, ChainEnds

# The lock of this one row serialises the writers. It is the last in the order of locks, and held until the commit.
_LOCK_END = "SELECT last_sequence, last_hash FROM audit_chain FOR UPDATE"
_ADD = """
WITH added AS (
    INSERT INTO audit (sequence, at, actor, action, object, detail, previous_hash)
    VALUES ($1, $2, $3, $4, $5, $6::text::json, $7))
UPDATE audit_chain SET last_sequence = $1, last_hash = $8
"""
_ENDS = "SELECT last_sequence, last_hash, purged_sequence, purged_hash FROM audit_chain"
_ROWS = "SELECT sequence, at, actor, action, object, detail::text AS detail, previous_hash FROM audit"
_CONDITIONS = {
    "actor": "actor = ",
    "action": "action = ",
    "object": "object = ",
    "since": "at >= ",
    "until": "at < ",
    "before": "sequence < ",
}
# The newest row always stays, so the row after the purged ones exists, and has the hash of the last of them. The
# trigger lets a row go only when the chain's start has moved past it.
PURGE_AUDIT = """
WITH old AS (
    SELECT max(sequence) AS sequence FROM (
        SELECT sequence FROM audit
        WHERE sequence < coalesce((SELECT min(sequence) FROM audit WHERE at >= $1), (SELECT max(sequence) FROM audit))
        ORDER BY sequence LIMIT $2) AS oldest),
moved AS (
    UPDATE audit_chain SET purged_sequence = old.sequence,
           purged_hash = (SELECT previous_hash FROM audit WHERE audit.sequence = old.sequence + 1)
    FROM old WHERE old.sequence > purged_sequence RETURNING purged_sequence)
DELETE FROM audit WHERE sequence <= (SELECT purged_sequence FROM moved)
"""


async def append(connection: Connection | UnitConnection, entry: AuditEntry) -> None:
    """Append a row in the transaction of the write that it is about. No lock may be taken after this one."""
    end = await connection.fetchrow(_LOCK_END)
    assert end is not None, "the row is made by the migration"
    row = AuditRow(
        end["last_sequence"] + 1,
        entry.at,
        str(entry.actor),
        entry.action,
        entry.object,
        encode_json(entry.detail),
        end["last_hash"],
    )
    await connection.execute(
        _ADD, row.sequence, row.at, row.actor, row.action, row.object, row.detail, row.previous_hash, row.hash
    )


class PostgresUnitAudit:
    """Implements `domain.audit.AuditLog` for a unit of work. Its rows are written last, for the order of locks."""

    def __init__(self, connection: UnitConnection) -> None:
        self._connection = connection
        self._entries: list[AuditEntry] = []

    async def record(self, entry: AuditEntry) -> None:
        self._entries.append(entry)

    async def write(self) -> None:
        for entry in self._entries:
            # The other units of a group would take locks after this one.
            assert self._connection.is_alone, "a unit that records locks its call alone"
            await append(self._connection, entry)


class PostgresAudit:
    """Reads the audit log, and implements `domain.audit.AuditLog` in transactions of its own.

    All methods raise StoreUnavailable.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def record(self, entry: AuditEntry) -> None:
        async with connection_of(self._pool) as connection, connection.transaction():
            await append(connection, entry)

    async def page(self, wanted: AuditFilter, limit: int) -> tuple[list[dict[str, Any]], str | None]:
        """Return a page in the shape of the API, the newest row first, and the cursor of the next page."""
        conditions, values = conditions_of({text: getattr(wanted, name) for name, text in _CONDITIONS.items()})
        statement = f"{_ROWS} WHERE true {conditions} ORDER BY sequence DESC LIMIT {limit + 1:d}"
        async with connection_of(self._pool) as connection:
            found = [AuditRow(**record) for record in await connection.fetch(statement, *values)]
        rows = found[:limit]
        return [_item(row) for row in rows], str(rows[-1].sequence) if len(found) > limit else None

    async def verify(self) -> tuple[ChainCheck, str | None]:
        """Check every row in one snapshot. Returns the rows that are right, and a sentence about the first break."""
        async with connection_of(self._pool) as connection:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                ends = await connection.fetchrow(_ENDS)
                if ends is None:
                    return ChainCheck(ChainEnds(0, "", 0, "")), "the ends of the chain were deleted"
                check = ChainCheck(ChainEnds(**ends))
                async for record in connection.cursor(f"{_ROWS} ORDER BY sequence", prefetch=1000):
                    if fault := check.fault_of(AuditRow(**record)):
                        return check, fault
                return check, check.fault_of_end()


def _item(row: AuditRow) -> dict[str, Any]:
    return {
        "sequence": row.sequence,
        "at": iso(row.at),
        "actor": row.actor,
        "action": row.action,
        "object": row.object,
        "detail": json.loads(row.detail),
        "previous_hash": row.previous_hash,
        "hash": row.hash,
    }
