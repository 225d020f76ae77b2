"""I9 and I16: both queues do their worst to calls and webhooks, and poison lies among them."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

import asyncpg

from proof.findings import Findings
from proof.invariants import Invariant
from proof.surroundings.chaotic_queue import CALM, Chaos, ChaoticQueue
from proof.surroundings.ground import Ground
from proof.surroundings.house import House, open_house
from proof.surroundings.oracle import judge_ends, judge_rings, judge_telling, rings_of_calls
from proof.surroundings.town import Town
from ringback import consumer
from ringback.adapters.postgres.message_queue import PostgresQueue
from ringback.adapters.postgres.pool import open_pool
from ringback.loops import Loop
from ringback.ports import MessageQueue, OutgoingMessage, ReceivedMessage
from ringback.wiring import Dependencies
from tests.loopback import free_ports
from tests.stories.running_system import new_call

I9, I16 = Invariant.I9, Invariant.I16

#: Scenario → (rings, how the call ends) with no fault at all; the queues must not change it.
EXPECTED = {"00": (1, "completed"), "01": (1, "failed"), "02": (2, "failed"), "05": (1, "partially_completed")}
RETRY = {"max_attempts": 2, "delay_s": [1], "on": ["busy"]}
SETTLED_WITHIN_S = 120.0
MANY = 500
FEW = 20

DEEP = "[" * 5000
#: Refused at once, because nothing can be made of them …
HOPELESS = ("poison", "{}", '{"type":"CallRequested","v":"first"}', '{"type":"CallRequested","v":1,"call_id":7}')
#: … and those that break whoever handles them, each time until the queue's limit.
BREAKING = {
    "calls": (DEEP, '{"type":"CallRequested","v":1,"call_id":"a\\u0000b","task_id":"t","dispatch":1}'),
    "events": (DEEP,),
}


@dataclass
class Queues:
    """The two queues of a house: `calm` has the receive limit of production, `wild` one that chaos cannot reach."""

    rng: Random
    wild: Mapping[str, MessageQueue] = field(default_factory=dict)
    calm: dict[str, MessageQueue] = field(default_factory=dict)
    chaotic: dict[str, ChaoticQueue] = field(default_factory=dict)

    def around(self, real: MessageQueue, name: str) -> MessageQueue:
        self.calm[name] = real
        self.chaotic[name] = ChaoticQueue(real, self.rng, CALM)
        return self.chaotic[name]

    def go_wild(self, chaos: Chaos) -> None:
        for name, queue in self.chaotic.items():
            queue.inner, queue.chaos = self.wild[name], chaos

    def calm_down(self) -> None:
        for queue in self.chaotic.values():
            queue.chaos = CALM

    async def send_all_again(self) -> int:
        """What was ever sent, as if it had been on its way for hours."""
        for queue in self.chaotic.values():
            bodies = list(queue.sent)
            self.rng.shuffle(bodies)
            for start in range(0, len(bodies), 10):
                await queue.inner.send([OutgoingMessage(body) for body in bodies[start : start + 10]])
        return sum(len(queue.sent) for queue in self.chaotic.values())


@dataclass
class Story:
    found: Findings
    seed: int
    kind: str
    calls: int

    @property
    def reproduce(self) -> str:
        return f"seed {self.seed}, {self.kind} queues, {self.calls} calls"


WildQueues = Callable[[Dependencies, AsyncExitStack], Any]


async def postgres_wild(parts: Dependencies, stack: AsyncExitStack) -> dict[str, MessageQueue]:
    queues: dict[str, MessageQueue] = {}
    for name in ("calls", "events"):
        queues[name] = PostgresQueue(parts.pool, f"wild-{name}", max_receives=10**6)
        stack.push_async_callback(queues[name].close)
    return queues


async def run_queues(
    ground: Ground, story: Story, settings: Mapping[str, str], open_wild: WildQueues = postgres_wild
) -> None:
    """`settings` name the two queues if they are not the embedded ones."""
    rng = Random(f"{story.seed} queues {story.kind}")
    queues = Queues(rng)
    database_url = await ground.database("queues")
    ports = free_ports(2)
    with Town(ground.home / f"queues-{story.kind}") as town:
        async with AsyncExitStack() as stack, _quick_retries():
            opened = open_house(town, (ports[0], ports[1]), database_url, queues.around, settings)
            house = await stack.enter_async_context(opened)
            wild_stack = await stack.enter_async_context(AsyncExitStack())
            queues.wild = await open_wild(house.parts, wild_stack)
            await poison_story(story, house, queues, rng)
            await chaos_story(story, house, queues, rng)


@asynccontextmanager
async def _quick_retries() -> AsyncIterator[None]:
    """Five tries in a second instead of in minutes; the limit is the queue's, whatever the waits are."""
    first_s, consumer.FIRST_RETRY_S = consumer.FIRST_RETRY_S, 0.0
    try:
        yield
    finally:
        consumer.FIRST_RETRY_S = first_s


async def chaos_story(story: Story, house: House, queues: Queues, rng: Random) -> None:
    queues.go_wild(Chaos())
    scenarios = await place_calls(house, rng, story.calls, first=0)
    await settle(house, list(scenarios))
    sent = await queues.send_all_again()
    queues.calm_down()
    await until_empty(queues.wild.values())
    story.found.counts[f"{story.kind}_queue_faults"] = sum(queue.faults for queue in queues.chaotic.values())
    story.found.counts[f"{story.kind}_messages_sent_again"] = sent
    await judge(story, house, scenarios)


async def place_calls(house: House, rng: Random, count: int, first: int) -> dict[str, str]:
    """By call id, the scenario."""
    scenarios = [rng.choice(sorted(EXPECTED)) for _ in range(count)]

    def place(number: int) -> str:
        body = new_call(f"+1415555{first + number:04d}", metadata={"emulator_scenario": scenarios[number]})
        key = {"Idempotency-Key": f"chaos-{first + number}"}
        while (answer := house.doors.ask("POST", "/v1/calls", {**body, "retry": RETRY}, key)).status == 503:
            time.sleep(1.0)  # as it says: again later, with the same key
        assert answer.status == 202, (answer.status, answer.body)
        call_id: str = answer.body["call_id"]
        return call_id

    call_ids = await asyncio.gather(*(asyncio.to_thread(place, number) for number in range(count)))
    return dict(zip(call_ids, scenarios, strict=True))


async def settle(house: House, call_ids: Sequence[str]) -> None:
    """Until they are final or the patience is over; what is not is the oracle's business."""
    give_up_at = asyncio.get_running_loop().time() + SETTLED_WITHIN_S
    while asyncio.get_running_loop().time() < give_up_at:
        open_calls = "SELECT count(*) FROM calls WHERE NOT final AND call_id = ANY($1::text[])"
        if not await house.parts.pool.fetchval(open_calls, call_ids):
            return
        await asyncio.sleep(0.1)


async def until_empty(queues: Any) -> None:
    """Nothing waits; what is being worked on when it is looked at has been there before."""
    give_up_at = asyncio.get_running_loop().time() + SETTLED_WITHIN_S
    for queue in queues:
        while await queue.depth() and asyncio.get_running_loop().time() < give_up_at:
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)


async def judge(story: Story, house: House, scenarios: Mapping[str, str]) -> None:
    found, pool = story.found, house.parts.pool
    rings = [ring for ring in await asyncio.to_thread(house.doors.rings) if _call_of(ring) in scenarios]
    call_ids = list(scenarios)
    rows = await pool.fetch("SELECT call_id, status, final FROM calls WHERE call_id = ANY($1::text[])", call_ids)
    attempts = await pool.fetchval("SELECT count(*) FROM attempts WHERE call_id = ANY($1::text[])", call_ids)
    judge_rings(found, rings, attempts, story.reproduce)
    judge_ends(found, {row["call_id"]: row["final"] for row in rows}, story.reproduce)
    judge_telling(found, await _told(pool, call_ids), call_ids, story.reproduce)
    found.tried(I9, cases=len(rows))
    rung = rings_of_calls(rings)
    for row in rows:
        scenario = scenarios[row["call_id"]]
        seen = (rung[row["call_id"]], row["status"])
        if seen != EXPECTED[scenario]:
            found.broke(I9, f"scenario {scenario}: {seen} instead of {EXPECTED[scenario]}", story.reproduce)


def _call_of(ring: Mapping[str, Any]) -> str:
    return str(ring["metadata"]["ringback_call_id"])


async def _told(pool: "asyncpg.Pool[asyncpg.Record]", call_ids: Sequence[str]) -> list[dict[str, Any]]:
    rows = await pool.fetch(
        "SELECT message_id, payload FROM outbox WHERE kind = 'abt_event' AND call_id = ANY($1::text[]) ORDER BY id",
        call_ids,
    )
    return [{"id": row["message_id"], "event": row["payload"]} for row in rows]


async def poison_story(story: Story, house: House, queues: Queues, rng: Random) -> None:
    """Among good calls: each poison ends in the dead letters, every call ends as it should, and so again after a
    replay of all dead letters, good ones that were consumed long ago among them."""
    bodies = {name: [*HOPELESS, *BREAKING[name]] for name in queues.calm}
    for name, queue in queues.calm.items():
        await queue.send([OutgoingMessage(body) for body in bodies[name]])
    scenarios = await place_calls(house, rng, max(3, story.calls // 4), first=5000)
    await settle(house, list(scenarios))
    await _judge_dead(story, queues.calm, bodies)
    consumed = [body for body in queues.chaotic["calls"].sent if '"CallRequested"' in body]
    for _ in range(2 if story.calls > FEW else 1):
        await asyncio.gather(*(_put_aside(queues.calm["calls"], body) for body in consumed[:2]))
        for queue in queues.calm.values():
            await queue.replay(None)
            await queue.replay(None)
        await until_empty(queues.calm.values())
        await _judge_dead(story, queues.calm, bodies)
    await judge(story, house, scenarios)


async def _put_aside(queue: MessageQueue, body: str) -> None:
    """A good message as a dead letter. It is sent and put aside by hand, because nothing else would give it up."""
    await queue.send([OutgoingMessage(body)])
    for message in await queue.receive(1, 0, 30):
        if message.body == body:
            await queue.dead_letter(message, "by hand")


async def _judge_dead(story: Story, queues: Mapping[str, MessageQueue], bodies: Mapping[str, Sequence[str]]) -> None:
    for name, queue in queues.items():
        await judge_dead_letters(story.found, queue, bodies[name], f"{story.reproduce}, queue {name}")


async def judge_dead_letters(found: Findings, queue: MessageQueue, poison: Sequence[str], reproduce: str) -> None:
    """I16: exactly the poison lies there."""
    found.tried(I16, cases=len(poison))
    wanted, give_up_at = Counter(poison), asyncio.get_running_loop().time() + 30
    while True:
        dead = Counter(letter.body for letter in await queue.dead_letters(MANY))
        if dead == wanted or asyncio.get_running_loop().time() > give_up_at:
            break
        await asyncio.sleep(0.1)
    for body in (wanted - dead).elements():
        found.broke(I16, f"not in the dead letters: {body[:60]!r}", reproduce)
    for body in (dead - wanted).elements():
        found.broke(I16, f"in the dead letters without a reason: {body[:60]!r}", reproduce)


async def plant_poison_that_vanishes(ground: Ground, found: Findings) -> None:
    """A consumer that acknowledges what it cannot handle: the same oracle must miss the poison."""

    class Careless(consumer.Consumer):
        async def _handle_failure(self, message: ReceivedMessage, error: Exception) -> None:
            self._forget([message])
            await self._queue.delete([message.receipt])
            self._leave(1)

    async def refuse(_: Sequence[ReceivedMessage]) -> None:
        raise ZeroDivisionError

    seen = Findings("planted", 0)
    pool = await open_pool(await ground.database("planted"), max_size=4)
    queue, stop = PostgresQueue(pool, "calls"), asyncio.Event()
    await queue.send([OutgoingMessage("poison")])
    pace = consumer.ConsumerConfig(max_in_flight=4, wait_s=0.2)
    careless = Careless(queue, refuse, pace, loop=Loop("consumer", "planted"), rng=Random(0))
    running = asyncio.create_task(careless.run(stop))
    await until_empty([queue])
    stop.set()
    await running
    await _judge_now(seen, queue)
    await queue.close()
    pool.terminate()
    found.plant("what cannot be handled is acknowledged", bool(seen.violations), I16)


async def _judge_now(seen: Findings, queue: MessageQueue) -> None:
    if [letter.body for letter in await queue.dead_letters(MANY)] != ["poison"]:
        seen.broke(I16, "poison is gone", "planted")
