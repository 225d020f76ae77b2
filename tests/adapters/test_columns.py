"""The statements of this version over tables with a newer version's columns."""

import ast
import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import ringback.adapters.postgres as postgres
from ringback.adapters.postgres.pool import Pool
from ringback.adapters.postgres.store import PostgresStore
from ringback.domain.call import Call, InboundCall, RetryPolicy, Task, TaskKind
from ringback.domain.contact import Contact
from ringback.domain.errors import StoreUnavailable
from ringback.storage import AcceptedCall

NOW = datetime(2026, 12, 1, 17, tzinfo=UTC)
CONTACT = Contact("crm-1", "+14155550100", "America/New_York", "crm", {"first_name": "Ada"})
_TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"


def a_call(call_id: str) -> Call:
    return Call(
        call_id=call_id,
        contact_id="crm-1",
        phone="+14155550100",
        agent_id="agent_1",
        from_number="+14155550199",
        variables={},
        metadata={},
        retry=RetryPolicy(),
        accepted_at=NOW,
        expires_at=NOW + timedelta(days=7),
        expiry_is_explicit=False,
    )


def accepted(call_id: str) -> AcceptedCall:
    return AcceptedCall(CONTACT, a_call(call_id), Task(f"task-{call_id}", call_id, TaskKind.FIRST, NOW, created_at=NOW))


async def add_a_column_to_every_table(pool: Pool) -> None:
    for row in await pool.fetch(_TABLES):
        await pool.execute(f"ALTER TABLE {row['relname']} ADD COLUMN added_later text NOT NULL DEFAULT 'unknown'")


async def outcome(work: Any) -> Any:
    """Return the result or the exception."""
    return (await asyncio.gather(work, return_exceptions=True))[0]


async def test_a_call_is_accepted_into_tables_with_a_column_more(store: PostgresStore, pool: Pool) -> None:
    assert await store.insert_accepted([accepted("call-1")], NOW) == {"call-1"}
    await add_a_column_to_every_table(pool)
    assert await outcome(store.insert_accepted([accepted("call-2")], NOW)) == {"call-2"}
    async with store.transaction() as tx:
        assert await tx.lock_call("call-2") == a_call("call-2")
        assert await tx.contacts.get("crm-1") == CONTACT


async def test_rows_are_read_from_tables_with_a_column_more(store: PostgresStore, pool: Pool) -> None:
    await store.insert_accepted([accepted("call-1")], NOW)
    inbound = InboundCall("in-1", None, "+14155550100", "+14155550199", "crm-1", NOW, NOW + timedelta(minutes=30))
    async with store.transaction() as tx:
        await tx.insert(inbound)
    await add_a_column_to_every_table(pool)
    async with store.transaction() as tx:
        assert await outcome(tx.inbound_calls.find("in-1", None)) == inbound
        assert await outcome(tx.tasks.open_for("call-1")) == accepted("call-1").task


async def test_a_plan_older_than_the_schema_fails_one_unit_of_work_as_unavailable(
    store: PostgresStore, pool: Pool
) -> None:
    await store.insert_accepted([accepted("call-1")], NOW)

    async def read() -> Call | None:
        async with store.transaction() as tx:
            return await tx.lock_call("call-1")

    for _ in range(2):
        assert await read() == a_call("call-1")
    await pool.execute("ALTER TABLE calls ALTER COLUMN agent_id TYPE varchar")
    assert isinstance(await outcome(read()), StoreUnavailable)
    assert await read() == a_call("call-1")
    await pool.execute("ALTER TABLE calls ALTER COLUMN agent_id TYPE text")
    assert await outcome(store.insert_accepted([accepted("call-2")], NOW)) == {"call-2"}


def sql_texts() -> Iterator[tuple[str, str]]:
    for path in sorted(Path(postgres.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr | ast.Constant) and (text := ast.unparse(node)):
                yield path.name, text


@pytest.mark.parametrize(
    "pattern", [r"SELECT (DISTINCT ON \(\w+\) )?\*", r"\b(?!answer\.)\w+\.\*", r"INSERT INTO \w+ (SELECT|VALUES)"]
)
def test_every_statement_names_its_columns(pattern: str) -> None:
    assert [(name, text[:80]) for name, text in sql_texts() if re.search(pattern, text)] == []
