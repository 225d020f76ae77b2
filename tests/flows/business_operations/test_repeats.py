"""Two requests of one conversation, and one request that Retell sends twice, over HTTP."""

import json

import pytest

from .http_requests import client_of, post_function
from .test_action import TOMORROW, tool_body


@pytest.fixture
async def client(stack):
    async with client_of(stack.operations) as open_client:
        yield open_client


async def at_root(client, talk, action: str, args: dict) -> dict:
    """As a tool sends it that has its arguments at the root: no call object, no id of the invocation."""
    return (await post_function(client, action, {**args, "ringback_attempt_id": talk.attempt_id})).json()


def turn_of(talk, name: str, *args: dict) -> list[dict]:
    """Bodies of functions that the agent calls at once: every transcript shows all of them."""
    bodies = [tool_body(talk, name, each, f"tool_{number}") for number, each in enumerate(args)]
    invocations = [body["call"]["transcript_with_tool_calls"][-1] for body in bodies]
    for body in bodies:
        body["call"]["transcript_with_tool_calls"][-1:] = invocations
    return bodies


async def dispositions(stack) -> list[str]:
    return [row["code"] for row in await stack.all("SELECT code FROM dispositions ORDER BY disposition_id")]


async def test_two_dispositions_in_one_turn_are_both_filed_and_the_suppression_stands(stack, client):
    talk = await stack.talk()
    for body in turn_of(talk, "set_disposition", {"code": "interested"}, {"code": "do_not_call"}):
        assert (await post_function(client, "set_disposition", body)).json()["code"] == "disposition_set"
    assert await dispositions(stack) == ["interested", "do_not_call"]
    assert (await stack.one("SELECT phone FROM suppressions"))["phone"] == "+14155550100"


async def test_each_call_of_a_turn_is_repeated_under_its_own_id(stack, client):
    talk = await stack.talk()
    bodies = turn_of(talk, "note_writeback", {"note": "one"}, {"note": "two"})
    replies = [(await post_function(client, "note_writeback", body)).json() for body in (*bodies, *bodies)]
    assert replies[:2] == replies[2:]
    assert [row["note"] for row in await stack.all("SELECT note FROM notes ORDER BY note_id")] == ["one", "two"]


async def test_a_turn_whose_transcript_does_not_show_the_arguments_loses_no_call(stack, client):
    talk = await stack.talk()
    bodies = turn_of(talk, "set_disposition", {"code": "interested"}, {"code": "do_not_call"})
    for body in bodies:
        for item in body["call"]["transcript_with_tool_calls"][-2:]:
            item["arguments"] = "[redacted]"
    replies = [(await post_function(client, "set_disposition", body)).json() for body in (*bodies, *bodies)]
    assert [reply["code"] for reply in replies] == ["disposition_set"] * 4
    assert replies[:2] == replies[2:]
    assert await dispositions(stack) == ["interested", "do_not_call"]
    assert len(await stack.all("SELECT * FROM suppressions")) == 1


async def test_the_second_call_of_a_turn_counts_though_the_transcript_shows_only_the_first(stack, client):
    talk = await stack.talk()
    first, second = turn_of(talk, "set_disposition", {"code": "interested"}, {"code": "do_not_call"})
    for body in (first, second):
        del body["call"]["transcript_with_tool_calls"][-1]
        assert (await post_function(client, "set_disposition", body)).json()["ok"]
    assert await dispositions(stack) == ["interested", "do_not_call"]
    assert len(await stack.all("SELECT * FROM suppressions")) == 1


async def test_the_very_same_call_twice_in_one_turn_is_done_once(stack, client):
    talk = await stack.talk()
    for body in turn_of(talk, "note_writeback", {"note": "one"}, {"note": "one"}):
        assert (await post_function(client, "note_writeback", body)).json()["ok"]
    assert len(await stack.all("SELECT * FROM notes")) == 1


async def test_without_ids_a_person_may_change_their_mind_and_back_again(stack, client):
    talk = await stack.talk()
    for action, args, code in (
        ("reschedule_call", TOMORROW, "rescheduled"),
        ("delete_scheduled_task", {}, "deleted"),
        ("reschedule_call", TOMORROW, "rescheduled"),
        ("delete_scheduled_task", {}, "deleted"),
    ):
        assert (await at_root(client, talk, action, args))["code"] == code
    assert [task["status"] for task in await stack.tasks(talk.call_id)] == ["consumed", "deleted", "deleted"]
    assert len(await stack.all("SELECT * FROM action_results")) == 4, "each stays in the story"


async def test_without_ids_a_request_in_another_scope_counts_too(stack, client):
    talk = await stack.talk()
    await at_root(client, talk, "reschedule_call", TOMORROW)
    assert (await at_root(client, talk, "delete_scheduled_task", {}))["code"] == "deleted"
    assert (await stack.ask("reschedule_call", TOMORROW, call_id=talk.call_id)).ok
    assert (await at_root(client, talk, "delete_scheduled_task", {}))["code"] == "deleted"
    assert (await stack.tasks(talk.call_id))[-1]["status"] == "deleted"


@pytest.mark.parametrize(
    ("action", "one", "other", "table"),
    [
        ("field_writeback", {"fields": {"budget": 1}}, {"fields": {"budget": 2}}, "field_writes"),
        ("set_disposition", {"code": "interested"}, {"code": "no_decision"}, "dispositions"),
    ],
)
async def test_without_ids_the_last_word_counts(stack, client, action, one, other, table):
    talk = await stack.talk()
    for args in (one, other, one, one):
        assert (await at_root(client, talk, action, args))["ok"]
    assert len(await stack.all(f"SELECT * FROM {table}")) == 3, "the fourth repeats the third"


@pytest.mark.parametrize(
    ("action", "args", "table"),
    [
        ("note_writeback", {"note": "likes e-mail"}, "notes"),
        ("reschedule_call", TOMORROW, "tasks"),
        ("set_disposition", {"code": "interested"}, "dispositions"),
    ],
)
async def test_without_ids_retells_repeat_is_one_call_and_the_same_words_later_are_another(
    stack, client, action, args, table
):
    talk = await stack.talk()
    before = len(await stack.all(f"SELECT * FROM {table}"))
    first = await at_root(client, talk, action, args)
    stack.clock.advance(40)
    assert await at_root(client, talk, action, args) == first
    assert len(await stack.all(f"SELECT * FROM {table}")) == before + 1
    stack.clock.advance(61)
    assert (await at_root(client, talk, action, args))["ok"]
    assert len(await stack.all(f"SELECT * FROM {table}")) == before + 2


async def test_without_ids_other_actions_between_leave_a_repeat_one(stack, client):
    talk = await stack.talk()
    first = await at_root(client, talk, "note_writeback", {"note": "one"})
    await at_root(client, talk, "note_writeback", {"note": "two"})
    await at_root(client, talk, "set_disposition", {"code": "interested"})
    assert await at_root(client, talk, "note_writeback", {"note": "one"}) == first
    assert len(await stack.all("SELECT * FROM notes")) == 2


# The path and the body's name


@pytest.mark.parametrize("named", ["note_writeback", "reschedule_call", "cancel"])
async def test_a_body_of_another_function_does_nothing(stack, client, named):
    talk = await stack.talk()
    await at_root(client, talk, "reschedule_call", TOMORROW)
    before = await stack.rows_written()
    body = tool_body(talk, named, {"note": "n"})
    answer = await post_function(client, "delete_scheduled_task", json.dumps(body).encode())
    assert (answer.status_code, answer.json()["ok"], answer.json()["code"]) == (200, False, "wrong_function")
    assert await stack.rows_written() == before
    assert (await stack.tasks(talk.call_id))[-1]["status"] == "pending"


@pytest.mark.parametrize("named", ["delete_scheduled_task", "delete-scheduled-task", "Delete_Scheduled_Task", None, ""])
async def test_a_name_is_read_in_every_spelling_that_retell_allows(stack, client, named):
    talk = await stack.talk()
    await at_root(client, talk, "reschedule_call", TOMORROW)
    body = tool_body(talk, "delete_scheduled_task", {}) | {"name": named}
    assert (await post_function(client, "delete_scheduled_task", body)).json()["code"] == "deleted"
