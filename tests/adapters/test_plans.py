"""No statement of the product reads a whole growing table, nor sorts it."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from benchmarks.filling import fill
from ringback.adapters import postgres
from ringback.adapters.postgres import erasure, export_rows, purge
from ringback.adapters.postgres.analytics import PostgresAnalytics
from ringback.adapters.postgres.deliveries import PostgresDeliveries
from ringback.adapters.postgres.export_rows import PostgresExportRows
from ringback.adapters.postgres.pool import open_pool
from ringback.adapters.postgres.questions import for_several
from ringback.adapters.postgres.read_ahead import together
from ringback.adapters.postgres.views import PostgresViews
from ringback.domain.analytics_query import Filter
from ringback.domain.call import CallStatus
from ringback.domain.contribution import PERSON_MEASURES
from ringback.domain.deliveries import DeliveryFilter, DeliveryState
from ringback.storage import CallFilter
from tests.audit_log import entry_at
from tests.postgresql import short_lived_copy

CALLS = 60_000
GROWING = (
    "contacts calls tasks attempts provider_events outbox gate_decisions suppressions action_results dispositions notes"
    " field_writes inbound_calls"
)
BEGINS = re.compile(r"\s*(?:SELECT|WITH|UPDATE|INSERT|DELETE)\b")
#: Statements that need not be quick, or are none.
EXEMPT = {
    "erasure.ASKED": "the beginning of the statements of ERASE",
    "erasure.ERASE[outbox]": "an operator's request; delivered rows of a contact without a call have no index",
    "rollup_rows._OF_ATTEMPTS": "the check of the statistics reads every row",
    "rollup_rows._OF_CALLS": "the check of the statistics reads every row",
    "rollup_rows._UNPURGED": "the beginning of statements",
    "views._CALLS": "the beginning of statements that the second test reads",
    "views._CALLS_IN_DETAIL": "the beginning of statements that the second test reads",
    "views._SUPPRESSIONS": "the beginning of statements that the second test reads",
}
#: Planned for the values of each execution. They come as their real values, because a plan for any values differs.
LONG_AGO = datetime.now(UTC) - timedelta(days=400)
OF_VALUES = {f"purge.STATEMENTS[{name}]": f"('{LONG_AGO}', 500)" for name in purge.STATEMENTS}
OF_VALUES["purge._FINISHED_CALLS"] = f"('{LONG_AGO}', 500)"


#: The types of the values of reads that groups of units of work make together. The others have texts only.
TYPES = {
    "person_facts.PERSON_FACTS": ("text", "text", "text", "timestamptz", "text[]"),
    "suppressions.IS_SUPPRESSED": ("text", "text", "text[]"),
    "attempts.COUNT_BEFORE": ("text", "bigint", "text[]"),
    "inbound_calls.RINGING_INBOUND_CALL": ("text", "text", "timestamptz"),
}


def reads(found: dict[str, str]) -> dict[str, str]:
    """The statements that units of work pass to `read`, in their form for several units."""
    folder = Path(postgres.__path__[0])
    names = {name for file in folder.glob("*.py") for name in re.findall(r"\.read\((\w+),", file.read_text())}
    several = {}
    for name, text in found.items():
        if name.partition(".")[2] in names - {"statement"}:
            types = TYPES.get(name, ("text",) * len(set(re.findall(r"\$\d+", text))))
            several[f"{name} for several"] = for_several(text, types)
    return several


def ahead(found: dict[str, str]) -> dict[str, str]:
    """The reads of all actions in one statement, alone and for several units."""
    texts = ["calls.CALL_FOR_UPDATE", "contacts.CONTACT", "attempts.ATTEMPT", "tasks.OPEN_TASK"]
    asked = [(found[name], ("text",)) for name in (*texts, "attempts.LATEST_ATTEMPT")]
    of_two = ["action_results.FIND_RESULT", "calls.UNFINISHED_CALLS", "inbound_calls.HELD_UNTIL"]
    asked += [(found[name], ("text", "text")) for name in of_two]
    asked += [(found["suppressions.IS_SUPPRESSED"], TYPES["suppressions.IS_SUPPRESSED"])]
    text = together(tuple((statement, len(types)) for statement, types in asked))
    return {"read_ahead": text, "read_ahead for several": for_several(text, sum((types for _, types in asked), ()))}


def statements() -> dict[str, str]:
    """Every text of the adapter that begins as a statement, by module and name."""
    found: dict[str, str] = {}
    for module in pkgutil.iter_modules(postgres.__path__):
        if module.name == "migrations":
            continue
        for name, value in vars(importlib.import_module(f"{postgres.__name__}.{module.name}")).items():
            members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, tuple) else ()
            for text_name, text in [(name, value), *((f"{name}[{key}]", member) for key, member in members)]:
                if isinstance(text, str) and BEGINS.match(text):
                    found[f"{module.name}.{text_name}"] = text
    found |= reads(found) | ahead(found)
    return {
        name: erasure.ASKED + text if name.startswith("erasure.ERASE[") else text
        for name, text in found.items()
        if name not in EXEMPT
    }


def scans(plan: list[str]) -> list[str]:
    """The lines that read the whole of a growing table."""
    found = [(line.strip(), re.search(r"Seq Scan on (\w+)", line)) for line in plan]
    return [line for line, match in found if match and match[1] in GROWING.split()]


async def slow_statements(connection: Any) -> dict[str, list[str]]:
    """The scans of the slow ones. Plans are made for any values, as after some executions."""
    slow = {}
    for name, text in statements().items():
        mode = "force_custom_plan" if name in OF_VALUES else "force_generic_plan"
        await connection.execute(f"SET plan_cache_mode = {mode}")
        await connection.execute(f"PREPARE examined AS {text}")
        count = await connection.fetchval(
            "SELECT coalesce(cardinality(parameter_types), 0) FROM pg_prepared_statements WHERE name = 'examined'"
        )
        values = OF_VALUES.get(name) or (f"({', '.join(['NULL'] * count)})" if count else "")
        plan = [row[0] for row in await connection.fetch(f"EXPLAIN EXECUTE examined{values}")]
        await connection.execute("DEALLOCATE examined")
        if scans(plan):
            slow[name] = scans(plan)
    return slow


@pytest.fixture(scope="module")
def filled(server_url: str, template_database: str) -> Iterator[str]:
    with short_lived_copy(server_url, template_database) as url:
        yield url


@pytest.fixture
def database_url(filled: str) -> str:
    return filled


@pytest.fixture
async def connection(pool):
    async with pool.acquire() as connection:
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM calls)"):
            await fill(connection, CALLS)
        yield connection


async def test_no_statement_scans_a_growing_table(connection):
    assert len(statements()) > 100
    assert await slow_statements(connection) == {}


# A deletion looks for the rows that refer to the deleted one.
FOREIGN_KEYS_WITHOUT_INDEX = """
SELECT conrelid::regclass::text || '.' || attname FROM pg_constraint
JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
WHERE contype = 'f' AND NOT EXISTS (
    SELECT FROM pg_index WHERE indrelid = conrelid AND indkey[0] = conkey[1] AND indpred IS NULL AND indisvalid)
"""


async def test_each_foreign_key_has_an_index(connection):
    assert await connection.fetchval("SELECT count(*) FROM pg_constraint WHERE contype = 'f'") > 5
    assert await connection.fetch(FOREIGN_KEYS_WITHOUT_INDEX) == []


INDEXES = (
    "attempts_task",
    "suppressions_of_phone",
    "suppressions_of_contact",
    "inbound_calls_of_phone",
    "inbound_calls_of_contact",
    "inbound_calls_held",
    "action_results_contact",
    "dispositions_contact",
    "notes_age",
    "field_writes_age",
)


@pytest.mark.parametrize("index", INDEXES)
async def test_a_missing_index_is_found(connection, index):
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(f"DROP INDEX {index}")
    missed = await connection.fetch(FOREIGN_KEYS_WITHOUT_INDEX) or await slow_statements(connection)
    await transaction.rollback()
    assert missed


async def test_the_views_scan_no_growing_table(connection, pool):
    views, seen = PostgresViews(pool), []
    call_id = await connection.fetchval("SELECT call_id FROM calls WHERE final LIMIT 1")
    async with pool.acquire() as of_the_views:
        of_the_views.add_query_logger(seen.append)
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    for status in (None, *CallStatus):
        for asked in ({}, {"contact_id": "crm-7"}, {"phone": "+14152000007"}, {"since": an_hour_ago}, {"stuck": True}):
            for cursor in (None, call_id):
                await views.calls(CallFilter(status=status, **asked), cursor=cursor, limit=50)
                await views.calls_in_detail(CallFilter(status=status, **asked), cursor=cursor, limit=50)
                await views.count_calls(CallFilter(status=status, **asked), 1001)
    await views.timeline(call_id)
    await views.calls_by_id([call_id])
    await views.newest_calls(500)
    await views.marks([call_id])
    await views.events(after=None, limit=50)
    for phone, contact_id in (("+14162000007", None), (None, "crm-7"), ("+14162000007", "crm-7")):
        await views.suppressions(phone=phone, contact_id=contact_id, cursor=None, limit=50)
        await views.contact_snapshot(phone, contact_id, datetime.now(UTC))
    deliveries = PostgresDeliveries(pool)
    for state in DeliveryState:
        for asked in ({"call_id": call_id}, {"message_id": "01a2"}, {"since": an_hour_ago}):
            wanted = DeliveryFilter(state=state, **asked)
            await deliveries.page(wanted, cursor=None, limit=50)
            await deliveries.count(wanted, 1001)
            await deliveries.count_replayable(wanted, 1001)
            await deliveries.replay(wanted, 0, entry_at(an_hour_ago))
    read = {(one.query, tuple(map(repr, one.args))): one.args for one in seen if BEGINS.match(one.query)}
    assert len(read) > 40
    slow = {}
    for (query, _), values in read.items():
        plan = [row[0] for row in await connection.fetch(f"EXPLAIN {query}", *values)]
        if scans(plan):
            slow[query] = scans(plan)
    assert slow == {}


async def test_a_list_of_few_calls_reads_them_by_the_index_of_what_is_asked(connection, pool):
    """No more calls match than the page has, so a search without an index reads every call."""
    asked = {"reason": "ivr", "from_number": "+14155550111", "agent_id": "agent_rare"}
    rare = "SELECT call_id FROM calls WHERE final ORDER BY call_id LIMIT 3"
    for column, value in asked.items():
        await connection.execute(f"UPDATE calls SET {column} = $1 WHERE call_id IN ({rare})", value)
    await connection.execute("ANALYZE calls")
    views, seen = PostgresViews(pool), []
    async with pool.acquire() as of_the_views:
        of_the_views.add_query_logger(seen.append)
    indexes = {"reason": "calls_reason", "from_number": "calls_from_number", "agent_id": "calls_agent"}
    for column, value in asked.items():
        for cursor in (None, await connection.fetchval("SELECT max(call_id) FROM calls")):
            seen.clear()
            found, _ = await views.calls_in_detail(CallFilter(**{column: value}), cursor=cursor, limit=50)
            assert len(found) == await views.count_calls(CallFilter(**{column: value}), 1001) == 3
            lists = [one for one in seen if f"c.{column} = " in one.query]
            assert len(lists) == 2
            for one in lists:
                plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {one.query}", *one.args))
                assert f" {indexes[column]} " in plan, plan


async def test_a_page_of_a_range_is_planned_for_its_own_range(connection, database_url):
    """A plan for any range takes each for a small one, and reads and sorts the whole range for each page."""
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    asked = Filter(since=an_hour_ago, until=datetime.now(UTC), zone=ZoneInfo("UTC"))
    one_connection = await open_pool(database_url, max_size=1)
    exports, analytics = PostgresExportRows(one_connection), PostgresAnalytics(one_connection)
    for _ in range(7):
        for pages in (exports.attempts(asked), exports.calls(asked), exports.events(asked)):
            assert [page async for page in pages if not page] == []
        for measure in ("attempts", PERSON_MEASURES[0], "denied"):
            await analytics.rows(asked, measure, cursor=None, limit=50)
    planned = await one_connection.fetch(
        "SELECT statement, generic_plans FROM pg_prepared_statements WHERE statement ~ 'LIMIT' AND custom_plans > 6"
    )
    one_connection.terminate()
    assert len(planned) == 6
    assert {row["generic_plans"] for row in planned} == {0}


async def test_events_of_a_call_are_read_by_its_index_and_those_of_a_range_without_their_calls(connection):
    a_day = [datetime.now(UTC) - timedelta(days=1), datetime.now(UTC), 0, 10**6]
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
    plans = []
    for keys, call_id in (({}, None), ({"call_id": "c-1"}, "c-1")):
        lines = await connection.fetch(f"EXPLAIN {export_rows._EVENTS}", *a_day, keys, call_id)
        plans.append("\n".join(line[0] for line in lines))
    await transaction.rollback()
    assert "calls" not in plans[0]
    assert "using outbox_call " in plans[1]
