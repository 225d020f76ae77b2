"""Whether everything that was said to be accepted is there, and everything else was sent away as it should be."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from benchmarks.payloads import EVENTS
from benchmarks.seeding import ids_of
from proof.findings import Findings
from proof.invariants import Invariant
from proof.load.answers import CUT_OFF, HANGING, UNSENT, Answered
from proof.load.requests import ACCEPTS, BARRED, LATER, NOW, WEBHOOK, Requests
from proof.load.watch import Knock, Watch, growth_per_minute
from proof.load.world import World

#: RequestTimeout answers after 7 s; the receiver at 3 s, to which a loaded machine adds what it adds.
ANSWERED_WITHIN_S = 8.0
#: Of requests that the client could not send in time, because all its connections were waiting for answers.
UNSENT_AT_MOST = 0.01
#: Of knocks at doors that a flood must not keep shut.
REFUSED_AT_MOST = 0.05
#: A minute. PostgreSQL's is only told: its backends and its vacuum come and go.
GROWTH_AT_MOST = {"ringback": 0.05}
MOST_MIB = {"ringback": 600.0, "postgres": 1500.0}
#: Further violations of one kind say nothing new.
TOLD_AT_MOST = 5

_TYPES = {
    NOW: ["voice_ai_call_initiated", "voice_ai_call_started", "voice_ai_call_completed"],
    BARRED: ["voice_ai_call_failed"],
    WEBHOOK: ["voice_ai_call_started", "voice_ai_call_completed"],
}
_NO_ANSWER = {UNSENT: "not sent", CUT_OFF: "cut off", HANGING: "left hanging"}


def judge(findings: Findings, reproduce: str, world: World, answers: Sequence[Answered], requests: Requests) -> None:
    """What was accepted, against what is there at the end."""
    checks: dict[Invariant, Callable[[], Iterator[str | None]]] = {
        Invariant.I1: lambda: _each_accepted_call(world, answers, requests),
        Invariant.I2: lambda: _each_ring(world),
        Invariant.I12: lambda: _each_accepted_webhook(world, answers, requests),
        Invariant.I14: lambda: _each_story(world, answers, requests),
    }
    for invariant, check in checks.items():
        told = 0
        for problem in check():
            findings.tried(invariant)
            if problem is not None and (told := told + 1) <= TOLD_AT_MOST:
                findings.broke(invariant, problem, reproduce)
    if world.dead_letters:
        findings.broke(Invariant.I14, f"{world.dead_letters} dead letters", reproduce)


def _each_accepted_call(world: World, answers: Iterable[Answered], requests: Requests) -> Iterator[str | None]:
    for answer in answers:
        if answer.kind not in ACCEPTS or not answer.accepted:
            continue
        row = world.calls.get(answer.call_id or "")
        name = f"{answer.kind} {answer.number}, answered {answer.status} at {answer.due_s:g} s"
        if row is None or row.idempotency_key != requests.key_of(answer.kind, answer.number):
            yield f"{name}: the call is not there"
        elif answer.kind == LATER:
            yield None if (row.status, row.planned) == ("scheduled", True) else f"{name}: {row.status}, not planned"
        else:
            yield None if row.final else f"{name}: {row.status}, not final"


def _each_ring(world: World) -> Iterator[str | None]:
    for call_id, times in world.rings.items():
        yield None if times == 1 else f"call {call_id} rang {times} times"


def _each_accepted_webhook(world: World, answers: Iterable[Answered], requests: Requests) -> Iterator[str | None]:
    for answer in answers:
        if answer.kind == WEBHOOK and answer.accepted:
            event, call = requests.subject(answer.number)
            is_there = (ids_of(call).provider_call_id, event) in world.inbox
            yield None if is_there else f"webhook {answer.number} ({event}), answered {answer.status}: not there"


def _each_story(world: World, answers: Iterable[Answered], requests: Requests) -> Iterator[str | None]:
    """Of each call that has come to its end, as Engage was told it."""
    heard: Counter[str] = Counter()
    for answer in answers:
        if answer.kind in (NOW, BARRED) and answer.accepted and answer.call_id is not None:
            yield story_problem(world.deliveries.get(answer.call_id, []), answer.kind)
    for call in range(1, requests.seeded_calls + 1):
        ids = ids_of(call)
        heard[ids.call_id] = sum((ids.provider_call_id, event) in world.inbox for event in EVENTS)
        if heard[ids.call_id] == len(EVENTS):
            yield story_problem(world.deliveries.get(ids.call_id, []), WEBHOOK)


def story_problem(deliveries: Sequence[dict[str, Any]], kind: str) -> str | None:
    """What is wrong with the events of one call, in order of arrival; None if nothing is."""
    first: dict[str, dict[str, Any]] = {}
    for event in deliveries:
        if first.setdefault(event["id"], event) != event:
            return f"call {event['subject']}: two events under one id"
    told = list(first.values())
    subject = told[0]["subject"] if told else "without events"
    if [event["type"] for event in told] != _TYPES[kind]:
        return f"{kind} call {subject}: {[event['type'] for event in told]}"
    sequences = [event["data"]["sequence"] for event in told]
    if sequences != sorted(set(sequences)):
        return f"{kind} call {subject}: sequences {sequences}"
    final = [event for event in told if event["data"].get("is_final") and "corrects" not in event["data"]]
    return None if final == told[-1:] else f"{kind} call {subject}: {len(final)} final events"


def judge_answers(findings: Findings, reproduce: str, answers: Sequence[Answered]) -> None:
    """Every answer is yes, or "not now" as a problem with Retry-After, within its time."""
    by_door = {Invariant.I1: ACCEPTS, Invariant.I12: (WEBHOOK,)}
    for invariant, kinds in by_door.items():
        mine = [answer for answer in answers if answer.kind in kinds]
        odd = Counter(answer.status for answer in mine if not answer.accepted and not answer.shed)
        unsent = odd.pop(UNSENT, 0)
        if odd:
            named = {_NO_ANSWER.get(status, str(status)): times for status, times in odd.items()}
            findings.broke(invariant, f"neither yes nor not-now: {named}", reproduce)
        if unsent > UNSENT_AT_MOST * len(mine):
            findings.broke(invariant, f"{unsent} of {len(mine)} requests found every connection waiting", reproduce)
        took_s = sorted(answer.took_s for answer in mine if answer.status > 0)
        if took_s and (p99_s := took_s[len(took_s) * 99 // 100]) > ANSWERED_WITHIN_S:
            findings.broke(invariant, f"one in a hundred took {p99_s:.1f} s or longer", reproduce)


def judge_doors(findings: Findings, reproduce: str, knocks: Sequence[Knock]) -> None:
    for door in sorted({knock.door for knock in knocks}):
        mine = [knock for knock in knocks if knock.door == door]
        refused = [knock for knock in mine if not knock.ok or knock.took_s > ANSWERED_WITHIN_S]
        if len(refused) > max(1, REFUSED_AT_MOST * len(mine)):
            worst = max(knock.took_s for knock in mine)
            findings.broke(Invariant.I1, f"{door}: {len(refused)} of {len(mine)} failed, {worst:.1f} s", reproduce)


def judge_memory(findings: Findings, reproduce: str, watch: Watch, with_growth: bool) -> None:
    for role, most_mib in MOST_MIB.items():
        samples = watch.memory_mib[role]
        highest, growth = max(mib for _, mib in samples), growth_per_minute(samples)
        grows = with_growth and growth > GROWTH_AT_MOST.get(role, math.inf)
        if highest > most_mib or grows:
            findings.broke(Invariant.I1, f"{role}: {highest:.0f} MiB, {growth:+.1%} a minute", reproduce)
