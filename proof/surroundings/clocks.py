"""The wall clock is stepped by seconds and by hours, in the processes that dial and in those that keep the time."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

from proof.findings import Findings
from proof.harness.clock import LeapingClock
from proof.harness.databases import Databases
from proof.invariants import Invariant
from ringback.adapters.postgres.pool import Pool
from ringback.adapters.postgres.store import PostgresStore
from ringback.domain import eligibility
from ringback.domain.call import RetryPolicy, TaskKind
from ringback.domain.errors import ClockIsOff
from tests.flows.call_processing.conftest import DialingStack as Stack

I1, I2, I10 = Invariant.I1, Invariant.I2, Invariant.I10
#: Around the two seconds that are tolerated; then those of a wrong time server, a resumed machine, a time zone.
STEPS_S = (-1.5, 1.5, 2.6, -2.6, 30.0, -30.0, 3600.0, -3600.0, 7 * 3600.0, -25 * 3600.0, 9 * 86400.0)
RETRY = RetryPolicy(max_attempts=2, delay_s=(3600,), on=frozenset({"no_answer"}))
#: The database is asked a moment later, and sees the clock that much earlier.
MARGIN_S = 0.3


class TwoProcesses:
    """A worker and a scheduler, each with a clock of its own. Both compare it with the database's. The worker's
    provider keeps the ledger."""

    def __init__(self, pool: Pool, looks: bool) -> None:
        self.worker, self.scheduler = (
            Stack(PostgresStore(pool, clock_is_real=looks), pool, LeapingClock(monotonic_leaps=False)) for _ in range(2)
        )

    def step(self, worker_s: float, scheduler_s: float) -> None:
        self.worker.clock.ahead_s, self.scheduler.clock.ahead_s = worker_s, scheduler_s

    async def run_jobs(self) -> None:
        """One round of the scheduler's jobs. A job that refuses its clock is left out."""
        scheduled = self.scheduler.scheduled
        for job in (
            scheduled.release_due_calls,
            scheduled.publish_lost_calls,
            scheduled.end_expired_calls,
            self.scheduler.reconciliation.reconcile_due_attempts,
        ):
            try:
                await job()
            except ClockIsOff:
                continue

    async def dial(self) -> None:
        for message in await self.worker.published():
            await self.worker.place(message)


class _Trial:
    def __init__(self, processes: TwoProcesses, found: Findings, rng: Random, reproduce: str) -> None:
        self.processes, self.found, self.rng, self.reproduce = processes, found, rng, reproduce
        self.due: list[str] = []
        self.later: list[str] = []

    async def run(self, rounds: int) -> None:
        """In each round one clock or both are wrong while calls of every kind are open; then they are right again."""
        for number in range(rounds):
            worker_s, scheduler_s = self._steps(number)
            await self._accept()
            before = len(self.processes.worker.provider.dials)
            self.processes.step(worker_s, scheduler_s)
            for _ in range(2):
                await self.processes.run_jobs()
                await self.processes.dial()
            self._judge_wrong_time(len(self.processes.worker.provider.dials) - before, worker_s, scheduler_s)
            self.processes.step(0.0, 0.0)
            await self._judge_right_time(f"{worker_s:+g} s at the worker, {scheduler_s:+g} s at the scheduler")

    def _steps(self, number: int) -> tuple[float, float]:
        step_s = STEPS_S[number % len(STEPS_S)]
        return self.rng.choice([(step_s, step_s), (step_s, 0.0), (0.0, step_s)])

    async def _accept(self) -> None:
        """One due now, one for tomorrow that expires in half an hour after that, one with an attempt in progress."""
        worker, now = self.processes.worker, datetime.now(UTC)
        self.processes.step(0.0, 0.0)
        placed = await worker.accept(retry=RETRY, time_zone=None, expires_at=now + timedelta(days=2))
        await worker.place(placed)
        due = await worker.accept(retry=RETRY, due_at=now, time_zone=None, expires_at=now + timedelta(minutes=40))
        later = await worker.accept(
            kind=TaskKind.FIRST,
            retry=RETRY,
            due_at=now + timedelta(hours=2),
            time_zone=None,
            expires_at=now + timedelta(hours=3),
        )
        self.due += [placed.call_id, due.call_id]
        self.later.append(later.call_id)

    def _judge_wrong_time(self, dials: int, worker_s: float, scheduler_s: float) -> None:
        self.found.tried(I10)
        if dials and abs(worker_s) > eligibility.MAX_CLOCK_SKEW_S + MARGIN_S:
            self.found.broke(I10, f"{dials} dials by a clock that is {worker_s:+g} s off", self.reproduce)

    async def _judge_right_time(self, when: str) -> None:
        """Soon everything that is due is dialed, once; what is for later still waits, and nothing has ended."""
        worker = self.processes.worker
        # The eligibility check's own wait of five seconds is skipped: no longer wait may precede the dial.
        soon = datetime.now(UTC) + timedelta(seconds=eligibility.SKEW_RETRY_S + 1)
        await worker.all("UPDATE tasks SET due_at = now() WHERE status = 'pending' AND due_at <= $1 RETURNING 1", soon)
        for _ in range(2):
            await self.processes.run_jobs()
            await self.processes.dial()
        calls = await worker.all("SELECT call_id, status, final FROM calls")
        dialed = Counter(request.metadata["ringback_call_id"] for request in worker.provider.dials)
        self.found.tried(I1, I2, cases=len(calls))
        for call in calls:
            wanted = 1 if call["call_id"] in self.due else 0
            if dialed[call["call_id"]] > wanted:
                self.found.broke(I2, f"{call} was dialed {dialed[call['call_id']]} times ({when})", self.reproduce)
            if dialed[call["call_id"]] < wanted or call["final"] or call["status"] == "unknown":
                self.found.broke(I1, f"{call} was dialed {dialed[call['call_id']]} times ({when})", self.reproduce)


async def step(databases: Databases, found: Findings, rounds: int, *, looks: bool = True) -> None:
    """`looks`: eligibility check and scheduler compare the clocks."""
    async with databases.pool("clock") as pool:
        processes = TwoProcesses(pool, looks)
        await _Trial(processes, found, Random(f"{found.seed} clock"), f"seed {found.seed}, {rounds} rounds").run(rounds)


async def step_without_look(databases: Databases, found: Findings) -> None:
    await step(databases, found, len(STEPS_S), looks=False)
