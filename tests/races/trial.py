"""One trial of a race: fresh calls, one stop against up to three workers, and what became of every call."""

import asyncio
import copy
import itertools
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import asyncpg

from ringback.adapters.postgres.store import PostgresStore
from ringback.adapters.retell.events import report_from_call
from ringback.adapters.retell.wire import content_identity
from ringback.adapters.spoken_time import EnglishSpokenTime
from ringback.domain.attempt import DialAnswer, DialRequest
from ringback.domain.catalog import built_in_catalog
from ringback.domain.errors import Retryable
from ringback.flows.business_operations import business_actions
from ringback.flows.business_operations.action import ActionRequest, Reply, Scope
from ringback.flows.business_operations.runner import BusinessOperations
from ringback.messages import CallRequested
from tests.flows.call_processing.conftest import DialingStack as Stack
from tests.flows.call_processing.twins import NOT_SENT, ProviderTwin

#: A number's last seven digits; San Francisco has no shortage of them here.
FIRST_NUMBER = 6_120_000
#: How far apart the two sides may start, and how long a unit of work may dawdle before a statement or the commit.
SPREAD_S = 0.006
DAWDLE_S = 0.002
#: How much later the winner starts next time: soon close to even, then only as much as keeps it there.
FIRST_STEP_S, LAST_STEP_S = 0.003, 0.0005
#: The races go on for up to so many times the trials asked for if one side has never won.
MOST_ROUNDS = 10
#: Refused by the last nets, compare-and-set and the constraints, where the locks should have made it wait. Never seen
#: but with planted bugs.
CLASHES = (Retryable, asyncpg.IntegrityConstraintViolationError)


class Ledger(ProviderTwin):
    """The provider's own account of what it was asked to dial, by call."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.by_call: dict[str, list[str]] = defaultdict(list)
        self.unreachable_for: set[str] = set()

    async def dial(self, request: DialRequest, lease_deadline: float) -> DialAnswer:
        marks = request.metadata
        if marks["ringback_call_id"] in self.unreachable_for:
            return NOT_SENT
        self.by_call[marks["ringback_call_id"]].append(marks["ringback_attempt_id"])
        return await super().dial(request, lease_deadline)


class Unhurried:
    """A unit of work, or a repository of it, that dawdles before some statements, so that others come between them."""

    def __init__(self, unit: Any, rng: Random) -> None:
        self._unit, self._rng = unit, rng

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._unit, name)
        if not callable(found):
            return Unhurried(found, self._rng)  # a repository
        if not asyncio.iscoroutinefunction(found):
            return found  # no statement

        async def slowly(*args: Any, **named: Any) -> Any:
            await dawdle(self._rng)
            return await found(*args, **named)

        return slowly


async def dawdle(rng: Random) -> None:
    if rng.random() < 0.3:
        await asyncio.sleep(rng.random() * DAWDLE_S)


class UnhurriedStore(PostgresStore):
    def __init__(self, pool: Any, rng: Random) -> None:
        super().__init__(pool, clock_is_real=False)
        self._rng = rng

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with super().transaction() as unit:
            yield Unhurried(unit, self._rng)
            await dawdle(self._rng)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Any]:
        async with super().reading() as unit:
            yield Unhurried(unit, self._rng)


class RaceStack(Stack):
    """The dialing stack with the business actions, and without a limit that would slow the workers down."""

    def __init__(self, store: PostgresStore, pool: Any, clock: Any) -> None:
        super().__init__(store, pool, clock)
        self.with_policy(max_live_calls=10**6, calls_per_second=10**6)
        self.provider: Ledger = Ledger(clock)
        self._actions = business_actions(
            self.rules, built_in_catalog(), EnglishSpokenTime(), report_from_call, content_identity, clock.now
        )
        self._numbers = itertools.count(FIRST_NUMBER)

    def on_its_own(self, rng: Random) -> "RaceStack":
        """The same stack for one trial, its units of work dawdling as the trial's random numbers say."""
        twin = copy.copy(self)
        twin.store = UnhurriedStore(self.pool, rng)
        return twin

    def new_phone(self) -> str:
        return f"+1415{next(self._numbers)}"

    async def ask(self, action: str, args: dict[str, Any], **target: str) -> Reply:
        operations = BusinessOperations(self.store, self.clock, self._actions, self.rules)
        return await operations.perform(ActionRequest(action, Scope.SYSTEMS, f"key-{self.new_id()}", args, **target))

    async def messages_of(self, call_ids: list[str]) -> list[CallRequested]:
        """Every message that was ever published for the calls, as a queue may deliver them at any time."""
        published = "SELECT payload FROM outbox WHERE kind = 'call_message' AND call_id = ANY($1)"
        return [CallRequested(**row["payload"]) for row in await self.all(published, call_ids)]

    async def claims_of(self, call_ids: list[str]) -> frozenset[tuple[str, int]]:
        """Each attempt with how often it was claimed."""
        rows = await self.all("SELECT attempt_id, fence FROM attempts WHERE call_id = ANY($1)", call_ids)
        return frozenset((row["attempt_id"], row["fence"]) for row in rows)


@dataclass(frozen=True, slots=True)
class Answer:
    """The acknowledgement of a stop. `in_progress`: the attempts that it came too late for; `live`: their number."""

    says: str
    in_progress: frozenset[str] | None = None
    live: int | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """A call when everything has been delivered."""

    call_id: str
    task_status: str  # of the task that was raced for
    dials: tuple[str, ...]  # attempts, from the provider's ledger


@dataclass(frozen=True, slots=True)
class Race:
    """A stop, the calls it is raced for, and what its answer promises beside that nothing is claimed after it."""

    name: str
    prepare: Callable[[RaceStack, Random], Awaitable[list[CallRequested]]]
    stop: Callable[[RaceStack, list[CallRequested], Random], Awaitable[Answer]]
    broken: Callable[[Answer, list[Ended], RaceStack], list[str]]
    #: A stop of everything is raced alone.
    at_once: int = 6
    undo: Callable[[RaceStack], Awaitable[Any]] | None = None


@dataclass(slots=True)
class Tally:
    """How the trials of a race ended."""

    race: str
    seed: int
    answers: Counter[str] = field(default_factory=Counter)
    stop_was_first: int = 0
    claim_was_first: int = 0
    clashes: int = 0
    violations: list[str] = field(default_factory=list)
    #: By how much the stop starts later than the workers. It follows the winner, so that the race stays close.
    lead_s: float = 0.0

    def __str__(self) -> str:
        answers = ", ".join(f"{count} {says}" for says, count in sorted(self.answers.items()))
        return (
            f"{self.race}: seed {self.seed}, stop first {self.stop_was_first}, claim first {self.claim_was_first}"
            f" ({answers}), clashes {self.clashes}, violations {len(self.violations)}"
        )

    @property
    def both_sides_won(self) -> bool:
        return min(self.stop_was_first, self.claim_was_first) > 0

    def count(self, answer: Answer, calls: list[Ended]) -> None:
        self.answers[answer.says] += 1
        dialed = sum(bool(call.dials) for call in calls)
        self.claim_was_first += dialed > 0
        self.stop_was_first += dialed == 0
        step_s = max(FIRST_STEP_S / self.answers.total(), LAST_STEP_S)
        self.lead_s += -step_s if 2 * dialed >= len(calls) else step_s


async def run_race(race: Race, stack: RaceStack, *, trials: int, seed: int, until_broken: bool = False) -> Tally:
    """`until_broken`: stop at the first violation, for planted bugs."""
    tally, numbers = Tally(race.name, seed), itertools.count()

    def goes_on(number: int) -> bool:
        if until_broken:
            return number < trials and not tally.violations
        return number < trials or (number < MOST_ROUNDS * trials and not tally.both_sides_won)

    async def one_after_the_other() -> None:
        while goes_on(number := next(numbers)):
            await _run_trial(race, stack, tally, number)

    async with asyncio.TaskGroup() as group:
        for _ in range(race.at_once):
            group.create_task(one_after_the_other())
    return tally


async def _run_trial(race: Race, shared_stack: RaceStack, tally: Tally, number: int) -> None:
    rng = Random(f"{tally.seed}:{race.name}:{number}")
    stack = shared_stack.on_its_own(rng)
    in_hand = await race.prepare(stack, rng)
    call_ids = [message.call_id for message in in_hand]
    workers = [_work(stack, in_hand, Random(rng.random()), tally) for _ in range(rng.randint(1, 3))]
    stop = _stop(race, stack, in_hand, Random(rng.random()), tally)
    (answer, known), *_ = await asyncio.gather(stop, *workers)
    await _deliver_everything_again(stack, in_hand, rng, tally)
    calls = [await _ended(stack, message) for message in in_hand]
    tally.count(answer, calls)
    if race.undo is not None:
        await race.undo(stack)
    if answer.says != "clashed":
        claimed = await stack.claims_of(call_ids) - known
        late = [f"{len(claimed)} claimed after it was acknowledged"] if claimed else []
        late += [f"{len(call.dials)} dials of one task" for call in calls if len(call.dials) > 1]
        broken = late + race.broken(answer, calls, stack)
        tally.violations += [f"trial {number}, answered {answer.says}: {what} {call_ids}" for what in broken]


async def _stop(
    race: Race, stack: RaceStack, in_hand: list[CallRequested], rng: Random, tally: Tally
) -> tuple[Answer, frozenset[tuple[str, int]]]:
    """The answer, and the claims that another connection sees once it was given: they were committed before."""
    await asyncio.sleep(max(tally.lead_s, 0) + rng.random() * SPREAD_S)
    try:
        answer = await race.stop(stack, in_hand, rng)
    except CLASHES:
        tally.clashes += 1
        answer = Answer("clashed")
    return answer, await stack.claims_of([message.call_id for message in in_hand])


async def _work(stack: RaceStack, in_hand: list[CallRequested], rng: Random, tally: Tally) -> None:
    """Release what is due, then take every message once or twice, in any order."""
    await asyncio.sleep(max(-tally.lead_s, 0) + rng.random() * SPREAD_S)
    dispatched = [message for message in in_hand if message.dispatch]
    if len(dispatched) < len(in_hand):
        await stack.scheduled.release_due_calls()
    messages = dispatched + await stack.messages_of([message.call_id for message in in_hand])
    deliveries = [message for message in messages for _ in range(rng.randint(1, 2))]
    rng.shuffle(deliveries)
    await asyncio.gather(*(_place(stack, message, tally) for message in deliveries))


async def _place(stack: RaceStack, message: CallRequested, tally: Tally) -> None:
    try:
        await stack.place(message)
    except CLASHES:
        # The queue would deliver it again; the last delivery of the trial does.
        tally.clashes += 1


async def _deliver_everything_again(stack: RaceStack, in_hand: list[CallRequested], rng: Random, tally: Tally) -> None:
    """The scheduler's next pass, at times with its search for lost messages, and then every message once more."""
    await stack.scheduled.release_due_calls()
    if rng.random() < 0.1:
        now = stack.clock.now()
        await stack.store.redispatch_lost(now + timedelta(seconds=1), now, 500)
    for message in in_hand + await stack.messages_of([message.call_id for message in in_hand]):
        await _place(stack, message, tally)


async def _ended(stack: RaceStack, message: CallRequested) -> Ended:
    task = await stack.one("SELECT status FROM tasks WHERE task_id = $1", message.task_id)
    return Ended(message.call_id, task["status"], tuple(stack.provider.by_call[message.call_id]))
