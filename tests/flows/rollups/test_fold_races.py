"""Folds of several processes beside verdicts and corrections: nothing is lost or counted twice."""

import asyncio
from typing import Any

from ringback.flows import rollups as subject
from tests.flows.event_processing import recordings as r

from .conftest import CountingStack


async def test_folds_beside_verdicts_lose_and_double_nothing(stack: CountingStack, clock: Any) -> None:
    people = [CountingStack(stack.pool, type(clock)()) for _ in range(6)]
    talks = [await person.talk() for person in people]
    is_over = asyncio.Event()

    async def keep_folding() -> None:
        while not is_over.is_set():
            await stack.rows.fold(3)
            await asyncio.sleep(0)

    async def keep_checking() -> None:
        while not is_over.is_set():
            assert await stack.rows.check() == []

    async def conclude(person: CountingStack, number: int) -> None:
        await person.play(talks[number], r.PARTIAL)
        await person.play(talks[number], r.connected("agent_hangup", r.analysis(True)), "call_analyzed")
        await person.play(talks[number], r.connected("user_hangup", r.analysis(False)), "call_analyzed")

    watching = [asyncio.create_task(one()) for one in (keep_folding, keep_folding, keep_checking)]
    await asyncio.gather(*(conclude(person, number) for number, person in enumerate(people)))
    is_over.set()
    await asyncio.gather(*watching)
    assert await stack.rows.check() == []
    cells = await stack.shown("rollup_day", "outcome")
    assert {outcome: cell["attempts"] for (outcome,), cell in cells.items()} == {"partially_completed": 6}
    assert await stack.rows.check() == []


async def test_two_processes_do_not_fold_at_once(stack: CountingStack) -> None:
    await stack.play(await stack.talk(), r.COMPLETED)
    async with stack.pool.acquire() as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(hashtextextended('ringback-fold', 0))")
        assert await stack.rows.fold(10) is None
        stack.clock.advance(60)
        assert await stack.rollups.fold_deltas() == 0
        assert stack.rollups.delta_age_s() == 60  # as far as this process knows
    assert await stack.rows.fold(10) == 2


async def test_the_age_of_the_deltas_counts_from_the_last_complete_fold(stack: CountingStack, monkeypatch) -> None:
    monkeypatch.setattr(subject, "FOLDED_TOGETHER", 1)
    await stack.play(await stack.talk(), r.COMPLETED)
    stack.clock.advance(60)
    assert await stack.rollups.fold_deltas() == 1
    assert await stack.rollups.fold_deltas() == 1
    assert stack.rollups.delta_age_s() == 60  # there may be more of them
    assert await stack.rollups.fold_deltas() == 0
    assert stack.rollups.delta_age_s() == 0


async def test_folded_deltas_leave_nothing_that_reads_must_scan(stack: CountingStack) -> None:
    await stack.pool.execute("INSERT INTO rollup_deltas (kind) SELECT 'none' FROM generate_series(1, 20000)")
    assert await stack.pool.fetchval("SELECT pg_relation_size('rollup_deltas')") > 1_000_000
    while await stack.rollups.fold_deltas():
        pass
    assert await stack.pool.fetchval("SELECT pg_relation_size('rollup_deltas')") == 0
