"""Judges a flood: everything accepted exists at the end, and everything else was refused as it should be."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.payloads import EVENTS
from benchmarks.seeding import ids_of
from proof.findings import Findings
from proof.harness.databases import rows
from proof.harness.oracle import Blame, CallSeen, Expected, Observed, Problem, judge_call, observe, rings_by_call
from proof.invariants import Invariant
from proof.load.system import LoadedSystem
from proof.load.traffic import ACCEPTS, BARRED, CUT_OFF, HANGING, LATER, NOW, UNSENT, WEBHOOK, Answered, Requests
from proof.load.watch import EndpointProbe, Watch, growth_per_minute

#: RequestTimeout cuts at 7 s; the receiver at 3 s, to which a loaded machine adds some.
ANSWERED_WITHIN_S = 8.0
#: Of requests that the client could not send in time, because all its connections were waiting for answers.
UNSENT_AT_MOST = 0.01
#: Of probes at the endpoints that a flood must not keep shut.
REFUSED_AT_MOST = 0.05
#: A minute. PostgreSQL's is only shown: its backends and its vacuum come and go.
GROWTH_AT_MOST = {"ringback": 0.03}
MOST_MIB = {"ringback": 600.0, "postgres": 1500.0}
#: Further violations of one kind say nothing new.
TOLD_AT_MOST = 5
#: A barred call never rings. A seeded call rang before the load began, so its first event is no `initiated`.
EXPECTED = {
    NOW: Expected("now", rings=range(2), events=("initiated", "started", "completed")),
    BARRED: Expected("barred", rings=range(1), events=("failed",)),
    WEBHOOK: Expected("seeded", events=("started", "completed"), is_whole=False),
}
_NO_ANSWER = {UNSENT: "not sent", CUT_OFF: "cut off", HANGING: "left hanging"}
_PLANNED = "SELECT call_id FROM tasks WHERE status = 'pending'"
_INBOX = "SELECT provider_call_id, event FROM provider_events"


@dataclass(frozen=True, slots=True)
class Stored:
    """The state at the end. `planned` holds call ids, `inbox` (provider call id, event)."""

    seen: Observed
    planned: frozenset[str]
    inbox: frozenset[tuple[str, str]]


def look(target: LoadedSystem) -> Stored:
    url = target.database_url
    return Stored(
        observe(target.system.client, url),
        frozenset(row["call_id"] for row in rows(url, _PLANNED)),
        frozenset((row["provider_call_id"], row["event"]) for row in rows(url, _INBOX)),
    )


def judge(findings: Findings, reproduce: str, stored: Stored, answers: Sequence[Answered], requests: Requests) -> None:
    """Everything that was accepted, against what is there at the end."""
    told: Counter[Invariant] = Counter()
    for invariant, problems in _cases(stored, answers, requests):
        findings.tried(invariant)
        for problem in problems:
            told[problem.invariant] += 1
            if told[problem.invariant] <= TOLD_AT_MOST:
                findings.broke(problem.invariant, problem.what, reproduce)
    if stored.seen.dead_letters:
        findings.broke(Invariant.I14, f"{stored.seen.dead_letters} dead letters", reproduce)


def _cases(
    stored: Stored, answers: Sequence[Answered], requests: Requests
) -> Iterator[tuple[Invariant, list[Problem]]]:
    calls, blame = stored.seen.by_call(), Blame()
    for answer in answers:
        if answer.accepted and answer.kind in ACCEPTS:
            seen = calls.get(answer.call_id or "") or CallSeen(str(answer.call_id))
            yield Invariant.I1, _accepted(seen, answer, stored, requests)
            if answer.kind != LATER:
                yield Invariant.I14, judge_call(seen, EXPECTED[answer.kind], blame)
        elif answer.accepted:
            event, call = requests.subject(answer.number)
            what = f"webhook {answer.number} ({event}), answered {answer.status}, is not there"
            is_there = (ids_of(call).provider_call_id, event) in stored.inbox
            yield Invariant.I12, [] if is_there else [Problem(Invariant.I12, what)]
    for call in range(1, requests.seeded_calls + 1):
        ids = ids_of(call)
        if all((ids.provider_call_id, event) in stored.inbox for event in EVENTS):
            yield Invariant.I14, judge_call(calls[ids.call_id], EXPECTED[WEBHOOK], blame)
    for call_id, times in rings_by_call(stored.seen.rings).items():
        what = f"call {call_id} rang {times} times"
        yield Invariant.I2, [] if times == 1 else [Problem(Invariant.I2, what)]


def _accepted(seen: CallSeen, answer: Answered, stored: Stored, requests: Requests) -> list[Problem]:
    name = f"{answer.kind} {answer.number}, answered {answer.status} at {answer.due_s:g} s"
    if seen.call is None or seen.call["idempotency_key"] != requests.key_of(answer.kind, answer.number):
        return [Problem(Invariant.I1, f"{name}: the call is not there")]
    status = seen.call["status"]
    if answer.kind == LATER and (status != "scheduled" or seen.call_id not in stored.planned):
        return [Problem(Invariant.I1, f"{name}: {status}, not planned")]
    return []


def plant(findings: Findings, target: LoadedSystem, answers: Sequence[Answered], stored: Stored) -> None:
    """Makes losses by hand: the oracle has to notice each. The database is the worse for it afterwards."""
    call_id = next(answer.call_id for answer in answers if answer.kind == LATER and answer.accepted)
    webhook = next(answer for answer in answers if answer.kind == WEBHOOK and answer.accepted)
    event, call = target.requests.subject(webhook.number)
    untold = next((one.call_id for one in answers if one.kind == BARRED and one.accepted), None)
    for statement in ("DELETE FROM tasks WHERE call_id = $1", "DELETE FROM calls WHERE call_id = $1"):
        rows(target.database_url, statement, call_id)
    forget = "DELETE FROM provider_events WHERE provider_call_id = $1 AND event = $2"
    rows(target.database_url, forget, ids_of(call).provider_call_id, event)
    seen = stored.seen
    remaining_deliveries = [delivery for delivery in seen.deliveries if delivery["event"]["subject"] != untold]
    after_losses = look(target)
    bugs = {
        "an accepted call is gone": (Invariant.I1, after_losses),
        "an accepted webhook is gone": (Invariant.I12, after_losses),
        "an event never reached Engage": (
            Invariant.I14,
            replace(stored, seen=replace(seen, deliveries=remaining_deliveries)),
        ),
        "every phone rang twice": (Invariant.I2, replace(stored, seen=replace(seen, rings=seen.rings * 2))),
    }
    # An invariant that was broken before the loss is no sign that the loss was seen.
    already = {violation.invariant for violation in findings.violations}
    for bug, (invariant, altered) in bugs.items():
        noticed = Findings(findings.suite, findings.seed)
        judge(noticed, "planted", altered, answers, target.requests)
        if invariant is not Invariant.I2 or seen.rings:
            broken = {violation.invariant for violation in noticed.violations} - already
            findings.plant(f"load: {bug}", invariant in broken, invariant)


def judge_answers(findings: Findings, reproduce: str, answers: Sequence[Answered]) -> None:
    """Every answer is yes, or "not now" as a problem with Retry-After, within its time."""
    for invariant, kinds in {Invariant.I1: ACCEPTS, Invariant.I12: (WEBHOOK,)}.items():
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


def judge_endpoints(findings: Findings, reproduce: str, probes: Sequence[EndpointProbe]) -> None:
    for name in sorted({probe.endpoint for probe in probes}):
        mine = [probe for probe in probes if probe.endpoint == name]
        refused = [probe for probe in mine if not probe.ok or probe.took_s > ANSWERED_WITHIN_S]
        if len(refused) > max(1, REFUSED_AT_MOST * len(mine)):
            worst = max(probe.took_s for probe in mine)
            findings.broke(Invariant.I1, f"{name}: {len(refused)} of {len(mine)} failed, {worst:.1f} s", reproduce)


def judge_memory(findings: Findings, reproduce: str, watch: Watch, with_growth: bool) -> None:
    for role, most_mib in MOST_MIB.items():
        samples = watch.memory_mib[role]
        highest, growth = max(mib for _, mib in samples), growth_per_minute(samples)
        grows = with_growth and growth > GROWTH_AT_MOST.get(role, math.inf)
        if highest > most_mib or grows:
            findings.broke(Invariant.I1, f"{role}: {highest:.0f} MiB, {growth:+.1%} a minute", reproduce)


def describe(answers: Sequence[Answered], watch: Watch, seconds: float) -> Mapping[str, object]:
    """The figures of a flood of so many seconds."""
    figures: dict[str, object] = {}
    for name, kinds in (("accepts", ACCEPTS), ("webhooks", (WEBHOOK,))):
        mine = [answer for answer in answers if answer.kind in kinds]
        accepted = [answer.took_s for answer in mine if answer.accepted]
        shed = [answer.took_s for answer in mine if answer.shed]
        figures[f"{name}_offered_per_s"] = len(mine) / seconds
        figures[f"{name}_accepted_per_s"] = len(accepted) / seconds
        figures[f"{name}_shed_per_s"] = len(shed) / seconds
        figures[f"{name}_accepted"] = milliseconds(accepted)
        figures[f"{name}_shed"] = milliseconds(shed)
    figures["requests"] = len(answers)
    for name in sorted({probe.endpoint for probe in watch.probes}):
        probes = [probe for probe in watch.probes if probe.endpoint == name]
        failed = sum(not probe.ok for probe in probes)
        took = milliseconds(probe.took_s for probe in probes)
        figures[f"endpoint_{name}"] = {"probes": len(probes), "failed": failed} | took
    for role, samples in watch.memory_mib.items():
        mib = [round(weight) for _, weight in samples]
        growth = round(growth_per_minute(samples) * 100, 2)
        figures[f"mib_{role}"] = {
            "first": mib[0], "last": mib[-1], "max": max(mib), "growth_percent_per_min": growth,
        }  # fmt: skip
    return figures


def milliseconds(took_s: Iterable[float]) -> dict[str, float]:
    """p50, p99 and the longest."""
    ordered = sorted(took_s)
    if not ordered:
        return {}
    cuts = statistics.quantiles(ordered, n=100) if len(ordered) > 1 else ordered * 99
    seconds = {"p50_ms": cuts[49], "p99_ms": min(cuts[98], ordered[-1]), "max_ms": ordered[-1]}
    return {name: round(value * 1000, 1) for name, value in seconds.items()}
