"""A contact calls: the caller, the tasks held until the end of the call, and the reach of its functions."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from ringback.adapters.postgres.views import PostgresViews
from ringback.domain.provider_report import ProviderReport, ReportKind
from ringback.flows.business_operations.action import ActionRequest, Scope

CALLER, OURS = "+14155550100", "+14155550199"
RINGS = {"from_number": CALLER, "to_number": OURS}
LATER = datetime(2026, 12, 2, 20, tzinfo=UTC)


async def ring(stack, *, call_id: str | None = None, key: str = "inbound:1", args=RINGS):
    """Ask as Retell does."""
    return await stack.operations.perform(
        ActionRequest("incoming_call", Scope.RETELL, key, args, provider_call_id=call_id)
    )


def event(name: str, metadata: dict, call_id: str = "call_in_1", **fields) -> dict:
    call = {
        "call_id": call_id,
        "call_type": "phone_call",
        "direction": "inbound",
        "from_number": CALLER,
        "to_number": OURS,
        "agent_id": "agent_in",
        "call_status": "ongoing",
        "metadata": metadata,
        "start_timestamp": 1_796_144_410_000,
        **fields,
    }
    return {"event": name, "call": call, "event_timestamp": 1_796_144_420_000}


def ended(metadata: dict, call_id: str = "call_in_1", reason: str = "user_hangup") -> dict:
    return event(
        "call_ended",
        metadata,
        call_id,
        end_timestamp=1_796_144_470_000,
        duration_ms=60_000,
        disconnection_reason=reason,
    )


async def tool(stack, metadata: dict, action: str, args: dict, key: str = "t1"):
    report = ProviderReport(
        ReportKind.TOOL,
        "call_in_1",
        instance=metadata.get("ringback_instance"),
        inbound_id=metadata.get("ringback_inbound_id"),
        contact_id=metadata.get("ringback_contact_id"),
        direction="inbound",
        from_number=CALLER,
    )
    asked = ActionRequest(action, Scope.RETELL, key, args, provider_call_id="call_in_1", report=report)
    return await stack.operations.perform(asked)


async def held(stack, call_id: str) -> dict:
    return (await stack.tasks(call_id))[-1]


async def test_a_known_caller_is_told_apart_and_the_agent_knows_what_is_planned(stack):
    talk = await stack.talk(fields={"first_name": "Ada", "opted_in": True, "budget": 5}, variables={"product": "solar"})
    await stack.tool(talk, "reschedule_call", {"when": "tomorrow at 3pm", "reason": "in a meeting"})
    reply = await ring(stack)
    assert (reply.ok, reply.code) == (True, "caller_known")
    inbound = await stack.one("SELECT * FROM inbound_calls")
    assert reply.result == {
        "dynamic_variables": {
            "is_known": "true",
            "contact_id": "crm-42",
            "first_name": "Ada",
            "time_zone": "America/New_York",
            "has_callback": "true",
            "callback_at": "2026-12-02T20:00:00.000Z",
            "callback_kind": "callback",
            "callback_spoken": "tomorrow at 3 PM",
            "ringback_call_id": talk.call_id,
            "ringback_attempt_id": inbound["inbound_id"],
        },
        "metadata": {
            "ringback_instance": "test-instance",
            "ringback_contact_id": "crm-42",
            "ringback_inbound_id": inbound["inbound_id"],
        },
        "agent_id": "agent_1",
    }
    assert (inbound["contact_id"], inbound["phone"], inbound["to_number"]) == ("crm-42", CALLER, OURS)


@pytest.mark.parametrize("number", ["anonymous", "", "+14155550177", "sip:ada@example.com", "5550100", None])
async def test_an_unknown_or_withheld_caller_gets_the_default_and_nothing_is_written(stack, number):
    await stack.accept()
    before = await stack.rows_written()
    reply = await ring(stack, args={"from_number": number, "to_number": OURS})
    assert (reply.ok, reply.code) == (True, "caller_unknown")
    assert reply.result == {
        "dynamic_variables": {"is_known": "false"},
        "metadata": {"ringback_instance": "test-instance"},
        "agent_id": None,
    }
    assert await stack.rows_written() == before


async def test_pending_and_dispatched_tasks_are_held_until_the_end_of_the_hold(stack):
    soon = await stack.accept()
    later = await stack.accept(phone="+14155550101", not_before=LATER)
    stranger = await stack.accept(contact_id="crm-43", phone="+14155550102", not_before=LATER)
    dispatched = await held(stack, soon)
    await ring(stack)
    hold_ends = stack.clock.now() + timedelta(seconds=1800)
    for call_id, due in ((soon, dispatched["due_at"]), (later, LATER)):
        task = await held(stack, call_id)
        assert (task["status"], task["due_at"], task["due_before_hold"]) == ("held", hold_ends, due)
    assert (await held(stack, stranger))["status"] == "pending"
    await stack.deliver(soon, dispatched["task_id"], dispatched["dispatch"])
    assert await stack.all("SELECT * FROM attempts") == []


async def test_a_held_call_shows_when_it_may_be_next(stack):
    soon, later = await stack.accept(), await stack.accept(phone="+14155550101", not_before=LATER)
    await ring(stack)
    views = PostgresViews(stack.pool)
    shown = [await views.call(call_id) for call_id in (soon, later)]
    assert [call["status"] for call in shown] == ["scheduled"] * 2
    assert [call["next_eligible_at"] for call in shown] == ["2026-12-01T17:30:00.000Z", "2026-12-02T20:00:00.000Z"]
    assert [call["tasks"][0]["status"] for call in shown] == ["held"] * 2


@pytest.mark.parametrize("name", ["call_ended", "call_analyzed"])
async def test_the_end_of_the_inbound_call_releases_them_to_the_eligibility_check(stack, name):
    soon, later = await stack.accept(), await stack.accept(phone="+14155550101", not_before=LATER)
    metadata = (await ring(stack)).result["metadata"]
    await stack.webhook(event("call_started", metadata))
    assert (await held(stack, soon))["status"] == "held"
    stack.clock.advance(120)
    await stack.webhook(ended(metadata) | {"event": name})
    task = await held(stack, soon)
    assert (task["status"], task["due_at"], task["due_before_hold"]) == ("pending", stack.clock.now(), None)
    task = await held(stack, later)
    assert (task["status"], task["due_at"]) == ("pending", LATER)
    assert await stack.release_due() == 1
    await stack.dial(soon)
    decisions = await stack.all("SELECT kind FROM gate_decisions WHERE call_id = $1 ORDER BY id", soon)
    kinds = [row["kind"] for row in decisions]
    assert kinds == ["held_by_inbound_call", "released_after_inbound_call", "gate", "dial_answer"]


async def test_without_a_word_of_its_end_the_hold_ends_by_itself(stack):
    soon, later = await stack.accept(), await stack.accept(phone="+14155550101", not_before=LATER)
    await ring(stack)
    stack.clock.advance(1799)
    assert await stack.release_due() == 0
    stack.clock.advance(1)
    assert await stack.release_due() == 1
    assert (await held(stack, later))["status"] == "pending"
    assert (await stack.one("SELECT released_at FROM inbound_calls"))["released_at"] == stack.clock.now()
    assert (await stack.dial(soon)).provider_call_id


async def test_a_call_accepted_during_the_inbound_call_is_deferred(stack):
    await stack.cancel(await stack.accept())
    metadata = (await ring(stack)).result["metadata"]
    call_id = await stack.accept()
    task = await held(stack, call_id)
    await stack.deliver(call_id, task["task_id"], task["dispatch"])
    decision = await stack.one("SELECT detail FROM gate_decisions WHERE kind = 'gate'")
    assert decision["detail"]["rule"] == "person_on_inbound_call"
    await stack.webhook(ended(metadata))
    stack.clock.advance(15)
    await stack.release_due()
    await stack.dial(call_id)


async def test_an_inbound_call_is_recorded_and_tells_engage_nothing(stack):
    await stack.cancel(await stack.accept())
    before = len(await stack.all("SELECT * FROM outbox"))
    metadata = (await ring(stack)).result["metadata"]
    for body in (event("call_started", metadata), ended(metadata), ended(metadata) | {"event": "call_analyzed"}):
        await stack.webhook(body)
        await stack.webhook(body)
    inbound = await stack.one("SELECT * FROM inbound_calls")
    assert (inbound["provider_call_id"], inbound["duration_ms"]) == ("call_in_1", 60_000)
    assert inbound["disconnection_reason"] == "user_hangup"
    inbox = await stack.all("SELECT event, fate FROM provider_events ORDER BY received_at, event")
    assert sorted((row["event"], row["fate"]) for row in inbox) == [
        ("call_analyzed", "inbound"),
        ("call_ended", "inbound"),
        ("call_started", "inbound"),
    ]
    assert len(await stack.all("SELECT * FROM outbox")) == before


async def test_one_ringing_asked_about_again_is_one_call(stack):
    await stack.accept()
    first = await ring(stack, key="inbound:a")
    stack.clock.advance(12)
    again = await ring(stack, key="inbound:b")
    assert again.result["metadata"] == first.result["metadata"]
    assert (await ring(stack, key="inbound:b")) == again
    stack.clock.advance(60)
    assert (await ring(stack, key="inbound:c")).result["metadata"] != first.result["metadata"]


async def test_with_the_providers_own_id_repeats_are_one_and_two_calls_are_two(stack):
    await stack.accept()
    ids = [
        (await ring(stack, key=key, call_id=call_id)).result["metadata"]["ringback_inbound_id"]
        for key, call_id in (("inbound:1", "call_in_1"), ("inbound:1b", "call_in_1"), ("inbound:2", "call_in_2"))
    ]
    assert ids[0] == ids[1] != ids[2]


async def test_a_call_that_was_answered_without_us_is_held_for_from_its_start(stack):
    """The database was unavailable while it rang: the answer was the static one."""
    call_id = await stack.accept()
    static = {"ringback_instance": "test-instance"}
    await stack.webhook(event("call_started", static))
    assert (await held(stack, call_id))["status"] == "held"
    await stack.webhook(ended(static))
    assert (await held(stack, call_id))["status"] == "pending"


async def test_an_end_that_overtakes_the_start_holds_nothing(stack):
    call_id = await stack.accept()
    static = {"ringback_instance": "test-instance"}
    await stack.webhook(ended(static))
    await stack.webhook(event("call_started", static))
    assert (await held(stack, call_id))["status"] == "dispatched"


async def test_a_start_that_comes_hours_late_holds_nothing(stack):
    call_id = await stack.accept()
    rang_ms = int((stack.clock.now() - timedelta(hours=3)).timestamp() * 1000)
    await stack.webhook(event("call_started", {"ringback_instance": "test-instance"}, start_timestamp=rang_ms))
    assert (await held(stack, call_id))["status"] == "dispatched"


@pytest.mark.parametrize("metadata", [{}, {"ringback_instance": "other"}])
async def test_inbound_calls_of_others_touch_nothing(stack, metadata):
    call_id = await stack.accept()
    await stack.webhook(event("call_started", metadata))
    assert (await held(stack, call_id))["status"] == "dispatched"
    assert await stack.all("SELECT * FROM inbound_calls") == []


async def test_who_says_stop_on_an_inbound_call_is_not_called_again(stack):
    call_id = await stack.accept()
    metadata = (await ring(stack)).result["metadata"]
    await stack.webhook(ended(metadata, reason="user_requested_dnc"))
    await stack.webhook(ended(metadata, reason="user_requested_dnc") | {"event": "call_analyzed"})
    row = await stack.one("SELECT phone, contact_id, reason FROM suppressions")
    assert row == {"phone": CALLER, "contact_id": "crm-42", "reason": "opt_out"}
    assert (await stack.events(call_id))[-1]["data"]["reason"] == "suppressed"


async def test_tools_of_the_inbound_call_work_for_its_contact(stack):
    call_id = await stack.accept(not_before=LATER)
    metadata = (await ring(stack)).result["metadata"]
    moved = await tool(stack, metadata, "reschedule_call", {"when": "tomorrow at 4pm"}, "t1")
    assert (moved.code, moved.result["due_at"]) == ("rescheduled", "2026-12-02T21:00:00.000Z")
    (rescheduled,) = await stack.events(call_id)
    assert (rescheduled["data"]["previous_due_at"], rescheduled["data"]["attempt"]) == (
        "2026-12-02T20:00:00.000Z",
        None,
    )
    assert (await tool(stack, metadata, "note_writeback", {"note": "called back"}, "t2")).ok
    assert (await tool(stack, metadata, "field_writeback", {"fields": {"budget": 1}}, "t3")).ok
    assert (await tool(stack, metadata, "send_abt_event", {"type": "lead_qualified"}, "t4")).ok
    assert (await tool(stack, metadata, "update_timezone", {"time_zone": "Pacific"}, "t5")).result["moved"]
    assert (await tool(stack, metadata, "delete_scheduled_task", {}, "t6")).code == "deleted"
    assert (await stack.call(call_id))["status"] == "cancelled"
    assert (await stack.one("SELECT contact_id, author FROM notes")) == {"contact_id": "crm-42", "author": "agent"}


async def test_do_not_call_said_on_an_inbound_call_covers_the_number_that_called(stack):
    await stack.accept()
    await stack.execute("UPDATE contacts SET phone = '+14155550111'")
    metadata = (await ring(stack)).result["metadata"]
    assert (await tool(stack, metadata, "set_disposition", {"code": "do_not_call"})).result["suppressed"]
    assert (await stack.one("SELECT phone FROM suppressions"))["phone"] == CALLER


async def test_tools_with_their_arguments_at_the_root_carry_the_inbound_call(stack):
    await stack.accept()
    reply = await ring(stack)
    await stack.webhook(event("call_started", reply.result["metadata"]))
    mark = reply.result["dynamic_variables"]["ringback_attempt_id"]
    asked = ActionRequest("note_writeback", Scope.RETELL, "k", {"note": "n"}, attempt_id=mark)
    assert (await stack.operations.perform(asked)).ok


async def test_tools_of_an_unknown_or_foreign_inbound_call_reach_no_contact(stack):
    await stack.accept()
    for metadata in (
        {},
        {"ringback_instance": "test-instance"},
        {"ringback_instance": "other", "ringback_contact_id": "crm-42"},
        {"ringback_contact_id": "crm-42"},
        {"ringback_instance": "test-instance", "ringback_contact_id": "none"},
    ):
        assert (await tool(stack, metadata, "note_writeback", {"note": "n"})).code == "no_call", metadata


async def test_a_held_task_that_is_moved_by_a_zone_stays_held(stack):
    call_id = await stack.accept(not_before=datetime(2026, 12, 2, 15, tzinfo=UTC))
    metadata = (await ring(stack)).result["metadata"]
    await tool(stack, metadata, "update_timezone", {"time_zone": "Pacific"})
    task = await held(stack, call_id)
    assert (task["status"], task["due_before_hold"]) == ("held", datetime(2026, 12, 2, 17, tzinfo=UTC))
    await stack.webhook(ended(metadata))
    assert (await held(stack, call_id))["due_at"] == datetime(2026, 12, 2, 17, tzinfo=UTC)


async def test_of_several_contacts_with_one_number_the_one_we_called_last_is_meant(stack):
    await stack.cancel(await stack.accept())
    await stack.cancel(await stack.accept(contact_id="crm-43"))
    assert (await ring(stack)).result["metadata"]["ringback_contact_id"] == "crm-43"
    await stack.cancel(await stack.accept())
    assert (await ring(stack, key="inbound:2")).result["metadata"]["ringback_contact_id"] == "crm-42"


async def test_systems_may_ask_too_and_name_the_contact(stack):
    await stack.accept()
    assert (await stack.ask("incoming_call", RINGS)).result["metadata"]["ringback_contact_id"] == "crm-42"
    reply = await stack.ask("incoming_call", {**RINGS, "from_number": "+14155550177"}, contact_id="crm-42")
    assert reply.code == "caller_known"
    assert (await stack.ask("incoming_call", {"from_number": 7})).code == "invalid_args"


async def test_a_ringing_caller_and_a_claim_never_both_win(stack):
    await stack.warm_up()
    for number in range(6):
        phone = f"+1415555010{number}"
        call_id = await stack.accept(contact_id=f"crm-{number}", phone=phone)
        task = await held(stack, call_id)
        await asyncio.gather(
            ring(stack, key=f"inbound:{number}", args={"from_number": phone, "to_number": OURS}),
            stack.deliver(call_id, task["task_id"], task["dispatch"]),
        )
        attempts = await stack.all("SELECT * FROM attempts WHERE call_id = $1", call_id)
        assert (await held(stack, call_id))["status"] == ("consumed" if attempts else "held")


async def test_callers_at_once_with_one_webhook_are_one(stack):
    call_id = await stack.accept()
    await stack.warm_up()
    replies = await asyncio.gather(*(ring(stack, key="inbound:1", call_id="call_in_1") for _ in range(4)))
    assert replies == [replies[0]] * 4
    assert len(await stack.all("SELECT * FROM inbound_calls")) == 1
    assert (await held(stack, call_id))["status"] == "held"


async def test_an_unknown_caller_who_says_stop_is_remembered_by_the_number_alone(stack):
    metadata = {"ringback_instance": "test-instance"}
    for _ in range(2):
        reply = await tool(stack, metadata, "set_disposition", {"code": "do_not_call"})
        assert (reply.ok, reply.result) == (True, {"code": "do_not_call", "suppressed": True})
    suppression = await stack.one("SELECT phone, contact_id, source FROM suppressions")
    assert (suppression["phone"], suppression["contact_id"], suppression["source"]) == (CALLER, None, "agent")
    assert (await tool(stack, metadata, "set_disposition", {"code": "interested"})).code == "no_call"
    assert (
        await tool(stack, {"ringback_instance": "other"}, "set_disposition", {"code": "do_not_call"})
    ).code == "no_call"
