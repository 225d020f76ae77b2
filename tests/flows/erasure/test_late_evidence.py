"""An erased person stays erased: no table and no column has them again, whatever evidence comes late."""

import asyncio
import json

import pytest
from structlog.testing import capture_logs

from ringback.adapters.retell.events import report_from_call
from ringback.domain.call_event import ReportKind
from ringback.flows.event_processing import PARKED_TRIES
from ringback.flows.suppression import suppress_now
from ringback.messages import decode_webhook_received
from tests.flows.business_operations.conftest import Talk

from .conftest import CALL, CANARIES, CONTACT, INBOUND, OURS, PHONE, Town


async def live(town: Town) -> Talk:
    """A whole life: a call with every trace, a call to us, other people's bodies, messages that wait, and a stop."""
    talk = await town.place()
    await town.webhook(town.body(talk, "call_started"))
    call = town.body(talk, "call_started")["call"]
    await town.function("note_writeback", call, {"note": "notecanary"})
    await town.function("field_writeback", call, {"fields": {"first_name": "Adacanary"}})
    await town.function("set_disposition", call, {"code": "interested", "note": "notecanary"})
    await town.function("reschedule_call", call, {"when": "tomorrow at 3pm", "reason": "becausecanary"})
    await town.function("delete_scheduled_task", call, {"reason": "becausecanary"})
    await town.webhook(town.body(talk, "call_ended"))
    await town.webhook(town.body(talk, "call_analyzed"))
    await call_us(town)
    foreign = {"ringback_instance": "another"}
    await town.webhook(town.body(talk, "call_ended", call_id="call_canaryforeign", metadata=foreign))
    await town.execute(
        """INSERT INTO provider_events (provider_call_id, event, content_hash, received_at, fate, body)
           VALUES ('call_canaryforeign', 'call_started', '\\x01', '2026-10-01', 'foreign', '{"to": "(415) 555-0160"}'),
                  ('', 'chat_ended', '\\x02', '2026-10-01', 'unhandled', '{"sms": "1-415-555.0160"}')"""
    )
    await town.enqueue(town.body(talk, "call_ended"))
    await town.enqueue(town.body(talk, "call_analyzed"), dead=True)
    await suppress_now(town.store, town.clock, town.new_id, phone=PHONE, contact_id=None, reason="becausecanary")
    return talk


async def call_us(town: Town, call_id: str = INBOUND) -> dict[str, str]:
    """A call to us, ended and not analysed. Returns the metadata that it carries."""
    args = {"from_number": PHONE, "to_number": OURS}
    marks = (await town.ask("incoming_call", args)).result["metadata"]
    await town.webhook(town.inbound_body("call_started", marks=marks, call_id=call_id))
    await town.webhook(town.inbound_body("call_ended", marks=marks, call_id=call_id))
    return marks


def hears(event: str, **changes):
    async def late(town: Town, talk: Talk, marks: dict[str, str]) -> None:
        await town.webhook(town.body(talk, event, **changes))

    return late


def hears_of_inbound(event: str, **changes):
    async def late(town: Town, talk: Talk, marks: dict[str, str]) -> None:
        await town.webhook(town.inbound_body(event, marks=marks, **changes))

    return late


def calls_function(action: str, **args):
    async def late(town: Town, talk: Talk, marks: dict[str, str]) -> None:
        call = town.body(talk, "call_started")["call"]
        inbound = town.inbound_body("call_started", marks=marks)["call"]
        for conversation in (call, call | {"metadata": {}}, inbound, inbound | {"call_id": "call_nobody"}):
            await town.function(action, conversation, args)
        for mark in (talk.attempt_id, marks["ringback_inbound_id"]):
            await town.function(action, None, {"ringback_attempt_id": mark, **args})

    return late


def asks(action: str, **args):
    async def late(town: Town, talk: Talk, marks: dict[str, str]) -> None:
        task = (await town.tasks(talk.call_id))[0]
        for target in ({"call_id": talk.call_id}, {"contact_id": CONTACT}, {"task_id": task["task_id"]}):
            await town.ask(action, args, **target)
        for stand_in in await town.all("SELECT contact_id FROM contacts WHERE phone = 'erased'"):
            await town.ask(action, args, contact_id=stand_in["contact_id"])

    return late


async def hands_in_the_call(town: Town, talk: Talk, marks: dict[str, str]) -> None:
    for changes in ({}, {"call_id": "call_canarysecond"}, {"metadata": {}}):
        await town.ask("call_analysed", {"call": town.body(talk, "call_analyzed", **changes)["call"]})


async def hears_that_a_body_was_too_large(town: Town, talk: Talk, marks: dict[str, str]) -> None:
    await town.large_webhook(CALL)
    await town.large_webhook(INBOUND)


async def is_called_by_the_person(town: Town, talk: Talk, marks: dict[str, str]) -> None:
    await town.ask("incoming_call", {"from_number": PHONE, "to_number": OURS})


async def cancels(town: Town, talk: Talk, marks: dict[str, str]) -> None:
    await town.cancel(talk.call_id)


async def posts_the_call_again(town: Town, talk: Talk, marks: dict[str, str]) -> None:
    again = await town.post_call()
    assert (again.call_id, again.replayed) == (talk.call_id, True)


ANALYSIS = {"successful": True, "summary": "summarycanary", "custom": {"found": "findingcanary"}}
LATE = {
    **{event: hears(event) for event in ("call_started", "call_ended", "call_analyzed", "transcript_updated")},
    "call_analyzed anew": hears(
        "call_analyzed", call_analysis={"call_successful": True, "call_summary": "summarycanary"}
    ),
    "call_analyzed without marks": hears("call_analyzed", metadata={"campaign": "springcanary"}),
    "call_analyzed of a second call": hears("call_analyzed", call_id="call_canarysecond"),
    "call_analyzed with the mark of the call alone": hears(
        "call_analyzed", call_id="call_canarysecond", metadata={"ringback_call_id": "id-0001"}
    ),
    "call_ended of a second call without a connection": hears(
        "call_ended", call_id="call_canarysecond", disconnection_reason="dial_no_answer", start_timestamp=None
    ),
    "a stop": hears("call_ended", disconnection_reason="user_requested_dnc"),
    "a body that was too large": hears_that_a_body_was_too_large,
    "inbound call_started": hears_of_inbound("call_started"),
    "inbound call_ended": hears_of_inbound("call_ended"),
    "inbound call_analyzed": hears_of_inbound("call_analyzed"),
    "inbound call_analyzed under another id": hears_of_inbound("call_analyzed", call_id="call_canarysecond"),
    "inbound stop": hears_of_inbound("call_analyzed", disconnection_reason="user_requested_dnc"),
    "call_inbound": is_called_by_the_person,
    "function field_writeback": calls_function("field_writeback", fields={"first_name": "Adacanary"}),
    "function note_writeback": calls_function("note_writeback", note="notecanary"),
    "function set_disposition": calls_function("set_disposition", code="interested", note="notecanary"),
    "function do_not_call": calls_function("set_disposition", code="do_not_call", note="notecanary"),
    "function reschedule_call": calls_function("reschedule_call", when="tomorrow at 3pm", reason="becausecanary"),
    "function delete_scheduled_task": calls_function("delete_scheduled_task", reason="becausecanary"),
    "function update_timezone": calls_function("update_timezone", time_zone="America/Denver"),
    "function send_abt_event": calls_function("send_abt_event", type="lead_qualified", data={"of": "Adacanary"}),
    "action field_writeback": asks("field_writeback", fields={"first_name": "Adacanary"}),
    "action note_writeback": asks("note_writeback", note="notecanary"),
    "action set_disposition": asks("set_disposition", code="do_not_call", note="notecanary"),
    "action reschedule_call": asks("reschedule_call", when="tomorrow at 3pm", reason="becausecanary"),
    "action delete_scheduled_task": asks("delete_scheduled_task", reason="becausecanary"),
    "action send_abt_event": asks("send_abt_event", type="lead_qualified", data={"of": "Adacanary"}),
    "action call_analysed of a call": asks("call_analysed", analysis=ANALYSIS, source="findingcanary"),
    "action call_analysed with a call": hands_in_the_call,
    "cancel": cancels,
    "the same request": posts_the_call_again,
}


async def attempt_of(town: Town, talk: Talk) -> dict[str, object]:
    return await town.one("SELECT * FROM attempts WHERE attempt_id = $1", talk.attempt_id)


async def test_the_search_finds_every_canary_before_the_erasure(town: Town):
    await live(town)
    assert await town.found() >= {"number", *CANARIES} - {"call_canarysecond"}


async def marks_of_inbound(town: Town) -> dict[str, str]:
    inbound_id = (await town.one("SELECT inbound_id FROM inbound_calls"))["inbound_id"]
    return {
        "ringback_instance": "test-instance",
        "ringback_contact_id": CONTACT,
        "ringback_inbound_id": inbound_id,
    }


async def stays_erased(town: Town, talk: Talk, marks: dict[str, str]) -> None:
    """Each kind of late evidence, each of them twice, brings nothing back and tells Engage nothing."""
    await town.erase()
    await town.deliver_all()
    assert await town.found() == set()
    erased, told = await attempt_of(town, talk), len(town.engage.got)
    calls = await town.all("SELECT * FROM calls ORDER BY call_id")
    for name, late in LATE.items():
        with capture_logs() as logs:
            for _ in range(2):
                await late(town, talk, marks)
                await town.deliver_all()
        assert (name, [canary for canary in (*CANARIES, PHONE) if canary in str(logs)]) == (name, [])
        assert (name, await town.found()) == (name, set())
        assert (name, await attempt_of(town, talk)) == (name, erased)
        assert (name, town.engage.got[told:]) == (name, [])
        assert (name, await town.all("SELECT * FROM calls ORDER BY call_id")) == (name, calls)


async def test_no_table_has_the_person_again_after_the_erasure(town: Town, record_property):
    talk = await live(town)
    await stays_erased(town, talk, await marks_of_inbound(town))
    record_property("cases", len(LATE))


async def test_nor_when_the_same_evidence_came_before_it_too(town: Town, record_property):
    talk = await live(town)
    marks = await marks_of_inbound(town)
    for late in LATE.values():
        await late(town, talk, marks)
    # What that left open ends before a person can be erased.
    await town.execute("UPDATE outbox SET delivered_at = now() WHERE kind = 'stop_call'")
    await town.execute("UPDATE attempts SET next_check_at = NULL, holds_person = false, holds_slot = false")
    await town.execute("UPDATE inbound_calls SET released_at = now()")
    await stays_erased(town, talk, marks)
    record_property("cases", len(LATE))


@pytest.mark.parametrize("late", ["call_analyzed", "a stop", "inbound call_analyzed", "function note_writeback",
                                  "function do_not_call", "action note_writeback", "action call_analysed with a call",
                                  "a body that was too large"])  # fmt: skip
@pytest.mark.parametrize("first", ["evidence", "erasure"])
async def test_what_waits_beside_the_erasure_for_the_person_leaves_nothing(town: Town, late, first):
    """Both are begun while somebody else holds the person, and are let go in the order in which they came."""
    talk = await town.place()
    await town.whole_call(talk)
    marks = await call_us(town)
    await town.warm_up()
    async with town.store.transaction() as tx:
        await tx.lock_people([PHONE], CONTACT)
        evidence = (lambda: LATE[late](town, talk, marks), town.erase)
        begun = []
        for work in evidence if first == "evidence" else reversed(evidence):
            begun.append(asyncio.ensure_future(work()))
            await asyncio.sleep(0.2)
    await asyncio.gather(*begun)
    await town.deliver_all()
    assert await town.found() == set()


async def test_a_poll_that_was_on_its_way_changes_nothing(town: Town):
    talk = await town.place()

    async def meanwhile(_: str):
        await town.whole_call(talk)
        await town.erase()
        call = town.body(
            talk, "call_analyzed", call_analysis={"call_successful": True, "call_summary": "summarycanary"}
        )
        return report_from_call(call["call"], ReportKind.SNAPSHOT)

    town.provider.during_fetch = meanwhile
    town.clock.advance(600)
    await town.watchdog.look_after_attempts()
    await town.deliver_all()
    assert await town.found() == set()
    assert (await attempt_of(town, talk))["transcript"] is None


async def test_a_look_up_that_was_on_its_way_binds_nothing(town: Town):
    talk = await town.place()
    await town.execute(
        """UPDATE attempts SET state = 'unknown', provider_call_id = NULL, unknown_since = now(), placed_at = NULL,
               next_check_at = '2026-12-01'"""
    )

    async def meanwhile(_: str):
        await town.execute(
            """UPDATE attempts SET state = 'abandoned', holds_person = false, holds_slot = false,
                   next_check_at = NULL, verdict_digest = 'x', verdict_type = 'x'"""
        )
        await town.execute("UPDATE calls SET final = true, closing_event_id = 'x'")
        await town.erase()
        return report_from_call(town.body(talk, "call_analyzed")["call"], ReportKind.SNAPSHOT)

    town.provider.during_fetch = meanwhile
    town.clock.advance(600)
    await town.watchdog.look_after_attempts()
    await town.deliver_all()
    assert await town.found() == set()
    assert (await attempt_of(town, talk))["state"] == "abandoned"


async def test_an_answer_to_the_dial_that_comes_after_the_erasure_binds_nothing(town: Town):
    async def meanwhile() -> None:
        await town.execute(
            """UPDATE attempts SET state = 'abandoned', holds_person = false, holds_slot = false,
                   next_check_at = NULL, verdict_digest = 'x', verdict_type = 'x'"""
        )
        await town.execute("UPDATE calls SET final = true, closing_event_id = 'x'")
        await town.erase()

    town.provider.during_dial = meanwhile
    call_id = (await town.post_call()).call_id
    talk = await town.dial(call_id)
    await town.deliver_all()
    assert await town.found() == set()
    assert talk.provider_call_id is None


async def test_a_row_in_the_hands_of_a_relay_returns_without_what_was_said(town: Town):
    talk = await town.place()
    await town.whole_call(talk)

    async def meanwhile() -> None:
        town.engage.during = None
        await town.erase()

    town.engage.during, town.engage.is_away = meanwhile, True
    await town.deliver_all()
    town.engage.is_away = False
    for _ in range(5):
        await town.deliver_all()
    assert [event["type"].removeprefix("voice_ai_call_") for event in town.engage.got] == [
        "initiated",
        "started",
        "partially_completed",
    ]
    assert not {canary for canary in CANARIES if canary in json.dumps(town.engage.got)} - {CONTACT}
    assert await town.found() == set()


async def test_a_message_that_no_search_reaches_is_dropped_when_it_comes(town: Town):
    """As Amazon SQS keeps them, in its queue and its dead letters: nothing can be searched or deleted there."""
    talk = await live(town)
    bodies = [row["body"] for row in await town.all("SELECT body FROM queue_messages WHERE queue = 'events'")]
    assert len(bodies) == 2
    await town.erase()
    await town.deliver_all()
    for body in bodies:
        await town.webhook(json.loads(decode_webhook_received(body).body))
    assert await town.found() == set()
    assert (await attempt_of(town, talk))["provider_call_id"] is None
    assert town.counts.erased == 2


async def test_when_the_rows_are_gone_the_tombstones_still_know_the_person(town: Town):
    talk = await live(town)
    await town.erase()
    await town.deliver_all()
    for table in ("attempts", "tasks", "calls", "contacts"):
        await town.execute(f"DELETE FROM {table}")
    for event in ("call_started", "call_ended", "call_analyzed"):
        for body in (town.body(talk, event), town.body(talk, event, call_id="call_canarysecond")):
            await town.webhook(body, receive_count=PARKED_TRIES + 1)
    assert await town.found() == set()
    assert await town.all("SELECT * FROM provider_events") == []


async def test_the_body_of_a_call_that_is_not_ours_is_not_kept(town: Town):
    talk = await town.place()
    await town.webhook(town.body(talk, "call_ended", call_id="call_theirs", metadata={"ringback_instance": "theirs"}))
    await town.webhook(town.inbound_body("call_ended", marks={}, call_id="call_theirs_in"))
    rows = await town.all("SELECT fate, body FROM provider_events ORDER BY fate")
    assert [(row["fate"], row["body"]) for row in rows] == [("foreign", None), ("inbound", None)]


async def test_a_person_who_comes_again_is_a_new_one(town: Town):
    talk = await live(town)
    marks = await marks_of_inbound(town)
    await town.execute("DELETE FROM suppressions")
    await town.erase()
    again = await town.place(key="another-order")
    await town.whole_call(again)
    assert (await attempt_of(town, again))["transcript"] is not None
    assert (await attempt_of(town, talk))["transcript"] is None
    await call_us(town, "call_anew")
    assert len(await town.all("SELECT * FROM inbound_calls WHERE released_at IS NOT NULL")) == 1
    # What was said to the erased one is not told of the new one, though they have one contact id.
    await LATE["function note_writeback"](town, talk, marks)
    assert await town.all("SELECT * FROM notes") == []
    await town.erase()
    await town.deliver_all()
    assert await town.found() == set()
