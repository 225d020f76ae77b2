"""Both queues with one interface: a table in PostgreSQL, and Amazon SQS in the emulator `ministack`."""

import asyncio
import json
import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
from aiobotocore.session import AioSession, get_session

from ringback.adapters.postgres.message_queue import PostgresQueue
from ringback.adapters.sqs.queue import open_sqs_queue
from ringback.ports import MessageQueue
from tests.loopback import answers, free_ports
from tests.postgresql import execute, named
from tests.sqs_server import health_of, sqs_server
from tests.stories.running_system import wait_until

MAX_RECEIVES = 2


@pytest.fixture(scope="session")
def sqs_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One SQS server for the test process, ended with it."""
    home = tmp_path_factory.mktemp("ministack")
    port = free_ports(1)[0]
    command, environment = sqs_server(port, home)
    with (home / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(health_of(url)), 30, "the SQS server answers")
        yield url
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def aws_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the SDK's own settings as a deployment would. None of the machine's settings are used."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def sdk_session() -> AioSession:
    """Loading the SDK's model of SQS takes longer than most tests."""
    return get_session()


@pytest.fixture(scope="session")
def queues_url(server_url: str, template_database: str) -> str:
    """One database. Each test has its own queue in it."""

    name = f"queues_{uuid.uuid4().hex[:12]}"
    asyncio.run(execute(server_url, f"CREATE DATABASE {name} TEMPLATE {template_database}"))
    return named(server_url, name)


class TcpProxy:
    """A TCP proxy that can be closed: it cuts connections and refuses new ones, as if the server had stopped."""

    def __init__(self, reach: Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]) -> None:
        self._reach = reach
        self._listening: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = free_ports(1)[0]

    async def open(self) -> None:
        self._listening = await asyncio.start_server(self._forward, "127.0.0.1", self.port)

    async def close(self) -> None:
        if self._listening is not None:
            self._listening.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await self._reach()
        self._writers |= {writer, far_writer}
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        self._writers -= {writer, far_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()


@dataclass
class Rig:
    """One test's own queue behind a proxy, with a view of its dead letters.

    `open` returns another client of the same queue, as another process has.
    """

    queue: MessageQueue
    proxy: TcpProxy
    open: Callable[[], Awaitable[MessageQueue]]
    dead: Callable[[], Awaitable[list[tuple[str, str | None]]]]
    """Body and reason of each dead letter; the reason is None where the server moved it."""
    server: str
    extra: dict[str, Any] = field(default_factory=dict)


Build = Callable[[AsyncExitStack], Awaitable[Rig]]


@pytest.fixture(params=["postgres", "sqs"])
def build_rig(request: pytest.FixtureRequest) -> Build:
    """Start only the server of one adapter, outside the event loop, because starting it blocks."""
    if request.param == "postgres":
        database_url: str = request.getfixturevalue("queues_url")
        return lambda stack: _postgres_rig(stack, database_url)
    request.getfixturevalue("aws_settings")
    endpoint: str = request.getfixturevalue("sqs_endpoint")
    patch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    session: AioSession = request.getfixturevalue("sdk_session")
    return lambda stack: _sqs_rig(stack, endpoint, patch, session)


@pytest.fixture
async def rig(build_rig: Build) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        yield await build_rig(stack)


async def _postgres_rig(stack: AsyncExitStack, database_url: str) -> Rig:
    parts = urlsplit(database_url)
    query = parse_qs(parts.query)
    host, port = query.get("host", [parts.hostname])[0], int(query.get("port", [parts.port or 5432])[0])

    async def reach() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    proxy = TcpProxy(reach)
    await proxy.open()
    stack.push_async_callback(proxy.close)

    name = f"calls-{uuid.uuid4().hex[:12]}"

    async def open_queue() -> PostgresQueue:
        pool = await asyncpg.create_pool(database_url, host="127.0.0.1", port=proxy.port, min_size=1, max_size=4)
        stack.callback(pool.terminate)
        queue = PostgresQueue(pool, name, max_receives=MAX_RECEIVES)
        stack.push_async_callback(queue.close)
        return queue

    async def dead() -> list[tuple[str, str | None]]:
        connection = await asyncpg.connect(database_url)
        rows = await connection.fetch(
            "SELECT body, dead_reason FROM queue_messages WHERE queue = $1 AND dead_at IS NOT NULL", name
        )
        await connection.close()
        return [(row["body"], row["dead_reason"]) for row in rows]

    return Rig(await open_queue(), proxy, open_queue, dead, "postgres")


async def _sqs_rig(stack: AsyncExitStack, endpoint: str, patch: pytest.MonkeyPatch, session: AioSession) -> Rig:
    server = urlsplit(endpoint)
    proxy = TcpProxy(lambda: asyncio.open_connection(server.hostname, server.port))
    await proxy.open()
    stack.push_async_callback(proxy.close)
    patch.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{proxy.port}")
    raw = await stack.enter_async_context(session.create_client("sqs", endpoint_url=endpoint))
    name = f"calls-{uuid.uuid4().hex[:12]}"
    url, dead_url = await create_queue_pair(raw, name)

    async def open_queue() -> MessageQueue:
        queue = await open_sqs_queue(url, session=session)
        stack.push_async_callback(queue.close)
        return queue

    async def dead() -> list[tuple[str, str | None]]:
        answer = await raw.receive_message(
            QueueUrl=dead_url, MaxNumberOfMessages=10, VisibilityTimeout=0, MessageAttributeNames=["All"]
        )
        letters = answer.get("Messages", [])
        reasons = [letter.get("MessageAttributes", {}).get("dead_reason", {}).get("StringValue") for letter in letters]
        return [(letter["Body"], reason) for letter, reason in zip(letters, reasons, strict=True)]

    return Rig(await open_queue(), proxy, open_queue, dead, "ministack", {"client": raw, "url": url})


async def create_queue_pair(client: Any, name: str) -> tuple[str, str]:
    """Make a queue and its dead-letter queue, and return their URLs."""
    dead_url = (await client.create_queue(QueueName=f"{name}-dead"))["QueueUrl"]
    attributes = await client.get_queue_attributes(QueueUrl=dead_url, AttributeNames=["QueueArn"])
    policy = {"deadLetterTargetArn": attributes["Attributes"]["QueueArn"], "maxReceiveCount": MAX_RECEIVES}
    answer = await client.create_queue(QueueName=name, Attributes={"RedrivePolicy": json.dumps(policy)})
    return answer["QueueUrl"], dead_url
