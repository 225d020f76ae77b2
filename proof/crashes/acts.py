"""The acts of a trial: a few calls each, and together every kind of call that reaches a failpoint."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from proof.crashes.scenario import FROM_NUMBER, NO_ATTEMPT, Scenario, Stop
from proof.harness.databases import INSTANCE

Act = Callable[[Scenario], Awaitable[object]]

LATER_S = 3600.0
ASK_EVERY_S = 0.02
LOSE_WITHIN = 150  # tries, ASK_EVERY_S apart


def _one(scenario: str, ends: str, **allowed: Any) -> Callable[[str], Act]:
    """The act of one call, which has the act's name."""

    def named(name: str) -> Act:
        return lambda scene: scene.place(name, scenario, ends, **allowed)

    return named


async def _voicemail(scenario: Scenario) -> None:
    hangs_up = {"agent_id": "agent_hangup"}
    await scenario.place("voicemail", "03", "failed", body=hangs_up)
    await scenario.place("voicemail", "03", "left_voicemail")


async def _opted_out(scenario: Scenario) -> None:
    person = scenario.person()
    await scenario.place("opted_out", "08", "partially_completed", person=person, may_be_abandoned=True)
    body = {"not_before": scenario.at(LATER_S)}
    # A call that was given up before it rang has no opt-out.
    await scenario.place("opted_out", "00", "failed cancelled", person=person, body=body, never_rings=True)


async def _cancelled(scenario: Scenario) -> None:
    later = await scenario.place(
        "cancelled", "00", "cancelled", body={"not_before": scenario.at(LATER_S)}, never_rings=True
    )
    await _cancel(scenario, later.call_id)
    now = await scenario.place("cancelled", "00", "cancelled completed", may_be_abandoned=True)
    if await _cancel(scenario, now.call_id) == "cancelled":
        now.ends, now.never_rings = frozenset({"cancelled"}), True


async def _cancel(scenario: Scenario, call_id: str) -> str:
    answer = await scenario.until_accepted("POST", f"/v1/calls/{call_id}/cancel")
    scenario.stopped("cancel", call_id)
    return str(answer["result"])


async def _expired(scenario: Scenario) -> None:
    """Let a call expire while dialing is paused."""
    async with _paused(scenario):
        call = await scenario.place("expired", "00", "expired", body={"expires_at": scenario.at(400)}, never_rings=True)
        while not await _holds(scenario, "SELECT final FROM calls WHERE call_id = $1", call.call_id):
            await asyncio.sleep(ASK_EVERY_S)


@asynccontextmanager
async def _paused(scenario: Scenario) -> AsyncIterator[None]:
    async with scenario.pausing:
        await scenario.until_accepted("POST", "/v1/dialing/pause", {"reason": "proof"})
        acknowledged_at = scenario.page.now()
        yield
        scenario.stops.append(Stop("pause", frozenset(), acknowledged_at, scenario.page.now()))
        await scenario.until_accepted("POST", "/v1/dialing/resume")


async def _holds(scenario: Scenario, statement: str, *arguments: object) -> bool:
    return bool(await scenario.database.fetchval(statement, *arguments))


async def _suppressed(scenario: Scenario) -> None:
    person = scenario.person()
    body = {"not_before": scenario.at(LATER_S)}
    before = await scenario.place("suppressed", "00", "failed", person=person, body=body, never_rings=True)
    await scenario.until_accepted("POST", "/v1/suppressions", {"phone": person[0], "reason": "asked us in writing"})
    scenario.stopped("suppression", before.call_id)
    after = await scenario.place("suppressed", "00", "failed", person=person, never_rings=True)
    scenario.stopped("suppression", after.call_id)


async def _two_calls_to_one_person(scenario: Scenario) -> None:
    person = scenario.person()
    await asyncio.gather(
        scenario.place("pair", "00", "completed", person=person),
        scenario.place("pair", "05", "partially_completed", person=person),
    )


async def _contact_calls(scenario: Scenario) -> None:
    person = scenario.person()
    await scenario.place("inbound", "00", "completed", person=person, body={"not_before": scenario.at(60)})
    caller = {"from_number": person[0], "to_number": FROM_NUMBER, "scenario": "talk"}
    await scenario.tell_retell("/emulator/retell/inbound", caller)


async def _agent_uses_functions(scenario: Scenario) -> None:
    await scenario.place("functions", "17", "completed")
    await scenario.place("functions", "18", "completed")


async def _webhooks_of_unknown_calls(scenario: Scenario) -> None:
    """Another instance's, one of this instance whose attempt does not exist, and one without a call id."""
    call = {"call_id": f"call_{scenario.rng.getrandbits(104):027x}", "direction": "outbound", "call_status": "ended"}
    marks = {"ringback_instance": INSTANCE, "ringback_attempt_id": NO_ATTEMPT}
    await scenario.webhook({"event": "call_ended", "call": {**call, "metadata": {"ringback_instance": "another"}}})
    lost = {**call, "call_id": f"call_{scenario.rng.getrandbits(104):027x}", "metadata": marks}
    await scenario.webhook({"event": "call_ended", "call": lost})
    # A retry after a lost answer is a second message, and a second dead letter.
    scenario.dead_letters += 1
    await scenario.webhook({"event": "call_ended", "call": {"call_id": None}})


async def _engage_is_unavailable(scenario: Scenario) -> None:
    await scenario.tell_engage("/emulator/engage/faults", {"status": 503, "times": 2})
    await scenario.place("engage_unavailable", "00", "completed")


async def _message_is_lost(scenario: Scenario) -> None:
    """The queue loses an accepted message. No worker polls while dialing is paused, but a poll from before
    may still get the first message. That one is turned away, and the next is lost."""
    lose = "DELETE FROM queue_messages WHERE body LIKE '%' || $1 || '%' AND receive_count = 0 RETURNING id"
    is_deferred = "SELECT status = 'pending' FROM tasks WHERE call_id = $1"
    was_sent = "SELECT delivered_at IS NOT NULL FROM outbox WHERE kind = 'call_message' AND call_id = $1"
    async with _paused(scenario):
        for _ in range(3):
            call = await scenario.place("message_lost", "00", "completed")
            for _ in range(LOSE_WITHIN):
                if scenario.queues is None:
                    is_lost = await _holds(scenario, lose, call.call_id)
                elif await _holds(scenario, was_sent, call.call_id):
                    is_lost = await asyncio.to_thread(scenario.queues.lose, call.call_id)
                    if not is_lost:
                        break
                else:
                    is_lost = False
                if is_lost:
                    return
                if await _holds(scenario, is_deferred, call.call_id):
                    break
                await asyncio.sleep(ASK_EVERY_S)


async def _corrected_by_previous_version(scenario: Scenario) -> None:
    """A session of the previous version notes a late cost and counts nothing. The scheduler does."""
    call = await scenario.place("counted_late", "00", "completed")
    while not await _holds(scenario, "SELECT final FROM calls WHERE call_id = $1", call.call_id):
        await asyncio.sleep(ASK_EVERY_S)
    await scenario.database.execute(
        "UPDATE attempts SET cost_cents = coalesce(cost_cents, 0) + 1 WHERE call_id = $1", call.call_id
    )
    while await _holds(scenario, "SELECT count(*) FROM attempts WHERE call_id = $1 AND recount", call.call_id):
        await asyncio.sleep(ASK_EVERY_S)


_RETRY_IF_BUSY = {"max_attempts": 2, "delay_s": [20], "on": ["busy"]}
_SINGLE = {
    # Two requests with the same key at the same time are one call.
    "answered": _one("00", "completed", copies=2),
    "busy": _one("02", "failed", attempts_at_most=2, body={"retry": _RETRY_IF_BUSY}),
    # The callback of tomorrow is cancelled when everything else is finished. If the agent's function was not answered,
    # there is no callback.
    "rescheduled": _one("07", "cancelled partially_completed", may_be_abandoned=True),
    "silent": _one("09", "completed", is_silent=True),
    "fails_after_ring": _one("11", "completed"),
    "hangs_after_ring": _one("12", "completed"),
    # Once: where one may, the resend under the same key rings. If the first worker died before it sent, the resend is
    # the one that fails, and there is no third.
    "fails_before_ring": _one("00-1", "completed", may_be_abandoned=True),
    "never_rings": _one("00-1000", "completed", may_be_abandoned=True, never_rings=True),
    # A resend that is throttled leaves open whether the first request rang.
    "throttled": _one("13", "completed", may_be_abandoned=True),
    "refused": _one("00", "failed", body={"agent_id": "agent_unknown"}, never_rings=True, may_be_abandoned=True),
}
ACTS: Mapping[str, Act] = {
    **{name: act(name) for name, act in _SINGLE.items()},
    "voicemail": _voicemail,
    "opted_out": _opted_out,
    "cancelled": _cancelled,
    "expired": _expired,
    "suppressed": _suppressed,
    "pair": _two_calls_to_one_person,
    "inbound": _contact_calls,
    "functions": _agent_uses_functions,
    "webhooks_of_unknown_calls": _webhooks_of_unknown_calls,
    "engage_unavailable": _engage_is_unavailable,
    "message_lost": _message_is_lost,
    "counted_late": _corrected_by_previous_version,
}
