"""Measure statements over filled tables, with their index and without it."""

import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.report import number, table
from benchmarks.results import Figures
from ringback.adapters.postgres import contact_snapshot, installation, outbox, purge, tasks, views
from ringback.adapters.postgres.pool import open_pool
from ringback.domain.deliveries import ENGAGE_KINDS

#: Statements may take seconds without their index.
TIMEOUT_S = 20.0
#: Executions of a statement. The table shows their median.
TIMES = 5
PURGED = 500
PURGE = f"delete {PURGED} finished calls"


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table. `before` makes the statement slow: it drops an index, or is the statement's earlier form."""

    what: str
    statement: str
    values: tuple[Any, ...]
    drops: str | None = None
    earlier_form: str | None = None


def rows(now: datetime) -> list[Row]:
    busy_until = now + timedelta(seconds=20)
    joined = tasks.RELEASE_DUE.replace(
        "WHERE task_id = ANY (ARRAY(SELECT task_id FROM due)) RETURNING task_id",
        "FROM due WHERE tasks.task_id = due.task_id RETURNING tasks.task_id",
    )
    by_status = f"{views._CALLS} WHERE true AND c.status = $1 ORDER BY c.call_id DESC LIMIT 51"
    retention = purge.STATEMENTS["finished_calls"]
    why = """SELECT * FROM contacts WHERE phone = $1 OR contact_id = $2
                OR contact_id IN (SELECT contact_id FROM calls WHERE phone = $1)"""
    person = ("+14152000007", None)
    return [
        Row(
            "take 50 of the undelivered events",
            outbox.TAKE,
            (list(ENGAGE_KINDS), now, busy_until, 50),
            drops="outbox_ready",
        ),
        Row(PURGE, retention, (now + timedelta(days=30), PURGED), drops="attempts_task"),
        Row("release 500 due tasks", tasks.RELEASE_DUE, (now, 500, 10**6), earlier_form=joined),
        Row("a page of failed calls", by_status, ("failed",), drops="calls_status"),
        Row("a page of dialing calls", by_status, ("dialing",), drops="calls_status"),
        Row("the contacts of `why`", contact_snapshot._CONTACTS, person, earlier_form=why),
        Row(
            "the calls in progress, for pause and resume",
            installation._STATE,
            (),
            earlier_form=installation._STATE.replace("holds_person AND ", ""),
        ),
        Row(
            "a call's lifted suppressions",
            views._TRACES[1],
            ("00000000-0000-7000-8000-000000000301",),
            drops="suppressions_of_phone, suppressions_of_contact",
        ),
    ]


async def median_ms(connection: Any, statement: str, values: tuple[Any, ...], drops: str | None = None) -> float:
    """The median of `TIMES` executions, each rolled back. The index is dropped for the executions alone."""
    taken = []
    transaction = connection.transaction()
    await transaction.start()
    try:
        if drops is not None:
            await connection.execute(f"DROP INDEX {drops}")
        for _ in range(TIMES):
            attempt = connection.transaction()
            await attempt.start()
            began = time.perf_counter()
            try:
                await connection.fetch(statement, *values, timeout=TIMEOUT_S)
            except TimeoutError:
                return TIMEOUT_S * 1000
            finally:
                taken.append((time.perf_counter() - began) * 1000)
                await attempt.rollback()
    finally:
        await transaction.rollback()
    return statistics.median(taken)


async def measure_statements(url: str) -> tuple[str, Figures]:
    """The table, the slowest statement of a request or a loop, and the calls that a purge deletes per second."""
    pool = await open_pool(url, max_size=2)
    lines, figures = [], {"filled.slowest_statement_ms": 0.0}
    try:
        async with pool.acquire() as connection:
            # A planned retention has the values of each execution, and the limits here are the product's.
            await connection.execute("SET plan_cache_mode = force_custom_plan")
            await connection.execute("SET statement_timeout = 0; SET transaction_timeout = 0")
            for row in rows(datetime.now(UTC)):
                now_ms = await median_ms(connection, row.statement, row.values)
                before_ms = await median_ms(connection, row.earlier_form or row.statement, row.values, row.drops)
                lines.append(
                    (row.what, *(number(ms, 1) if ms < TIMEOUT_S * 1000 else "timed out" for ms in (before_ms, now_ms)))
                )
                if row.what == PURGE:
                    figures["filled.purged_rate"] = PURGED / now_ms * 1000
                else:
                    figures["filled.slowest_statement_ms"] = max(figures["filled.slowest_statement_ms"], now_ms)
    finally:
        pool.terminate()
    return table(lines, ("statement", "before ms", "now ms"), 1), figures
