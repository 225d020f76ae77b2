"""A call's contribution to the statistics, and that a correction takes exactly that back (invariant I27)."""

from datetime import date

import pytest

from ringback.domain.call import RetryPolicy
from ringback.flows.ending_calls import cancel_call
from tests.audit_log import TESTER, entry_at
from tests.flows.event_processing import recordings as r

from .conftest import CountingStack

TODAY = date(2026, 12, 1)


async def test_a_call_that_met_its_goal_is_counted_in_the_transaction_of_its_verdict(stack: CountingStack) -> None:
    talk = await stack.talk()
    assert await stack.all("SELECT * FROM rollup_deltas") == []
    await stack.play(talk, r.COMPLETED)
    assert [row["kind"] for row in await stack.all("SELECT kind FROM rollup_deltas ORDER BY kind")] == [
        "attempt",
        "call",
    ]
    assert await stack.rows.check() == []
    counted = await stack.shown("rollup_day", "day", "campaign", "agent", "agent_version", "attempt_no", "outcome")
    assert counted == {
        (TODAY, "", "agent_1", "4", 1, "completed"): {
            "attempts": 1,
            "rang": 1,
            "answered": 1,
            "human": 1,
            "conversation": 1,
            "goal_met": 1,
            "analysed": 1,
            "sentiment_positive": 1,
            "cost_known": 1,
            "cost_millicents": 14500,
            "talk_ms": 83000,
        }
    }
    assert await stack.shown("rollup_person", "day", "agent") == {
        (TODAY, "agent_1"): {"persons": 1, "persons_reached": 1, "persons_goal": 1}
    }
    # 17:00 UTC is nine in the morning of the contact in Los Angeles, on a Tuesday.
    assert list(await stack.shown("rollup_local", "month", "weekday", "local_hour")) == [(date(2026, 12, 1), 1, 9)]
    assert {kind: cell["samples"] for (kind,), cell in (await stack.shown("rollup_hist", "kind")).items()} == {
        "talk": 1,
        "latency": 1,
        "cost": 1,
        "answer": 1,
    }
    assert await stack.rows.check() == []


async def test_a_correction_takes_back_what_was_counted(stack: CountingStack) -> None:
    talk = await stack.talk()
    await stack.play(talk, r.PARTIAL)
    await stack.shown("rollup_day")
    await stack.play(talk, r.connected("agent_hangup", r.analysis(True)), "call_analyzed")
    assert await stack.rows.check() == []
    cells = await stack.shown("rollup_day", "outcome")
    assert {outcome: cell["attempts"] for (outcome,), cell in cells.items()} == {"completed": 1}
    assert (await stack.shown("rollup_person", "agent"))["agent_1",]["persons_goal"] == 1


@pytest.mark.parametrize("when", ["during the talk", "after the verdict"])
async def test_an_opt_out_that_the_agent_filed_is_counted(stack: CountingStack, when: str) -> None:
    talk = await stack.talk()
    if when == "during the talk":
        await stack.play(talk, r.PARTIAL, "call_started")
        assert (await stack.tool(talk, "set_disposition", {"code": "do_not_call"})).ok
    await stack.play(talk, r.PARTIAL)
    if when == "after the verdict":
        assert "opt_out" not in (await stack.shown("rollup_day", "outcome"))["partially_completed",]
        assert (await stack.tool(talk, "set_disposition", {"code": "do_not_call"})).ok
    assert (await stack.shown("rollup_day", "outcome"))["partially_completed",].get("opt_out") == 1
    assert (await stack.shown("rollup_person", "agent"))["agent_1",] == {
        "persons": 1,
        "persons_reached": 1,
        "persons_opted_out": 1,
    }
    assert await stack.rows.check() == []
    assert await stack.rows.rebuild(entry_at(stack.clock.now())) == []
    assert await stack.tool(talk, "set_disposition", {"code": "no_decision"})
    assert (await stack.shown("rollup_person", "agent"))["agent_1",]["persons_opted_out"] == 1, (
        "a later code undoes none"
    )


async def test_a_wrong_number_is_no_opt_out(stack: CountingStack) -> None:
    talk = await stack.talk()
    await stack.play(talk, r.PARTIAL, "call_started")
    assert (await stack.tool(talk, "set_disposition", {"code": "wrong_number"})).ok
    await stack.play(talk, r.PARTIAL)
    assert (await stack.shown("rollup_person", "agent"))["agent_1",] == {"persons": 1, "persons_reached": 1}
    assert await stack.rows.check() == []


async def test_a_cost_that_comes_after_the_verdict_is_counted(stack: CountingStack) -> None:
    talk = await stack.talk()
    stack.record(talk, {"snapshot": {**r.NO_ANSWER["call_ended"], "call_cost": None}}, "snapshot")
    stack.clock.advance(200)
    await stack.watchdog.reconcile_due_attempts()
    assert (await stack.shown("rollup_day", "outcome"))["failed",] == {"attempts": 1, "rang": 1}
    await stack.play(talk, r.unconnected("dial_no_answer", call_cost={"combined_cost": 2.25}), "call_analyzed")
    cell = (await stack.shown("rollup_day", "outcome"))["failed",]
    assert (cell["cost_known"], cell["cost_millicents"]) == (1, 2250)
    assert await stack.rows.check() == []


async def test_a_person_is_one_person_on_the_day_of_the_first_attempt(stack: CountingStack) -> None:
    talk = await stack.talk(retry=RetryPolicy(3, (90_000,)))
    await stack.play(talk, r.NO_ANSWER)
    again = await stack.dial_next(talk.call_id)
    await stack.play(again, r.COMPLETED)
    assert await stack.shown("rollup_person", "day") == {
        (TODAY,): {"persons": 1, "persons_reached": 1, "persons_goal": 1}
    }
    by_number = await stack.shown("rollup_day", "day", "attempt_no")
    assert {key: cell["attempts"] for key, cell in by_number.items()} == {(TODAY, 1): 1, (date(2026, 12, 2), 2): 1}
    assert await stack.rows.check() == []


async def test_a_reason_is_counted_once_for_a_failure_and_once_for_a_denial(stack: CountingStack) -> None:
    talk = await stack.talk()
    await stack.play(talk, r.BUSY)
    cancelled = await stack.accept(contact=1, not_before=stack.clock.now().replace(hour=23))
    await cancel_call(stack.store, stack.clock, cancelled, TESTER)
    assert await stack.shown("rollup_reason", "reason") == {("busy",): {"failed": 1}, ("cancelled",): {"denied": 1}}
    assert await stack.rows.check() == []
