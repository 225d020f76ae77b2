"""Rows that change without this version's counting: the previous version, a repair by hand, retention and erasure."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import asyncpg

from ringback.adapters.postgres.erasure import PostgresEraser
from ringback.adapters.postgres.person_hash import Hashing
from ringback.adapters.postgres.purge import PostgresPurge
from ringback.adapters.postgres.rollup_rows import PostgresRollupRows
from tests.audit_log import entry_at
from tests.flows.event_processing import recordings as r
from tests.flows.stack import a_request

from .conftest import CountingStack

#: A session of the previous version knows nothing of the statistics.
_PREVIOUS = "SET ringback.counts = ''"


async def as_previous_version(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in (_PREVIOUS, *statements):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_verdict_of_the_previous_version_is_counted_by_the_scheduler(
    stack: CountingStack, database_url: str
) -> None:
    talk = await stack.talk()
    await stack.play(talk, r.COMPLETED)
    undone = "UPDATE {} SET counted = NULL"
    await as_previous_version(
        database_url, undone.format("attempts"), undone.format("calls"), "DELETE FROM rollup_deltas"
    )
    assert {one.table for one in await stack.rows.check()} == {"attempts", "calls"}
    assert await stack.rollups.count_uncounted() == 1
    assert await stack.rollups.count_uncounted() == 0
    assert await stack.rows.check() == []
    assert (await stack.shown("rollup_day", "outcome"))["completed",]["attempts"] == 1


async def test_a_correction_of_the_previous_version_is_counted_by_the_scheduler(
    stack: CountingStack, database_url: str
) -> None:
    talk = await stack.talk()
    await stack.play(talk, r.PARTIAL)
    await as_previous_version(
        database_url,
        "UPDATE attempts SET successful = true, verdict_type = 'voice_ai_call_completed', "
        "verdict_digest = 'voice_ai_call_completed::'",
    )
    assert {one.table for one in await stack.rows.check()} == {"attempts", "calls"}
    assert await stack.rollups.count_uncounted() == 1
    assert await stack.rollups.count_uncounted() == 0
    assert await stack.rows.check() == []
    assert list(await stack.shown("rollup_day", "outcome")) == [("completed",)]


async def test_a_call_is_not_counted_while_a_unit_of_work_has_its_person(
    stack: CountingStack, database_url: str
) -> None:
    talk = await stack.talk()
    await stack.play(talk, r.COMPLETED)
    await as_previous_version(database_url, "UPDATE attempts SET counted = NULL", "DELETE FROM rollup_deltas")
    async with stack.store.transaction() as tx:
        person = await tx.calls.person_of(talk.call_id)
        assert person is not None
        await tx.lock_contacts([], person[1])
        assert await stack.rollups.count_uncounted() == 0
    assert await stack.rollups.count_uncounted() == 1


async def test_a_denial_at_acceptance_is_counted_in_its_transaction(stack: CountingStack) -> None:
    await stack.initiation.accept_call(a_request(stack.contact(), "+442079460100", time_zone="Europe/London"))
    assert await stack.rows.check() == []
    assert await stack.shown("rollup_reason", "day", "reason") == {
        (date(2026, 12, 1), "country_not_allowed"): {"denied": 1}
    }


async def test_purged_calls_stay_in_the_statistics_and_out_of_the_check(stack: CountingStack) -> None:
    talk = await stack.talk()
    await stack.play(talk, r.COMPLETED)
    await stack.shown("rollup_day")
    await stack.execute("UPDATE outbox SET delivered_at = now()")
    purge = PostgresPurge(stack.pool)
    assert await purge.purge_expired("finished_calls", stack.clock.now() + timedelta(days=30), 10) == 1
    assert await stack.rows.check() == []
    assert await stack.shown("rollup_day", "outcome") == {}
    kept = await stack.all("SELECT outcome, attempts FROM rollup_day WHERE purged")
    assert [(row["outcome"], row["attempts"]) for row in kept] == [("completed", 1)]
    assert await stack.rows.check() == []


async def test_an_erased_person_stays_a_number(stack: CountingStack) -> None:
    talk = await stack.talk()
    await stack.play(talk, r.COMPLETED)
    eraser = PostgresEraser(stack.pool, Hashing(("an-erasure-key-of-the-tests-00001",)))
    assert await eraser.erase(stack.phone(), "asked", entry_at(stack.clock.now())) is not None
    assert await stack.rows.check() == []
    assert (await stack.shown("rollup_day", "outcome"))["completed",]["goal_met"] == 1
    assert await stack.rollups.count_uncounted() == 0


async def test_rebuild_repairs_cells_and_moves_days_to_another_zone(stack: CountingStack) -> None:
    stack.clock.advance(11 * 3600)  # 04:00 UTC of the next day, still the first of December in New York
    talk = await stack.talk()
    await stack.play(talk, r.COMPLETED)
    await stack.shown("rollup_day")
    await stack.execute("UPDATE rollup_hour SET attempts = attempts + 7")
    assert [(one.table, one.missing) for one in await stack.rows.check()] == [("rollup_hour", {"attempts": -7})]
    assert [one.table for one in await stack.rows.check_since(stack.clock.now() - timedelta(hours=2), 10)] == [
        "rollup_hour"
    ]
    in_berlin = PostgresRollupRows(stack.pool, ZoneInfo("Europe/Berlin"))
    assert {one.table for one in await in_berlin.check()} == {"attempts", "calls", "rollup_hour"}
    assert [one.table for one in await in_berlin.rebuild(entry_at(stack.clock.now()))] == ["rollup_hour"]
    assert await in_berlin.check() == []
    assert list(await stack.shown("rollup_day", "day")) == [(date(2026, 12, 2),)]
    assert (await stack.shown("rollup_hour"))[()]["attempts"] == 1
