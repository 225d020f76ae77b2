"""The audit log: rows appended per second. A writer locks the end of the chain until its commit."""

import asyncio
import time
from datetime import UTC, datetime

from benchmarks.ground import Ground
from benchmarks.report import table
from benchmarks.results import Figures, Section
from benchmarks.running import Plan
from ringback.adapters.postgres.audit import PostgresAudit
from ringback.adapters.postgres.pool import open_pool
from ringback.domain.audit import Actor, AuditAction, AuditEntry, Via

NAME = "audit"
WRITERS = (1, 8)
_ENTRY = AuditEntry(
    datetime(2026, 12, 1, tzinfo=UTC), Actor(Via.API, "benchmark"), AuditAction.KEY_CREATED, "key:benchmark"
)
_EXPLANATION = """\
Each writer commits one row after the other, on a connection of its own. Neither placing calls nor applying events
writes audit rows: people and systems do that change settings, keys, suppressions and calls.
"""


async def run_audit(ground: Ground, plan: Plan) -> Section:
    url = await ground.new_database("audit")
    rows, figures = [], Figures()
    for writers in WRITERS:
        pool = await open_pool(url, max_size=writers)
        try:
            rate = await append_rate(PostgresAudit(pool), writers, plan.seconds)
        finally:
            pool.terminate()
        rows.append((str(writers), f"{rate:,.0f}"))
        figures[f"audit.rate_of_{writers}"] = rate
    return Section("Audit log", f"{table(rows, ('writers', 'rows per second'), 1)}\n\n{_EXPLANATION}", figures)


async def append_rate(audit: PostgresAudit, writers: int, seconds: float) -> float:
    began = time.perf_counter()

    async def write() -> int:
        count = 0
        while time.perf_counter() < began + seconds:
            await audit.record(_ENTRY)
            count += 1
        return count

    written = await asyncio.gather(*(write() for _ in range(writers)))
    return sum(written) / (time.perf_counter() - began)
