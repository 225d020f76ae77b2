"""Why a person was or was not called, and when they may be, by the rules of the eligibility check."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ringback.adapters.number_plan import PhoneNumbersPlan
from ringback.domain.call import TaskKind
from ringback.domain.calling_hours import CallingHours
from ringback.domain.contact_snapshot import MAX_WAITS
from ringback.flows.operator.dialing_control import pause_dialing
from ringback.flows.operator.eligibility import EligibilityExplainer
from ringback.flows.suppression import SuppressionOrder, lift_suppression, suppress_now
from tests.audit_log import TESTER

from .conftest import PHONE, POLICY, OperatorStack

NOON = datetime(2026, 12, 1, 17, 0, tzinfo=UTC)  # a Tuesday, noon in New York


def at(hour, minute=0, day=1):
    return datetime(2026, 12, day, hour, minute, tzinfo=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def verdict(told):
    return told["next_eligible_at"], told["because"]


async def end_attempts(pool):
    await pool.execute("UPDATE attempts SET holds_person = false, holds_slot = false, state = 'analyzed'")


async def test_a_task_that_is_due_may_be_called_now(stack):
    call_id = await stack.accept()
    told = await stack.explain(phone=PHONE)
    assert verdict(told) == (at(17), "admitted")
    (task,) = told["open_tasks"]
    assert (task["call_id"], task["kind"], task["status"], task["held"]) == (call_id, "first", "dispatched", False)
    assert (task["due_at"], task["next_eligible_at"], task["waits"]) == (at(17), at(17), [])
    assert told["contacts"] == [{"contact_id": "crm-42", "time_zone": "America/New_York", "time_zone_source": "crm"}]
    assert told["calling_hours"] == {
        "policy": "mon-sat 09:00-20:00",
        "time_zones": ["America/New_York"],
        "open_now": True,
        "opens_at": at(17),
    }
    assert told == await stack.explain(contact_id="crm-42")


async def test_a_later_task_is_due_then(stack, clock):
    await stack.accept(not_before=NOON + timedelta(hours=3))
    assert verdict(await stack.explain(phone=PHONE)) == (at(20), "due_at")


async def test_outside_calling_hours_the_next_open_minute_is_told(stack, clock):
    await stack.accept()
    clock.advance(9 * 3600)
    told = await stack.explain(phone=PHONE)
    assert verdict(told) == (at(14, day=2), "outside_calling_hours")
    assert told["open_tasks"][0]["waits"] == [{"rule": "outside_calling_hours", "until": at(14, day=2)}]
    assert told["calling_hours"]["open_now"] is False


async def test_waits_follow_one_another_the_gap_and_then_the_night(stack, clock, pool):
    clock.advance(7 * 3600 + 55 * 60)  # 19:55 in New York
    await stack.deliver_first(await stack.accept())
    await end_attempts(pool)
    await stack.accept()
    told = await stack.explain(phone=PHONE)
    assert verdict(told) == (at(14, day=2), "outside_calling_hours")
    assert [wait["rule"] for wait in told["open_tasks"][0]["waits"]] == ["attempt_gap", "outside_calling_hours"]


async def test_the_daily_cap_ends_when_the_oldest_attempt_is_a_day_old(stack, clock, pool):
    for _ in range(2):
        await stack.deliver_first(await stack.accept())
        await end_attempts(pool)
        clock.advance(1800)
    await stack.accept()
    told = await stack.explain(phone=PHONE)
    assert verdict(told) == (at(17, day=2), "attempts_per_day")
    assert [one["state"] for one in told["attempts_last_24h"]] == ["analyzed", "analyzed"]
    assert told["attempts_last_24h"][0]["sent_at"] == at(17, 30)


async def test_the_explanation_agrees_with_the_later_claim(stack, clock, pool):
    """Told at one moment, the call is refused until that time and admitted at it."""
    await stack.deliver_first(await stack.accept())
    await end_attempts(pool)
    call_id = await stack.accept()
    promised = datetime.fromisoformat((await stack.explain(phone=PHONE))["next_eligible_at"])
    clock.advance((promised - clock.now()).total_seconds() - 1)
    await stack.deliver_first(call_id)
    assert len(stack.provider.dialed) == 1
    assert (await stack.explain(phone=PHONE))["next_eligible_at"] == at(17, 15)
    clock.advance(1)
    assert await stack.scheduled.release_due_calls() == 1
    await stack.deliver_first(call_id)
    assert len(stack.provider.dialed) == 2


async def test_a_person_on_the_line_is_said_so_and_no_time_is_promised(stack):
    await stack.deliver_first(await stack.accept())
    told = await stack.explain(phone=PHONE)
    assert verdict(told) == (None, "person_on_another_attempt")
    assert told["attempts_last_24h"][0]["holds_person"] is True
    assert told["open_tasks"] == []


async def test_a_suppression_by_phone_or_contact_is_shown_and_rules(stack, store, clock):
    await stack.accept("crm-42")
    by_phone, *_ = await suppress_now(
        store,
        clock,
        stack.new_id,
        SuppressionOrder(phone=PHONE, contact_id=None, reason="asked by letter", actor=TESTER),
    )
    by_contact, *_ = await suppress_now(
        store, clock, stack.new_id, SuppressionOrder(phone=None, contact_id="crm-42", reason="left", actor=TESTER)
    )
    told = await stack.explain(phone=PHONE)
    assert verdict(told) == (None, "suppressed")
    shown = {one["suppression_id"]: (one["matches"], one["reason"], one["source"]) for one in told["suppressions"]}
    assert shown == {
        by_phone: (["phone"], "asked by letter", "api"),
        by_contact: (["contact_id"], "left", "api"),
    }
    await lift_suppression(store, clock, by_phone, "wrong person", TESTER)
    await lift_suppression(store, clock, by_contact, "came back", TESTER)
    assert verdict(await stack.explain(phone=PHONE)) == (at(17), "admitted")


async def test_the_last_decisions_are_told_with_their_inputs_the_newest_first(stack, clock):
    call_id = await stack.accept()
    await pause_dialing(stack.switch, clock, "wrong script", TESTER)
    await stack.deliver_first(call_id)
    told = await stack.explain(contact_id="crm-42")
    assert verdict(told) == (None, "paused")
    assert told["dialing"] == {"paused": True, "reason": "wrong script", "breaker_until": None, "live": 0}
    (decision,) = told["decisions"]
    assert (decision["call_id"], decision["at"], decision["kind"]) == (call_id, at(17), "gate")
    assert decision["detail"]["rule"] == "paused"
    assert {"attempts_last_day", "live", "suppressed", "budget_used"} <= set(decision["detail"])


async def test_an_open_breaker_is_waited_for(stack, store, clock):
    await stack.accept()
    async with store.transaction() as tx:
        until = await tx.capacity.open_breaker("http_402", clock.now())
    told = await stack.explain(phone=PHONE)
    assert told["because"] == "account_breaker"
    assert datetime.fromisoformat(told["next_eligible_at"]) == until


async def test_a_callback_is_exempt_from_gap_and_cap_in_the_explanation_too(stack, pool):
    await stack.deliver_first(await stack.accept())
    await end_attempts(pool)
    await stack.accept()
    assert (await stack.explain(phone=PHONE))["because"] == "attempt_gap"
    await pool.execute("UPDATE tasks SET kind = $1 WHERE status = 'dispatched'", TaskKind.CALLBACK)
    assert (await stack.explain(phone=PHONE))["because"] == "admitted"


async def test_a_call_that_will_have_expired_by_then_will_not_ring(stack, clock):
    await stack.accept(expires_at=NOON + timedelta(hours=10))
    clock.advance(9 * 3600)
    told = await stack.explain(phone=PHONE)
    assert verdict(told) == (None, "expired")
    assert told["open_tasks"][0]["waits"][0]["rule"] == "outside_calling_hours"


async def test_an_unknown_number_is_explained_as_a_new_call_would_be(stack):
    told = await stack.explain(phone="+12125550199")
    assert verdict(told) == (at(17), "admitted")
    assert (told["contacts"], told["open_tasks"], told["decisions"]) == ([], [], [])
    assert verdict(await stack.explain(phone="+442079460000")) == (None, "country_not_allowed")
    assert verdict(await stack.explain(phone="+19002345678")) == (None, "number_type_not_allowed")


async def test_two_calls_to_one_contact_are_told_one_by_one_and_the_earlier_decides(stack):
    await stack.accept(not_before=NOON + timedelta(days=1))
    await stack.accept(phone="+12125550123")
    told = await stack.explain(contact_id="crm-42")
    assert sorted(task["due_at"] for task in told["open_tasks"]) == [at(17), at(17, day=2)]
    assert verdict(told) == (at(17), "admitted")


@pytest.mark.parametrize("zone", [None, "America/New_York"])
async def test_hours_that_never_open_promise_nothing(store, pool, clock, zone):
    closed = CallingHours.parse("tue 03:00-03:01")
    stack = OperatorStack(store, pool, clock, replace(POLICY, calling_hours=closed, lease_s=120))
    await stack.accept(time_zone=zone)
    told = await stack.explain(phone=PHONE)
    # A window shorter than a lease never allows a call.
    assert told["next_eligible_at"] is None
    assert len(told["open_tasks"][0]["waits"]) <= MAX_WAITS


class NoZones(PhoneNumbersPlan):
    def time_zones(self, phone):
        return ()


async def test_a_person_whose_zone_is_unknown_is_never_promised_a_time(stack, clock):
    await stack.accept(time_zone=None)
    lost = EligibilityExplainer(stack.explanation.views, clock, NoZones(), POLICY)
    told = await lost.explain(phone=PHONE, contact_id=None)
    assert verdict(told) == (None, "calling_hours_never_open")
    assert told["calling_hours"]["opens_at"] is None


async def test_it_is_asked_over_http_by_phone_or_by_contact(api, stack):
    await stack.accept()
    by_phone = await api.get("/v1/why", params={"phone": PHONE})
    by_contact = await api.get("/v1/why", params={"contact_id": "crm-42"})
    assert by_phone.status_code == by_contact.status_code == 200
    assert by_phone.json() == by_contact.json() == await stack.explain(phone=PHONE)
    assert PHONE not in by_phone.text
    assert (await api.get("/v1/why", params={"contact_id": "nobody"})).status_code == 404
    for query in ({}, {"phone": PHONE, "contact_id": "crm-42"}, {"phone": "4155550100"}, {"contact_id": "a", "x": "y"}):
        refused = await api.get("/v1/why", params=query)
        assert refused.status_code == 422
        assert "4155550100" not in refused.text
