"""An erased person stays erased: late evidence brings them back into no table and no column."""

import asyncio
import json

import pytest
from structlog.testing import capture_logs

from ringback.adapters.retell.events import report_from_call
from ringback.domain.provider_report import ReportKind
from ringback.flows.event_processing import PARKED_TRIES
from ringback.flows.suppression import SuppressionOrder, suppress_now
from ringback.messages import COMPRESSED_START, decode_webhook_received, encode_webhook
from tests.audit_log import TESTER
from tests.flows.business_operations.conftest import Talk

from .conftest import CALL, CANARIES, CONTACT, INBOUND, OURS, PHONE, ErasureStack


async def live(stack: ErasureStack) -> Talk:
    """A whole life: a call with every trace, a call to us, other people's bodies, messages that wait, and a stop."""
    talk = await stack.place()
    await stack.webhook(stack.body(talk, "call_started"))
    call = stack.body(talk, "call_started")["call"]
    await stack.function("note_writeback", call, {"note": "notecanary"})
    await stack.function("field_writeback", call, {"fields": {"first_name": "Adacanary"}})
    await stack.function("set_disposition", call, {"code": "interested", "note": "notecanary"})
    await stack.function("reschedule_call", call, {"when": "tomorrow at 3pm", "reason": "becausecanary"})
    await stack.function("delete_scheduled_task", call, {"reason": "becausecanary"})
    await stack.webhook(stack.body(talk, "call_ended"))
    await stack.webhook(stack.body(talk, "call_analyzed"))
    await call_us(stack)
    foreign = {"ringback_instance": "another"}
    await stack.webhook(stack.body(talk, "call_ended", call_id="call_canaryforeign", metadata=foreign))
    await stack.execute(
        """INSERT INTO provider_events (provider_call_id, event, content_hash, received_at, fate, body)
           VALUES ('call_canaryforeign', 'call_started', '\\x01', '2026-10-01', 'foreign', '{"to": "(415) 555-0160"}'),
                  ('', 'chat_ended', '\\x02', '2026-10-01', 'unhandled', '{"sms": "1-415-555.0160"}')"""
    )
    await stack.enqueue(stack.body(talk, "call_ended"))
    await stack.enqueue(stack.body(talk, "call_analyzed"), dead=True)
    order = SuppressionOrder(phone=PHONE, contact_id=None, reason="becausecanary", actor=TESTER)
    await suppress_now(stack.store, stack.clock, stack.new_id, order)
    return talk


async def call_us(stack: ErasureStack, call_id: str = INBOUND) -> dict[str, str]:
    """A call to us, ended and not analysed. Returns the metadata that it carries."""
    args = {"from_number": PHONE, "to_number": OURS}
    marks = (await stack.ask("incoming_call", args)).result["metadata"]
    await stack.webhook(stack.inbound_body("call_started", marks=marks, call_id=call_id))
    await stack.webhook(stack.inbound_body("call_ended", marks=marks, call_id=call_id))
    return marks


def hears(event: str, **changes):
    async def late(stack: ErasureStack, talk: Talk, marks: dict[str, str]) -> None:
        await stack.webhook(stack.body(talk, event, **changes))

    return late


def hears_of_inbound(event: str, **changes):
    async def late(stack: ErasureStack, talk: Talk, marks: dict[str, str]) -> None:
        await stack.webhook(stack.inbound_body(event, marks=marks, **changes))

    return late


def calls_function(action: str, **args):
    async def late(stack: ErasureStack, talk: Talk, marks: dict[str, str]) -> None:
        call = stack.body(talk, "call_started")["call"]
        inbound = stack.inbound_body("call_started", marks=marks)["call"]
        for conversation in (call, call | {"metadata": {}}, inbound, inbound | {"call_id": "call_nobody"}):
            await stack.function(action, conversation, args)
        for mark in (talk.attempt_id, marks["ringback_inbound_id"]):
            await stack.function(action, None, {"ringback_attempt_id": mark, **args})

    return late


def asks(action: str, **args):
    async def late(stack: ErasureStack, talk: Talk, marks: dict[str, str]) -> None:
        task = (await stack.tasks(talk.call_id))[0]
        for target in ({"call_id": talk.call_id}, {"contact_id": CONTACT}, {"task_id": task["task_id"]}):
            await stack.ask(action, args, **target)
        for stand_in in await stack.all("SELECT contact_id FROM contacts WHERE phone = 'erased'"):
            await stack.ask(action, args, contact_id=stand_in["contact_id"])

    return late


async def hands_in_the_call(stack: ErasureStack, talk: Talk, marks: dict[str, str]) -> None:
    for changes in ({}, {"call_id": "call_canarysecond"}, {"metadata": {}}):
        await stack.ask("call_analysed", {"call": stack.body(talk, "call_analyzed", **changes)["call"]})


async def hears_that_a_body_was_too_large(stack: ErasureStack, talk: Talk, marks: dict[str, str]) -> None:
    await stack.large_webhook(CALL)
    await stack.large_webhook(INBOUND)


async def is_called_by_the_person(stack: ErasureStack, talk: Talk, marks: dict[str, str]) -> None:
    await stack.ask("incoming_call", {"from_number": PHONE, "to_number": OURS})


async def cancels(stack: ErasureStack, talk: Talk, marks: dict[str, str]) -> None:
    await stack.cancel(talk.call_id)


async def posts_the_call_again(stack: ErasureStack, talk: Talk, marks: dict[str, str]) -> None:
    again = await stack.post_call()
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


async def attempt_of(stack: ErasureStack, talk: Talk) -> dict[str, object]:
    return await stack.one("SELECT * FROM attempts WHERE attempt_id = $1", talk.attempt_id)


async def test_the_search_finds_every_canary_before_the_erasure(stack: ErasureStack):
    await live(stack)
    assert await stack.found() >= {"number", *CANARIES} - {"call_canarysecond"}


async def marks_of_inbound(stack: ErasureStack) -> dict[str, str]:
    inbound_id = (await stack.one("SELECT inbound_id FROM inbound_calls"))["inbound_id"]
    return {
        "ringback_instance": "test-instance",
        "ringback_contact_id": CONTACT,
        "ringback_inbound_id": inbound_id,
    }


async def stays_erased(stack: ErasureStack, talk: Talk, marks: dict[str, str]) -> None:
    """Each kind of late evidence, each of them twice, brings nothing back and tells Engage nothing."""
    await stack.erase()
    await stack.deliver_all()
    assert await stack.found() == set()
    erased, told = await attempt_of(stack, talk), len(stack.engage.got)
    calls = await stack.all("SELECT * FROM calls ORDER BY call_id")
    for name, late in LATE.items():
        with capture_logs() as logs:
            for _ in range(2):
                await late(stack, talk, marks)
                await stack.deliver_all()
        assert (name, [canary for canary in (*CANARIES, PHONE) if canary in str(logs)]) == (name, [])
        assert (name, await stack.found()) == (name, set())
        assert (name, await attempt_of(stack, talk)) == (name, erased)
        assert (name, stack.engage.got[told:]) == (name, [])
        assert (name, await stack.all("SELECT * FROM calls ORDER BY call_id")) == (name, calls)


@pytest.mark.matrix
async def test_no_table_has_the_person_again_after_the_erasure(stack: ErasureStack, record_property):
    talk = await live(stack)
    await stays_erased(stack, talk, await marks_of_inbound(stack))
    record_property("cases", len(LATE))


@pytest.mark.matrix
async def test_nor_when_the_same_evidence_came_before_it_too(stack: ErasureStack, record_property):
    talk = await live(stack)
    marks = await marks_of_inbound(stack)
    for late in LATE.values():
        await late(stack, talk, marks)
    # A person can be erased only after the work that this left open has ended.
    await stack.execute("UPDATE outbox SET delivered_at = now() WHERE kind = 'stop_call'")
    await stack.execute("UPDATE attempts SET next_check_at = NULL, holds_person = false, holds_slot = false")
    await stack.execute("UPDATE inbound_calls SET released_at = now()")
    await stays_erased(stack, talk, marks)
    record_property("cases", len(LATE))


@pytest.mark.matrix
@pytest.mark.parametrize("late", ["call_analyzed", "a stop", "inbound call_analyzed", "function note_writeback",
                                  "function do_not_call", "action note_writeback", "action call_analysed with a call",
                                  "a body that was too large"])  # fmt: skip
@pytest.mark.parametrize("first", ["evidence", "erasure"])
async def test_what_waits_beside_the_erasure_for_the_person_leaves_nothing(stack: ErasureStack, late, first):
    """Both begin while another transaction holds the person, and go on in the order of their arrival."""
    talk = await stack.place()
    await stack.whole_call(talk)
    marks = await call_us(stack)
    await stack.warm_up()
    async with stack.store.transaction() as tx:
        await tx.lock_contacts([PHONE], CONTACT)
        evidence = (lambda: LATE[late](stack, talk, marks), stack.erase)
        begun = []
        for work in evidence if first == "evidence" else reversed(evidence):
            begun.append(asyncio.ensure_future(work()))
            await stack.until_blocked(len(begun))
    await asyncio.gather(*begun)
    await stack.deliver_all()
    assert await stack.found() == set()


async def test_a_poll_that_was_on_its_way_changes_nothing(stack: ErasureStack):
    talk = await stack.place()

    async def meanwhile(_: str):
        await stack.whole_call(talk)
        await stack.erase()
        call = stack.body(
            talk, "call_analyzed", call_analysis={"call_successful": True, "call_summary": "summarycanary"}
        )
        return report_from_call(call["call"], ReportKind.SNAPSHOT)

    stack.provider.during_fetch = meanwhile
    stack.clock.advance(600)
    await stack.watchdog.reconcile_due_attempts()
    await stack.deliver_all()
    assert await stack.found() == set()
    assert (await attempt_of(stack, talk))["transcript"] is None


async def test_a_look_up_that_was_on_its_way_binds_nothing(stack: ErasureStack):
    talk = await stack.place()
    await stack.execute(
        """UPDATE attempts SET state = 'unknown', provider_call_id = NULL, unknown_since = now(), placed_at = NULL,
               next_check_at = '2026-12-01'"""
    )

    async def meanwhile(_: str):
        await stack.execute(
            """UPDATE attempts SET state = 'abandoned', holds_person = false, holds_slot = false,
                   next_check_at = NULL, verdict_digest = 'x', verdict_type = 'x'"""
        )
        await stack.execute("UPDATE calls SET final = true, closing_event_id = 'x'")
        await stack.erase()
        return report_from_call(stack.body(talk, "call_analyzed")["call"], ReportKind.SNAPSHOT)

    stack.provider.during_fetch = meanwhile
    stack.clock.advance(600)
    await stack.watchdog.reconcile_due_attempts()
    await stack.deliver_all()
    assert await stack.found() == set()
    assert (await attempt_of(stack, talk))["state"] == "abandoned"


async def test_an_answer_to_the_dial_that_comes_after_the_erasure_binds_nothing(stack: ErasureStack):
    async def meanwhile() -> None:
        await stack.execute(
            """UPDATE attempts SET state = 'abandoned', holds_person = false, holds_slot = false,
                   next_check_at = NULL, verdict_digest = 'x', verdict_type = 'x'"""
        )
        await stack.execute("UPDATE calls SET final = true, closing_event_id = 'x'")
        await stack.erase()

    stack.provider.during_dial = meanwhile
    call_id = (await stack.post_call()).call_id
    talk = await stack.dial(call_id)
    await stack.deliver_all()
    assert await stack.found() == set()
    assert talk.provider_call_id is None


async def test_a_row_in_the_hands_of_a_relay_returns_without_what_was_said(stack: ErasureStack):
    talk = await stack.place()
    await stack.whole_call(talk)

    async def meanwhile() -> None:
        stack.engage.during = None
        await stack.erase()

    stack.engage.during, stack.engage.is_away = meanwhile, True
    await stack.deliver_all()
    stack.engage.is_away = False
    for _ in range(5):
        await stack.deliver_all()
    assert [event["type"].removeprefix("voice_ai_call_") for event in stack.engage.got] == [
        "initiated",
        "started",
        "partially_completed",
    ]
    assert not {canary for canary in CANARIES if canary in json.dumps(stack.engage.got)} - {CONTACT}
    assert await stack.found() == set()


async def test_a_message_that_no_search_reaches_is_dropped_when_it_comes(stack: ErasureStack):
    """As Amazon SQS keeps them, in its queue and its dead letters: nothing can be searched or deleted there."""
    talk = await live(stack)
    bodies = [row["body"] for row in await stack.all("SELECT body FROM queue_messages WHERE queue = 'events'")]
    assert len(bodies) == 2
    await stack.erase()
    await stack.deliver_all()
    for body in bodies:
        await stack.webhook(json.loads(decode_webhook_received(body).body))
    assert await stack.found() == set()
    assert (await attempt_of(stack, talk))["provider_call_id"] is None
    assert stack.counts.erased == 2


async def test_compressed_messages_about_the_person_are_erased_and_no_others(stack: ErasureStack):
    """Their text is not in the table, so a search of the table does not find the person."""
    talk, long = await stack.place(), "filler " * 10_000
    await stack.webhook(stack.body(talk, "call_ended"))
    await stack.webhook(stack.body(talk, "call_analyzed"))
    by_its_id = {"event": "call_ended", "call": {"call_id": CALL}, "p": long}
    by_a_number = {"event": "chat_ended", "sms": "1-415-555.0160", "nul": "a", "p": long}
    of_others = {"event": "chat_ended", "sms": "1-415-555.0161", "p": long}
    await stack.enqueue(by_its_id)
    await stack.enqueue(by_its_id | {"call": None, "n": CALL}, dead=True)
    await stack.enqueue(by_a_number, dead=True)
    nul = encode_webhook("2026-12-01T17:00:00Z", json.dumps(by_a_number).replace('"a"', '"\0"'))
    await stack.enqueue_message(nul)
    await stack.enqueue_message(
        f'{COMPRESSED_START}"received_at":"2026-12-01T17:00:00Z","deflated":"damaged"}}', dead=True
    )
    await stack.enqueue(of_others)
    left = "SELECT body FROM queue_messages WHERE queue = 'events'"
    assert all(row["body"].startswith(COMPRESSED_START) for row in await stack.all(left))
    erased = await stack.erase()
    assert [row["body"] for row in await stack.all(left)] == [
        encode_webhook("2026-12-01T17:00:00Z", json.dumps(of_others))
    ]
    assert erased.rows["queue_messages"] == 5


async def test_when_the_rows_are_gone_the_tombstones_still_know_the_person(stack: ErasureStack):
    talk = await live(stack)
    await stack.erase()
    await stack.deliver_all()
    for table in ("attempts", "tasks", "calls", "contacts"):
        await stack.execute(f"DELETE FROM {table}")
    for event in ("call_started", "call_ended", "call_analyzed"):
        for body in (stack.body(talk, event), stack.body(talk, event, call_id="call_canarysecond")):
            await stack.webhook(body, receive_count=PARKED_TRIES + 1)
    assert await stack.found() == set()
    assert await stack.all("SELECT * FROM provider_events") == []


async def test_the_body_of_a_call_that_is_not_ours_is_not_kept(stack: ErasureStack):
    talk = await stack.place()
    await stack.webhook(stack.body(talk, "call_ended", call_id="call_theirs", metadata={"ringback_instance": "theirs"}))
    await stack.webhook(stack.inbound_body("call_ended", marks={}, call_id="call_theirs_in"))
    rows = await stack.all("SELECT fate, body FROM provider_events ORDER BY fate")
    assert [(row["fate"], row["body"]) for row in rows] == [("foreign", None), ("inbound", None)]


async def test_a_person_who_comes_again_is_a_new_one(stack: ErasureStack):
    talk = await live(stack)
    marks = await marks_of_inbound(stack)
    await stack.execute("DELETE FROM suppressions")
    await stack.erase()
    again = await stack.place(key="another-order")
    await stack.whole_call(again)
    assert (await attempt_of(stack, again))["transcript"] is not None
    assert (await attempt_of(stack, talk))["transcript"] is None
    await call_us(stack, "call_anew")
    assert len(await stack.all("SELECT * FROM inbound_calls WHERE released_at IS NOT NULL")) == 1
    # A note about the erased person is not stored for the new one, even with the same contact id.
    await LATE["function note_writeback"](stack, talk, marks)
    assert await stack.all("SELECT * FROM notes") == []
    await stack.erase()
    await stack.deliver_all()
    assert await stack.found() == set()
