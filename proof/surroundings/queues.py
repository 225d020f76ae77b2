"""I9 and I16: both queues do their worst to calls and webhooks, with poison among the messages."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from proof.findings import Findings
from proof.harness.clients import place
from proof.harness.databases import Databases
from proof.harness.oracle import Blame, Expected, Observed
from proof.harness.ports import listening
from proof.harness.processes import API_KEY, RETELL_KEYS, Processes
from proof.harness.product import running_product
from proof.invariants import Invariant
from proof.surroundings.chaotic_queue import CALM, Chaos, ChaoticQueue
from proof.surroundings.judging import judge_calls
from proof.surroundings.outages import QUEUES, aws_environment
from ringback import consumer
from ringback.adapters.postgres.message_queue import PostgresQueue
from ringback.adapters.postgres.pool import open_pool
from ringback.adapters.sqs.queue import open_sqs_queue
from ringback.loops import Loop
from ringback.ports import MessageQueue, OutgoingMessage, ReceivedMessage
from ringback.wiring import Dependencies
from tests.loopback import free_ports
from tests.sqs_server import AWS, create_queue, sqs_client
from tests.stories.running_system import SystemClient, new_call

I9, I16 = Invariant.I9, Invariant.I16

#: By the emulator's scenario, as without any fault; the queues must not change it.
EXPECTED = {
    scenario: Expected(f"scenario {scenario}", {status}, range(rings, rings + 1))
    for scenario, rings, status in (
        ("00", 1, "completed"),
        ("01", 1, "failed"),
        ("02", 2, "failed"),
        ("05", 1, "partially_completed"),
    )
}
BLAME = Blame(status=I9, too_few_rings=I9, too_many_rings=I9)
RETRY = {"max_attempts": 2, "delay_s": [1], "on": ["busy"]}
SPEED = 60.0
#: Without any progress. A slow machine still makes some.
STUCK_AFTER_S = 120.0
#: The most that SQS permits; chaos must not make a good message one that was received too often.
MOST_RECEIVES = 1000
MANY = 500
FEW = 20

DEEP = "[" * 5000
#: Refused at once, because they mean nothing …
HOPELESS = ("poison", "{}", '{"type":"CallRequested","v":"first"}', '{"type":"CallRequested","v":1,"call_id":7}')
#: … and those that break their handler, each time until the queue's limit.
BREAKING = {
    "calls": (DEEP, '{"type":"CallRequested","v":1,"call_id":"a\\u0000b","task_id":"t","dispatch":1}'),
    "events": (DEEP,),
}


@dataclass
class Queues:
    """The two queues of a product: `calm` has the receive limit of production, `wild` one that chaos cannot reach."""

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
        """Sends every earlier message again, as if it had been on its way for hours."""
        for queue in self.chaotic.values():
            bodies = list(queue.sent)
            self.rng.shuffle(bodies)
            for start in range(0, len(bodies), 10):
                await queue.inner.send([OutgoingMessage(body) for body in bodies[start : start + 10]])
        return sum(len(queue.sent) for queue in self.chaotic.values())


@dataclass
class Running:
    """The product in this process, and its clients."""

    deps: Dependencies
    client: SystemClient


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


async def postgres_wild(deps: Dependencies, stack: AsyncExitStack) -> dict[str, MessageQueue]:
    queues: dict[str, MessageQueue] = {}
    for name in ("calls", "events"):
        queues[name] = PostgresQueue(deps.pool, f"wild-{name}", max_receives=10**6)
        stack.push_async_callback(queues[name].close)
    return queues


async def run_queues(
    databases: Databases, story: Story, settings: Mapping[str, str], open_wild: WildQueues = postgres_wild
) -> None:
    """Runs every service in this process, with the emulated Retell as one of its own. There is no Engage: its events
    stay in the outbox, in their order. `settings` name the two queues if they are not the embedded ones."""
    rng = Random(f"{story.seed} queues {story.kind}")
    queues = Queues(rng)
    product_port, retell_port = free_ports(2)
    url, retell_url = f"http://127.0.0.1:{product_port}", f"http://127.0.0.1:{retell_port}"
    environment = {
        **RETELL_KEYS,
        "RINGBACK_DATABASE_URL": await databases.copy("queues"),
        "RETELL_BASE_URL": retell_url,
        "RINGBACK_API_KEY": API_KEY,
        **settings,
    }
    with Processes(databases.home / f"queues-{story.kind}") as processes:
        retell = {"port": retell_port, "webhook_url": f"{url}/retell/webhook", "speed": SPEED}
        await asyncio.to_thread(processes.start_emulators, retell)
        async with AsyncExitStack() as stack, _quick_retries():
            product = running_product(environment, listening(product_port), around_queue=queues.around)
            deps = await stack.enter_async_context(product)
            wild_stack = await stack.enter_async_context(AsyncExitStack())
            queues.wild = await open_wild(deps, wild_stack)
            running = Running(deps, SystemClient(url, API_KEY, retell_url, ""))
            await poison_story(story, running, queues, rng)
            await chaos_story(story, running, queues, rng)


def run_queues_on_sqs(databases: Databases, found: Findings, calls: int) -> None:
    """The same on the queues of an SQS server."""
    with Processes(databases.home / "queues-server") as processes:
        endpoint = processes.start_sqs(free_ports(1)[0])
        client = sqs_client(endpoint)
        urls = {name: create_queue(client, name) for name in QUEUES}
        wild = {name: create_queue(client, f"wild-{name}", MOST_RECEIVES) for name in QUEUES}
        settings = {
            "AWS_REGION": AWS["AWS_REGION"],
            "AWS_ENDPOINT_URL_SQS": endpoint,
            "RINGBACK_CALL_QUEUE": urls["calls"],
            "RINGBACK_EVENT_QUEUE": urls["events"],
        }

        async def open_wild(_: Dependencies, stack: AsyncExitStack) -> dict[str, MessageQueue]:
            queues: dict[str, MessageQueue] = {}
            for name, url in wild.items():
                queues[name] = await open_sqs_queue(url, region=AWS["AWS_REGION"])
                stack.push_async_callback(queues[name].close)
            return queues

        with aws_environment(endpoint):
            asyncio.run(run_queues(databases, Story(found, found.seed, "SQS", calls), settings, open_wild))


@asynccontextmanager
async def _quick_retries() -> AsyncIterator[None]:
    """Five tries in a second instead of in minutes; the limit is the queue's and does not depend on the waits."""
    first_s, consumer.FIRST_RETRY_S = consumer.FIRST_RETRY_S, 0.0
    try:
        yield
    finally:
        consumer.FIRST_RETRY_S = first_s


async def chaos_story(story: Story, running: Running, queues: Queues, rng: Random) -> None:
    queues.go_wild(Chaos())
    scenarios = await place_calls(running, rng, story.calls, first=0)
    await finish(running, list(scenarios))
    sent = await queues.send_all_again()
    queues.calm_down()
    await until_empty(queues.wild.values())
    story.found.counts[f"{story.kind}_queue_faults"] = sum(queue.faults for queue in queues.chaotic.values())
    story.found.counts[f"{story.kind}_messages_sent_again"] = sent
    await judge(story, running, scenarios)


async def place_calls(running: Running, rng: Random, count: int, first: int) -> dict[str, str]:
    """By call id, the scenario."""
    scenarios = [rng.choice(sorted(EXPECTED)) for _ in range(count)]

    def place_one(number: int) -> str:
        body = new_call(f"+1415555{first + number:04d}", metadata={"emulator_scenario": scenarios[number]})
        return place(running.client, {**body, "retry": RETRY})

    call_ids = await asyncio.gather(*(asyncio.to_thread(place_one, number) for number in range(count)))
    return dict(zip(call_ids, scenarios, strict=True))


async def finish(running: Running, call_ids: Sequence[str]) -> None:
    """Until they are final or nothing moves; the oracle finds those that are not."""
    is_open = "SELECT count(*) FROM calls WHERE NOT final AND call_id = ANY($1::text[])"
    least, moved_at = len(call_ids) + 1, time.monotonic()
    while time.monotonic() - moved_at < STUCK_AFTER_S:
        left = await running.deps.pool.fetchval(is_open, call_ids)
        if not left:
            return
        if left < least:
            least, moved_at = left, time.monotonic()
        await asyncio.sleep(0.1)


async def until_empty(queues: Iterable[MessageQueue]) -> None:
    """Until no message waits, or their number falls no more."""
    for queue in queues:
        least, moved_at = 10**9, time.monotonic()
        while (depth := await queue.depth()) and time.monotonic() - moved_at < STUCK_AFTER_S:
            if depth < least:
                least, moved_at = depth, time.monotonic()
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)


async def judge(story: Story, running: Running, scenarios: Mapping[str, str]) -> None:
    pool, call_ids = running.deps.pool, list(scenarios)
    rings = await asyncio.to_thread(running.client.rings)
    calls = await pool.fetch("SELECT call_id, status, final FROM calls")
    attempts = await pool.fetch("SELECT call_id, attempt_id, state, provider_call_id FROM attempts ORDER BY number")
    outbox = await pool.fetch("SELECT message_id, payload FROM outbox WHERE kind = 'abt_event' ORDER BY id")
    told = [{"id": row["message_id"], "signature_ok": True, "event": row["payload"]} for row in outbox]
    seen = Observed(rings, told, [dict(row) for row in calls], [dict(row) for row in attempts])
    expected = {call_id: EXPECTED[scenarios[call_id]] for call_id in call_ids}
    story.found.tried(I9, cases=len(call_ids))
    judge_calls(story.found, seen, expected, story.reproduce, BLAME)


async def poison_story(story: Story, running: Running, queues: Queues, rng: Random) -> None:
    """Among good calls: each poison ends in the dead letters, every call ends as it should, and so again after a
    replay of all dead letters, good ones that were consumed long ago among them."""
    bodies = {name: [*HOPELESS, *BREAKING[name]] for name in queues.calm}
    for name, queue in queues.calm.items():
        await queue.send([OutgoingMessage(body) for body in bodies[name]])
    scenarios = await place_calls(running, rng, max(3, story.calls // 4), first=5000)
    await finish(running, list(scenarios))
    await _judge_dead(story, queues.calm, bodies)
    consumed = [body for body in queues.chaotic["calls"].sent if '"CallRequested"' in body]
    for _ in range(2 if story.calls > FEW else 1):
        await asyncio.gather(*(_put_aside(queues.calm["calls"], body) for body in consumed[:2]))
        for queue in queues.calm.values():
            await queue.replay(None)
            await queue.replay(None)
        await until_empty(queues.calm.values())
        await _judge_dead(story, queues.calm, bodies)
    await judge(story, running, scenarios)


async def _put_aside(queue: MessageQueue, body: str) -> None:
    """Makes a good message a dead letter, which the product would not."""
    await queue.send([OutgoingMessage(body)])
    for message in await queue.receive(1, 0, 30):
        if message.body == body:
            await queue.dead_letter(message, "by hand")


async def _judge_dead(story: Story, queues: Mapping[str, MessageQueue], bodies: Mapping[str, Sequence[str]]) -> None:
    for name, queue in queues.items():
        await judge_dead_letters(story.found, queue, bodies[name], f"{story.reproduce}, queue {name}")


async def judge_dead_letters(found: Findings, queue: MessageQueue, poison: Sequence[str], reproduce: str) -> None:
    """I16: the dead letters are exactly the poison."""
    found.tried(I16, cases=len(poison))
    wanted, give_up_at = Counter(poison), asyncio.get_running_loop().time() + STUCK_AFTER_S
    while True:
        dead = Counter(letter.body for letter in await queue.dead_letters(MANY))
        if dead == wanted or asyncio.get_running_loop().time() > give_up_at:
            break
        await asyncio.sleep(0.1)
    for body in (wanted - dead).elements():
        found.broke(I16, f"not in the dead letters: {body[:60]!r}", reproduce)
    for body in (dead - wanted).elements():
        found.broke(I16, f"in the dead letters without a reason: {body[:60]!r}", reproduce)


async def plant_poison_that_vanishes(databases: Databases, found: Findings) -> None:
    """A consumer that acknowledges what it cannot handle: the same oracle must miss the poison."""

    class Careless(consumer.Consumer):
        async def _handle_failure(self, message: ReceivedMessage, error: Exception) -> None:
            self._forget([message])
            await self._queue.delete([message.receipt])
            self._leave(1)

    async def refuse(_: Sequence[ReceivedMessage]) -> None:
        raise ZeroDivisionError

    seen = Findings("planted", 0)
    pool = await open_pool(await databases.copy("planted"), max_size=4)
    queue, stop = PostgresQueue(pool, "calls"), asyncio.Event()
    await queue.send([OutgoingMessage("poison")])
    pace = consumer.ConsumerConfig(max_in_flight=4, wait_s=0.2)
    careless = Careless(queue, refuse, pace, loop=Loop("consumer", "planted"), rng=Random(0))
    running = asyncio.create_task(careless.run(stop))
    await until_empty([queue])
    stop.set()
    await running
    if [letter.body for letter in await queue.dead_letters(MANY)] != ["poison"]:
        seen.broke(I16, "poison is gone", "planted")
    await queue.close()
    pool.terminate()
    found.plant("what cannot be handled is acknowledged", bool(seen.violations), I16)
