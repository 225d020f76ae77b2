"""The acts that a trial is made of: a few calls each, of every kind that is needed so that every point is reached."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from proof.crashes.database import INSTANCE
from proof.crashes.stage import FROM_NUMBER, Stage, Stop

Act = Callable[[Stage], Awaitable[object]]

LATER_S = 3600.0
ASK_EVERY_S = 0.02
LOSE_WITHIN = 150  # such waits: a message that is neither lost nor turned away by then is not waited for


async def _answered(stage: Stage) -> None:
    """Two requests with the same key at the same time are one call."""
    await stage.place("answered", "00", "completed", copies=2)


async def _busy_then_retried(stage: Stage) -> None:
    retry = {"max_attempts": 2, "delay_s": [20], "on": ["busy"]}
    await stage.place("busy", "02", "failed", body={"retry": retry}, attempts_at_most=2)


async def _voicemail(stage: Stage) -> None:
    hangs_up = {"agent_id": "agent_hangup"}
    await stage.place("voicemail", "03", "failed", body=hangs_up)
    await stage.place("voicemail", "03", "left_voicemail")


async def _rescheduled(stage: Stage) -> None:
    """The callback of tomorrow is cancelled when all else is settled. Was the agent's function not answered, there is
    none, and the talk was all there was."""
    await stage.place("rescheduled", "07", "cancelled partially_completed", may_be_abandoned=True)


async def _opted_out(stage: Stage) -> None:
    person = stage.person()
    await stage.place("opted_out", "08", "partially_completed", person=person, may_be_abandoned=True)
    body = {"not_before": stage.at(LATER_S)}
    # Nobody says stop in a call that was given up before it rang.
    await stage.place("opted_out", "00", "failed cancelled", person=person, body=body, never_rings=True)


async def _silent(stage: Stage) -> None:
    await stage.place("silent", "09", "completed", is_silent=True)


async def _fails_after_it_rang(stage: Stage) -> None:
    await stage.place("fails_after_ring", "11", "completed")


async def _hangs_after_it_rang(stage: Stage) -> None:
    await stage.place("hangs_after_ring", "12", "completed")


async def _fails_before_it_rings(stage: Stage) -> None:
    """Once: where one may, the resend under the same key rings. If the first worker died before it sent, the resend is
    the one that fails, and there is no third."""
    await stage.place("fails_before_ring", "00-1", "completed", may_be_abandoned=True)


async def _never_rings(stage: Stage) -> None:
    await stage.place("never_rings", "00-1000", "completed", may_be_abandoned=True, never_rings=True)


async def _throttled(stage: Stage) -> None:
    """A resend that is throttled leaves open whether the first request rang."""
    await stage.place("throttled", "13", "completed", may_be_abandoned=True)


async def _refused(stage: Stage) -> None:
    body = {"agent_id": "agent_unknown"}
    await stage.place("refused", "00", "failed", body=body, never_rings=True, may_be_abandoned=True)


async def _cancelled(stage: Stage) -> None:
    later = await stage.place("cancelled", "00", "cancelled", body={"not_before": stage.at(LATER_S)}, never_rings=True)
    await _cancel(stage, later.call_id)
    now = await stage.place("cancelled", "00", "cancelled completed", may_be_abandoned=True)
    if await _cancel(stage, now.call_id) == "cancelled":
        now.ends, now.never_rings = frozenset({"cancelled"}), True


async def _cancel(stage: Stage, call_id: str) -> str:
    answer = await stage.until_taken("POST", f"/v1/calls/{call_id}/cancel")
    stage.stopped("cancel", call_id)
    return str(answer["result"])


async def _expired(stage: Stage) -> None:
    """While dialing is paused, so that its time is over before it is dialed."""
    async with _paused(stage):
        call = await stage.place("expired", "00", "expired", body={"expires_at": stage.at(400)}, never_rings=True)
        while not await _holds(stage, "SELECT final FROM calls WHERE call_id = $1", call.call_id):
            await asyncio.sleep(ASK_EVERY_S)


@asynccontextmanager
async def _paused(stage: Stage) -> AsyncIterator[None]:
    async with stage.pausing:
        await stage.until_taken("POST", "/v1/dialing/pause", {"reason": "proof"})
        acknowledged_at = stage.page.now()
        yield
        stage.stops.append(Stop("pause", frozenset(), acknowledged_at, stage.page.now()))
        await stage.until_taken("POST", "/v1/dialing/resume")


async def _holds(stage: Stage, statement: str, *arguments: object) -> bool:
    return bool(await stage.database.fetchval(statement, *arguments))


async def _suppressed(stage: Stage) -> None:
    person = stage.person()
    body = {"not_before": stage.at(LATER_S)}
    before = await stage.place("suppressed", "00", "failed", person=person, body=body, never_rings=True)
    await stage.until_taken("POST", "/v1/suppressions", {"phone": person[0], "reason": "asked us in writing"})
    stage.stopped("suppression", before.call_id)
    after = await stage.place("suppressed", "00", "failed", person=person, never_rings=True)
    stage.stopped("suppression", after.call_id)


async def _two_calls_to_one_person(stage: Stage) -> None:
    person = stage.person()
    await asyncio.gather(
        stage.place("pair", "00", "completed", person=person),
        stage.place("pair", "05", "partially_completed", person=person),
    )


async def _person_calls_us(stage: Stage) -> None:
    person = stage.person()
    await stage.place("inbound", "00", "completed", person=person, body={"not_before": stage.at(60)})
    caller = {"from_number": person[0], "to_number": FROM_NUMBER, "scenario": "talk"}
    await stage.tell_retell("/emulator/retell/inbound", caller)


async def _agent_uses_functions(stage: Stage) -> None:
    await stage.place("functions", "17", "completed")
    await stage.place("functions", "18", "completed")


async def _webhooks_of_nobody(stage: Stage) -> None:
    """Another instance's, one of ours whose attempt does not exist, and one that says nothing."""
    call = {"call_id": f"call_{stage.rng.getrandbits(104):027x}", "direction": "outbound", "call_status": "ended"}
    ours = {"ringback_instance": INSTANCE, "ringback_attempt_id": "01900000-0000-7000-8000-000000000000"}
    await stage.webhook({"event": "call_ended", "call": {**call, "metadata": {"ringback_instance": "another"}}})
    lost = {**call, "call_id": f"call_{stage.rng.getrandbits(104):027x}", "metadata": ours}
    await stage.webhook({"event": "call_ended", "call": lost})
    # A retry after a lost answer is a second message, and a second dead letter.
    stage.dead_letters += 1
    await stage.webhook({"event": "call_ended", "call": {"call_id": None}})


async def _engage_is_away(stage: Stage) -> None:
    await stage.tell_engage("/emulator/engage/faults", {"status": 503, "times": 2})
    await stage.place("engage_away", "00", "completed")


async def _message_is_lost(stage: Stage) -> None:
    """The queue loses what it had taken. Nobody asks for messages while dialing is paused, but who had asked before may
    still be given the first: that one is turned away, and the next is lost."""
    lose = "DELETE FROM queue_messages WHERE body LIKE '%' || $1 || '%' AND receive_count = 0 RETURNING id"
    was_taken = "SELECT status = 'pending' FROM tasks WHERE call_id = $1"
    async with _paused(stage):
        for _ in range(3):
            call = await stage.place("message_lost", "00", "completed")
            for _ in range(LOSE_WITHIN):
                if await _holds(stage, lose, call.call_id):
                    return
                if await _holds(stage, was_taken, call.call_id):
                    break
                await asyncio.sleep(ASK_EVERY_S)


ACTS: Mapping[str, Act] = {
    "answered": _answered,
    "busy": _busy_then_retried,
    "voicemail": _voicemail,
    "rescheduled": _rescheduled,
    "opted_out": _opted_out,
    "silent": _silent,
    "fails_after_ring": _fails_after_it_rang,
    "hangs_after_ring": _hangs_after_it_rang,
    "fails_before_ring": _fails_before_it_rings,
    "never_rings": _never_rings,
    "throttled": _throttled,
    "refused": _refused,
    "cancelled": _cancelled,
    "expired": _expired,
    "suppressed": _suppressed,
    "pair": _two_calls_to_one_person,
    "inbound": _person_calls_us,
    "functions": _agent_uses_functions,
    "webhooks_of_nobody": _webhooks_of_nobody,
    "engage_away": _engage_is_away,
    "message_lost": _message_is_lost,
}
