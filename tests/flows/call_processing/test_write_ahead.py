"""The row is there before the request, the lease is over before a late one, and what is sent again is the very same."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from ringback.domain.attempt import VoicemailAction
from ringback.domain.errors import StoreUnavailable

from .twins import AMBIGUOUS, DEFERRED, NOT_SENT


async def test_the_attempt_is_committed_before_the_first_byte_of_its_request(stack):
    seen: list[dict] = []

    async def look_from_outside(request):
        seen.extend(await stack.all("SELECT * FROM attempts WHERE attempt_id = $1", request.idempotency_key))

    stack.provider.during_dial = look_from_outside
    message = await stack.accept()
    await stack.place(message)
    assert len(seen) == 1, "nobody else could see it when its request left"
    (row,) = seen
    assert (row["state"], row["holds_person"], row["holds_slot"]) == ("dialing", True, True)
    assert row["lease_until"] == row["next_check_at"] > stack.clock.now()
    assert row["sent_at"] == row["claimed_at"] == stack.clock.now()
    assert row["request"]["to_number"] == stack.provider.dials[0].to_number


async def test_the_request_carries_the_calls_own_metadata_and_our_marks(stack):
    message = await stack.accept()
    await stack.place(message)
    (request,) = stack.provider.dials
    assert request.metadata == {
        "order": 7,
        "b": [1, 2.5],
        "a": None,
        "ringback_call_id": message.call_id,
        "ringback_attempt_id": request.idempotency_key,
        "ringback_instance": "test-instance",
    }
    assert (request.agent_id, request.from_number) == ("agent_1", "+14155550199")


@pytest.mark.parametrize("stopped_s", [30, 600])
async def test_a_worker_that_was_stopped_behind_its_claim_does_not_send(stack, stopped_s):
    message = await stack.accept()
    stack.provider.before_send = lambda: stack.clock.advance(stopped_s)
    await stack.place(message)
    assert stack.provider.dials == []
    attempt = await stack.attempt(message.call_id)
    assert attempt["state"] == "waiting"
    assert (await stack.task(message.call_id))["status"] == "pending"


async def test_a_worker_that_was_stopped_within_its_claims_commit_does_not_send(stack, monkeypatch):
    message = await stack.accept()
    transaction = type(stack.store).transaction
    claimed_at = stack.clock.now()

    @asynccontextmanager
    async def committed_slowly(store):
        async with transaction(store) as unit:
            yield unit
        if stack.clock.now() == claimed_at:
            stack.clock.advance(45)

    monkeypatch.setattr(type(stack.store), "transaction", committed_slowly)
    await stack.place(message)
    assert stack.provider.dials == []
    assert (await stack.attempt(message.call_id))["state"] == "waiting"


async def test_a_worker_stopped_so_long_that_its_lease_was_swept_does_not_send_either(stack):
    message = await stack.accept()
    swept = asyncio.Event()

    async def claim_and_stop(agent_id):
        await swept.wait()
        return VoicemailAction.UNKNOWN

    stack.provider.voicemail_action = claim_and_stop
    placing = asyncio.create_task(stack.place(message))
    while not await stack.attempts(message.call_id):
        await asyncio.sleep(0.005)
    await stack.reconcile(after_s=61)
    assert (await stack.attempt(message.call_id))["state"] == "unknown"
    swept.set()
    await placing
    assert stack.provider.dials == []
    assert (await stack.attempt(message.call_id))["state"] == "unknown"


async def test_a_waiting_attempt_is_sent_again_byte_for_byte_under_its_own_key(stack):
    message = await stack.accept()
    stack.provider.script.extend([DEFERRED, NOT_SENT, DEFERRED])
    await stack.place(message)
    for _ in range(3):
        stack.clock.advance(60)
        await stack.place_due()
    sent = [json.dumps(request.to_row()) for request in stack.provider.dials]
    assert len(sent) == 4
    assert len(set(sent)) == 1
    assert len(await stack.attempts(message.call_id)) == 1


async def test_a_waiting_attempt_is_dialing_for_everybody_before_it_is_sent_again(stack):
    seen: list[tuple[str, int]] = []

    async def look_from_outside(request):
        row = await stack.one("SELECT state, fence FROM attempts WHERE attempt_id = $1", request.idempotency_key)
        seen.append((row["state"], row["fence"]))

    stack.provider.during_dial = look_from_outside
    stack.provider.script.append(DEFERRED)
    await stack.place(await stack.accept())
    stack.clock.advance(60)
    await stack.place_due()
    assert seen == [("dialing", 1), ("dialing", 2)]


async def test_a_change_of_the_call_does_not_reach_a_request_that_is_frozen(stack):
    message = await stack.accept()
    stack.provider.script.append(DEFERRED)
    await stack.place(message)
    await stack.all("UPDATE calls SET agent_id = 'agent_2', variables = '{}' RETURNING 1")
    stack.clock.advance(60)
    await stack.place_due()
    first, second = stack.provider.dials
    assert first == second


async def test_a_claim_whose_commit_is_unclear_is_never_sent(stack, monkeypatch):
    message = await stack.accept()
    transaction = type(stack.store).transaction

    class AnswerLost:
        """The commit happens and its answer is lost."""

        def __init__(self, unit):
            self._unit = unit

        async def __aenter__(self):
            return await self._unit.__aenter__()

        async def __aexit__(self, *error):
            await self._unit.__aexit__(*error)
            raise StoreUnavailable("the connection was lost during the commit")

    with monkeypatch.context() as patched:
        patched.setattr(type(stack.store), "transaction", lambda store: AnswerLost(transaction(store)))
        with pytest.raises(StoreUnavailable):
            await stack.place(message)
    assert stack.provider.dials == []
    assert (await stack.attempt(message.call_id))["state"] == "dialing"
    await stack.place(message)  # the queue delivers it again
    assert stack.provider.dials == []
    await stack.reconcile(after_s=61)
    assert (await stack.attempt(message.call_id))["state"] == "unknown"


async def test_the_answer_of_a_call_that_rang_is_written_when_the_database_is_back(stack, monkeypatch):
    message = await stack.accept()
    transaction = type(stack.store).transaction
    refusals: list[int] = []

    def away_once(store):
        if stack.provider.dials and not refusals:
            refusals.append(1)
            raise StoreUnavailable("restarting")
        return transaction(store)

    with monkeypatch.context() as patched:
        patched.setattr(type(stack.store), "transaction", away_once)
        await stack.place(message)
    assert refusals
    assert (await stack.attempt(message.call_id))["provider_call_id"] == "call_1"
    assert len(stack.provider.dials) == 1


async def test_an_agent_that_hangs_up_on_voicemails_is_written_down_before_its_call_rings(stack):
    seen: list[str] = []

    async def look_from_outside(request):
        seen.append((await stack.one("SELECT voicemail_action FROM attempts"))["voicemail_action"])

    stack.provider.action = VoicemailAction.HANGUP
    stack.provider.during_dial = look_from_outside
    stack.provider.script.append(AMBIGUOUS)
    message = await stack.accept()
    await stack.place(message)
    assert seen == ["hangup"]
    assert (await stack.attempt(message.call_id))["voicemail_action"] == "hangup"
