"""An action waits for few round trips to the database: someone is on the phone."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from ringback.adapters.postgres.groups import Grouping
from ringback.adapters.postgres.store import PostgresStore

ARGUMENTS = {
    "note_writeback": {"note": "Prefers mornings."},
    "field_writeback": {"fields": {"company": "Example Insurance"}},
    "set_disposition": {"code": "interested"},
    "send_abt_event": {"type": "lead_qualified", "data": {"score": 7}},
    "reschedule_call": {"when": "tomorrow at 3pm"},
    "delete_scheduled_task": {},
    "update_timezone": {"time_zone": "Pacific"},
}
#: BEGIN, the locks, one read, one write, COMMIT. The fields' old values are read under a lock of their own.
OF_SYSTEMS = dict.fromkeys(ARGUMENTS, 5) | {"field_writeback": 6}
#: An agent's attempt is found before. What the function call proves is written with the action, or before its own
#: statement.
OF_FIRST_CALL = {
    "note_writeback": 6,
    "field_writeback": 8,
    "set_disposition": 6,
    "send_abt_event": 6,
    "reschedule_call": 6,
    "update_timezone": 8,
}
CALLER = {"from_number": "+14155550100", "to_number": "+14155550199"}


@pytest.fixture(autouse=True)
def not_in_groups(monkeypatch) -> None:
    """A group of one costs more."""
    monkeypatch.setattr(PostgresStore, "grouping", Grouping.WHEN_BUSY)


@pytest.fixture
async def statements(pool) -> AsyncIterator[list]:
    """Every statement that is sent on a connection of the pool. Each is a round trip, BEGIN and COMMIT too."""
    sent: list = []
    async with AsyncExitStack() as every:
        for _ in range(pool.get_max_size()):
            (await every.enter_async_context(pool.acquire())).add_query_logger(sent.append)
    return sent


async def on_the_phone(stack):
    """A conversation after its first function call, with a callback planned."""
    talk = await stack.talk()
    assert (await stack.tool(talk, "reschedule_call", {"when": "tomorrow at 1pm"})).ok
    return talk


@pytest.mark.parametrize(("action", "trips"), OF_SYSTEMS.items())
async def test_an_action_of_a_system_makes_few_round_trips(stack, statements, action, trips):
    talk = await on_the_phone(stack)
    statements.clear()
    assert (await stack.ask(action, ARGUMENTS[action], call_id=talk.call_id)).ok
    assert len(statements) == trips, [each.query for each in statements]


@pytest.mark.parametrize(("action", "trips"), OF_SYSTEMS.items())
async def test_an_action_of_an_agent_finds_its_attempt_before(stack, statements, action, trips):
    talk = await on_the_phone(stack)
    statements.clear()
    assert (await stack.tool(talk, action, ARGUMENTS[action])).ok
    assert len(statements) == 1 + trips, [each.query for each in statements]


@pytest.mark.parametrize(("action", "trips"), OF_FIRST_CALL.items())
async def test_the_first_action_of_a_conversation_also_records_that_it_connected(stack, statements, action, trips):
    talk = await stack.talk()
    statements.clear()
    assert (await stack.tool(talk, action, ARGUMENTS[action])).ok
    assert len(statements) == trips, [each.query for each in statements]
    assert "voice_ai_call_started" in [event["type"] for event in await stack.events(talk.call_id)]


@pytest.mark.parametrize("rings", ["first", "again"])
async def test_a_ringing_phone_waits_for_few_round_trips(stack, statements, rings):
    """Of an action's five; before them who calls, and after the locks whether it rings already."""
    await on_the_phone(stack)
    if rings == "again":
        await stack.ask("incoming_call", CALLER)
    statements.clear()
    assert (await stack.ask("incoming_call", CALLER)).code == "caller_known"
    assert len(statements) == 7, [each.query for each in statements]


async def test_a_repeat_reads_the_stored_reply_with_the_call(stack, statements):
    talk = await on_the_phone(stack)
    note = {"note": "Prefers mornings."}
    first = await stack.ask("note_writeback", note, key="k", call_id=talk.call_id)
    statements.clear()
    assert await stack.ask("note_writeback", note, key="k", call_id=talk.call_id) == first
    assert len(statements) == 4, "nothing is written"
