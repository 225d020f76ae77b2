"""The one oracle: judges calls by the ledger of rings, the rows of the database and the events that Engage received.

It shares no code with the product. A suite says of each call what it expects, and adds the invariants of its own.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from typing import Any, NamedTuple

from proof.findings import Findings
from proof.harness.databases import rows
from proof.invariants import Invariant
from tests.stories.running_system import SystemClient

Json = dict[str, Any]
PREFIX = "voice_ai_call_"
ENDS = frozenset({"completed", "partially_completed", "left_voicemail", "failed"})
#: States of an attempt that may have rung or not.
UNRESOLVED = frozenset({"waiting", "dialing", "unknown"})

_CALLS = "SELECT call_id, status, final, idempotency_key FROM calls"
_ATTEMPTS = """
SELECT attempt_id, call_id, number, state, provider_call_id, holds_person, holds_slot, claimed_at, resent,
       coalesce(lease_until < now(), false) AS lease_is_over
FROM attempts ORDER BY number
"""
_DEAD = """
SELECT (SELECT count(*) FROM outbox WHERE dead_at IS NOT NULL)
     + (SELECT count(*) FROM queue_messages WHERE dead_at IS NOT NULL) AS dead
"""


class Kind(StrEnum):
    """Four kinds of faults, of which there must be none."""

    LOST = "lost"
    DUPLICATED = "duplicated"
    UNEXPECTED = "unexpected"
    UNRESOLVED = "unresolved"


class Problem(NamedTuple):
    invariant: Invariant
    what: str
    kind: Kind = Kind.UNEXPECTED


@dataclass(frozen=True, slots=True)
class Blame:
    """The invariants that are counted as broken where the suites differ."""

    status: Invariant = Invariant.I1
    too_few_rings: Invariant = Invariant.I1
    too_many_rings: Invariant = Invariant.I2
    binding: Invariant = Invariant.I2
    unresolved: Invariant = Invariant.I6
    stranger: Invariant = Invariant.I8


@dataclass(frozen=True, slots=True)
class Expected:
    """The permitted outcome of one call. `name` is that of its case.

    `statuses` are the final ones, any if empty. `rings` are the permitted numbers. `events` are all that Engage must
    receive, in order, without their prefix. Calls that did not begin here have fewer events than `is_whole` asks for.
    """

    name: str = ""
    statuses: Collection[str] = ()
    rings: range | None = None
    events: Sequence[str] | None = None
    is_whole: bool = True
    repeats_at_once: bool = False  # an event may come again, but never after a later one


ANY = Expected()
#: Of each scenario of the emulator: the call's final status, and the events of a dial after `initiated`.
OUTCOMES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "00": ("completed", ("started", "completed")),
    "01": ("failed", ("failed no_answer",)),
    "02": ("failed", ("failed busy",)),
    "03": ("left_voicemail", ("started", "left_voicemail")),
    "05": ("partially_completed", ("started", "partially_completed")),
    "14": ("failed", ("failed declined",)),
    # Lost webhooks, webhooks in disorder, and a create that fails or hangs after it rang.
    **dict.fromkeys(("09", "10", "11", "12"), ("completed", ("started", "completed"))),
}


def expected_of(scenario: str, dials: int = 1, *, repeats_at_once: bool = False) -> Expected:
    """Of a call that is dialed so many times, each time with the scenario's end."""
    status, events = OUTCOMES[scenario]
    rings = range(dials, dials + 1)
    told = ("initiated", *events) * dials
    return Expected(f"scenario {scenario}", {status}, rings, told, repeats_at_once=repeats_at_once)


@dataclass(slots=True)
class CallSeen:
    """Everything that the outside saw of one call. Deliveries hold `id`, `signature_ok` and `event`, repeats too."""

    call_id: str
    call: Json | None = None
    attempts: list[Json] = field(default_factory=list)
    rings: list[Json] = field(default_factory=list)
    deliveries: list[Json] = field(default_factory=list)


@dataclass(slots=True)
class Observed:
    """Ledgers in their order, rows, and the number of dead letters of the outbox and of the queues."""

    rings: list[Json]
    deliveries: list[Json]
    calls: list[Json]
    attempts: list[Json]
    dead_letters: int = 0

    def by_call(self) -> dict[str, CallSeen]:
        seen: dict[str, CallSeen] = {}

        def of(call_id: str) -> CallSeen:
            return seen.setdefault(call_id, CallSeen(call_id))

        for call in self.calls:
            of(call["call_id"]).call = call
        for attempt in self.attempts:
            of(attempt["call_id"]).attempts.append(attempt)
        for ring in self.rings:
            of(ring["metadata"]["ringback_call_id"]).rings.append(ring)
        for delivery in self.deliveries:
            of(delivery["event"]["subject"]).deliveries.append(delivery)
        return seen


def observe(client: SystemClient, database_url: str) -> Observed:
    """Reads ledgers and rows of a running system."""
    [dead] = rows(database_url, _DEAD)
    return Observed(
        client.rings(), client.deliveries(), rows(database_url, _CALLS), rows(database_url, _ATTEMPTS), dead["dead"]
    )


def judge(
    seen: Observed, expected: Mapping[str, Expected], blame: Blame, *, with_strangers: bool = True
) -> list[Problem]:
    """Every way in which the expected calls are not as expected. A stranger is a call that no client was answered."""
    calls = seen.by_call()
    found = []
    for call_id, wanted in expected.items():
        found += judge_call(calls.get(call_id) or CallSeen(call_id), wanted, blame)
    strangers = {call_id for call_id, one in calls.items() if one.call is not None or one.rings} - expected.keys()
    for call_id in strangers if with_strangers else ():
        what = f"call {call_id}: no client was answered with it"
        found += [Problem(blame.stranger, what), *judge_call(calls[call_id], ANY, blame)]
    return found


def judge_call(seen: CallSeen, expected: Expected, blame: Blame) -> list[Problem]:
    found = [*_row(seen, expected, blame), *_rings(seen, expected, blame), *_attempts(seen, blame)]
    found += _events(seen, expected)
    name = f"call {seen.call_id}{f' ({expected.name})' if expected.name else ''}"
    return [problem._replace(what=f"{name}: {problem.what}") for problem in found]


def report(found: Findings, problems: Iterable[Problem], reproduce: str) -> None:
    for problem in problems:
        found.broke(problem.invariant, problem.what, reproduce)


def rings_by_call(rings: Iterable[Json]) -> Counter[str]:
    return Counter(ring["metadata"]["ringback_call_id"] for ring in rings)


def rang_twice(rings: Iterable[Json]) -> Iterator[Problem]:
    """At most one ring for one attempt."""
    for attempt_id, count in Counter(ring["metadata"]["ringback_attempt_id"] for ring in rings).items():
        if count > 1:
            yield Problem(Invariant.I2, f"attempt {attempt_id} rang {count} times", Kind.DUPLICATED)


def _row(seen: CallSeen, expected: Expected, blame: Blame) -> Iterator[Problem]:
    if seen.call is None:
        yield Problem(Invariant.I1, "accepted and lost", Kind.LOST)
    elif not seen.call["final"]:
        yield Problem(Invariant.I1, f"not final, but {seen.call['status']}", Kind.LOST)
    elif expected.statuses and seen.call["status"] not in expected.statuses:
        yield Problem(blame.status, f"ended as {seen.call['status']}, not {' or '.join(sorted(expected.statuses))}")


def _rings(seen: CallSeen, expected: Expected, blame: Blame) -> Iterator[Problem]:
    yield from rang_twice(seen.rings)
    if expected.rings is not None and len(seen.rings) not in expected.rings:
        is_more = len(seen.rings) >= expected.rings.stop
        broken, kind = (blame.too_many_rings, Kind.UNEXPECTED) if is_more else (blame.too_few_rings, Kind.LOST)
        yield Problem(broken, f"rang {len(seen.rings)} times", kind)
    attempts = {attempt["attempt_id"]: attempt for attempt in seen.attempts}
    for ring in seen.rings:
        attempt = attempts.get(ring["metadata"]["ringback_attempt_id"])
        if attempt is None:
            yield Problem(blame.binding, f"{ring['provider_call_id']} rang for no attempt")
        elif attempt["provider_call_id"] != ring["provider_call_id"]:
            bound_to = attempt["provider_call_id"]
            what = f"{ring['provider_call_id']} rang, but its attempt is bound to {bound_to}"
            yield Problem(blame.binding, what, Kind.UNRESOLVED)


def _attempts(seen: CallSeen, blame: Blame) -> Iterator[Problem]:
    rang = {ring["metadata"]["ringback_attempt_id"] for ring in seen.rings}
    for attempt in seen.attempts:
        if attempt["state"] in UNRESOLVED:
            what = f"attempt {attempt['attempt_id']} is still {attempt['state']}"
            yield Problem(blame.unresolved, what, Kind.UNRESOLVED)
        elif attempt["state"] == "abandoned" and attempt["attempt_id"] in rang:
            what = f"attempt {attempt['attempt_id']} rang and was abandoned"
            yield Problem(Invariant.I6, what, Kind.UNRESOLVED)


def _events(seen: CallSeen, expected: Expected) -> Iterator[Problem]:
    """I14: no fact lost, none under two ids or with two contents, in order, with one last word."""
    facts: dict[str, Json] = {}
    for delivery in seen.deliveries:
        event = delivery["event"]
        if not delivery["signature_ok"] or delivery["id"] != event["id"]:
            yield Problem(Invariant.I14, f"event {event['id']} came with a bad signature or id")
        if facts.setdefault(event["id"], event) != event:
            yield Problem(Invariant.I14, f"event {event['id']} came again with another content")
    events = list(facts.values())
    sequences = [event["data"]["sequence"] for event in events]
    in_order = list(range(1, len(events) + 1)) if expected.is_whole else sorted(set(sequences))
    if sequences != in_order:
        yield Problem(Invariant.I14, f"the sequence of its events is {sequences}", Kind.LOST)
    told = [name_of(event) for event in events]
    if expected.events is not None and not _are(told, expected.events):
        told = told or ["nothing"]
        yield Problem(
            Invariant.I14, f"Engage received {', '.join(told)} instead of {', '.join(expected.events)}", Kind.LOST
        )
    yield from _last_word(events, expected)
    if expected.repeats_at_once:
        arrived = [delivery["event"]["data"]["sequence"] for delivery in seen.deliveries]
        if [sequence for sequence, _ in groupby(arrived)] != sorted(set(arrived)):
            yield Problem(Invariant.I14, f"an event was repeated after a later one: {arrived}")
    if expected.is_whole:
        yield from _events_of_attempts(events, seen.rings)


def _are(told: Sequence[str], expected: Sequence[str]) -> bool:
    """An expected failure without a reason is any failure."""
    return len(told) == len(expected) and all(
        wanted in (name, name.partition(" ")[0]) for name, wanted in zip(told, expected, strict=True)
    )


def _last_word(events: Sequence[Json], expected: Expected) -> Iterator[Problem]:
    corrected = {event["data"]["corrects"] for event in events if event["data"].get("corrects")}
    last_words = [event for event in events if event["data"].get("is_final") and event["id"] not in corrected]
    if not last_words:
        yield Problem(Invariant.I1, "Engage received no final event", Kind.LOST)
    if len(last_words) > 1:
        yield Problem(Invariant.I14, f"{len(last_words)} final events", Kind.DUPLICATED)
    elif last_words and expected.events is not None and last_words != [events[-1]]:
        yield Problem(Invariant.I14, "its final event is not the last one")


def _events_of_attempts(events: Iterable[Json], rings: Iterable[Json]) -> Iterator[Problem]:
    by_attempt: dict[str, list[Json]] = defaultdict(list)
    for event in events:
        if event["data"]["attempt_id"] is not None:
            by_attempt[event["data"]["attempt_id"]].append(event)
    for attempt_id, told in by_attempt.items():
        types = [_type(event) for event in told]
        for once in ("initiated", "started"):
            if types.count(once) > 1:
                what = f"attempt {attempt_id} was {once} {types.count(once)} times"
                yield Problem(Invariant.I14, what, Kind.DUPLICATED)
        ends = [place for place, kind in enumerate(types) if kind in ENDS]
        uncorrecting = [place for place in ends if "corrects" not in told[place]["data"]]
        if len(uncorrecting) > 1:
            what = f"attempt {attempt_id} ended {len(uncorrecting)} times"
            yield Problem(Invariant.I14, what, Kind.DUPLICATED)
        was_attempted = bool(ends) and told[ends[0]]["data"].get("attempted", True) is True
        if was_attempted and "initiated" not in types[: ends[0]]:
            yield Problem(Invariant.I14, f"attempt {attempt_id} ended before it was initiated", Kind.LOST)
    for ring in rings:
        told = by_attempt.get(ring["metadata"]["ringback_attempt_id"], [])
        names = {event["data"].get("provider_call_id") for event in told if _type(event) == "initiated"}
        if names != {ring["provider_call_id"]}:
            what = f"{ring['provider_call_id']} rang; Engage was told of {names or 'no ring'}"
            yield Problem(Invariant.I14, what, Kind.LOST)


def _type(event: Json) -> str:
    return str(event["type"]).removeprefix(PREFIX)


def name_of(event: Json) -> str:
    """The event's type without its prefix; of a failure with its reason, where the event has one."""
    reason = event["data"].get("reason")
    return f"failed {reason}" if _type(event) == "failed" and reason else _type(event)
