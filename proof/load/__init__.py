"""Twice the load that one machine sustains: shed with a plain answer, nothing accepted is lost, memory stays flat.

The suite measures what the machine sustains, offers twice that, waits until everything is done, and looks.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import psutil

from benchmarks.payloads import EVENTS
from proof.findings import Findings, Say, Size
from proof.invariants import Invariant
from proof.load import oracle
from proof.load.system import LoadedSystem, loaded_system
from proof.load.traffic import ACCEPTS, BARRED, LATER, NOW, WEBHOOK, Answered
from proof.load.watch import Watch, exchange

#: In this proportion; few are dialed, so that the load is on the endpoints and not on the emulator.
MIXTURE: Mapping[str, float] = {LATER: 60.0, BARRED: 4.0, NOW: 1.0, WEBHOOK: 35.0}
FACTOR = 2.0
MEASURING_CONNECTIONS = 64
#: Retell repeats what was refused; here often, because the flood is over.
REPEATS_AT_MOST = 50
FLOODS_AT_MOST = 3
MEASURED_AT_MOST = 4


class CannotOverload(Exception):
    """The machine answered nothing while it was measured, or accepted everything: nothing is shown of an overload."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Times in seconds. `alone_s` is spent on each endpoint by itself, only for its figure. A flood of which less than
    the share `shed_at_least` was refused was none."""

    seeded_calls: int
    alone_s: float
    measure_s: float
    flood_s: float
    connections: int
    finish_s: float
    watch_every_s: float
    shed_at_least: float


PLANS = {
    Size.SMALL: Plan(
        seeded_calls=100,
        alone_s=0.0,
        measure_s=0.6,
        flood_s=1.2,
        connections=600,
        finish_s=90.0,
        watch_every_s=0.4,
        shed_at_least=0.0,
    ),
    Size.FULL: Plan(
        seeded_calls=3000,
        alone_s=5.0,
        measure_s=8.0,
        flood_s=140.0,
        connections=2000,
        finish_s=300.0,
        watch_every_s=1.0,
        shed_at_least=0.1,
    ),
}


def run(size: Size, seed: int, say: Say) -> Findings:
    plan = PLANS[size]
    findings = Findings("load", seed, settings={**asdict(plan), "mixture": dict(MIXTURE), "factor": FACTOR})
    with loaded_system(seed, plan.seeded_calls) as target:
        _Course(plan, target, findings, say).run()
    return findings


class _Course:
    def __init__(self, plan: Plan, target: LoadedSystem, findings: Findings, say: Say) -> None:
        self._plan = plan
        self._target = target
        self._findings = findings
        self._say = say
        self._answers: list[Answered] = []
        self._reproduce = f"seed {findings.seed}, plan {plan}"

    def run(self) -> None:
        self._flood_until_it_sheds(self._measure())
        self._repeat_refused_webhooks()
        began = time.monotonic()
        left = self._target.drain(self._plan.finish_s)
        self._note("settled_in_s", time.monotonic() - began)
        if any(left.values()):
            self._broke(f"not settled within {self._plan.finish_s:g} s: {left}")
        stored = oracle.look(self._target)
        oracle.judge(self._findings, self._reproduce, stored, self._answers, self._target.requests)
        oracle.plant(self._findings, self._target, self._answers, stored)

    def _flood_until_it_sheds(self, sustained: float) -> None:
        """Another program may have slowed the machine while it was measured. Then the flood's own rate is the better
        measure, and the flood is repeated."""
        for _ in range(FLOODS_AT_MOST):
            self._target.drain(self._plan.finish_s)
            answers = self._flood(sustained)
            shed = sum(answer.shed for answer in answers) / len(answers)
            if shed >= self._plan.shed_at_least:
                return
            sustained = max(sustained, sum(answer.accepted for answer in answers) / self._plan.flood_s)
        raise CannotOverload(f"only {shed:.0%} were shed at {sustained * FACTOR:.0f} requests a second")

    def _measure(self) -> float:
        """Requests a second of the mixture, each connection sending as soon as it was answered."""
        accepts = {kind: MIXTURE[kind] for kind in ACCEPTS}
        for name, mixture in (("accepts", accepts), ("webhooks", {WEBHOOK: 1.0})):
            if self._plan.alone_s:
                self._note(f"sustained_{name}_alone_per_s", self._closed_loop(name, mixture, self._plan.alone_s))
        # On a busy machine nothing at all may be answered within the shortest time.
        for times in range(MEASURED_AT_MOST):
            if rate := self._closed_loop("mixture", MIXTURE, self._plan.measure_s * 2**times):
                self._note("sustained_per_s", rate)
                return rate
        raise CannotOverload(f"nothing was accepted within {self._plan.measure_s * 2**times:g} s")

    def _closed_loop(self, name: str, mixture: Mapping[str, float], seconds: float) -> float:
        answers = self._drive(name, dict(mixture), seconds, MEASURING_CONNECTIONS, is_closed_loop=True)
        # The first third is for connections, and for everything that happens at first use.
        warm_s = seconds / 3
        taken = sum(answer.accepted and warm_s < answer.due_s + answer.took_s < seconds for answer in answers)
        return taken / (seconds - warm_s)

    def _flood(self, sustained: float) -> list[Answered]:
        plan, target = self._plan, self._target
        rates = {kind: share / sum(MIXTURE.values()) * sustained * FACTOR for kind, share in MIXTURE.items()}
        processes = self._long_lived()
        self._note("offered_per_s", sustained * FACTOR)
        with Watch(target.port, target.requests, target.up_pid, plan.watch_every_s) as watch:
            answers = self._drive("flood", rates, plan.flood_s, plan.connections)
        if died := processes - self._long_lived():
            self._broke(f"{len(died)} processes died")
        for line in target.system.logged("error"):
            self._broke(f"logged as an error: {line.get('event')}")
        for name, figure in oracle.describe(answers, watch, plan.flood_s).items():
            self._note(name, figure)
        oracle.judge_answers(self._findings, self._reproduce, answers)
        oracle.judge_endpoints(self._findings, self._reproduce, watch.probes)
        oracle.judge_memory(self._findings, self._reproduce, watch, with_growth=plan.flood_s > 60)
        return answers

    def _drive(
        self, name: str, rates: dict[str, float], seconds: float, connections: int, *, is_closed_loop: bool = False
    ) -> list[Answered]:
        """Each kind of request goes on with its next number."""
        first: dict[str, int] = {}
        for answer in self._answers:
            first[answer.kind] = max(first.get(answer.kind, 0), answer.number + 1)
        load = self._target.load(rates, first, seconds, connections)
        answers = self._target.drive(replace(load, is_closed_loop=is_closed_loop), name)
        self._answers += answers
        return answers

    def _repeat_refused_webhooks(self) -> None:
        """Afterwards each call that had any webhook has had all of them."""
        requests = self._target.requests
        offered = [answer for answer in self._answers if answer.kind == WEBHOOK]
        taken = {requests.subject(answer.number) for answer in offered if answer.accepted}
        calls = sorted({requests.subject(answer.number)[1] for answer in offered})
        missing = [(event, call) for call in calls for event in EVENTS if (event, call) not in taken]
        self._note("webhooks_repeated", len(missing))
        for event, call in missing:
            number = requests.number_of(event, call)
            for tried in range(REPEATS_AT_MOST):
                status, _ = exchange(self._target.port, requests.make(WEBHOOK, number))
                if status == 204:
                    break
                time.sleep(0.1 * (tried + 1))
            self._answers.append(Answered(WEBHOOK, number, 0.0, 0.0, 0.0, status))

    def _long_lived(self) -> set[tuple[int, float]]:
        """`up`, the emulators and the postmaster; backends come and go."""
        up = psutil.Process(self._target.up_pid)
        return {(process.pid, process.create_time()) for process in [up, *up.children()]}

    def _note(self, name: str, figure: object) -> None:
        self._findings.counts[name] = round(figure, 1) if isinstance(figure, float) else figure
        self._say(f"{name}: {self._findings.counts[name]}")

    def _broke(self, what: str) -> None:
        self._findings.broke(Invariant.I1, what, self._reproduce)
