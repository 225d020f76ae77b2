"""What the outside saw, judged: the ledger of rings, what Engage was told, how each accepted call ended."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from proof.findings import Findings
from proof.invariants import Invariant

Json = dict[str, Any]
I1, I2, I14 = Invariant.I1, Invariant.I2, Invariant.I14

_ENDS_AN_ATTEMPT = {"completed", "partially_completed", "left_voicemail", "failed"}


def judge_rings(found: Findings, rings: Sequence[Json], attempts: int, reproduce: str) -> None:
    """I2, by the provider's ledger alone. `attempts` is how many there were, so that those that rang nobody count."""
    found.tried(I2, cases=attempts)
    of_attempt = Counter(ring["metadata"]["ringback_attempt_id"] for ring in rings)
    for attempt_id, count in of_attempt.items():
        if count > 1:
            found.broke(I2, f"attempt {attempt_id} rang {count} times", reproduce)


def rings_of_calls(rings: Sequence[Json]) -> Counter[str]:
    return Counter(ring["metadata"]["ringback_call_id"] for ring in rings)


def judge_ends(found: Findings, is_final: Mapping[str, bool], reproduce: str) -> None:
    """I1: every call that was answered 2xx."""
    found.tried(I1, cases=len(is_final))
    for call_id, final in is_final.items():
        if not final:
            found.broke(I1, f"call {call_id} did not reach its final event", reproduce)


def judge_telling(
    found: Findings, deliveries: Sequence[Json], call_ids: Sequence[str], reproduce: str, *, is_over: bool = True
) -> None:
    """I14, by what Engage received, repeats included, in order of arrival. `is_over`: every call has ended."""
    found.tried(I14, cases=len(call_ids))
    told: dict[str, list[Json]] = defaultdict(list)
    known: dict[str, Json] = {}
    for delivery in deliveries:
        event = delivery["event"]
        first = known.setdefault(delivery["id"], event)
        if first is event:
            told[event["subject"]].append(event)
        elif first != event:
            found.broke(I14, f"event {delivery['id']} was told in two versions", reproduce)
    for call_id in call_ids:
        for wrong in _wrong_in_story(told[call_id], is_over):
            found.broke(I14, f"call {call_id}: {wrong}", reproduce)


def _wrong_in_story(events: Sequence[Json], is_over: bool) -> list[str]:
    wrong = []
    sequences = [event["data"]["sequence"] for event in events]
    if sequences != list(range(1, len(events) + 1)):
        wrong.append(f"the sequence of its events is {sequences}")
    finals = [event for event in events if event["data"].get("is_final") and not event["data"].get("corrects")]
    if is_over and len(finals) != 1:
        wrong.append(f"{len(finals)} final events")
    attempts: dict[str, list[Json]] = defaultdict(list)
    for event in events:
        if attempt_id := event["data"].get("attempt_id"):
            attempts[attempt_id].append(event)
    for attempt_id, of_attempt in attempts.items():
        wrong += [f"attempt {attempt_id}: {why}" for why in _wrong_in_attempt(of_attempt)]
    return wrong


def _wrong_in_attempt(events: Sequence[Json]) -> list[str]:
    types = [event["type"].removeprefix("voice_ai_call_") for event in events]
    wrong = [f"{types.count(once)} × {once}" for once in ("initiated", "started") if types.count(once) > 1]
    ends = [
        (place, event)
        for place, (kind, event) in enumerate(zip(types, events, strict=True))
        if kind in _ENDS_AN_ATTEMPT and not event["data"].get("corrects")
    ]
    if len(ends) > 1:
        wrong.append(f"{len(ends)} ends")
    for place, event in ends:
        was_attempted = event["data"].get("attempted", True)
        if was_attempted is True and "initiated" not in types[:place]:
            wrong.append("it ended before it was initiated")
    return wrong
