"""I9 over hours: call messages come twice, out of order, in the middle of a dial and long after everything is over."""

from collections import Counter
from random import Random

from proof.findings import Findings
from proof.harness.databases import Databases
from proof.invariants import Invariant
from ringback.adapters.postgres.store import PostgresStore
from ringback.domain.attempt import Attempt, DialRequest
from ringback.domain.call import RetryPolicy, TaskStatus
from ringback.flows import call_processing
from ringback.messages import CallRequested
from ringback.storage import UnitOfWork
from tests.fixed_clock import FixedClock
from tests.flows.call_processing.conftest import DialingStack as Stack

I2, I9 = Invariant.I2, Invariant.I9
RETRY = RetryPolicy(max_attempts=2, delay_s=(3600,), on=frozenset({"no_answer"}))
STEPS_S = (0.0, 0.0, 1.0, 40.0, 90.0, 900.0, 3700.0, 4 * 3600.0)


class _Story:
    """Every message that was ever published is kept, and may come at any time. Half of the contacts answer."""

    def __init__(self, stack: Stack, rng: Random) -> None:
        self.stack, self.rng = stack, rng
        self.published: list[CallRequested] = []
        self.answers: dict[str, bool] = {}
        self._dialing = False
        stack.provider.during_dial = self._redeliver

    async def _redeliver(self, request: DialRequest) -> None:
        """The visibility is over in the middle of the dial: another worker gets the same message."""
        if not self._dialing:
            self._dialing = True
            of_call = [one for one in self.published if one.call_id == request.metadata["ringback_call_id"]]
            for message in of_call:
                await self.stack.place(message)
            self._dialing = False

    async def accept(self, calls: int) -> None:
        for number in range(calls):
            message = await self.stack.accept(retry=RETRY)
            self.answers[message.call_id] = number % 2 == 0
            self.published.append(message)

    async def step(self) -> None:
        stack = self.stack
        stack.clock.advance(self.rng.choice(STEPS_S))
        await stack.scheduled.publish_lost_calls()
        self.published += await stack.release()
        for message in self.rng.sample(self.published, min(4, len(self.published))):
            await stack.place(message)
        await self._report_calls()

    async def _report_calls(self) -> None:
        """Retell reports of each dialed contact whether it has answered."""
        open_attempts = await self.stack.all("SELECT * FROM attempts WHERE verdict_type IS NULL AND state = 'placed'")
        for row in open_attempts:
            say = self.stack.provider.talked if self.answers[row["call_id"]] else self.stack.provider.no_answer
            await self.stack.hear(row["call_id"], say(row["attempt_id"], row["provider_call_id"]))

    async def finish(self) -> None:
        for _ in range(6):
            for message in self.published:
                await self.stack.place(message)
            await self._report_calls()
            self.stack.clock.advance(3700.0)
            await self.stack.reconcile()
            self.published += await self.stack.release()
        self.rng.shuffle(self.published)
        for message in [*self.published, *self.published]:
            await self.stack.place(message)

    def judge(self, found: Findings, reproduce: str) -> None:
        dials = self.stack.provider.dials
        of_attempt = Counter(request.metadata["ringback_attempt_id"] for request in dials)
        of_call = Counter(request.metadata["ringback_call_id"] for request in dials)
        found.tried(I2, cases=len(of_attempt))
        for attempt_id, count in of_attempt.items():
            if count > 1:
                found.broke(I2, f"attempt {attempt_id} was sent {count} times", reproduce)
        found.tried(I9, cases=len(self.answers))
        for call_id, answers in self.answers.items():
            if of_call[call_id] != (1 if answers else 2):
                found.broke(I9, f"{call_id} was dialed {of_call[call_id]} times, answers: {answers}", reproduce)


class _Forgetful(call_processing.CallProcessing):
    """The claim does not consume its dispatch."""

    async def _write_ahead(self, tx: UnitOfWork, case: call_processing._Case, instance: str) -> Attempt:
        attempt = await super()._write_ahead(tx, case, instance)
        case.task.status = TaskStatus.DISPATCHED
        await tx.save(case.task)
        return attempt


class _ForgetfulStack(Stack):
    @property
    def processing(self) -> call_processing.CallProcessing:
        return _Forgetful(self.store, self.provider, self.clock, self.new_id, self.rules)


async def deliver(databases: Databases, found: Findings, calls: int, kind: type[Stack] = Stack) -> None:
    async with databases.pool("late") as pool:
        stack = kind(PostgresStore(pool, clock_is_real=False), pool, FixedClock())
        story = _Story(stack, Random(f"{found.seed} late messages"))
        await story.accept(calls)
        for _ in range(calls):
            await story.step()
        await story.finish()
        story.judge(found, f"seed {found.seed}, {calls} calls")


async def deliver_to_forgetful_claims(databases: Databases, found: Findings) -> None:
    await deliver(databases, found, 4, _ForgetfulStack)
