"""kill -9 of everything but the outside world with two hundred calls under way; the next start settles them all."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, islice

from .running_system import Doors, Json, RunningSystem, new_call, wait_until

CALLS = 200
#: What the outbox was sending at the moment of the kill goes out again when its lease of 60 s is over.
SETTLE_WITHIN_S = 66.0


@dataclass(frozen=True)
class Fate:
    """What becomes of a call whatever happens to us meanwhile."""

    status: str
    events: tuple[str, ...]


TALKED = ("initiated", "started")
FATES = {
    "00": Fate("completed", (*TALKED, "completed")),
    "01": Fate("failed", ("initiated", "failed")),
    "03": Fate("left_voicemail", (*TALKED, "left_voicemail")),
    "05": Fate("partially_completed", (*TALKED, "partially_completed")),
    "09": Fate("completed", (*TALKED, "completed")),
    "11": Fate("completed", (*TALKED, "completed")),
}
#: The dial's lease is the create timeout and 30 s more; a claim that died unsent is looked up behind it, and sent again
#: after the third look-up finds nothing. The last look-up lies far behind, so that nothing is given up meanwhile. The
#: webhooks sent while nobody listens are lost, so every deadline of the watchdog is short.
SETTINGS = {
    "RINGBACK_EMULATOR_SPEED": "10",
    "RINGBACK_CREATE_TIMEOUT_S": "1",
    "RINGBACK_UNKNOWN_LOOKUPS_S": "1,2,3,300",
    "RINGBACK_SILENCE_DEADLINE_S": "4",
    "RINGBACK_MAX_CALL_S": "6",
    "RINGBACK_ANALYSIS_DEADLINE_S": "3",
    "RINGBACK_CALLS_PER_SECOND": "60",
}


def _bodies() -> list[Json]:
    phones = [f"+1{area}55501{last:02d}" for area in (202, 303) for last in range(100)]
    return [
        new_call(phone, metadata={"emulator_scenario": scenario})
        for phone, scenario in zip(phones, islice(cycle(FATES), CALLS), strict=True)
    ]


def _by_call(doors: Doors) -> dict[str, list[Json]]:
    heard: dict[str, list[Json]] = defaultdict(list)
    for delivery in doors.deliveries():
        assert delivery["signature_ok"]
        heard[delivery["event"]["subject"]].append(delivery["event"])
    return heard


def _all_calls(doors: Doors) -> dict[str, Json]:
    found: dict[str, Json] = {}
    cursor: str | None = ""
    while cursor is not None:
        page = doors.get("/v1/calls?limit=200" + (f"&cursor={cursor}" if cursor else ""))
        found |= {call["call_id"]: call for call in page["items"]}
        cursor = page["next_cursor"]
    return found


def _are_settled(doors: Doors) -> bool:
    if not all(call["final"] for call in _all_calls(doors).values()):
        return False
    heard = _by_call(doors)
    return len(heard) == CALLS and all(any(_is_final(event) for event in events) for events in heard.values())


def _is_final(event: Json) -> bool:
    return event["data"].get("is_final") is True


def test_everything_in_flight_settles_after_kill_nine_of_everything(
    make_system: Callable[..., RunningSystem],
) -> None:
    system = make_system(**SETTINGS)
    system.start()
    before = system.doors
    with ThreadPoolExecutor(16) as threads:
        placing = [threads.submit(before.place, body) for body in _bodies()]
        placed = [future.result() for future in placing]
    assert len(before.rings()) < CALLS, "some are still to be dialed"
    states = Counter(call["status"] for call in _all_calls(before).values())
    system.kill_all_but_emulators()
    began = time.monotonic()
    system.start()
    started_s = time.monotonic() - began
    assert (system.doors.url, system.doors.api_key) == (before.url, before.api_key)
    wait_until(lambda: _are_settled(system.doors), SETTLE_WITHIN_S, "every call final, and Engage told")
    settled_s = time.monotonic() - began
    _check_calls(system.doors, placed)
    _check_rings(system.doors, placed)
    repeats = _check_events(system.doors)
    told = f"killed at {dict(states)}; up after {started_s:.1f} s, settled after {settled_s:.1f} s, {repeats} repeats"
    print(f"\n{told}")  # noqa: T201 - a measurement, for -s
    assert system.stop() == 0


def _scenario(call: Json, rings: dict[str, Json]) -> str:
    scenario: str = rings[call["call_id"]]["metadata"]["emulator_scenario"]
    return scenario


def _check_calls(doors: Doors, placed: list[str]) -> None:
    calls = _all_calls(doors)
    rings = {ring["metadata"]["ringback_call_id"]: ring for ring in doors.rings()}
    assert set(calls) == set(placed)
    for call in calls.values():
        assert call["status"] == FATES[_scenario(call, rings)].status
        [attempt] = call["attempts"]
        assert attempt["state"] == "analyzed"
        assert attempt["provider_call_id"] == rings[call["call_id"]]["provider_call_id"]


def _check_rings(doors: Doors, placed: list[str]) -> None:
    """The outside world's own ledger: one ring for each call, and none twice under any name."""
    rings = doors.rings()
    assert Counter(ring["metadata"]["ringback_call_id"] for ring in rings) == Counter(placed)
    assert set(Counter(ring["metadata"]["ringback_attempt_id"] for ring in rings).values()) == {1}
    assert set(Counter(ring["to_number"] for ring in rings).values()) == {1}


def _check_events(doors: Doors) -> int:
    """Engage may hear an event twice across the kill, always with the same content, and never out of order. Returns how
    often it did."""
    rings = {ring["metadata"]["ringback_call_id"]: ring for ring in doors.rings()}
    heard = _by_call(doors)
    repeats = 0
    for call_id, events in heard.items():
        facts: dict[str, Json] = {}
        for event in events:
            assert facts.setdefault(event["id"], event) == event
        repeats += len(events) - len(facts)
        types = tuple(event["type"].removeprefix("voice_ai_call_") for event in facts.values())
        assert types == FATES[rings[call_id]["metadata"]["emulator_scenario"]].events
        assert [event["data"]["sequence"] for event in facts.values()] == list(range(1, len(facts) + 1))
        assert [_is_final(event) for event in facts.values()] == [False] * (len(facts) - 1) + [True]
    return repeats
