"""A person is erased: nothing that can be read is left in any table, and a stop goes on working."""

import json

import pytest

from ringback.adapters.postgres.erasure import PostgresEraser
from ringback.adapters.postgres.message_queue import PostgresQueue
from ringback.domain.contact import Disposition, StillInProgress
from ringback.flows.operator.erasure import erase_person
from ringback.flows.suppression import SuppressionOrder, suppress_now
from ringback.ports import OutgoingMessage
from ringback.storage import ActionResult
from tests.audit_log import TESTER

from .conftest import PHONE

SECRETS = (PHONE, "crm-42", "Ada", "spring", "do tell nobody", "call_1")


async def everything(pool) -> str:
    """Every value of every table, as one text."""
    tables = await pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows = [await pool.fetch(f"SELECT row_to_json(t)::text AS line FROM {name['tablename']} AS t") for name in tables]
    return "\n".join(row["line"] for found in rows for row in found)


async def a_life(stack, pool, store, clock):
    """A finished call with all its traces, and one that is still planned."""
    call_id = await stack.accept()
    await stack.deliver_first(call_id)
    await pool.execute(
        """UPDATE attempts SET holds_person = false, holds_slot = false, next_check_at = NULL, state = 'analyzed',
               transcript = 'Ada: do tell nobody', recording_url = 'https://x/call_1', summary = 'do tell nobody',
               analysis = '{"a": "do tell nobody"}', business = '{"b": "do tell nobody"}', verdict_type = 'x'"""
    )
    await pool.execute("UPDATE calls SET final = true, status = 'completed'")
    await pool.execute("UPDATE tasks SET reason = 'do tell nobody'")
    await pool.execute("UPDATE outbox SET delivered_at = now()")
    attempt_id = await pool.fetchval("SELECT attempt_id FROM attempts")
    async with store.transaction() as tx:
        reply = {"ok": True, "code": "x", "say": "Ada", "result": {}}
        await tx.action_results.store(ActionResult("retell", "k", "x", "h", call_id, "crm-42", clock.now(), reply))
        await tx.action_results.add_disposition(
            Disposition("d", call_id, attempt_id, "crm-42", "interested", "do tell nobody", clock.now())
        )
        note = {"contact_id": "crm-42", "note": "do tell nobody", "call_id": call_id}
        await tx.outbox.enqueue("crm_note", "note-1", note, "contact:crm-42", clock.now())
    await pool.execute(
        "INSERT INTO notes (note_id, contact_id, author, note, at) VALUES ('n', 'crm-42', 'agent', 'Ada', now())"
    )
    await pool.execute(
        """INSERT INTO field_writes (write_id, field, contact_id, source, new_value, at)
           VALUES ('w', 'first_name', 'crm-42', 'agent', '"Ada"', now())"""
    )
    await pool.execute(
        """INSERT INTO inbound_calls (inbound_id, provider_call_id, phone, to_number, contact_id, rang_at, hold_until,
               released_at) VALUES ('i', 'call_10', $1, '+14155550199', 'crm-42', now(), now(), now())""",
        PHONE,
    )
    await pool.execute(
        """INSERT INTO provider_events (provider_call_id, event, content_hash, received_at, call_id, fate, body)
           VALUES ('call_1', 'call_ended', '\\x00', now(), $1, 'applied', $2)""",
        call_id,
        json.dumps({"to_number": PHONE}),
    )
    await PostgresQueue(pool, "events").send([OutgoingMessage(json.dumps({"call_id": "call_1", "n": PHONE}))])
    planned = await stack.accept(not_before=clock.now().replace(hour=20))
    return call_id, planned


async def test_nothing_readable_is_left_and_engage_still_hears_how_the_planned_call_ended(
    stack, pool, store, clock, hashing
):
    _, planned = await a_life(stack, pool, store, clock)
    stranger = await stack.accept("crm-7", "+14155550107")
    before = await everything(pool)
    assert all(secret in before for secret in SECRETS)
    erased = await erase_person(store, PostgresEraser(pool, hashing), clock, PHONE, "request 17", TESTER)
    assert erased.provider_call_ids == ("call_1", "call_10")
    assert {kind: count for kind, count in erased.rows.items() if not count} == {
        "suppressions": 0,
        "lifted_suppressions": 0,
    }
    (pending,) = await pool.fetch("SELECT payload FROM outbox WHERE kind = 'abt_event' AND delivered_at IS NULL")
    data = pending["payload"]["data"]
    assert (data["call_id"], data["contact_id"], data["reason"]) == (planned, "crm-42", "cancelled")
    assert data["metadata"] == {}
    await pool.execute("DELETE FROM outbox WHERE kind = 'abt_event'")
    await pool.execute("DELETE FROM calls WHERE false")
    left = (await everything(pool)).replace(stranger, "")
    told = [line for line in left.splitlines() if "crm-7" not in line and stranger not in line]
    for secret in SECRETS:
        assert not [line for line in told if secret in line and "+14155550107" not in line], secret
    assert await pool.fetchval("SELECT count(*) FROM calls WHERE phone = 'erased'") == 2
    assert await pool.fetchval("SELECT phone FROM calls WHERE call_id = $1", stranger) == "+14155550107"
    reasons = await pool.fetch("SELECT detail FROM gate_decisions WHERE kind = 'erased'")
    assert {row["detail"]["reason"] for row in reasons} == {"request 17"}


async def test_a_second_erasure_finds_nothing(stack, pool, store, clock, hashing):
    await a_life(stack, pool, store, clock)
    eraser = PostgresEraser(pool, hashing)
    await erase_person(store, eraser, clock, PHONE, "request 17", TESTER)
    again = await erase_person(store, eraser, clock, PHONE, "request 17", TESTER)
    assert (set(again.rows.values()), again.provider_call_ids) == ({0}, ())


@pytest.mark.parametrize("stop", [{"phone": PHONE, "contact_id": None}, {"phone": None, "contact_id": "crm-42"}])
async def test_a_stop_goes_on_working_against_the_hash(stack, pool, store, clock, hashing, stop):
    await stack.accept()
    suppression_id, *_ = await suppress_now(
        store, clock, stack.new_id, SuppressionOrder(**stop, reason="asked by Ada", actor=TESTER)
    )
    await erase_person(store, PostgresEraser(pool, hashing), clock, PHONE, "request 17", TESTER)
    row = await pool.fetchrow("SELECT * FROM suppressions")
    assert (row["phone"], row["contact_id"], row["reason"]) == (None, None, "erased")
    again = await stack.accept()
    call = await pool.fetchrow("SELECT status, final FROM calls WHERE call_id = $1", again)
    assert (call["status"], call["final"]) == ("failed", True)
    async with store.transaction() as tx:
        assert await tx.suppressions.covers(PHONE, "crm-42")
        assert not await tx.suppressions.covers("+14155550107", "crm-7")
        facts = await tx.person_facts(await tx.lock_call(again), None, clock.now())
        assert facts.suppressed
    told = await stack.explain(contact_id="crm-42")
    assert [one["suppression_id"] for one in told["suppressions"]] == [suppression_id]
    assert told["because"] == "suppressed"


async def test_a_person_on_the_line_is_not_erased_half_way(stack, pool, store, clock, hashing):
    await stack.deliver_first(await stack.accept())
    with pytest.raises(StillInProgress, match=r"calls to or from the person that are not finished: 1; "):
        await erase_person(store, PostgresEraser(pool, hashing), clock, PHONE, "request 17", TESTER)
    assert await pool.fetchval("SELECT count(*) FROM attempts WHERE phone = $1", PHONE) == 1


async def test_a_number_of_no_contact_erases_nothing(pool, store, clock, hashing):
    erased = await erase_person(store, PostgresEraser(pool, hashing), clock, "+12125550199", "request 18", TESTER)
    assert set(erased.rows.values()) == {0}
    assert await pool.fetchval("SELECT count(*) FROM contacts") == 0
