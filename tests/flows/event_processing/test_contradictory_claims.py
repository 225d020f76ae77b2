"""Signed evidence whose marks name one attempt and whose call is another's: it touches neither."""

import pytest

from ringback.domain.attempt import DialAnswer, DialAnswerKind
from ringback.domain.errors import Retryable
from ringback.flows.call_outcome import bind_provider_call
from ringback.flows.event_processing import PARKED_TRIES

from . import recordings as r
from .conftest import INSTANCE, EventStack, Talk


async def state_of(stack: EventStack, *talks: Talk) -> list[object]:
    """What must not change: the attempts whole, what Engage was told, and whether a call is to be stopped."""
    attempts = [dict(await stack.attempt(talk.call_id)) for talk in talks]
    told = [await stack.told(talk.call_id) for talk in talks]
    stops = await stack.all("SELECT * FROM outbox WHERE kind = 'stop_call' AND call_id = ANY ($1)", calls_of(*talks))
    suppressed = await stack.all("SELECT * FROM suppressions WHERE phone = ANY ($1)", [stack.phone(0), stack.phone(1)])
    return [attempts, told, stops, suppressed]


def calls_of(*talks: Talk) -> list[str]:
    return [talk.call_id for talk in talks]


async def hear_until_written_down(stack: EventStack, body: str) -> None:
    for receive_count in range(1, PARKED_TRIES + 1):
        with pytest.raises(Retryable):
            await stack.hear(body, receive_count)
    await stack.hear(body, PARKED_TRIES + 1)


@pytest.mark.parametrize("recording", [r.COMPLETED, r.OPT_OUT], ids=["completed", "opt-out"])
@pytest.mark.parametrize("event", ["call_started", "call_ended", "call_analyzed"])
async def test_the_marks_of_one_attempt_with_the_call_of_another_touch_neither(
    stack: EventStack, event: str, recording: dict[str, r.Body]
) -> None:
    one, other = await stack.talk(contact=0, phone=0), await stack.talk(contact=1, phone=1)
    before = await state_of(stack, one, other)
    await hear_until_written_down(stack, r.play(recording, event, other.provider_call_id, one.marks))
    assert await state_of(stack, one, other) == before
    await stack.play(other, r.COMPLETED)
    assert (await stack.told(other.call_id))[-1] == "completed"


async def test_an_attempt_without_its_call_is_not_given_the_call_of_another(stack: EventStack) -> None:
    other = await stack.talk(contact=1, phone=1)
    stack.provider.answer = DialAnswer(DialAnswerKind.AMBIGUOUS, "timeout")
    unbound = await stack.talk(contact=0, phone=0)
    before = await state_of(stack, unbound, other)
    await hear_until_written_down(stack, r.play(r.COMPLETED, "call_analyzed", other.provider_call_id, unbound.marks))
    assert await state_of(stack, unbound, other) == before


async def test_whatever_the_evidence_the_call_of_another_is_neither_bound_nor_stopped(stack: EventStack) -> None:
    """As a look-up by metadata or an answer may bring it, under the call's own lock."""
    one, other = await stack.talk(contact=0, phone=0), await stack.talk(contact=1, phone=1)
    async with stack.store.transaction() as tx:
        call, attempt = await tx.lock_call(one.call_id), await tx.attempts.get(one.attempt_id)
        assert call is not None
        assert attempt is not None
        assert not await bind_provider_call(tx, call, attempt, other.provider_call_id, stack.clock.now())
    assert (await state_of(stack, one, other))[2] == []
    query = "SELECT detail FROM gate_decisions WHERE kind = 'claim_on_another_call' AND call_id = $1"
    (decision,) = await stack.all(query, one.call_id)
    assert decision["detail"] == {"provider_call_id": other.provider_call_id}


async def test_an_inbound_event_tells_nothing_about_a_call_of_ours(stack: EventStack) -> None:
    """Nor about who is said to have called: their opt-out comes with a call of their own."""
    talk, named = await stack.talk(contact=0, phone=0), await stack.talk(contact=1, phone=1)
    before = await state_of(stack, talk, named)
    changes = {"direction": "inbound", "from_number": stack.phone(1)}
    await stack.hear(r.play(r.OPT_OUT, "call_ended", talk.provider_call_id, {"ringback_instance": INSTANCE}, **changes))
    assert await state_of(stack, talk, named) == before
    assert await stack.all("SELECT * FROM inbound_calls WHERE provider_call_id = $1", talk.provider_call_id) == []
