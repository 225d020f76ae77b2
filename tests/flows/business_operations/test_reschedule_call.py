"""What a person asked for in; the reply, the one open task and the `rescheduled` event out.

The clock stands at Tuesday, 2026-12-01, noon in New York, where the person is."""

from datetime import UTC, datetime, timedelta

import pytest

from ringback.domain.attempt import DialFact, Party
from ringback.domain.provider_report import Analysis, EndFacts, ReportKind

TOMORROW_AT_THREE = {
    "due_at": "2026-12-02T20:00:00.000Z",
    "local_time": "2026-12-02T15:00",
    "time_zone": "America/New_York",
}


def human_end(clock) -> dict:
    return {
        "started_at": clock.now(),
        "ended_at": clock.now() + timedelta(seconds=20),
        "duration_ms": 20_000,
        "disconnection_reason": "user_hangup",
        "end_facts": EndFacts(DialFact.ANSWERED, Party.HUMAN, "person", True),
        "user_turns": 2,
        "transcript": "User: call me tomorrow",
        "agent_spoke": True,
    }


async def test_words_said_on_the_phone_become_a_task_and_an_event(stack):
    talk = await stack.talk()
    reply = await stack.tool(talk, "reschedule_call", {"when": "tomorrow at 3pm", "reason": "in a meeting"})

    task = (await stack.tasks(talk.call_id))[-1]
    assert reply.ok
    assert reply.code == "rescheduled"
    assert reply.say == "Done, we will call you tomorrow at 3 PM."
    assert reply.result == {"task_id": task["task_id"], **TOMORROW_AT_THREE}
    assert (task["kind"], task["status"], task["source"], task["reason"]) == (
        "callback",
        "pending",
        "agent",
        "in a meeting",
    )
    assert task["due_at"] == datetime(2026, 12, 2, 20, 0, tzinfo=UTC)
    assert task["from_attempt"] == talk.attempt_id
    event = (await stack.events(talk.call_id))[-1]
    assert event["type"] == "voice_ai_call_rescheduled"
    assert event["data"] | {"occurred_at": None, "sequence": None} == {
        "call_id": talk.call_id,
        "contact_id": "crm-42",
        "attempt": 1,
        "attempt_id": talk.attempt_id,
        "provider_call_id": talk.provider_call_id,
        "metadata": {},
        "task_id": task["task_id"],
        **TOMORROW_AT_THREE,
        "previous_due_at": None,
        "source": "agent",
        "reason": "in a meeting",
        "occurred_at": None,
        "sequence": None,
    }


async def test_a_tool_call_is_evidence_that_the_call_started_and_comes_before_its_own_event(stack):
    talk = await stack.talk()
    await stack.tool(talk, "reschedule_call", {"when": "tomorrow at 3pm"})
    types = [event["type"] for event in await stack.events(talk.call_id)]
    assert types == ["voice_ai_call_initiated", "voice_ai_call_started", "voice_ai_call_rescheduled"]


async def test_the_evidence_of_a_refused_tool_call_is_kept(stack):
    talk = await stack.talk()
    reply = await stack.tool(talk, "reschedule_call", {"when": "later"})
    assert not reply.ok
    assert [event["type"] for event in await stack.events(talk.call_id)][-1] == "voice_ai_call_started"


async def test_an_attempt_that_ends_in_a_callback_ends_with_its_rescheduled_alone(stack, clock):
    talk = await stack.talk()
    await stack.tool(talk, "reschedule_call", {"when": "tomorrow at 3pm"})
    await stack.report(talk, ReportKind.ENDED, **human_end(clock))
    await stack.report(talk, ReportKind.ANALYZED, analysis=Analysis(successful=False), **human_end(clock))
    assert (await stack.events(talk.call_id))[-1]["type"] == "voice_ai_call_rescheduled"
    call = await stack.call(talk.call_id)
    assert (call["status"], call["final"]) == ("scheduled", False)


async def test_a_dispatched_task_without_a_claim_is_replaced(stack):
    call_id = await stack.accept()
    first = (await stack.tasks(call_id))[0]
    assert first["status"] == "dispatched"
    reply = await stack.ask("reschedule_call", {"when": "2026-12-02T15:00"}, call_id=call_id)
    assert reply.result["due_at"] == TOMORROW_AT_THREE["due_at"]
    assert [task["status"] for task in await stack.tasks(call_id)] == ["superseded", "pending"]
    event = (await stack.events(call_id))[-1]["data"]
    assert (event["source"], event["attempt"], event["previous_due_at"]) == ("api", None, "2026-12-01T17:00:00.000Z")


async def test_the_replaced_tasks_message_dials_no_phone(stack):
    call_id = await stack.accept()
    first = (await stack.tasks(call_id))[0]
    await stack.ask("reschedule_call", {"when": "tomorrow at 3pm"}, call_id=call_id)
    await stack.deliver(call_id, first["task_id"], first["dispatch"])
    assert await stack.all("SELECT * FROM attempts") == []


async def test_the_person_is_called_when_it_was_promised(stack, clock):
    call_id = await stack.accept()
    await stack.ask("reschedule_call", {"when": "tomorrow at 3pm"}, call_id=call_id)
    clock.advance(27 * 3600 - 1)
    assert await stack.store.release_due(clock.now(), 10, 500) == 0
    clock.advance(1)
    assert await stack.store.release_due(clock.now(), 10, 500) == 1
    assert (await stack.dial(call_id)).provider_call_id == "call_1"


@pytest.mark.parametrize("when", ["2026-12-02T20:00:00Z", "2026-12-02T15:00:00-05:00"])
async def test_an_instant_keeps_no_wall_clock(stack, when):
    call_id = await stack.accept()
    reply = await stack.ask("reschedule_call", {"when": when}, call_id=call_id)
    assert reply.result | {"task_id": ""} == {
        "task_id": "",
        "due_at": "2026-12-02T20:00:00.000Z",
        "local_time": "2026-12-02T15:00",
        "time_zone": "America/New_York",
    }
    assert reply.say == "Done, we will call you tomorrow at 3 PM."
    task = (await stack.tasks(call_id))[-1]
    assert (task["local_time"], task["time_zone"]) == (None, None)


async def test_a_span_counts_from_now(stack):
    call_id = await stack.accept()
    reply = await stack.ask("reschedule_call", {"when": "in two hours"}, call_id=call_id)
    assert (reply.result["due_at"], reply.result["local_time"]) == ("2026-12-01T19:00:00.000Z", "2026-12-01T14:00")
    assert (await stack.tasks(call_id))[-1]["local_time"] is None
    assert reply.say == "Done, we will call you today at 2 PM."


async def test_without_a_day_and_a_time_it_asks(stack):
    call_id = await stack.accept()
    for when in ("tomorrow", "3pm", "later", "next week", "tuesday", "x" * 200, "", "   ", None):
        reply = await stack.ask("reschedule_call", {"when": when}, call_id=call_id)
        assert (reply.ok, reply.code) == (False, "needs_clarification"), when
        assert reply.say.endswith("?")
    assert [task["status"] for task in await stack.tasks(call_id)] == ["dispatched"]


async def test_the_past_needs_clarification(stack):
    call_id = await stack.accept()
    reply = await stack.ask("reschedule_call", {"when": "2026-12-01T11:00"}, call_id=call_id)
    assert (reply.code, reply.result) == ("needs_clarification", {"problem": "past"})


@pytest.mark.parametrize(
    ("when", "code"),
    [
        ("in 4 minutes", "too_soon"),
        ("2026-12-16 15:00", "too_far"),
    ],
)
async def test_too_soon_and_too_far(stack, when, code):
    call_id = await stack.accept()
    reply = await stack.ask("reschedule_call", {"when": when}, call_id=call_id)
    assert (reply.ok, reply.code) == (False, code)


async def test_outside_calling_hours_it_is_the_next_open_minute_and_says_so(stack):
    call_id = await stack.accept()
    reply = await stack.ask("reschedule_call", {"when": "tomorrow at 10pm"}, call_id=call_id)
    assert (reply.ok, reply.result["local_time"]) == (True, "2026-12-03T09:00")
    assert reply.say == "We do not call at that hour, so we will call you on Thursday at 9 AM."


async def test_beyond_an_explicit_expiry_is_too_late(stack):
    call_id = await stack.accept(expires_at=datetime(2026, 12, 2, 20, 0, tzinfo=UTC))
    reply = await stack.ask("reschedule_call", {"when": "tomorrow at 3pm"}, call_id=call_id)
    assert (reply.ok, reply.code) == (False, "too_late")
    assert (await stack.ask("reschedule_call", {"when": "tomorrow at 2pm"}, call_id=call_id)).ok


async def test_an_implicit_expiry_gives_way(stack):
    call_id = await stack.accept()
    assert (await stack.call(call_id))["expires_at"] == datetime(2026, 12, 8, 17, 0, tzinfo=UTC)
    assert (await stack.ask("reschedule_call", {"when": "2026-12-14 15:00"}, call_id=call_id)).ok
    assert (await stack.call(call_id))["expires_at"] == datetime(2026, 12, 21, 20, 0, tzinfo=UTC)


async def test_an_implicit_expiry_is_never_shortened(stack):
    due_at = datetime(2026, 12, 10, 17, 0, tzinfo=UTC)
    call_id = await stack.accept(not_before=due_at)
    assert (await stack.ask("reschedule_call", {"when": "tomorrow at 3pm"}, call_id=call_id)).ok
    assert (await stack.call(call_id))["expires_at"] == due_at + timedelta(days=7)


async def test_a_fourth_time_is_refused_and_the_third_stands(stack):
    call_id = await stack.accept()
    for hour in (1, 2, 3):
        assert (await stack.ask("reschedule_call", {"when": f"tomorrow at {hour}pm"}, call_id=call_id)).ok
    reply = await stack.ask("reschedule_call", {"when": "tomorrow at 4pm"}, call_id=call_id)
    assert (reply.ok, reply.code) == (False, "limit")
    open_tasks = [task for task in await stack.tasks(call_id) if task["status"] == "pending"]
    assert [task["local_time"] for task in open_tasks] == ["2026-12-02T15:00"]


async def test_each_of_two_callbacks_has_its_own_event_and_names_the_time_before(stack):
    call_id = await stack.accept()
    await stack.ask("reschedule_call", {"when": "tomorrow at 1pm"}, call_id=call_id)
    await stack.ask("reschedule_call", {"when": "tomorrow at 2pm"}, call_id=call_id)
    first, second = await stack.events(call_id)
    assert first["id"] != second["id"]
    assert second["data"]["previous_due_at"] == first["data"]["due_at"]


async def test_a_finished_call_is_not_moved(stack, clock):
    talk = await stack.talk()
    await stack.report(talk, ReportKind.ANALYZED, analysis=Analysis(successful=True), **human_end(clock))
    assert (await stack.call(talk.call_id))["final"]
    reply = await stack.ask("reschedule_call", {"when": "tomorrow at 3pm"}, call_id=talk.call_id)
    assert (reply.ok, reply.code) == (False, "call_finished")


async def test_a_call_cancelled_while_it_rang_is_not_moved(stack, clock):
    talk = await stack.talk()
    await stack.cancel(talk.call_id)
    reply = await stack.tool(talk, "reschedule_call", {"when": "tomorrow at 3pm"})
    assert (reply.ok, reply.code) == (False, "cancelled")


async def test_a_person_who_said_stop_gets_no_callback(stack):
    talk = await stack.talk()
    assert (await stack.tool(talk, "set_disposition", {"code": "do_not_call"})).ok
    reply = await stack.tool(talk, "reschedule_call", {"when": "tomorrow at 3pm"})
    assert (reply.ok, reply.code) == (False, "suppressed")
    assert [task["status"] for task in await stack.tasks(talk.call_id)] == ["consumed"]


async def test_stop_after_a_promised_callback_takes_the_callback_away(stack):
    talk = await stack.talk()
    assert (await stack.tool(talk, "reschedule_call", {"when": "tomorrow at 3pm"})).ok
    assert (await stack.tool(talk, "set_disposition", {"code": "do_not_call"})).ok
    assert [task["status"] for task in await stack.tasks(talk.call_id)] == ["consumed", "deleted"]


async def test_a_person_whose_zone_is_unknown_is_asked_for_it(stack):
    # 850 has two zones.
    call_id = await stack.accept(phone="+18505550100", time_zone=None)
    reply = await stack.ask("reschedule_call", {"when": "tomorrow at 3pm"}, call_id=call_id)
    assert (reply.code, reply.say) == ("needs_clarification", "Which time zone are you in?")


async def test_the_answer_with_the_zone_in_it_is_complete(stack):
    call_id = await stack.accept(phone="+18505550100", time_zone=None)
    reply = await stack.ask("reschedule_call", {"when": "Friday at 3pm"}, call_id=call_id)
    assert reply.say == "Which time zone are you in?"
    reply = await stack.ask("reschedule_call", {"when": "Friday at 3pm Eastern"}, call_id=call_id)
    assert (reply.code, reply.say) == ("rescheduled", "Done, we will call you on Friday at 3 PM New York time.")
    assert reply.result | {"task_id": ""} == {
        "task_id": "",
        "due_at": "2026-12-04T20:00:00.000Z",
        "local_time": "2026-12-04T15:00",
        "time_zone": "America/New_York",
    }


async def test_hours_are_kept_in_every_zone_the_person_may_be_in_whatever_zone_they_name(stack):
    call_id = await stack.accept(phone="+18505550100", time_zone=None)
    # Half past nine in New York is half past eight in Chicago.
    reply = await stack.ask("reschedule_call", {"when": "Friday at 9:30am Eastern"}, call_id=call_id)
    assert reply.result["due_at"] == "2026-12-04T15:00:00.000Z"
    assert reply.say == "We do not call at that hour, so we will call you on Friday at 10 AM New York time."


async def test_a_zone_that_is_not_the_persons_own_decides_the_moment_and_not_the_hours(stack):
    talk = await stack.talk()
    reply = await stack.tool(talk, "reschedule_call", {"when": "tomorrow at 3pm Pacific"})
    assert reply.result["due_at"] == "2026-12-02T23:00:00.000Z"
    assert reply.say == "Done, we will call you tomorrow at 3 PM Los Angeles time."
    late = await stack.tool(talk, "reschedule_call", {"when": "tomorrow at 6pm Pacific"})
    assert late.result["due_at"] == "2026-12-03T14:00:00.000Z", "nine in the morning in New York"
    row = await stack.one("SELECT time_zone, time_zone_source FROM contacts")
    assert (row["time_zone"], row["time_zone_source"]) == ("America/New_York", "crm")


async def test_a_wish_in_a_zone_that_was_named_stays_when_the_person_turns_out_to_live_elsewhere(stack):
    talk = await stack.talk()
    reply = await stack.tool(talk, "reschedule_call", {"when": "tomorrow at 3pm Eastern"})
    moved = await stack.tool(talk, "update_timezone", {"time_zone": "Central"})
    assert (reply.result["due_at"], moved.result["moved"]) == ("2026-12-02T20:00:00.000Z", [])


async def test_where_nothing_is_known_the_zone_that_was_named_is_kept_as_the_persons_own(stack):
    call_id = await stack.accept()
    # A number without a zone.
    await stack.execute("UPDATE calls SET phone = '+80012345678'")
    await stack.execute("UPDATE contacts SET phone = '+80012345678', time_zone = NULL, time_zone_source = NULL")
    assert (await stack.ask("reschedule_call", {"when": "Friday at 3pm"}, call_id=call_id)).say == (
        "Which time zone are you in?"
    )
    reply = await stack.ask("reschedule_call", {"when": "Friday at 9am Eastern"}, call_id=call_id)
    assert (reply.code, reply.result["due_at"]) == ("rescheduled", "2026-12-04T14:00:00.000Z")
    row = await stack.one("SELECT time_zone, time_zone_source FROM contacts")
    assert (row["time_zone"], row["time_zone_source"]) == ("America/New_York", "crm")


@pytest.mark.parametrize(
    ("when", "local_time"),
    [
        ("can you call me tomorrow at 3pm", "2026-12-02T15:00"),
        ("ring me back in 30 minutes", "2026-12-01T12:30"),
        ("30 minutes", "2026-12-01T12:30"),
        ("this time tomorrow", "2026-12-02T12:00"),
        ("Thu - 1530", "2026-12-03T15:30"),
        ("12/3 at noon works for me", "2026-12-03T12:00"),
    ],
)
async def test_a_complete_wish_is_not_asked_for_again(stack, when, local_time):
    talk = await stack.talk()
    reply = await stack.tool(talk, "reschedule_call", {"when": when})
    assert (reply.code, reply.result["local_time"]) == ("rescheduled", local_time)


async def test_a_span_needs_no_zone(stack):
    call_id = await stack.accept(phone="+18505550100", time_zone=None)
    reply = await stack.ask("reschedule_call", {"when": "in two hours"}, call_id=call_id)
    assert (reply.ok, reply.say) == (True, "Done, we will call you at the time you asked for.")


async def test_the_number_gives_the_zone_when_it_has_only_one(stack):
    call_id = await stack.accept(phone="+14155550100", time_zone=None)
    reply = await stack.ask("reschedule_call", {"when": "tomorrow at 3pm"}, call_id=call_id)
    assert (reply.result["time_zone"], reply.result["due_at"]) == ("America/Los_Angeles", "2026-12-02T23:00:00.000Z")


async def test_in_a_daylight_saving_gap_it_goes_forward(make_stack, clock):
    clock.advance((datetime(2027, 3, 13, 17, 0, tzinfo=UTC) - clock.now()).total_seconds())
    stack = make_stack("always")
    call_id = await stack.accept()
    reply = await stack.ask("reschedule_call", {"when": "2027-03-14 02:30"}, call_id=call_id)
    assert (reply.result["local_time"], reply.result["due_at"]) == ("2027-03-14T03:30", "2027-03-14T07:30:00.000Z")


async def test_a_contact_with_one_unfinished_call_is_target_enough(stack):
    call_id = await stack.accept()
    assert (await stack.ask("reschedule_call", {"when": "tomorrow at 3pm"}, contact_id="crm-42")).ok
    assert (await stack.call(call_id))["reschedules"] == 1


async def test_a_contact_with_two_unfinished_calls_is_not(stack):
    call_ids = [await stack.accept(), await stack.accept()]
    reply = await stack.ask("reschedule_call", {"when": "tomorrow at 3pm"}, contact_id="crm-42")
    assert (reply.code, reply.result) == ("which_call", {"call_ids": sorted(call_ids)})


async def test_a_task_names_its_call(stack):
    call_id = await stack.accept()
    task_id = (await stack.tasks(call_id))[0]["task_id"]
    assert (await stack.ask("reschedule_call", {"when": "tomorrow at 3pm"}, task_id=task_id)).ok


async def test_an_unknown_target_is_not_found(stack):
    for target in ({"call_id": "none"}, {"contact_id": "none"}, {"task_id": "none"}):
        reply = await stack.ask("reschedule_call", {"when": "tomorrow at 3pm"}, **target)
        assert (reply.ok, reply.code) == (False, "not_found")


async def test_every_bad_argument_is_named(stack):
    call_id = await stack.accept()
    args = {"when": 3, "reason": "x" * 501, "who": "me"}
    reply = await stack.ask("reschedule_call", args, call_id=call_id)
    assert reply.code == "invalid_args"
    assert sorted(reply.result["errors"]) == ["reason", "when", "who"]


async def test_no_refusal_writes_anything(stack):
    call_id = await stack.accept(expires_at=datetime(2026, 12, 3, tzinfo=UTC))
    before = await stack.rows_written()
    for when in ("later", "in 4 minutes", "2026-12-16 15:00", "2026-12-05 15:00", "2026-11-30 15:00", 7):
        assert not (await stack.ask("reschedule_call", {"when": when}, call_id=call_id)).ok
    assert await stack.rows_written() == before
