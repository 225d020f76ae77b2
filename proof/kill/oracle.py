"""Judges what is seen from outside against what was accepted; it asks nothing of the code under test."""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby

from proof.invariants import Invariant
from proof.kill.aftermath import Aftermath, heard_by_call, is_final
from proof.kill.fates import Fate, Json

Broken = tuple[Invariant, str]
_PREFIX = "voice_ai_call_"
#: The analysis of a call that nobody answered says nothing more, and may come when all is settled.
_OVER = ("ended", "analyzed")


def judge(seen: Aftermath) -> list[Broken]:
    return [*_acceptance(seen), *_rings(seen), *_events(seen), *_rest(seen)]


def repeats(seen: Aftermath) -> int:
    """Deliveries of an event that Engage had been sent before, which it is told to expect."""
    return len(seen.deliveries) - len({delivery["id"] for delivery in seen.deliveries})


def _acceptance(seen: Aftermath) -> Iterator[Broken]:
    """I1: what was answered 202 is there, is final as its fate says, and Engage knows."""
    calls = {call["call_id"]: call for call in seen.calls}
    heard = heard_by_call(seen.deliveries)
    for call_id, fate in seen.accepted.items():
        call = calls.get(call_id)
        if call is None:
            yield Invariant.I1, f"{call_id}: accepted and lost"
        elif (call["status"], call["final"]) != (fate.status, True):
            yield Invariant.I1, f"{call_id}: scenario {fate.scenario} is {call['status']}, final: {call['final']}"
        elif not any(map(is_final, heard[call_id])):
            yield Invariant.I1, f"{call_id}: Engage heard of no end"
    for stranger in calls.keys() - seen.accepted.keys():
        yield Invariant.I20, f"{stranger}: a call that nobody was answered"


def _rings(seen: Aftermath) -> Iterator[Broken]:
    """I2: each attempt rang once, each call as often as its fate says, and the rows name these very calls."""
    by_attempt = Counter(ring["metadata"]["ringback_attempt_id"] for ring in seen.rings)
    by_call = Counter(ring["metadata"]["ringback_call_id"] for ring in seen.rings)
    for attempt_id, count in by_attempt.items():
        if count > 1:
            yield Invariant.I2, f"{attempt_id}: {count} rings for one attempt"
    for call_id, fate in seen.accepted.items():
        if by_call[call_id] > fate.rings:
            yield Invariant.I2, f"{call_id}: scenario {fate.scenario} rang {by_call[call_id]} times"
        elif by_call[call_id] < fate.rings:
            yield Invariant.I1, f"{call_id}: scenario {fate.scenario} rang {by_call[call_id]} times"
    bound = {attempt["attempt_id"]: attempt["provider_call_id"] for attempt in seen.attempts}
    for ring in seen.rings:
        attempt_id = ring["metadata"]["ringback_attempt_id"]
        if bound.get(attempt_id) != ring["provider_call_id"]:
            yield Invariant.I20, f"{attempt_id}: rang as {ring['provider_call_id']}, is {bound.get(attempt_id)}"


def _events(seen: Aftermath) -> Iterator[Broken]:
    """I14: no fact lost, none under two ids or with two contents, in order, one end."""
    for delivery in seen.deliveries:
        if not delivery["signature_ok"]:
            yield Invariant.I14, f"{delivery['id']}: not signed"
    heard = heard_by_call(seen.deliveries)
    for call_id, fate in seen.accepted.items():
        for what in _of_one_call(heard[call_id], fate):
            yield Invariant.I14, f"{call_id}: scenario {fate.scenario}: {what}"


def _of_one_call(events: list[Json], fate: Fate) -> Iterator[str]:
    facts: dict[str, Json] = {}
    for event in events:
        if facts.setdefault(event["id"], event) != event:
            yield f"{event['id']} came with another content"
    told = [event["type"].removeprefix(_PREFIX) for event in facts.values()]
    if told != list(fate.events):
        yield f"Engage heard {', '.join(told) or 'nothing'}"
    if [event["data"]["sequence"] for event in facts.values()] != list(range(1, len(facts) + 1)):
        yield "out of order, or with a gap"
    if [is_final(event) for event in facts.values()] != [False] * (len(facts) - 1) + [True]:
        yield "the last event alone must be final"
    arrived = [event["data"]["sequence"] for event in events]
    # An event may be repeated at once, never behind a later one.
    if [sequence for sequence, _ in groupby(arrived)] != sorted(set(arrived)):
        yield f"repeated out of order: {arrived}"


def _rest(seen: Aftermath) -> Iterator[Broken]:
    """I20: nothing hangs in the database."""
    for attempt in seen.attempts:
        if attempt["state"] not in _OVER:
            yield Invariant.I20, f"{attempt['attempt_id']}: still {attempt['state']}"
        if attempt["lease_is_over"]:
            yield Invariant.I20, f"{attempt['attempt_id']}: a lease that is over"
        if attempt["holds_person"] or attempt["holds_slot"]:
            yield Invariant.I20, f"{attempt['attempt_id']}: still holds the person or a line"
    if seen.dead_letters:
        yield Invariant.I20, f"{seen.dead_letters} dead letters"
