"""I9 and I16: both queues do their worst to calls and webhooks, with poison among the messages."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from unittest import mock

from proof.findings import Findings
from proof.harness.clients import place
from proof.harness.databases import Databases
from proof.harness.oracle import Blame, Observed, expected_of
from proof.harness.ports import listening
from proof.harness.processes import API_KEY, RETELL_KEYS, Processes
from proof.harness.product import running_product
from proof.harness.waiting import STUCK_AFTER_S, until_final, until_none
from proof.invariants import Invariant
from proof.surroundings.chaotic_queue import CALM, Chaos, ChaoticQueue
from proof.surroundings.judging import judge_calls
from proof.surroundings.outages import QUEUES, aws_environment
from ringback import consumer
from ringback.adapters.postgres.message_queue import PostgresQueue
from ringback.adapters.postgres.pool import Pool
from ringback.adapters.sqs.queue import open_sqs_queue
from ringback.loops import Loop
from ringback.ports import MessageQueue, OutgoingMessage, ReceivedMessage
from tests.loopback import free_ports
from tests.sqs_server import AWS, create_queue, sqs_client
from tests.stories.running_system import SystemClient, new_call

I9, I16 = Invariant.I9, Invariant.I16

#: By the emulator's scenario, as without any fault; the queues must not change it.
EXPECTED = {**{scenario: expected_of(scenario) for scenario in ("00", "01", "05")}, "02": expected_of("02", dials=2)}
BLAME = Blame(status=I9, too_few_rings=I9, too_many_rings=I9)
RETRY = {"max_attempts": 2, "delay_s": [1], "on": ["busy"]}
SPEED = 60.0
#: The most that SQS permits; chaos must not make a good message one that was received too often.
MOST_RECEIVES = 1000
MANY = 500
FEW = 20

DEEP = "[" * 5000
#: Refused at once, because they mean nothing …
HOPELESS = ("poison", "{}", '{"type":"CallRequested","v":"first"}', '{"type":"CallRequested","v":1,"call_id":7}')
#: … and those that break their handler, each time until the queue's limit.
POISON = {
    "calls": (*HOPELESS, DEEP, '{"type":"CallRequested","v":1,"call_id":"a\\u0000b","task_id":"t","dispatch":1}'),
    "events": (*HOPELESS, DEEP),
}

OpenWild = Callable[[Pool, AsyncExitStack], Awaitable[Mapping[str, MessageQueue]]]


@dataclass
class Story:
    """The two queues of a product: `calm` has the receive limit of production, `wild` one that chaos cannot reach."""

    found: Findings
    kind: str
    calls: int
    database_url: str
    pool: Pool
    client: SystemClient
    rng: Random
    calm: dict[str, MessageQueue]
    chaotic: dict[str, ChaoticQueue]
    wild: Mapping[str, MessageQueue] = field(default_factory=dict)

    @property
    def reproduce(self) -> str:
        return f"seed {self.found.seed}, {self.kind} queues, {self.calls} calls"

    async def place(self, count: int, first: int) -> dict[str, str]:
        """By call id, the scenario; when they are final, or nothing moves any more."""
        scenarios = [self.rng.choice(sorted(EXPECTED)) for _ in range(count)]

        def place_one(number: int) -> str:
            body = new_call(f"+1415555{first + number:04d}", metadata={"emulator_scenario": scenarios[number]})
            return place(self.client, {**body, "retry": RETRY})

        call_ids = await asyncio.gather(*(asyncio.to_thread(place_one, number) for number in range(count)))
        await until_final(self.database_url, call_ids, with_engage=False)
        return dict(zip(call_ids, scenarios, strict=True))

    async def chaos(self) -> None:
        for name, queue in self.chaotic.items():
            queue.inner, queue.chaos = self.wild[name], Chaos()
        scenarios = await self.place(self.calls, first=0)
        # Every earlier message again, as if it had been on its way for hours.
        for queue in self.chaotic.values():
            bodies = list(queue.sent)
            self.rng.shuffle(bodies)
            for start in range(0, len(bodies), 10):
                await queue.inner.send([OutgoingMessage(body) for body in bodies[start : start + 10]])
        sent = sum(len(queue.sent) for queue in self.chaotic.values())
        for queue in self.chaotic.values():
            queue.chaos = CALM
        await _until_empty(*self.wild.values())
        self.found.counts[f"{self.kind}_queue_faults"] = sum(queue.faults for queue in self.chaotic.values())
        self.found.counts[f"{self.kind}_messages_sent_again"] = sent
        await self.judge(scenarios)

    async def poison(self) -> None:
        """Among good calls: each poison ends in the dead letters, every call ends as it should, and so again after a
        replay of all dead letters, good ones that were consumed long ago among them."""
        for name, queue in self.calm.items():
            await queue.send([OutgoingMessage(body) for body in POISON[name]])
        scenarios = await self.place(max(3, self.calls // 4), first=5000)
        await self._judge_dead()
        consumed = [body for body in self.chaotic["calls"].sent if '"CallRequested"' in body]
        for _ in range(2 if self.calls > FEW else 1):
            await asyncio.gather(*(_put_aside(self.calm["calls"], body) for body in consumed[:2]))
            for queue in self.calm.values():
                await queue.replay(None)
                await queue.replay(None)
            await _until_empty(*self.calm.values())
            await self._judge_dead()
        await self.judge(scenarios)

    async def judge(self, scenarios: Mapping[str, str]) -> None:
        rings = await asyncio.to_thread(self.client.rings)
        calls, attempts, outbox = [
            [dict(row) for row in await self.pool.fetch(query)]
            for query in (
                "SELECT call_id, status, final FROM calls",
                "SELECT call_id, attempt_id, state, provider_call_id FROM attempts ORDER BY number",
                "SELECT message_id, payload FROM outbox WHERE kind = 'abt_event' ORDER BY id",
            )
        ]
        told = [{"id": row["message_id"], "signature_ok": True, "event": row["payload"]} for row in outbox]
        expected = {call_id: EXPECTED[scenario] for call_id, scenario in scenarios.items()}
        self.found.tried(I9, cases=len(scenarios))
        judge_calls(self.found, Observed(rings, told, calls, attempts), expected, self.reproduce, BLAME)

    async def _judge_dead(self) -> None:
        for name, queue in self.calm.items():
            await judge_dead_letters(self.found, queue, POISON[name], f"{self.reproduce}, queue {name}")


async def _postgres_wild(pool: Pool, stack: AsyncExitStack) -> Mapping[str, MessageQueue]:
    queues = {name: PostgresQueue(pool, f"wild-{name}", max_receives=10**6) for name in QUEUES}
    for queue in queues.values():
        stack.push_async_callback(queue.close)
    return queues


async def misbehave(
    databases: Databases,
    found: Findings,
    calls: int,
    kind: str = "embedded",
    settings: Mapping[str, str] | None = None,
    open_wild: OpenWild = _postgres_wild,
) -> None:
    """Runs every service in this process, with the emulated Retell as one of its own. There is no Engage: its events
    stay in the outbox, in their order. `settings` name the two queues if they are not the embedded ones."""
    rng = Random(f"{found.seed} queues {kind}")
    calm: dict[str, MessageQueue] = {}
    chaotic: dict[str, ChaoticQueue] = {}

    def around(real: MessageQueue, name: str) -> MessageQueue:
        calm[name], chaotic[name] = real, ChaoticQueue(real, rng, CALM)
        return chaotic[name]

    product_port, retell_port = free_ports(2)
    url, retell_url = f"http://127.0.0.1:{product_port}", f"http://127.0.0.1:{retell_port}"
    database_url = await databases.copy("queues")
    environment = {
        **RETELL_KEYS,
        "RINGBACK_DATABASE_URL": database_url,
        "RETELL_BASE_URL": retell_url,
        "RINGBACK_API_KEY": API_KEY,
        **(settings or {}),
    }
    # Five tries in a second instead of in minutes; the limit is the queue's and does not depend on the waits.
    quick = mock.patch.object(consumer, "FIRST_RETRY_S", 0.0)
    with Processes(databases.home / f"queues-{kind}") as processes, quick:
        retell = {"port": retell_port, "webhook_url": f"{url}/retell/webhook", "speed": SPEED}
        await asyncio.to_thread(processes.start_emulators, retell)
        async with AsyncExitStack() as stack:
            product = running_product(environment, listening(product_port), around_queue=around)
            deps = await stack.enter_async_context(product)
            client = SystemClient(url, API_KEY, retell_url, "")
            story = Story(found, kind, calls, database_url, deps.pool, client, rng, calm, chaotic)
            story.wild = await open_wild(deps.pool, await stack.enter_async_context(AsyncExitStack()))
            await story.poison()
            await story.chaos()


def misbehave_on_sqs(databases: Databases, found: Findings, calls: int) -> None:
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

        async def open_wild(_: Pool, stack: AsyncExitStack) -> Mapping[str, MessageQueue]:
            queues = {name: await open_sqs_queue(url, region=AWS["AWS_REGION"]) for name, url in wild.items()}
            for queue in queues.values():
                stack.push_async_callback(queue.close)
            return queues

        with aws_environment(endpoint):
            asyncio.run(misbehave(databases, found, calls, "SQS", settings, open_wild))


async def _until_empty(*queues: MessageQueue) -> None:
    for queue in queues:
        await until_none(queue.depth)
    await asyncio.sleep(0.3)


async def _put_aside(queue: MessageQueue, body: str) -> None:
    """Makes a good message a dead letter, which the product would not."""
    await queue.send([OutgoingMessage(body)])
    for message in await queue.receive(1, 0, 30):
        if message.body == body:
            await queue.dead_letter(message, "by hand")


async def judge_dead_letters(found: Findings, queue: MessageQueue, poison: Sequence[str], reproduce: str) -> None:
    """I16: the dead letters are exactly the poison."""
    found.tried(I16, cases=len(poison))
    wanted, give_up_at = Counter(poison), asyncio.get_running_loop().time() + STUCK_AFTER_S
    while (dead := Counter(letter.body for letter in await queue.dead_letters(MANY))) != wanted:
        if asyncio.get_running_loop().time() > give_up_at:
            break
        await asyncio.sleep(0.1)
    for body in (wanted - dead).elements():
        found.broke(I16, f"not in the dead letters: {body[:60]!r}", reproduce)
    for body in (dead - wanted).elements():
        found.broke(I16, f"in the dead letters without a reason: {body[:60]!r}", reproduce)


class _Careless(consumer.Consumer):
    """Acknowledges what it cannot handle."""

    async def _handle_failure(self, message: ReceivedMessage, error: Exception) -> None:
        self._forget([message])
        await self._queue.delete([message.receipt])
        self._leave(1)


async def acknowledge_poison(databases: Databases, found: Findings) -> None:
    async def refuse(_: Sequence[ReceivedMessage]) -> None:
        raise ZeroDivisionError

    async with databases.pool("planted", max_size=4) as pool:
        queue, stop = PostgresQueue(pool, "calls"), asyncio.Event()
        await queue.send([OutgoingMessage("poison")])
        pace = consumer.ConsumerConfig(max_in_flight=4, wait_s=0.2)
        careless = _Careless(queue, refuse, pace, loop=Loop("consumer", "planted"), rng=Random(0))
        running = asyncio.create_task(careless.run(stop))
        await _until_empty(queue)
        stop.set()
        await running
        if [letter.body for letter in await queue.dead_letters(MANY)] != ["poison"]:
            found.broke(I16, "poison is gone", "planted")
        await queue.close()
