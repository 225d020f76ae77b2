"""Fields as a model sends them in; the contact, what stood there before, and one row for the CRM out."""

import pytest

from ringback.adapters.postgres.views import PostgresViews


async def crm_rows(stack):
    return await stack.all("SELECT * FROM outbox WHERE kind IN ('crm_fields', 'crm_note') ORDER BY id")


async def test_allowed_fields_are_kept_and_forwarded(stack):
    talk = await stack.talk(fields={"first_name": "Ada", "budget": 100})
    told = {"budget": 250, "opted_in": True, "interest": "high", "appointment_at": "2026-12-03T15:00:00-05:00"}
    reply = await stack.tool(talk, "field_writeback", {"fields": told})
    assert (reply.ok, reply.code, reply.say) == (True, "fields_written", "Thank you, I have saved that.")
    assert reply.result == {"written": told, "rejected": {}}
    contact = await stack.one("SELECT fields FROM contacts")
    assert contact["fields"] == {"first_name": "Ada", **told}
    row = (await crm_rows(stack))[0]
    assert (row["kind"], row["order_key"], row["call_id"]) == ("crm_fields", "contact:crm-42", talk.call_id)
    assert row["payload"] == {"contact_id": "crm-42", "call_id": talk.call_id, "fields": told}


async def test_old_and_new_value_are_kept(stack):
    talk = await stack.talk(fields={"budget": 100})
    await stack.tool(talk, "field_writeback", {"fields": {"budget": 250, "company": "Acme"}})
    await stack.ask("field_writeback", {"fields": {"budget": 300}}, contact_id="crm-42")
    writes = await stack.all("SELECT * FROM field_writes ORDER BY at, write_id, field")
    assert [(row["field"], row["old_value"], row["new_value"], row["source"]) for row in writes] == [
        ("budget", 100, 250, "agent"),
        ("company", None, "Acme", "agent"),
        ("budget", 250, 300, "api"),
    ]
    assert {row["attempt_id"] for row in writes[:2]} == {talk.attempt_id}


async def test_what_cannot_be_written_says_what_is_allowed_and_the_rest_is_written(stack):
    talk = await stack.talk()
    told = {"first_name": "Ada", "budget": "a lot", "interest": "very", "shoe_size": 43}
    reply = await stack.tool(talk, "field_writeback", {"fields": told})
    assert (reply.ok, reply.code) == (True, "partly_written")
    assert reply.say == "I have saved part of that; could you tell me the rest again?"
    assert reply.result["written"] == {"first_name": "Ada"}
    assert reply.result["rejected"] == {
        "budget": "must be a number, without currency or separators",
        "interest": "must be one of: low, medium, high",
        "shoe_size": "unknown field; allowed: first_name, last_name, company, email, budget, opted_in, "
        "appointment_at, interest",
    }
    assert (await stack.one("SELECT fields FROM contacts"))["fields"] == {"first_name": "Ada"}


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("first_name", [7, None, "a\0b", "\ud800", "x" * 2001, ["Ada"]]),
        ("email", ["ada", "ada@", "@example.com", "a b@example.com", "ada@example", 7, None]),
        ("budget", ["5", True, None, float("inf"), float("nan"), 10**400, 1e16]),
        ("opted_in", ["true", 1, 0, None]),
        ("appointment_at", ["tomorrow", "2026-12-03", "2026-12-03T15:00:00", 7, None]),
        ("interest", ["HIGH", "", ["low"], None, {}]),
    ],
)
async def test_a_value_of_a_wrong_type_is_never_written(stack, field, wrong):
    await stack.accept()
    for value in wrong:
        reply = await stack.ask("field_writeback", {"fields": {field: value}}, contact_id="crm-42")
        assert (reply.code, list(reply.result["rejected"])) == ("nothing_written", [field]), value


@pytest.mark.parametrize("args", [{}, {"fields": {}}, {"fields": []}, {"fields": "x"}, {"fields": None}])
async def test_without_fields_there_is_nothing_to_do(stack_without_database, args):
    reply = stack_without_database.operations.rehearse("field_writeback", args)
    assert (reply.code, reply.ok) == ("invalid_args", False)
    assert "fields" in reply.result["errors"]


async def test_nothing_is_written_when_nothing_is_right(stack):
    talk = await stack.talk()
    before = await stack.rows_written()
    reply = await stack.tool(talk, "field_writeback", {"fields": {"budget": "a lot"}})
    assert (reply.ok, reply.code) == (False, "nothing_written")
    assert await stack.rows_written() == before | {"outbox": before["outbox"] + 1}, "the call is known to have started"


async def test_the_same_key_twice_changes_nothing(stack):
    talk = await stack.talk()
    first = await stack.tool(talk, "field_writeback", {"fields": {"budget": 1}}, key="call_1:field_writeback:t1")
    before = await stack.rows_written()
    assert (
        await stack.tool(talk, "field_writeback", {"fields": {"budget": 1}}, key="call_1:field_writeback:t1") == first
    )
    assert await stack.rows_written() == before


async def test_a_contacts_crm_writes_share_one_order(stack):
    talk, other = await stack.talk(), await stack.talk(contact_id="crm-43", phone="+14155550101")
    await stack.tool(talk, "field_writeback", {"fields": {"budget": 1}})
    await stack.tool(talk, "note_writeback", {"note": "wants more"})
    await stack.tool(other, "note_writeback", {"note": "busy"})
    keys = [row["order_key"] for row in await crm_rows(stack)]
    assert keys == ["contact:crm-42", "contact:crm-42", "contact:crm-43"]


async def test_the_trace_shows_each_crm_write_with_its_result(stack):
    talk = await stack.talk()
    await stack.tool(talk, "field_writeback", {"fields": {"budget": 1, "company": "Acme"}})
    await stack.tool(talk, "note_writeback", {"note": "a secret"})
    await stack.execute("UPDATE outbox SET delivered_at = now(), tries = 1 WHERE kind = 'crm_fields'")
    await stack.execute("UPDATE outbox SET dead_at = now(), tries = 5, last_error = 'http_400' WHERE kind = 'crm_note'")
    timeline = await PostgresViews(stack.pool).timeline(talk.call_id)
    fields, note = [entry for entry in timeline if entry["kind"].startswith("crm_")]
    assert (fields["delivery"], fields["fields"]) == ("delivered", ["budget", "company"])
    assert (note["delivery"], note["tries"], note["last_error"]) == ("dead", 5, "http_400")
    assert "a secret" not in str(timeline)


async def test_the_person_is_asked_again_only_for_what_they_can_say_better(stack_without_database):
    for told, say in (
        ({"shoe_size": 43}, "Sorry, I cannot save that."),
        ({"shoe_size": 43, "budget": 5}, "Thank you, I have saved that."),
        ({"budget": "much"}, "Sorry, I could not save that; could you tell me again?"),
    ):
        assert stack_without_database.operations.rehearse("field_writeback", {"fields": told}).say == say
