"""A caller id in any spelling is the person with the number: in inbound webhooks, functions and reports."""

import pytest

from tests.flows.business_operations.http_requests import NOW_MS, ask, client_of, post_function, post_inbound

CALLER, OURS = "+14155550172", "+14155550199"
SPELLINGS = [
    "+14155550172",
    "14155550172",
    "4155550172",
    "+1 415 555 0172",
    "(415) 555-0172",
    "sip:+14155550172@host",
    "sip:4155550172@203.0.113.7:5060;user=phone",
    "tel:+1-415-555-0172",
    "+114155550172",
    "0014155550172",
]
#: Our own number, as the provider may write it.
OURS_SPELLED = [OURS, "14155550199", "+1 415 555 0199", "sip:+14155550199@host", "4155550199", "", "nonsense"]
WITHHELD = [
    "anonymous",
    "Restricted",
    "sip:anonymous@anonymous.invalid",
    "+266696687",
    "911",
    "",
    "x" * 300,
    "07400123456",
]


@pytest.fixture
async def client(stack):
    async with client_of(stack.operations) as open_client:
        yield open_client


def ringing(from_number: str, to_number: str = OURS) -> dict:
    call = {"agent_version": 1, "from_number": from_number, "to_number": to_number, "call_id": "call_in_1"}
    return {"event": "call_inbound", "event_timestamp": NOW_MS, "call_inbound": call}


def inbound_call(from_number: str, metadata: dict, to_number: str = OURS) -> dict:
    return {
        "call_id": "call_in_1",
        "call_type": "phone_call",
        "direction": "inbound",
        "from_number": from_number,
        "to_number": to_number,
        "agent_id": "agent_in",
        "call_status": "ongoing",
        "metadata": metadata,
        "start_timestamp": NOW_MS - 9_000,
    }


def tool_body(from_number: str, metadata: dict, to_number: str = OURS) -> dict:
    args = {"code": "do_not_call"}
    return {"name": "set_disposition", "call": inbound_call(from_number, metadata, to_number), "args": args}


async def is_dialed(stack) -> bool:
    """Whether the number rings when a call to it is asked for and its message delivered."""
    call_id = await stack.accept(contact_id="crm-of-tomorrow", phone=CALLER)
    for task in await stack.tasks(call_id):
        await stack.deliver(call_id, task["task_id"], task["dispatch"])
    return bool(await stack.all("SELECT * FROM attempts WHERE contact_id = 'crm-of-tomorrow'"))


@pytest.mark.parametrize("from_number", SPELLINGS)
async def test_a_contact_who_calls_is_known_and_their_task_is_held(stack, client, from_number):
    call_id = await stack.accept(phone=CALLER)
    answer = (await post_inbound(client, ringing(from_number))).json()["call_inbound"]
    assert answer["dynamic_variables"]["is_known"] == "true"
    assert answer["metadata"]["ringback_contact_id"] == "crm-42"
    assert (await stack.tasks(call_id))[-1]["status"] == "held"
    inbound = await stack.one("SELECT phone, to_number FROM inbound_calls")
    assert inbound == {"phone": CALLER, "to_number": OURS}


async def test_a_national_number_is_read_beside_any_spelling_of_our_own(stack, client):
    await stack.accept(phone=CALLER)
    for number, to_number in enumerate(OURS_SPELLED):
        body = ringing("4155550172", to_number)
        body["call_inbound"]["call_id"] = f"call_in_{number}"
        answer = (await post_inbound(client, body)).json()["call_inbound"]
        assert answer["dynamic_variables"]["is_known"] == "true", to_number


async def test_a_national_number_belongs_to_the_country_that_was_called(stack, client):
    await stack.accept(phone="+447400123456")
    answer = (await post_inbound(client, ringing("07400123456", "+442079460100"))).json()["call_inbound"]
    assert answer["dynamic_variables"]["is_known"] == "true"
    assert (await stack.one("SELECT phone FROM inbound_calls"))["phone"] == "+447400123456"


async def test_systems_may_hand_on_what_the_carrier_sent(stack, client):
    await stack.accept(phone=CALLER)
    for from_number in SPELLINGS:
        answer = await ask(client, "incoming_call", {"args": {"from_number": from_number, "to_number": OURS}})
        assert (answer.status_code, answer.json()["code"]) == (200, "caller_known"), from_number


@pytest.mark.parametrize("from_number", SPELLINGS)
async def test_an_unknown_caller_who_says_stop_is_not_called(stack, client, from_number):
    answer = await post_function(client, "set_disposition", tool_body(from_number, {}))
    assert (answer.json()["ok"], answer.json()["code"]) == (True, "disposition_set")
    suppression = await stack.one("SELECT phone, contact_id, reason FROM suppressions")
    assert suppression == {"phone": CALLER, "contact_id": None, "reason": "do_not_call"}
    assert not await is_dialed(stack)


@pytest.mark.parametrize("from_number", SPELLINGS)
async def test_a_contact_who_calls_and_says_stop_is_not_called(stack, client, from_number):
    call_id = await stack.accept(phone=CALLER)
    metadata = (await post_inbound(client, ringing(from_number))).json()["call_inbound"]["metadata"]
    answer = await post_function(client, "set_disposition", tool_body(from_number, metadata))
    assert (answer.json()["ok"], answer.json()["result"]["suppressed"]) == (True, True)
    suppression = await stack.one("SELECT phone, contact_id FROM suppressions")
    assert suppression == {"phone": CALLER, "contact_id": "crm-42"}
    assert (await stack.call(call_id))["status"] == "failed"
    assert not await is_dialed(stack)


@pytest.mark.parametrize("from_number", SPELLINGS)
async def test_an_opt_out_that_the_provider_reports_is_heard(stack, from_number):
    """No answer of ours scoped the call: the database was down while it rang."""
    call_id = await stack.accept(phone=CALLER)
    call = inbound_call(from_number, {"ringback_instance": "test-instance"}, "4155550199")
    call |= {"call_status": "ended", "end_timestamp": NOW_MS, "disconnection_reason": "user_requested_dnc"}
    await stack.webhook({"event": "call_ended", "call": call, "event_timestamp": NOW_MS})
    suppression = await stack.one("SELECT phone, contact_id, reason FROM suppressions")
    assert suppression == {"phone": CALLER, "contact_id": "crm-42", "reason": "opt_out"}
    assert (await stack.call(call_id))["status"] == "failed"
    assert (await stack.one("SELECT phone, to_number FROM inbound_calls")) == {"phone": CALLER, "to_number": OURS}
    assert not await is_dialed(stack)


async def test_a_withheld_number_is_an_unknown_caller_and_no_error(stack, client):
    await stack.accept(phone=CALLER)
    for from_number in WITHHELD:
        answer = await post_inbound(client, ringing(from_number))
        assert answer.status_code == 200
        assert answer.json()["call_inbound"]["dynamic_variables"] == {"is_known": "false"}, from_number
        answer = await post_function(client, "set_disposition", tool_body(from_number, {}))
        assert (answer.status_code, answer.json()["code"]) == (200, "no_call"), from_number
    assert await stack.all("SELECT * FROM suppressions") == []
