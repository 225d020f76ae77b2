"""Real arguments of models and the platform over HTTP in; rows, CRM writes and sentences out."""

import json

import pytest

from .http_requests import ask, client_of, post_function
from .test_action import TOMORROW, tool_body


@pytest.fixture
async def client(stack):
    async with client_of(stack.operations) as open_client:
        yield open_client


async def told(client, talk, action: str, args) -> dict:
    answer = await post_function(client, action, tool_body(talk, action, args))
    assert answer.status_code == 200
    return answer.json()


ARGUMENTS = {
    "field_writeback": {"fields": {"company": "Acme"}},
    "reschedule_call": TOMORROW,
    "delete_scheduled_task": {"reason": "moved away"},
    "update_timezone": {"time_zone": "Eastern"},
    "set_disposition": {"code": "do_not_call"},
    "send_abt_event": {"type": "lead_qualified"},
    "note_writeback": {"note": "likes e-mail"},
}


@pytest.mark.parametrize("action", ARGUMENTS)
async def test_what_the_platform_and_a_model_add_is_ignored_and_listed(stack, client, action):
    talk = await stack.talk()
    if action == "delete_scheduled_task":
        await told(client, talk, "reschedule_call", TOMORROW)
    extra = {
        "execution_message": "One moment, please.",
        "reasoning": {"because": "they said so"},
        "contact_id": "crm-1",
    }
    reply = await told(client, talk, action, ARGUMENTS[action] | extra)
    assert (reply["ok"], reply["result"]["ignored"]) == (True, list(extra))


async def test_an_opt_out_stands_whatever_the_model_adds(stack, client):
    talk = await stack.talk()
    args = {"code": "DNC", "note": 7, "execution_message": "I will take you off our list.", "confidence": 0.9}
    reply = await told(client, talk, "set_disposition", args)
    assert (reply["ok"], reply["code"]) == (True, "disposition_set")
    assert (reply["result"]["code"], reply["result"]["suppressed"]) == ("do_not_call", True)
    assert sorted(reply["result"]["ignored"]) == ["confidence", "execution_message", "note"]
    row = await stack.one("SELECT phone, contact_id, reason FROM suppressions")
    assert row == {"phone": "+14155550100", "contact_id": "crm-42", "reason": "do_not_call"}


@pytest.mark.parametrize("code", ["DNC", "Do Not Call", "DO_NOT_CALL", "stop calling", "opted-out", "remove me"])
async def test_an_opt_out_is_recognised_by_an_agents_spelling(stack, client, code):
    talk = await stack.talk()
    reply = await told(client, talk, "set_disposition", {"code": code})
    assert (reply["ok"], reply["result"]) == (True, {"code": "do_not_call", "suppressed": True})
    assert (await stack.one("SELECT phone FROM suppressions"))["phone"] == "+14155550100"


async def test_a_limit_is_no_opt_out(stack, client):
    talk = await stack.talk()
    reply = await told(client, talk, "set_disposition", {"code": "do not call before noon"})
    assert (reply["ok"], reply["code"]) == (False, "unknown_disposition")
    assert "do_not_call" in reply["result"]["valid"]
    assert await stack.all("SELECT * FROM suppressions") == []


async def test_systems_are_held_to_the_codes_and_to_known_arguments(stack, client):
    call_id = await stack.accept()
    for args, status, code in (
        ({"code": "DO_NOT_CALL", "execution_message": "x"}, 422, "invalid_args"),
        ({"code": "DNC"}, 422, "unknown_disposition"),
        ({"code": "DO_NOT_CALL"}, 200, "disposition_set"),
    ):
        answer = await ask(client, "set_disposition", {"call_id": call_id, "args": args})
        assert (answer.status_code, answer.json()["code"]) == (status, code)


NO_VALUES = [
    "",
    "  ",
    "null",
    "NULL",
    "N/A",
    "n/a",
    "undefined",
    "None",
    "{{company}}",
    "{{ company }}",
    '"null"',
    '""',
]
UNSEEN = ["\u200b", "\ufeff", "\u3164", "\u00a0\u2060", "\u2800", "\t\n"]


@pytest.mark.parametrize("value", [None, *NO_VALUES, *UNSEEN, "{{company}} Inc.", {}])
async def test_a_value_that_is_none_is_neither_written_nor_asked_for(stack, client, value):
    talk = await stack.talk(fields={"company": "Acme"})
    reply = await told(client, talk, "field_writeback", {"fields": {"company": value, "budget": 5}})
    assert (reply["code"], reply["say"]) == ("fields_written", "Thank you, I have saved that.")
    assert reply["result"] == {"written": {"budget": 5}, "rejected": {}}
    assert (await stack.one("SELECT fields FROM contacts"))["fields"] == {"company": "Acme", "budget": 5}
    assert [row["field"] for row in await stack.all("SELECT field FROM field_writes")] == ["budget"]


async def test_fields_without_any_value_write_nothing_and_ask_nothing(stack, client):
    talk = await stack.talk()
    reply = await told(client, talk, "field_writeback", {"fields": {"company": "N/A", "email": None, "interest": ""}})
    assert (reply["ok"], reply["code"], reply["say"]) == (True, "nothing_given", "Thank you.")
    assert await stack.all("SELECT * FROM outbox WHERE kind = 'crm_fields'") == []


async def test_a_choice_that_is_spelled_like_no_value_is_one(stack):
    schema = stack.actions["field_writeback"].declaration.arguments
    schema["properties"]["fields"]["properties"]["interest"] = {"type": "string", "enum": ["none", "high"]}
    from ringback.flows.business_operations.arguments import as_meant

    assert as_meant({"fields": {"interest": "none"}}, schema) == ({"fields": {"interest": "none"}}, [])


async def test_texts_around_a_value_are_left_out(stack, client):
    talk = await stack.talk()
    reply = await told(
        client, talk, "field_writeback", {"fields": {"first_name": " Ada\u200b ", "last_name": "Null-Smith"}}
    )
    assert reply["result"]["written"] == {"first_name": "Ada", "last_name": "Null-Smith"}


async def test_optional_arguments_without_a_value_are_as_if_not_there(stack, client):
    talk = await stack.talk()
    for value in (None, "null", "N/A", "{{reason}}", "\u200b"):
        await told(client, talk, "reschedule_call", {**TOMORROW, "reason": value})
        assert (await stack.tasks(talk.call_id))[-1]["reason"] is None
        await stack.execute("UPDATE calls SET reschedules = 0")


@pytest.mark.parametrize(
    ("action", "args", "code"),
    [
        ("reschedule_call", {"when": "{{when}}"}, "needs_clarification"),
        ("update_timezone", {"time_zone": "undefined"}, "needs_clarification"),
        ("note_writeback", {"note": "N/A"}, "empty_note"),
        ("set_disposition", {"code": "null"}, "unknown_disposition"),
    ],
)
async def test_a_required_argument_without_a_value_is_asked_for(stack, client, action, args, code):
    reply = await told(client, await stack.talk(), action, args)
    assert (reply["ok"], reply["code"]) == (False, code)


async def test_a_long_reason_does_not_stop_what_the_person_asked_for(stack, client):
    talk = await stack.talk()
    await told(client, talk, "reschedule_call", TOMORROW)
    reply = await told(client, talk, "delete_scheduled_task", {"reason": "no " * 400})
    assert (reply["ok"], reply["code"]) == (True, "deleted")
    detail = (await stack.one("SELECT detail FROM gate_decisions WHERE kind = 'task_deleted'"))["detail"]
    assert len(detail["reason"]) <= 500


# The body's shape


BUDGET = {"fields": {"budget": 5}}


@pytest.mark.parametrize(
    "shape",
    [
        {"args": {"fields": json.dumps(BUDGET["fields"])}},
        {"args": json.dumps(BUDGET)},
        {"args": {"budget": 5}},
        {"args": None, **BUDGET},
        {"args": {}, **BUDGET},
        BUDGET,
        {"budget": 5},
    ],
    ids=["fields as JSON", "args as JSON", "flat fields", "null args", "empty args", "missing args", "all flat"],
)
async def test_a_known_call_is_enough_however_its_arguments_stand(stack, client, shape):
    talk = await stack.talk()
    body = tool_body(talk, "field_writeback", BUDGET)
    del body["args"]
    reply = (await post_function(client, "field_writeback", body | shape)).json()
    assert (reply["code"], reply["result"]["written"]) == ("fields_written", {"budget": 5})


async def test_null_and_missing_arguments_are_none(stack, client):
    talk = await stack.talk()
    for shape, code in (({"args": None}, "deleted"), ({}, "not_found")):
        if code == "deleted":
            await told(client, talk, "reschedule_call", TOMORROW)
        body = tool_body(talk, "delete_scheduled_task", {}, "tool_9")
        del body["args"]
        reply = (await post_function(client, "delete_scheduled_task", body | shape)).json()
        assert reply["code"] == code
        await stack.execute("DELETE FROM action_results")


async def test_a_call_object_in_a_json_string_is_read(stack, client):
    talk = await stack.talk()
    body = tool_body(talk, "note_writeback", {"note": "n"})
    body["call"] = json.dumps(body["call"])
    assert (await post_function(client, "note_writeback", body)).json()["code"] == "note_added"


@pytest.mark.parametrize("fields", ['{"budget": "\\u0000"}', '{"x\\u0000": 1}', "[" * 9000, '{"budget": 1e999}', "{"])
async def test_json_in_a_string_that_cannot_be_kept_is_no_object(stack, client, fields):
    talk = await stack.talk()
    reply = await told(client, talk, "field_writeback", {"fields": fields})
    assert (reply["ok"], reply["code"]) == (False, "invalid_args")


async def test_no_sentence_speaks_of_fields_keys_or_formats(stack, client):
    talk = await stack.talk()
    for action, args in (
        ("field_writeback", {"fields": {"email": "ada at home", "shoe_size": 43}}),
        ("field_writeback", {"fields": "{"}),
        ("field_writeback", {}),
        ("set_disposition", {"code": 5}),
        ("send_abt_event", {"type": "lead_qualified", "data": "x"}),
        ("note_writeback", {"note": ["x"]}),
    ):
        say = (await told(client, talk, action, args))["say"].lower()
        assert not {"field", "key", "json", "argument", "format", "object", "_"} & set(say.replace("_", " _ ").split())


# E-mail addresses and instants


@pytest.mark.parametrize(
    "text",
    [
        *(
            "ada@example.com",
            "ada@example.com ",
            " <ada@example.com>",
            "Ada Lovelace <ada@example.com>",
            "ada@example.com,",
        ),
        *("ada@example.com.", "ada@example.com;", "mailto:ada@example.com", "MAILTO:ada@example.com?subject=x"),
        *("<mailto:ada@example.com>", '"ada@example.com"', "ada@EXAMPLE.com\u200b"),
    ],
)
async def test_an_address_is_read_out_of_what_is_wrapped_around_it(stack, client, text):
    reply = await told(client, await stack.talk(), "field_writeback", {"fields": {"email": text}})
    assert reply["result"]["written"] == {"email": "ada@example.com"}


@pytest.mark.parametrize(
    "text",
    [
        *("ada@example.com;bob@example.com", "a;b@example.com", "ada@example.com, bob@example.com", "ada@example..com"),
        *("ada", "ada@", "@example.com", "ada @example.com", "bob@example.com <ada@example.com>", "ada@example"),
        *("ada@[10.0.0.1]", "ada..b@example.com", ".ada@example.com", "ada@-example.com", "ada@example.c\u200bom"),
    ],
)
async def test_what_is_not_one_address_is_asked_for_again(stack, client, text):
    reply = await told(client, await stack.talk(), "field_writeback", {"fields": {"email": text}})
    assert (reply["code"], list(reply["result"]["rejected"])) == ("nothing_written", ["email"])


async def test_systems_write_the_address_alone(stack):
    await stack.accept()
    for text, code in (
        ("ada@example.com ", "fields_written"),
        ("<ada@example.com>", "nothing_written"),
        ("ada@example.com,", "nothing_written"),
        ("mailto:ada@example.com", "nothing_written"),
        ("a;b@example.com", "nothing_written"),
    ):
        assert (await stack.ask("field_writeback", {"fields": {"email": text}}, contact_id="crm-42")).code == code
    assert (await stack.one("SELECT fields FROM contacts"))["fields"] == {"email": "ada@example.com"}


@pytest.mark.parametrize("text", ["2026-12-01t17:00:00z", "2026-12-01T17:00:00Z ", "2026-12-01T17:00:00Z"])
async def test_an_instant_is_kept_in_its_usual_spelling(stack, client, text):
    reply = await told(client, await stack.talk(), "field_writeback", {"fields": {"appointment_at": text}})
    assert reply["result"]["written"] == {"appointment_at": "2026-12-01T17:00:00Z"}


@pytest.mark.parametrize("text", ["2026-W49-2T15:00Z", "2026-12-01T15Z", "2026-12-01T15:00+0000", "0001-01-01T00:00Z"])
async def test_a_time_that_is_no_rfc_3339_instant_is_refused_in_every_scope(stack, client, text):
    talk = await stack.talk()
    reply = await told(client, talk, "field_writeback", {"fields": {"appointment_at": text}})
    assert reply["code"] == "nothing_written"
    reply = await stack.ask("field_writeback", {"fields": {"appointment_at": text}}, call_id=talk.call_id)
    assert reply.code == "nothing_written"


@pytest.mark.parametrize("code", [["do_not_call"], ["not_interested", "do_not_call"]])
async def test_a_stop_in_a_list_is_heard(stack, client, code):
    talk = await stack.talk()
    said = await told(client, talk, "set_disposition", {"code": code})
    assert (said["ok"], said["result"]["code"], said["result"]["suppressed"]) == (True, "do_not_call", True)
    assert (await stack.one("SELECT count(*) AS stops FROM suppressions"))["stops"] == 1
