"""The author of what tests write, and the audit log as tests read it."""

from datetime import datetime

from ringback.adapters.postgres.pool import Pool
from ringback.domain.audit import Actor, AuditAction, AuditEntry, Via

TESTER = Actor(Via.API, "tests")


def entry_at(at: datetime, action: AuditAction = AuditAction.KEY_CREATED) -> AuditEntry:
    return AuditEntry(at, TESTER, action)


async def logged(pool: Pool) -> list[tuple[str, str, str | None, dict]]:
    """Every row, the oldest first: actor, action, object and detail."""
    rows = await pool.fetch("SELECT actor, action, object, detail FROM audit ORDER BY sequence")
    return [tuple(row) for row in rows]
