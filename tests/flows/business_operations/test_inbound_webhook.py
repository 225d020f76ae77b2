"""Retell's inbound webhook over HTTP: a signed question in, always an answer for the ringing phone out."""

import pytest

from ringback.adapters.retell.signature import sign
from ringback.web.routes import retell

from .http_requests import NOW_MS, PROBLEM, WEBHOOK_KEY, ask, client_of, post_inbound

STATIC = {
    "call_inbound": {"dynamic_variables": {"is_known": "false"}, "metadata": {"ringback_instance": "test-instance"}}
}


def ringing(from_number: str = "+14155550100", **fields) -> dict:
    call = {"agent_version": 1, "from_number": from_number, "to_number": "+14155550199", **fields}
    return {"event": "call_inbound", "event_timestamp": NOW_MS, "call_inbound": call}


@pytest.fixture
async def client(stack):
    async with client_of(stack.operations) as open_client:
        yield open_client


@pytest.fixture
async def client_without_database(stack_without_database):
    async with client_of(stack_without_database.operations) as open_client:
        yield open_client


async def test_a_known_caller_is_answered_with_strings_metadata_and_an_agent(stack, client):
    call_id = await stack.accept(fields={"first_name": "Ada", "budget": 5, "opted_in": True})
    answer = await post_inbound(client, ringing())
    assert answer.status_code == 200
    told = answer.json()["call_inbound"]
    variables = told["dynamic_variables"]
    assert all(isinstance(value, str) for value in variables.values())
    assert (variables["is_known"], variables["first_name"]) == ("true", "Ada")
    assert not {"budget", "opted_in"} & variables.keys(), "the catalogue does not let a caller be told"
    assert (told["metadata"]["ringback_contact_id"], told["override_agent_id"]) == ("crm-42", "agent_1")
    assert set(told) == {"dynamic_variables", "metadata", "override_agent_id"}, "one unknown field voids the answer"
    assert (await stack.tasks(call_id))[-1]["status"] == "held"


async def test_the_numbers_own_agent_answers_where_there_is_one(stack, client):
    await stack.accept()
    answer = await post_inbound(client, ringing(agent_id="agent_of_the_number"))
    assert "override_agent_id" not in answer.json()["call_inbound"]


async def test_retells_repeat_gets_the_same_answer(stack, client):
    await stack.accept()
    first = await post_inbound(client, ringing(call_id="call_in_1"))
    assert (await post_inbound(client, ringing(call_id="call_in_1"))).json() == first.json()
    assert len(await stack.all("SELECT * FROM inbound_calls")) == 1


async def test_without_an_id_and_a_time_each_ring_is_its_own(stack, client):
    call_id = await stack.accept(fields={"first_name": "Ada"})
    body = {"event": "call_inbound", "call_inbound": {"from_number": "+14155550100", "to_number": "+14155550199"}}
    first = (await post_inbound(client, body)).json()["call_inbound"]
    assert (await post_inbound(client, body)).json()["call_inbound"] == first, "it rings on, and is asked about again"
    await stack.webhook(ended_inbound(first["metadata"], "call_in_1"))
    assert (await stack.tasks(call_id))[-1]["status"] == "pending"
    stack.clock.advance(3600)
    await stack.execute('UPDATE contacts SET fields = fields || \'{"first_name": "Augusta"}\'')
    second = (await post_inbound(client, body)).json()["call_inbound"]
    assert second["dynamic_variables"]["first_name"] == "Augusta"
    assert second["metadata"]["ringback_inbound_id"] != first["metadata"]["ringback_inbound_id"]
    assert (await stack.tasks(call_id))[-1]["status"] == "held"


async def test_a_call_that_took_no_answer_of_ours_releases_what_it_held(stack, client):
    call_id = await stack.accept()
    await post_inbound(client, ringing(call_id="call_in_1"))
    assert (await stack.tasks(call_id))[-1]["status"] == "held"
    await stack.webhook(ended_inbound({}, "call_in_1"))
    assert (await stack.tasks(call_id))[-1]["status"] == "pending"
    assert (await stack.one("SELECT released_at FROM inbound_calls"))["released_at"] == stack.clock.now()


async def test_a_call_without_a_mark_that_did_not_ring_here_is_of_no_contact(stack, client):
    call_id = await stack.accept()
    await post_inbound(client, ringing(call_id="call_in_1"))
    for number, metadata in enumerate(({}, {"ringback_instance": "another-installation"})):
        await stack.webhook(ended_inbound(metadata, f"call_elsewhere_{number}"))
    await stack.webhook(ended_inbound({"ringback_instance": "another-installation"}, "call_in_1"))
    assert (await stack.tasks(call_id))[-1]["status"] == "held"


def ended_inbound(metadata: dict, call_id: str) -> dict:
    call = {
        "call_id": call_id,
        "direction": "inbound",
        "from_number": "+14155550100",
        "to_number": "+14155550199",
        "metadata": metadata,
        "disconnection_reason": "user_hangup",
    }
    return {"event": "call_ended", "call": call, "event_timestamp": NOW_MS}


@pytest.mark.parametrize("number", ["anonymous", "+14155550177", ""])
async def test_an_unknown_or_withheld_caller_gets_the_default(stack, client, number):
    await stack.accept()
    answer = await post_inbound(client, ringing(number))
    assert (answer.status_code, answer.json()) == (200, STATIC)


async def test_without_the_database_the_phone_is_answered(client_without_database):
    answer = await post_inbound(client_without_database, ringing())
    assert (answer.status_code, answer.json()) == (200, STATIC)


async def test_an_unexpected_error_does_not_leave_the_phone_ringing(stack, client):
    await stack.accept()
    async with stack.pool.acquire() as connection:
        await connection.execute("ALTER TABLE inbound_calls ADD CONSTRAINT never CHECK (false) NOT VALID")
    answer = await post_inbound(client, ringing())
    assert (answer.status_code, answer.json()) == (200, STATIC)


async def test_a_database_that_hangs_does_not_let_the_phone_ring(stack, monkeypatch):
    monkeypatch.setattr(retell, "ANSWER_RINGING_WITHIN_S", 0.05)
    call_id = await stack.accept()
    await stack.store.instance()
    async with stack.pool.acquire() as other, other.transaction():
        await other.execute("SELECT * FROM calls FOR UPDATE")
        async with client_of(stack.operations) as client:
            answer = await post_inbound(client, ringing())
    assert (answer.status_code, answer.json()) == (200, STATIC)
    assert (await stack.tasks(call_id))[-1]["status"] == "dispatched"


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"[" * 100_000, {"event": "call_inbound"}, {"event": "chat_inbound"}, {"call_inbound": []}],
)
async def test_a_signed_body_that_cannot_be_read_is_answered_too(client_without_database, body):
    answer = await post_inbound(client_without_database, body)
    assert (answer.status_code, answer.json()) == (200, STATIC)


async def test_strange_numbers_are_unknown_callers(client):
    for value in (7, None, [], "x" * 9000, "a\0b", "\ud800", True):
        answer = await post_inbound(client, ringing(value))
        assert (answer.status_code, answer.json()) == (200, STATIC), value


@pytest.mark.parametrize("signature", ["", "v=1,d=00", sign(b"{}", WEBHOOK_KEY, NOW_MS)])
async def test_an_unsigned_or_forged_question_is_401_and_writes_nothing(stack, client, signature):
    await stack.accept()
    before = await stack.rows_written()
    answer = await post_inbound(client, ringing(), signature)
    assert (answer.status_code, answer.headers["content-type"]) == (401, PROBLEM)
    assert await stack.rows_written() == before


async def test_systems_need_not_name_a_target_for_what_names_its_own(stack, client):
    await stack.accept()
    answer = await ask(client, "incoming_call", {"args": {"from_number": "+14155550100", "to_number": "+14155550199"}})
    assert (answer.status_code, answer.json()["code"]) == (200, "caller_known")
    answer = await ask(
        client,
        "call_analysed",
        {"args": {"call": {"call_id": "call_of_nobody", "call_analysis": {"call_successful": True}}}},
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("action", "args", "status"),
    [
        ("field_writeback", {"fields": {"budget": "x"}}, 422),
        ("note_writeback", {"note": "n"}, 200),
        ("send_abt_event", {"type": "voice_ai_call_completed"}, 422),
        ("update_timezone", {"time_zone": "Texas"}, 422),
        ("call_analysed", {"analysis": {"successful": True}, "source": "x"}, 422),
        ("delete_scheduled_task", {}, 200),
    ],
)
async def test_each_action_is_an_endpoint_for_systems(stack, client, action, args, status):
    call_id = await stack.accept()
    assert (await ask(client, action, {"call_id": call_id, "args": args})).status_code == status


async def test_a_task_that_is_being_dialed_is_409(stack, client):
    talk = await stack.talk()
    answer = await ask(client, "delete_scheduled_task", {"call_id": talk.call_id, "args": {"reason": "sold"}})
    assert (answer.status_code, answer.json()["code"]) == (409, "already_dispatched")
