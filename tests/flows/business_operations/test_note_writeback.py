"""A note in; a row and one write to the CRM out, however often the tool is retried."""

import asyncio

import pytest


async def test_a_note_is_kept_and_forwarded(stack):
    talk = await stack.talk()
    reply = await stack.tool(talk, "note_writeback", {"note": "  Prefers mornings.  "})
    assert (reply.ok, reply.code, reply.say) == (True, "note_added", "Thank you, I have noted that.")
    note = await stack.one("SELECT * FROM notes")
    assert (note["note"], note["author"], note["contact_id"]) == ("Prefers mornings.", "agent", "crm-42")
    assert (note["call_id"], note["attempt_id"]) == (talk.call_id, talk.attempt_id)
    row = await stack.one("SELECT * FROM outbox WHERE kind = 'crm_note'")
    assert row["message_id"] == reply.result["note_id"] == note["note_id"]
    assert row["payload"] == {
        "contact_id": "crm-42",
        "call_id": talk.call_id,
        "note": "Prefers mornings.",
        "author": "agent",
    }


async def test_a_retried_tool_writes_it_once_also_when_both_run_at_once(stack):
    talk = await stack.talk()
    await stack.warm_up()
    asked = [stack.tool(talk, "note_writeback", {"note": "n"}, key="call_1:note_writeback:t1") for _ in range(4)]
    replies = await asyncio.gather(*asked)
    assert replies == [replies[0]] * 4
    assert len(await stack.all("SELECT * FROM notes")) == 1
    assert len(await stack.all("SELECT * FROM outbox WHERE kind = 'crm_note'")) == 1


async def test_systems_may_note_something_about_a_contact_without_a_call(stack):
    await stack.cancel(await stack.accept())
    assert (await stack.ask("note_writeback", {"note": "moved house"}, contact_id="crm-42")).ok
    note = await stack.one("SELECT * FROM notes")
    assert (note["author"], note["call_id"]) == ("api", None)
    assert (await stack.one("SELECT payload FROM outbox WHERE kind = 'crm_note'"))["payload"]["call_id"] is None


@pytest.mark.parametrize("args", [{}, {"note": " "}, {"note": None}])
async def test_an_empty_note_is_refused(stack_without_database, args):
    assert stack_without_database.operations.rehearse("note_writeback", args).code == "empty_note"


@pytest.mark.parametrize("note", [7, "a\0b", "\ud800", "x" * 5001, [7]])
async def test_a_note_that_is_no_text_is_refused(stack_without_database, note):
    reply = stack_without_database.operations.rehearse("note_writeback", {"note": note})
    assert (reply.code, list(reply.result["errors"])) == ("invalid_args", ["note"])
