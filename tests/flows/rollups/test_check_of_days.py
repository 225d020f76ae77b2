"""A check of some days recomputes their cells from the rows, and no others."""

from datetime import date, timedelta

from ringback.flows.ending_calls import cancel_call
from tests.audit_log import TESTER
from tests.flows.event_processing import recordings as r

from .conftest import CountingStack

FIRST = date(2026, 12, 1)
DAY = timedelta(days=1)
TABLES = ("rollup_hour", "rollup_day", "rollup_number", "rollup_local", "rollup_hist", "rollup_reason", "rollup_person")


async def two_days_of_calls(stack: CountingStack) -> None:
    for number in (0, 2):
        await stack.play(await stack.talk(contact=number), r.COMPLETED)
        await stack.play(await stack.talk(contact=number + 1), r.BUSY)
        cancelled = await stack.accept(contact=number, not_before=stack.clock.now() + timedelta(hours=2))
        await cancel_call(stack.store, stack.clock, cancelled, TESTER)
        stack.clock.advance(40 * 86400)
    while await stack.rollups.fold_deltas():
        pass


async def differing(stack: CountingStack, *days: date) -> list[str]:
    return [one.table for one in await stack.rows.check((days[0], days[1]))]


async def test_right_cells_of_some_days_do_not_differ(stack: CountingStack) -> None:
    await two_days_of_calls(stack)
    for later in (0, 40):
        first = FIRST + timedelta(days=later)
        assert await differing(stack, first, first + DAY) == []
        assert await differing(stack, first - DAY, first) == []
    assert await differing(stack, FIRST, FIRST + timedelta(days=60)) == []


async def test_a_changed_cell_is_found_by_a_check_of_its_day_alone(stack: CountingStack) -> None:
    await two_days_of_calls(stack)
    for table in TABLES:
        time = {"rollup_hour": "hour", "rollup_local": "month"}.get(table, "day")
        measure = {"rollup_hist": "samples", "rollup_reason": "failed", "rollup_person": "persons"}.get(
            table, "attempts"
        )
        one_cell = f"SELECT min(ctid) FROM {table} WHERE {time} < '2026-12-21'"
        await stack.pool.execute(f"UPDATE {table} SET {measure} = {measure} + 1 WHERE ctid = ({one_cell})")
    assert await differing(stack, FIRST, FIRST + DAY) == list(TABLES)
    assert await differing(stack, FIRST + DAY, FIRST + 2 * DAY) == ["rollup_local"]  # its month is the same
    assert await differing(stack, date(2027, 1, 1), date(2027, 2, 1)) == []


async def test_a_row_whose_numbers_are_not_its_facts_is_found_in_its_month(stack: CountingStack) -> None:
    await two_days_of_calls(stack)
    await stack.pool.execute(
        "UPDATE attempts SET counted = counted - 'human' WHERE counted ? 'human' AND sent_at < $1",
        stack.clock.now() - timedelta(days=60),
    )
    assert (await differing(stack, FIRST, FIRST + DAY))[0] == "attempts"
    assert await differing(stack, date(2027, 1, 1), date(2027, 2, 1)) == []
