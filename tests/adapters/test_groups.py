"""Units of several calls in one transaction: what one of them does wrong, or meets, is not the others' business."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ringback.adapters.postgres.groups import ALONE_AT_ONCE, LIMIT, Grouping
from ringback.adapters.postgres.pool import Pool
from ringback.adapters.postgres.store import PostgresStore
from ringback.domain.attempt import Attempt
from ringback.domain.call import Call
from ringback.domain.contact import Contact
from ringback.domain.errors import Retryable, StoreUnavailable
from ringback.domain.provider_report import ProviderReport, ReportKind
from ringback.failpoints import Failpoint, arm
from ringback.storage import AcceptedCall, UnitOfWork
from tests.accepted_calls import accepted_call

NOW = datetime(2026, 12, 1, 17, tzinfo=UTC)
Work = Callable[[UnitOfWork, Call], Awaitable[Any]]


def accepted(number: int, *, person: int | None = None) -> AcceptedCall:
    person = number if person is None else person
    contact = Contact(f"crm-{person}", f"+1415555{person:04d}", "America/New_York", "crm", {})
    return accepted_call(number, contact, NOW)


@pytest.fixture
def reached() -> Iterator[Counter[Failpoint]]:
    """Count the times that each failpoint was reached."""
    counted: Counter[Failpoint] = Counter()
    arm(lambda point: counted.update([point]))
    yield counted
    arm(None)


async def accept(store: PostgresStore, calls: Sequence[AcceptedCall]) -> list[str]:
    """Accept the calls. Returns their ids."""
    for call in calls:  # one after the other, because some are of the same contact
        await store.insert_accepted([call], NOW)
    async with store.transaction():
        """The first unit reads the salt of the hashes. The others would not begin in the same turn."""
    return [one.call.call_id for one in calls]


@pytest.fixture
async def calls(store: PostgresStore) -> list[str]:
    """The ids of five calls to five people."""
    return await accept(store, [accepted(number) for number in range(5)])


async def raise_sequence(tx: UnitOfWork, call: Call) -> None:
    call.sequence += 1
    await tx.save(call)


async def unit(store: PostgresStore, call_id: str, work: Work = raise_sequence) -> Any:
    """One unit about a call. Returns its result, or its error."""
    try:
        async with store.transaction() as tx:
            call = await tx.lock_call(call_id)
            assert call is not None
            return await work(tx, call)
    except Exception as error:  # noqa: BLE001 - the test compares it
        return error


async def together(store: PostgresStore, calls: list[str], **works: Work) -> list[Any]:
    """One unit for each call, in one group. `works` are those of other calls than the usual one, as call_1."""
    units = (unit(store, call_id, works.get(call_id.replace("-", "_"), raise_sequence)) for call_id in calls)
    return await asyncio.gather(*units)


async def sequences(pool: Pool) -> list[int]:
    return [row[0] for row in await pool.fetch("SELECT sequence FROM calls ORDER BY call_id")]


async def test_units_that_arrive_together_are_one_transaction(
    store: PostgresStore, pool: Pool, calls: list[str], reached: Counter[Failpoint]
) -> None:
    assert await together(store, calls) == [None] * 5
    assert await sequences(pool) == [1] * 5
    assert reached[Failpoint.GROUP_COMMITTED] == 1
    assert await pool.fetchval("SELECT count(DISTINCT xmin::text) FROM calls") == 1


async def test_a_unit_that_arrives_alone_works_alone(
    store: PostgresStore, pool: Pool, calls: list[str], reached: Counter[Failpoint]
) -> None:
    assert await together(store, calls[:1]) == [None]
    assert (await sequences(pool))[0] == 1
    assert reached[Failpoint.GROUP_LOCKED] == 0


async def test_units_that_arrive_while_groups_are_at_work_are_the_next_group(
    store: PostgresStore, pool: Pool, reached: Counter[Failpoint]
) -> None:
    many = 3 * LIMIT
    assert await together(store, await accept(store, [accepted(number) for number in range(many)])) == [None] * many
    assert await sequences(pool) == [1] * many
    assert reached[Failpoint.GROUP_COMMITTED] == 3


@pytest.mark.parametrize(("grouping", "groups"), [(Grouping.ALWAYS, 1), (Grouping.NEVER, 0)])
async def test_the_switch_of_the_proof(
    monkeypatch: pytest.MonkeyPatch, pool: Pool, reached: Counter[Failpoint], grouping: Grouping, groups: int
) -> None:
    monkeypatch.setattr(PostgresStore, "grouping", grouping)
    store = PostgresStore(pool, clock_is_real=False)
    units = 2 * ALONE_AT_ONCE
    calls = await accept(store, [accepted(number) for number in range(units)])
    assert await together(store, calls[:1]) == [None]
    assert reached[Failpoint.GROUP_COMMITTED] == groups
    assert await together(store, calls) == [None] * units
    assert await sequences(pool) == [2] + [1] * (units - 1)


async def test_an_error_undoes_the_writes_of_its_own_unit_only(
    store: PostgresStore, pool: Pool, calls: list[str]
) -> None:
    async def fails(tx: UnitOfWork, call: Call) -> None:
        await raise_sequence(tx, call)
        raise LookupError

    ends = await together(store, calls, call_1=fails)
    assert [type(end) for end in ends] == [type(None), LookupError, *[type(None)] * 3]
    assert await sequences(pool) == [1, 0, 1, 1, 1]


async def test_an_error_after_a_statement_of_its_own_undoes_that_too(
    store: PostgresStore, pool: Pool, calls: list[str]
) -> None:
    async def notes(tx: UnitOfWork, call: Call) -> None:
        await raise_sequence(tx, call)
        await tx.contacts.set_time_zone(call.contact_id, "America/Chicago", "crm", NOW)
        await tx.calls.unfinished_of(None, call.contact_id)

    async def fails(tx: UnitOfWork, call: Call) -> None:
        await notes(tx, call)
        raise LookupError

    ends = await together(store, calls, call_1=fails, call_2=notes)
    assert [type(end) for end in ends] == [type(None), LookupError, *[type(None)] * 3]
    assert await sequences(pool) == [1, 0, 1, 1, 1]
    zones = [row[0] for row in await pool.fetch("SELECT time_zone FROM contacts ORDER BY contact_id")]
    assert zones == ["America/New_York", "America/New_York", "America/Chicago", *["America/New_York"] * 2]


async def test_a_statement_of_its_own_that_fails_is_undone_alone(
    store: PostgresStore, pool: Pool, calls: list[str]
) -> None:
    async def fails(tx: UnitOfWork, call: Call) -> None:
        await tx.contacts.set_time_zone(call.contact_id, "America/Chicago", "no source", NOW)
        await tx.calls.unfinished_of(None, call.contact_id)

    ends = await together(store, calls, call_1=fails)
    assert [end is None for end in ends] == [True, False, True, True, True]
    assert await sequences(pool) == [1, 0, 1, 1, 1]


async def test_a_row_that_changed_meanwhile_fails_its_own_unit_only(
    store: PostgresStore, pool: Pool, calls: list[str]
) -> None:
    async def loses(tx: UnitOfWork, call: Call) -> None:
        task = await tx.tasks.open_for(call.call_id)
        assert task is not None
        task.dispatch = 7  # as if it had been read so
        tx._rows.remember(task)  # type: ignore[attr-defined]
        task.dispatch = 8
        await tx.save(task)
        await raise_sequence(tx, call)

    ends = await together(store, calls, call_1=loses)
    assert [type(end) for end in ends] == [type(None), Retryable, *[type(None)] * 3]
    assert await sequences(pool) == [1, 0, 1, 1, 1]


async def test_an_event_recorded_meanwhile_fails_its_own_unit_only(
    store: PostgresStore, pool: Pool, calls: list[str]
) -> None:
    report = ProviderReport(ReportKind.OTHER, "call_of_retell", "call_ended")

    async def records(tx: UnitOfWork, call: Call) -> bool:
        is_new = await tx.provider_events.record(report, None, b"content", "{}", "applied", NOW)
        await raise_sequence(tx, call)
        return is_new

    ends = await together(store, calls, call_1=records, call_3=records)
    assert sorted(map(str, ends)) == sorted(
        ["None", "None", "None", "True", "provider_events row changed since it was read"]
    )
    assert sorted(await sequences(pool)) == [0, 1, 1, 1, 1]
    assert await unit(store, "call-3", records) is False


async def test_a_value_that_postgresql_refuses_fails_its_own_unit_only(
    store: PostgresStore, pool: Pool, calls: list[str]
) -> None:
    async def asks(tx: UnitOfWork, call: Call) -> None:
        await tx.attempts.get("\0")

    ends = await together(store, calls, call_1=asks)
    assert [end is None for end in ends] == [True, False, True, True, True]
    assert await sequences(pool) == [1, 0, 1, 1, 1]


async def test_a_call_id_that_postgresql_refuses_fails_its_own_unit_only(
    store: PostgresStore, pool: Pool, calls: list[str]
) -> None:
    ends = await together(store, ["call-0", "call-\0", *calls[1:]])
    assert [end is None for end in ends] == [True, False, True, True, True, True]
    assert await sequences(pool) == [1] * 5


async def test_a_read_that_fails_the_group_fails_one_unit_only_at_the_next_try(
    store: PostgresStore, pool: Pool, calls: list[str], reached: Counter[Failpoint]
) -> None:
    """PostgreSQL has no such number, and the units' reads are one statement."""

    async def reads(tx: UnitOfWork, call: Call) -> None:
        number = 2**70 if call.call_id == "call-1" else 1
        await tx.attempts.count_before(cast(Attempt, SimpleNamespace(call_id=call.call_id, number=number)), [])
        await raise_sequence(tx, call)

    works = {call_id.replace("-", "_"): reads for call_id in calls}
    ends = await together(store, calls, **works)
    assert {type(end) for end in ends} == {StoreUnavailable}
    groups = reached[Failpoint.GROUP_LOCKED]
    ends = await together(store, calls, **works)
    assert [end is None for end in ends] == [True, False, True, True, True]
    assert not isinstance(ends[1], StoreUnavailable)
    assert reached[Failpoint.GROUP_LOCKED] == groups
    assert await sequences(pool) == [1, 0, 1, 1, 1]
    assert await together(store, calls) == [None] * 5
    assert reached[Failpoint.GROUP_LOCKED] == groups + 1


async def test_a_person_is_in_a_group_once(store: PostgresStore, pool: Pool, reached: Counter[Failpoint]) -> None:
    at_work: Counter[str] = Counter()

    async def alone(tx: UnitOfWork, call: Call) -> None:
        at_work[call.phone] += 1
        assert at_work[call.phone] == 1
        await asyncio.sleep(0.01)
        at_work[call.phone] -= 1
        await raise_sequence(tx, call)

    await accept(store, [accepted(0), accepted(1, person=0), accepted(2)])
    ids = ["call-0", "call-1", "call-2", "call-0", "call-1"]
    assert await asyncio.gather(*(unit(store, call_id, alone) for call_id in ids)) == [None] * 5
    assert await sequences(pool) == [2, 2, 1]


@asynccontextmanager
async def locked_by_another(pool: Pool, call_id: str) -> AsyncIterator[None]:
    async with pool.acquire() as connection, connection.transaction():
        phone = await connection.fetchval("SELECT phone FROM calls WHERE call_id = $1", call_id)
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('phone:' || $1, 0))", phone)
        yield


async def test_a_unit_whose_person_is_locked_waits_without_its_group(
    store: PostgresStore, pool: Pool, calls: list[str]
) -> None:
    async with locked_by_another(pool, "call-1"):
        units = [asyncio.create_task(unit(store, call_id)) for call_id in calls]
        await asyncio.wait({units[0], units[2], units[3], units[4]})
        assert not units[1].done()
    assert await asyncio.gather(*units) == [None] * 5
    assert await sequences(pool) == [1] * 5


async def test_a_cancelled_unit_leaves_its_group(store: PostgresStore, pool: Pool, calls: list[str]) -> None:
    asking = asyncio.Event()

    async def is_cancelled(tx: UnitOfWork, call: Call) -> None:
        await raise_sequence(tx, call)
        asking.set()
        await asyncio.Event().wait()

    units = [asyncio.create_task(unit(store, "call-0", is_cancelled))]
    units += [asyncio.create_task(unit(store, call_id)) for call_id in calls[1:]]
    await asking.wait()
    units[0].cancel()
    assert [end is None for end in await asyncio.gather(*units, return_exceptions=True)] == [False, *[True] * 4]
    assert await sequences(pool) == [0, 1, 1, 1, 1]


@pytest.mark.parametrize("turns", range(12))
async def test_a_unit_cancelled_at_any_moment_blocks_no_other(
    store: PostgresStore, pool: Pool, calls: list[str], turns: int
) -> None:
    units = [asyncio.create_task(unit(store, call_id)) for call_id in calls]
    for _ in range(turns):
        await asyncio.sleep(0)
    units[1].cancel()
    ends = await asyncio.wait_for(asyncio.gather(*units, return_exceptions=True), 10)
    assert [end for number, end in enumerate(ends) if number != 1] == [None] * 4
    assert await together(store, calls) == [None] * 5


@pytest.mark.parametrize(
    "point", [point for point in Failpoint if point.startswith("group.") and point != Failpoint.GROUP_COMMITTED]
)
async def test_a_lost_connection_fails_every_unit_of_the_group(
    store: PostgresStore, pool: Pool, calls: list[str], point: Failpoint
) -> None:
    """The commit included: no unit may take its changes for committed."""

    def cut(reached: Failpoint) -> None:
        if reached == point:
            arm(None)
            raise ConnectionResetError

    async def counts(tx: UnitOfWork, call: Call) -> None:
        await tx.capacity.lock(NOW)
        await raise_sequence(tx, call)

    arm(cut)
    try:
        ends = await together(store, calls, **{call_id.replace("-", "_"): counts for call_id in calls})
    finally:
        arm(None)
    assert [type(end) for end in ends] == [StoreUnavailable] * 5
    assert await sequences(pool) == [0] * 5
    assert await together(store, calls) == [None] * 5
