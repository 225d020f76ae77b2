"""Both APIs over HTTP: literal requests in, status, reply and rows out."""

import json

import pytest

from ringback.adapters.retell.signature import sign
from ringback.web.routes import retell

from .http_requests import NOW_MS, PROBLEM, WEBHOOK_KEY, ask, client_of, post_function

TOMORROW = {"when": "tomorrow at 3pm"}


@pytest.fixture
async def client(stack):
    async with client_of(stack.operations) as open_client:
        yield open_client


@pytest.fixture
async def client_without_database(stack_without_database):
    """Also for requests that must not get as far as the database."""
    async with client_of(stack_without_database.operations) as open_client:
        yield open_client


def tool_body(talk, name: str, args: dict, tool_call_id: str = "tool_1") -> dict:
    """As Retell posts it in the middle of a talk."""
    return {
        "name": name,
        "call": {
            "call_id": talk.provider_call_id,
            "call_type": "phone_call",
            "direction": "outbound",
            "from_number": "+14155550199",
            "to_number": "+14155550100",
            "call_status": "ongoing",
            "start_timestamp": NOW_MS - 9_000,
            "metadata": {
                "ringback_call_id": talk.call_id,
                "ringback_attempt_id": talk.attempt_id,
                "ringback_instance": "test-instance",
            },
            "transcript": "Agent: Hello\nUser: Call me tomorrow at three",
            "transcript_with_tool_calls": [
                {"role": "agent", "content": "Hello"},
                {"role": "user", "content": "Call me tomorrow at three"},
                {
                    "role": "tool_call_invocation",
                    "tool_call_id": tool_call_id,
                    "name": name,
                    "arguments": json.dumps(args),
                },
            ],
        },
        "args": args,
    }


# Requests of Retell


async def test_a_signed_tool_call_is_done_and_answered(stack, client):
    talk = await stack.talk()
    answer = await post_function(client, "reschedule_call", tool_body(talk, "reschedule_call", TOMORROW))
    assert answer.status_code == 200
    task = (await stack.tasks(talk.call_id))[-1]
    assert answer.json() == {
        "ok": True,
        "code": "rescheduled",
        "say": "Done, we will call you tomorrow at 3 PM.",
        "result": {
            "task_id": task["task_id"],
            "due_at": "2026-12-02T20:00:00.000Z",
            "local_time": "2026-12-02T15:00",
            "time_zone": "America/New_York",
        },
    }


async def test_retells_repeat_of_a_tool_call_gets_the_same_answer(stack, client):
    talk = await stack.talk()
    body = tool_body(talk, "reschedule_call", TOMORROW)
    first = await post_function(client, "reschedule_call", body)
    assert (await post_function(client, "reschedule_call", body)).json() == first.json()
    assert (await stack.call(talk.call_id))["reschedules"] == 1


async def test_two_tool_calls_with_equal_arguments_are_two(stack, client):
    talk = await stack.talk()
    for tool_call_id in ("tool_1", "tool_2"):
        body = tool_body(talk, "reschedule_call", TOMORROW, tool_call_id)
        assert (await post_function(client, "reschedule_call", body)).json()["ok"]
    assert (await stack.call(talk.call_id))["reschedules"] == 2


async def test_arguments_at_the_root_carry_the_attempt(stack, client):
    talk = await stack.talk()
    body = {"when": "tomorrow at 3pm", "ringback_attempt_id": talk.attempt_id}
    answer = await post_function(client, "reschedule_call", body)
    assert answer.json()["code"] == "rescheduled"
    assert (await stack.tasks(talk.call_id))[-1]["from_attempt"] == talk.attempt_id


@pytest.mark.parametrize(
    "attempt", [{}, {"ringback_attempt_id": "{{ringback_attempt_id}}"}, {"ringback_attempt_id": "x"}]
)
async def test_arguments_at_the_root_without_a_known_attempt_have_no_call(stack, client, attempt):
    answer = await post_function(client, "reschedule_call", {"when": "tomorrow at 3pm", **attempt})
    assert (answer.status_code, answer.json()["ok"], answer.json()["code"]) == (200, False, "no_call")


async def test_a_refusal_of_ours_is_still_a_200_that_says_what_to_ask(stack, client):
    talk = await stack.talk()
    answer = await post_function(client, "reschedule_call", tool_body(talk, "reschedule_call", {"when": "tomorrow"}))
    assert (answer.status_code, answer.json()["ok"], answer.json()["code"]) == (200, False, "needs_clarification")
    assert answer.json()["say"].endswith("?")


@pytest.mark.parametrize("signature", ["", "v=1,d=00", sign(b"{}", WEBHOOK_KEY, NOW_MS), "old", "other key"])
async def test_an_unsigned_or_forged_tool_call_is_401_and_writes_nothing(stack, client, signature):
    talk = await stack.talk()
    body = json.dumps(tool_body(talk, "reschedule_call", TOMORROW)).encode()
    forged = {"old": sign(body, WEBHOOK_KEY, NOW_MS - 300_001), "other key": sign(body, "key_other", NOW_MS)}
    before = await stack.rows_written()
    answer = await post_function(client, "reschedule_call", body, forged.get(signature, signature))
    assert (answer.status_code, answer.headers["content-type"]) == (401, PROBLEM)
    assert await stack.rows_written() == before


@pytest.mark.parametrize("action", ["incoming_call", "call_analysed", "unknown", "RESCHEDULE_CALL"])
async def test_what_an_agent_may_not_call_is_404(client_without_database, action):
    answer = await post_function(client_without_database, action, {"ringback_attempt_id": "x"})
    assert answer.status_code == 404


async def test_the_playground_is_answered_and_writes_nothing(stack, client):
    before = await stack.rows_written()
    body = {"name": "x", "call": {"call_id": "playground", "call_type": "web_call"}, "args": TOMORROW, "tool_mocks": []}
    answer = (await post_function(client, "reschedule_call", body)).json()
    assert (answer["ok"], answer["code"], answer["result"]["task_id"]) == (True, "rehearsed", None)
    body["args"] = {"when": "later"}
    assert (await post_function(client, "reschedule_call", body)).json()["code"] == "needs_clarification"
    assert await stack.rows_written() == before


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 20_000, b"null"])
async def test_a_signed_body_that_is_no_object_is_422(client_without_database, body):
    answer = await post_function(client_without_database, "reschedule_call", body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)


async def test_strange_arguments_are_refused_and_never_an_error(stack, client):
    talk = await stack.talk()
    for value in ("a\0b", "\ud800", 5, 1e999, ["x"], {}, True, "x" * 9000):
        answer = await post_function(client, "reschedule_call", tool_body(talk, "reschedule_call", {"when": value}))
        assert (answer.status_code, answer.json()["ok"]) == (200, False), value


async def test_without_the_database_the_agent_has_something_to_say(stack, client_without_database):
    talk = await stack.talk()
    body = tool_body(talk, "reschedule_call", TOMORROW)
    answer = await post_function(client_without_database, "reschedule_call", body)
    assert answer.status_code == 200
    assert answer.json() == {
        "ok": False,
        "code": "unavailable",
        "say": "Sorry, I cannot save that right now.",
        "result": {},
    }


async def test_a_database_that_hangs_does_not_leave_the_person_in_silence(stack, monkeypatch):
    monkeypatch.setattr(retell, "ANSWER_WITHIN_S", 0.05)
    talk = await stack.talk()
    async with stack.pool.acquire() as other, other.transaction():
        await other.execute("SELECT * FROM calls FOR UPDATE")
        async with client_of(stack.operations) as client:
            answer = await post_function(client, "reschedule_call", tool_body(talk, "reschedule_call", TOMORROW))
    assert (answer.status_code, answer.json()["code"]) == (200, "unavailable")
    assert (await stack.call(talk.call_id))["reschedules"] == 0


async def test_a_body_above_six_mebibytes_is_413(client_without_database):
    answer = await post_function(client_without_database, "reschedule_call", b" " * (6 * 1024 * 1024 + 1))
    assert answer.status_code == 413


async def test_the_marks_of_one_attempt_in_the_call_of_another_reach_no_call(stack, client):
    one, other = await stack.talk(), await stack.talk(contact_id="crm-43", phone="+14155550101")
    before = await stack.rows_written()
    body = tool_body(one, "set_disposition", {"code": "do_not_call"})
    body["call"]["call_id"] = other.provider_call_id
    answer = (await post_function(client, "set_disposition", body)).json()
    assert (answer["ok"], answer["code"]) == (False, "no_call")
    assert await stack.rows_written() == before


# Requests of systems


async def test_systems_get_the_reply(stack, client):
    call_id = await stack.accept()
    answer = await ask(client, "set_disposition", {"call_id": call_id, "args": {"code": "interested"}})
    assert answer.status_code == 200
    assert answer.json() == {
        "ok": True,
        "code": "disposition_set",
        "say": "Thank you, I have noted that.",
        "result": {"code": "interested", "suppressed": False},
    }


async def test_without_a_known_key_it_is_401(stack, client):
    call_id = await stack.accept()
    body = {"call_id": call_id, "args": {"code": "interested"}}
    answer = await client.post("/v1/actions/set_disposition", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (401, PROBLEM)


async def test_an_idempotency_key_works_from_body_and_header_alike(stack, client):
    call_id = await stack.accept()
    body = {"call_id": call_id, "args": TOMORROW}
    first = await ask(client, "reschedule_call", {**body, "idempotency_key": "k"})
    again = await ask(client, "reschedule_call", body, **{"Idempotency-Key": "k"})
    assert (first.status_code, again.json()) == (200, first.json())
    other = await ask(client, "reschedule_call", {**body, "args": {"when": "tomorrow at 4pm"}, "idempotency_key": "k"})
    assert (other.status_code, other.json()["code"]) == (409, "key_reused")


async def test_without_a_key_each_request_is_its_own(stack, client):
    call_id = await stack.accept()
    for _ in range(2):
        assert (await ask(client, "reschedule_call", {"call_id": call_id, "args": TOMORROW})).status_code == 200
    assert (await stack.call(call_id))["reschedules"] == 2


async def test_a_refusal_is_a_problem_that_holds_the_reply(stack, client):
    call_id = await stack.accept()
    answer = await ask(client, "set_disposition", {"call_id": call_id, "args": {"code": "maybe"}})
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    assert (problem["code"], problem["ok"], problem["status"]) == ("unknown_disposition", False, 422)
    assert "do_not_call" in problem["result"]["valid"]


async def test_bad_arguments_are_all_named(stack, client):
    call_id = await stack.accept()
    answer = await ask(client, "reschedule_call", {"call_id": call_id, "args": {"when": 1, "x": 2}})
    assert answer.status_code == 422
    assert sorted(error["pointer"] for error in answer.json()["errors"]) == ["#/args/when", "#/args/x"]


async def test_an_unknown_target_is_404(client):
    for target in ({"call_id": "none"}, {"contact_id": "none"}, {"task_id": "none"}):
        answer = await ask(client, "reschedule_call", {**target, "args": TOMORROW})
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("action", ["unknown", "RESCHEDULE_CALL", "reschedule_call%00", "x" * 3000])
async def test_an_unknown_action_is_404(client_without_database, action):
    assert (await ask(client_without_database, action, {"call_id": "c", "args": {}})).status_code == 404


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"args": {}}, ["#"]),
        ({"call_id": "c"}, ["#/args"]),
        ({"call_id": "c", "args": {}, "extra": 1}, ["#/extra"]),
        ({"call_id": "c", "contact_id": "d", "args": {}}, ["#"]),
        ({"call_id": 5, "args": []}, ["#/args", "#/call_id"]),
        ({"call_id": "c", "args": {}, "idempotency_key": ""}, ["#/idempotency_key"]),
        ({"call_id": "c", "args": {}, "idempotency_key": "k\n"}, ["#/idempotency_key"]),
        ({"call_id": "c\0", "args": {}}, ["#"]),
        ([], ["#"]),
        (b"{", ["#"]),
        (b"\xff", ["#"]),
        (b'{"call_id": "c", "args": {"when": NaN}}', ["#"]),
        (b'{"a":' * 20_000, ["#"]),
    ],
)
async def test_a_bad_body_is_422_with_every_problem(client_without_database, body, pointers):
    answer = await ask(client_without_database, "reschedule_call", body)
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM)
    assert sorted(error["pointer"] for error in answer.json()["errors"]) == pointers


async def test_two_different_keys_are_refused(client_without_database):
    body = {"call_id": "c", "args": TOMORROW, "idempotency_key": "k"}
    answer = await ask(client_without_database, "reschedule_call", body, **{"Idempotency-Key": "other"})
    assert answer.json()["errors"][0]["pointer"] == "#/idempotency_key"


async def test_without_the_database_systems_get_503_and_when_to_come_back(client_without_database):
    answer = await ask(client_without_database, "reschedule_call", {"call_id": "c", "args": TOMORROW})
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


async def test_a_body_above_256_kibibytes_is_413(client_without_database):
    assert (await ask(client_without_database, "reschedule_call", b" " * (256 * 1024 + 1))).status_code == 413
