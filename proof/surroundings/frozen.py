"""Call processors are stopped before, in and after their create request, past their lease, and resumed."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import psutil

from proof.findings import Findings, Say
from proof.harness.clients import place
from proof.harness.databases import rows
from proof.harness.forks import Tell, fork
from proof.harness.processes import QUICK_SETTINGS, Processes, wait_for
from proof.harness.waiting import until_final
from proof.invariants import Invariant
from proof.surroundings.judging import judge_all
from ringback.adapters.postgres.groups import Grouping
from ringback.adapters.postgres.store import PostgresStore
from ringback.cli.settings import start_logs
from ringback.config import LEASE_MARGIN_S, read_settings
from ringback.failpoints import Failpoint, arm
from ringback.services import call_processor
from tests.loopback import free_ports
from tests.stories.running_system import RunningSystem, new_call, wait_until

I1, I2, I16 = Invariant.I1, Invariant.I2, Invariant.I16
CREATE_TIMEOUT_S = 1.0
LEASE_S = CREATE_TIMEOUT_S + LEASE_MARGIN_S
#: After the lease; the last worker to freeze counts.
FROZEN_S = LEASE_S + 3.0
#: A send is decided before its lease is over; the emulator writes down a ring when it has read the whole request.
MARGIN_S = 1.0
CREATE_LATENCY_S = 0.4
#: The workers stay frozen until then: a blocked product never rings, and a slow machine has time.
OTHERS_RING_WITHIN_S = 180.0
#: A backlog would delay the calls that are accepted after the freeze, and say nothing about the frozen workers.
MOST_OPEN = 20
_DEAD = "SELECT count(*) FROM queue_messages WHERE dead_at IS NOT NULL"
_OPEN = "SELECT count(*) FROM calls WHERE NOT final AND call_id = ANY($1::text[])"


@dataclass(frozen=True, slots=True)
class Freeze:
    """One worker: its point, at which of its calls, and how long after it. Without a point, at a drawn moment."""

    point: Failpoint | None
    nth: int = 1
    after_s: float = 0.0


#: Four at once at most. Each may have received the same message before, and the fifth receive is the last.
FREEZES = (
    (
        Freeze(Failpoint.CLAIM_WRITTEN),
        Freeze(Failpoint.VOICEMAIL_LEARNT, 2),
        Freeze(Failpoint.DIAL_SENDING),
        Freeze(Failpoint.GROUP_COUNTED),
    ),
    (
        Freeze(Failpoint.CLAIM_COMMITTED),
        Freeze(Failpoint.DIAL_SENDING, 2, CREATE_LATENCY_S / 2),
        Freeze(Failpoint.GROUP_COMMITTED, 2),
    ),
    (
        Freeze(Failpoint.DIAL_ACCEPTED),
        Freeze(Failpoint.ANSWER_WRITTEN),
        Freeze(None),
    ),
)


@dataclass(frozen=True, slots=True)
class Variant:
    """Whether Retell honours idempotency keys, and how long the product resends with one."""

    idempotency: bool
    same_key_window_s: int

    def __str__(self) -> str:
        return f"idempotency {'on' if self.idempotency else 'off'}, same-key window {self.same_key_window_s} s"

    def settings(self, retell_url: str) -> dict[str, str]:
        return {
            **QUICK_SETTINGS,
            "RETELL_BASE_URL": retell_url,
            "RINGBACK_CREATE_TIMEOUT_S": f"{CREATE_TIMEOUT_S:g}",
            "RINGBACK_SAME_KEY_WINDOW_S": str(self.same_key_window_s),
            "RINGBACK_UNKNOWN_LOOKUPS_S": "1,2,4,12",
            "RINGBACK_CALLS_PER_SECOND": "20",
        }


VARIANTS = (Variant(idempotency=False, same_key_window_s=0), Variant(idempotency=True, same_key_window_s=2700))


def freezing_worker(spec: tuple[Mapping[str, str], int, Freeze], _: Tell) -> None:
    """A call processor that stops itself at its point, as SIGSTOP does."""
    settings, port, freeze = spec
    seen = 0

    def stop(reached: Failpoint) -> None:
        nonlocal seen
        seen += reached is freeze.point
        if reached is freeze.point and seen == freeze.nth:
            if freeze.after_s:
                threading.Timer(freeze.after_s, os.kill, (os.getpid(), signal.SIGSTOP)).start()
            else:
                os.kill(os.getpid(), signal.SIGSTOP)

    read = read_settings(settings, emulated=False)
    start_logs(read)
    if freeze.point is not None and freeze.point.startswith("group."):
        PostgresStore.grouping = Grouping.ALWAYS
    arm(stop if freeze.point else None)
    call_processor.run(read, "127.0.0.1", port)


class _Story:
    def __init__(self, home: Path, variant: Variant, found: Findings, say: Say, seed: int) -> None:
        self.variant, self.found, self.say = variant, found, say
        self.rng = Random(f"{seed} frozen {variant}")
        self.reproduce = f"seed {seed}, {variant}"
        self.processes = Processes(home / "processes")
        self.retell_port, port_of_up, *self.worker_ports = free_ports(2 + sum(map(len, FREEZES)))
        self.settings = variant.settings(f"http://127.0.0.1:{self.retell_port}")
        self.system = RunningSystem(home / "up", self.settings, port=port_of_up)
        self.call_ids: list[str] = []
        self.workers: list[psutil.Process] = []
        self.frozen: dict[int, float] = {}

    @property
    def database_url(self) -> str:
        return str(self.system.ready["database_url"])

    def run(self) -> None:
        try:
            with self.processes:
                self._start()
                for freezes in FREEZES:
                    workers = self._start_workers(freezes)
                    self._freeze_all(workers)
                    self._others_go_on()
                    for worker in workers:
                        worker.send_signal(signal.SIGCONT)
                    took_s = asyncio.run(until_final(self.database_url, self.call_ids))
                    self.say(f"{self.variant}: {len(self.call_ids)} calls settled {took_s:.0f} s after the thaw")
                self._judge()
        finally:
            for worker in self.workers:
                worker.kill()
            self.system.discard()

    def _start(self) -> None:
        """`up` is the worker that goes on."""
        # Before the product: its first start asks the provider whether it is emulated.
        self.processes.start_emulators(
            {
                "port": self.retell_port,
                "webhook_url": f"http://127.0.0.1:{self.system.port}/retell/webhook",
                "speed": 20.0,
                "idempotency": self.variant.idempotency,
                "create_latency_s": CREATE_LATENCY_S,
            }
        )
        self.system.start()

    def _start_workers(self, freezes: Sequence[Freeze]) -> dict[psutil.Process, Freeze]:
        """Start workers that share the queue of `up` and will freeze."""
        settings = {**self.settings, "RINGBACK_DATABASE_URL": self.database_url}
        ports = [self.worker_ports.pop() for _ in freezes]
        workers = {}
        for port, freeze in zip(ports, freezes, strict=True):
            worker, _ = fork(freezing_worker, (settings, port, freeze), self.processes.home / "workers.log")
            self.workers.append(psutil.Process(worker.pid))
            workers[self.workers[-1]] = freeze
        wait_for(*(f"http://127.0.0.1:{port}/readyz" for port in ports))
        return workers

    def _place(self, count: int) -> list[str]:
        placed = []
        for _ in range(count):
            phone = f"+1415555{len(self.call_ids):04d}"
            placed.append(place(self.system.client, new_call(phone, metadata={"emulator_scenario": "00"})))
            self.call_ids.append(placed[-1])
        return placed

    def _freeze_all(self, workers: Mapping[psutil.Process, Freeze]) -> None:
        """Places calls until every worker has reached its point. Workers without one are stopped at a drawn moment."""
        give_up_at = time.monotonic() + 300
        before = len(self.frozen)
        while len(self.frozen) < before + len(workers) and time.monotonic() < give_up_at:
            if rows(self.database_url, _OPEN, self.call_ids)[0]["count"] < MOST_OPEN:
                self._place(3)
            time.sleep(self.rng.uniform(0.1, 0.5))
            for worker, freeze in workers.items():
                if freeze.point is None and self.rng.random() < 0.2 and worker.pid not in self.frozen:
                    worker.send_signal(signal.SIGSTOP)
                if worker.status() == psutil.STATUS_STOPPED:
                    self.frozen.setdefault(worker.pid, time.monotonic())
        frozen = len(self.frozen) - before
        self.say(f"{self.variant}: {frozen} of {len(workers)} workers frozen, {len(self.call_ids)} calls")

    def _others_go_on(self) -> None:
        """While they are frozen, calls that are accepted now ring. Then all leases are over."""
        fresh = set(self._place(6))
        self.found.tried(I1, cases=len(fresh))
        try:
            wait_until(lambda: self._rung(fresh), OTHERS_RING_WITHIN_S, "the others dial")
        except AssertionError:
            self.found.broke(I1, "a frozen worker keeps the others from dialing", self.reproduce)
        time.sleep(max(0.0, max(self.frozen.values()) + FROZEN_S - time.monotonic()))

    def _rung(self, call_ids: set[str]) -> bool:
        return any(ring["metadata"]["ringback_call_id"] in call_ids for ring in self.system.client.rings())

    def _judge(self) -> None:
        client = self.system.client
        judge_all(self.found, client, self.database_url, self.call_ids, self.reproduce)
        query = "SELECT attempt_id, claimed_at FROM attempts WHERE NOT resent"
        claimed = {row["attempt_id"]: row["claimed_at"] for row in rows(self.database_url, query)}
        for ring in client.rings():
            at = claimed.get(ring["metadata"]["ringback_attempt_id"])
            if at is not None and datetime.fromisoformat(ring["rang_at"]) > at + timedelta(seconds=LEASE_S + MARGIN_S):
                self.found.broke(I2, f"rang after its lease: {ring['metadata']}", self.reproduce)
        if dead := rows(self.database_url, _DEAD)[0]["count"]:
            self.found.broke(I16, f"{dead} messages with nothing wrong about them are dead", self.reproduce)
        key = f"frozen_workers_{'on' if self.variant.idempotency else 'off'}"
        self.found.counts |= {key: len(self.frozen), f"{key}_calls": len(self.call_ids)}


def freeze(home: Path, variant: Variant, say: Say, seed: int) -> Findings:
    """Returns findings of its own, because the variants run at the same time: they mostly wait."""
    found = Findings("surroundings", seed)
    _Story(home, variant, found, say, seed).run()
    return found
