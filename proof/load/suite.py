"""The course of the suite: measure what the machine sustains, offer twice that, let it settle, and look."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import psutil

from benchmarks.payloads import EVENTS
from proof.findings import Findings, Say, Size
from proof.invariants import Invariant
from proof.load import oracle, planted
from proof.load.answers import Answered, milliseconds
from proof.load.ground import Ground, open_ground
from proof.load.requests import ACCEPTS, BARRED, LATER, NOW, WEBHOOK
from proof.load.watch import Knock, Watch, exchange, growth_per_minute
from proof.load.world import look, settle

#: In this proportion; few are dialed, so that the load is on the doors and not on the emulator.
MIXTURE: Mapping[str, float] = {LATER: 60.0, BARRED: 4.0, NOW: 1.0, WEBHOOK: 35.0}
FACTOR = 2.0
MEASURING_CONNECTIONS = 64
#: Retell repeats what was refused; here with patience, because the flood is over.
REPEATS_AT_MOST = 50
FLOODS_AT_MOST = 3
MEASURED_AT_MOST = 4


class NothingTaken(Exception):
    """The machine answered nothing while it was measured, however long: there is no twice of it."""


class NeverTooMuch(Exception):
    """The machine took everything that was offered: nothing is shown of an overload."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Times in seconds. `alone_s` is spent on each door by itself, only to know its figure. A flood of which less than
    the share `shed_at_least` was sent away was none."""

    seeded_calls: int
    alone_s: float
    measure_s: float
    flood_s: float
    connections: int
    settle_s: float
    watch_every_s: float
    shed_at_least: float


PLANS = {
    Size.SMALL: Plan(100, 0.0, 0.6, 1.2, 600, 90.0, 0.4, 0.0),
    Size.FULL: Plan(3000, 5.0, 8.0, 140.0, 2000, 300.0, 1.0, 0.1),
}


def run(size: Size, seed: int, say: Say) -> Findings:
    plan = PLANS[size]
    findings = Findings("load", seed, settings={**asdict(plan), "mixture": dict(MIXTURE), "factor": FACTOR})
    with open_ground(seed, plan.seeded_calls) as ground:
        _Course(plan, ground, findings, say).run()
    return findings


class _Course:
    def __init__(self, plan: Plan, ground: Ground, findings: Findings, say: Say) -> None:
        self._plan = plan
        self._ground = ground
        self._findings = findings
        self._say = say
        self._answers: list[Answered] = []

    @property
    def _reproduce(self) -> str:
        return f"seed {self._findings.seed}, plan {self._plan}"

    def run(self) -> None:
        self._flood_until_it_is_too_much(self._measure())
        self._repeat_refused_webhooks()
        began = time.monotonic()
        left = settle(self._ground.database_url, self._plan.settle_s)
        self._findings.counts["settled_in_s"] = round(time.monotonic() - began, 1)
        if any(left.values()):
            self._broke(f"not settled within {self._plan.settle_s:g} s: {left}")
        self._look_back()

    def _flood_until_it_is_too_much(self, sustained: float) -> None:
        """Another program may have slowed the machine while it was measured: then the flood was none, and its own rate
        is the better measure."""
        for _ in range(FLOODS_AT_MOST):
            settle(self._ground.database_url, self._plan.settle_s)
            answers = self._flood(sustained)
            shed = sum(answer.shed for answer in answers) / len(answers)
            if shed >= self._plan.shed_at_least:
                return
            sustained = max(sustained, sum(answer.accepted for answer in answers) / self._plan.flood_s)
        raise NeverTooMuch(f"only {shed:.0%} were sent away at {sustained * FACTOR:.0f} requests a second")

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
        raise NothingTaken(f"within {self._plan.measure_s * 2**times:g} s")

    def _closed_loop(self, name: str, mixture: Mapping[str, float], seconds: float) -> float:
        load = self._ground.load(dict(mixture), self._numbers(), seconds, MEASURING_CONNECTIONS)
        answers = self._drive(replace(load, is_closed_loop=True), name)
        # Its first third is for connecting, and for what everything does when it is asked first.
        warm_s = seconds / 3
        return sum(answer.accepted and warm_s < answer.due_s + answer.took_s < seconds for answer in answers) / (
            seconds - warm_s
        )

    def _flood(self, sustained: float) -> list[Answered]:
        total = sum(MIXTURE.values())
        rates = {kind: share / total * sustained * FACTOR for kind, share in MIXTURE.items()}
        load = self._ground.load(rates, self._numbers(), self._plan.flood_s, self._plan.connections)
        pids = self._long_lived()
        self._note("offered_per_s", sustained * FACTOR)
        self._say(f"offers {sustained * FACTOR:.0f} requests a second for {self._plan.flood_s:g} s")
        with Watch(self._ground.port, self._ground.requests, self._up_pid, self._plan.watch_every_s) as watch:
            answers = self._drive(load, "flood")
        if died := pids - self._long_lived():
            self._broke(f"{len(died)} processes died")
        for line in self._ground.system.logged("error"):
            self._broke(f"logged as an error: {line.get('event')}")
        self._describe(answers, watch)
        oracle.judge_answers(self._findings, self._reproduce, answers)
        oracle.judge_doors(self._findings, self._reproduce, watch.knocks)
        oracle.judge_memory(self._findings, self._reproduce, watch, with_growth=self._plan.flood_s > 60)
        return answers

    def _drive(self, load: object, name: str) -> list[Answered]:
        answers = self._ground.drive(load, name)  # type: ignore[arg-type]
        self._answers += answers
        return answers

    def _numbers(self) -> dict[str, int]:
        """The number each kind goes on with."""
        first: dict[str, int] = {}
        for answer in self._answers:
            first[answer.kind] = max(first.get(answer.kind, 0), answer.number + 1)
        return first

    def _describe(self, answers: Sequence[Answered], watch: Watch) -> None:
        seconds = self._plan.flood_s
        for door, kinds in (("accepts", ACCEPTS), ("webhooks", (WEBHOOK,))):
            mine = [answer for answer in answers if answer.kind in kinds]
            accepted = [answer.took_s for answer in mine if answer.accepted]
            shed = [answer.took_s for answer in mine if answer.shed]
            self._note(f"{door}_offered_per_s", len(mine) / seconds)
            self._note(f"{door}_accepted_per_s", len(accepted) / seconds)
            self._note(f"{door}_shed_per_s", len(shed) / seconds)
            self._note(f"{door}_accepted", milliseconds(accepted))
            self._note(f"{door}_shed", milliseconds(shed))
        self._note("requests", len(answers))
        for door in sorted({knock.door for knock in watch.knocks}):
            self._note(f"door_{door}", _door([knock for knock in watch.knocks if knock.door == door]))
        for role, samples in watch.memory_mib.items():
            weights = [round(mib) for _, mib in samples]
            growth = round(growth_per_minute(samples) * 100, 2)
            told = {"first": weights[0], "last": weights[-1], "max": max(weights), "growth_percent_per_min": growth}
            self._note(f"mib_{role}", told)

    def _repeat_refused_webhooks(self) -> None:
        """Of the calls that anything was said of; afterwards each of them has heard everything."""
        requests = self._ground.requests
        offered = [requests.subject(answer.number) for answer in self._answers if answer.kind == WEBHOOK]
        taken = {
            requests.subject(answer.number) for answer in self._answers if answer.kind == WEBHOOK and answer.accepted
        }
        calls = sorted({call for _, call in offered})
        missing = [(event, call) for call in calls for event in EVENTS if (event, call) not in taken]
        self._note("webhooks_repeated", len(missing))
        for event, call in missing:
            number = requests.number_of(event, call)
            self._answers.append(self._repeat(number))

    def _repeat(self, number: int) -> Answered:
        for tried in range(REPEATS_AT_MOST):
            status, _ = exchange(self._ground.port, self._ground.requests.make(WEBHOOK, number))
            if status == 204:
                break
            time.sleep(0.1 * (tried + 1))
        return Answered(WEBHOOK, number, 0.0, 0.0, 0.0, status)

    def _look_back(self) -> None:
        ground, findings = self._ground, self._findings
        world = look(ground.database_url, ground.system.client)
        oracle.judge(findings, self._reproduce, world, self._answers, ground.requests)
        planted.plant(findings, ground, self._answers, world)

    @property
    def _up_pid(self) -> int:
        assert self._ground.system.process is not None, "started with the ground"
        return self._ground.system.process.pid

    def _long_lived(self) -> set[tuple[int, float]]:
        """`up`, the emulators and the postmaster; backends come and go."""
        up = psutil.Process(self._up_pid)
        return {(process.pid, process.create_time()) for process in [up, *up.children()]}

    def _note(self, name: str, figure: object) -> None:
        self._findings.counts[name] = round(figure, 1) if isinstance(figure, float) else figure
        self._say(f"{name}: {self._findings.counts[name]}")

    def _broke(self, what: str) -> None:
        self._findings.broke(Invariant.I1, what, self._reproduce)


def _door(knocks: Sequence[Knock]) -> dict[str, float]:
    return {"knocks": len(knocks), "failed": sum(not knock.ok for knock in knocks)} | milliseconds(
        knock.took_s for knock in knocks
    )
