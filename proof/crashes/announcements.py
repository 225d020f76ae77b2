"""The ABT events of a trial as Engage received them: each fact once, in order, and one last word for each call."""

from collections import Counter, defaultdict

from proof.crashes.judgement import Evidence, Judgement, Kind
from proof.crashes.ledgers import Json
from proof.invariants import Invariant

_PREFIX = "voice_ai_call_"
_TERMINAL = frozenset({"completed", "partially_completed", "left_voicemail", "failed"})


def judge_events(seen: Evidence, found: Judgement) -> None:
    found.looked_at.add(Invariant.I14)
    facts = _facts(seen, found)
    for call_id, call in seen.calls.items():
        events = facts.get(call_id, [])
        finals = [event["id"] for event in events if event["data"].get("is_final") is True]
        corrected = {event["data"]["corrects"] for event in events if "corrects" in event["data"]}
        last_words = [event_id for event_id in finals if event_id not in corrected]
        if not last_words:
            found.broke(Invariant.I1, Kind.LOST, f"call {call_id} ({call['status']}) has no last word at Engage")
        if len(last_words) > 1:
            found.broke(Invariant.I14, Kind.DUPLICATED, f"call {call_id} has {len(last_words)} last words")
        sequences = [event["data"]["sequence"] for event in events]
        if sequences != list(range(1, len(sequences) + 1)):
            found.broke(Invariant.I14, Kind.LOST, f"call {call_id}: Engage heard the sequence {sequences}")
        _judge_attempts(call_id, events, seen, found)


def _facts(seen: Evidence, found: Judgement) -> dict[str, list[Json]]:
    """By call, in order of first arrival, every event once. A repeat must say the same under the same id."""
    by_id: dict[str, Json] = {}
    by_call: dict[str, list[Json]] = defaultdict(list)
    for item in seen.events:
        event = item["event"]
        if not item["signature_ok"] or item["id"] != event["id"]:
            found.broke(Invariant.I14, Kind.UNEXPECTED, f"event {event['id']} came with a bad signature or id")
        if event["id"] not in by_id:
            by_id[event["id"]] = event
            by_call[event["subject"]].append(event)
        elif by_id[event["id"]] != event:
            found.broke(Invariant.I14, Kind.UNEXPECTED, f"event {event['id']} came again with another content")
    return by_call


def _judge_attempts(call_id: str, events: list[Json], seen: Evidence, found: Judgement) -> None:
    by_attempt: dict[str, list[Json]] = defaultdict(list)
    for event in events:
        if event["data"]["attempt_id"] is not None:
            by_attempt[event["data"]["attempt_id"]].append(event)
    for attempt_id, told in by_attempt.items():
        _judge_attempt(attempt_id, told, found)
    for ring in seen.rings_of(call_id):
        told = by_attempt.get(ring["metadata"]["ringback_attempt_id"], [])
        names = {event["data"].get("provider_call_id") for event in told if event["type"] == f"{_PREFIX}initiated"}
        if names != {ring["provider_call_id"]}:
            found.broke(Invariant.I14, Kind.LOST, f"{ring['provider_call_id']} rang; Engage was told of {names}")


def _judge_attempt(attempt_id: str, told: list[Json], found: Judgement) -> None:
    types = [event["type"].removeprefix(_PREFIX) for event in told]
    times = Counter(types)
    for fact in ("initiated", "started"):
        if times[fact] > 1:
            found.broke(Invariant.I14, Kind.DUPLICATED, f"attempt {attempt_id}: {fact} {times[fact]} times")
    terminal = [event for event in told if event["type"].removeprefix(_PREFIX) in _TERMINAL]
    uncorrecting = [event for event in terminal if "corrects" not in event["data"]]
    if len(uncorrecting) > 1:
        found.broke(Invariant.I14, Kind.DUPLICATED, f"attempt {attempt_id} ended {len(uncorrecting)} times")
    was_attempted = bool(terminal) and terminal[0]["data"].get("attempted", True) is True
    if was_attempted and "initiated" not in types[: told.index(terminal[0])]:
        found.broke(Invariant.I14, Kind.LOST, f"attempt {attempt_id} ended before it was initiated")
