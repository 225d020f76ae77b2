"""The limit of a message follows the queue's attribute, or the setting that forces it, to the byte."""

import asyncio
import json
import random
import time
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ringback.adapters.retell.signature import sign
from ringback.adapters.sqs.queue import open_sqs_queue
from ringback.config import read_settings
from ringback.domain.errors import QueueUnavailable
from ringback.messages import MAX_MESSAGE_BYTES, decode_webhook_received
from ringback.ports import OutgoingMessage
from ringback.services.webhook_lambda import _from_environment, handler
from ringback.wiring.queues import open_queue
from tests.sqs_server import sqs_client

KIB = 1024
MIB = 1024 * KIB
KEY = "key_webhook"


@pytest.fixture
def client(sqs_endpoint: str, aws_settings: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", sqs_endpoint)
    return sqs_client(sqs_endpoint)


def make_queue(client: Any, max_bytes: int) -> str:
    attributes = {"MaximumMessageSize": str(max_bytes)}
    url: str = client.create_queue(QueueName=f"limits-{uuid.uuid4().hex[:12]}", Attributes=attributes)["QueueUrl"]
    return url


def bodies_in(client: Any, url: str) -> list[str]:
    found: list[str] = []
    while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        found += [message["Body"] for message in messages]
    return found


@pytest.mark.parametrize("limit", [64 * KIB, 256 * KIB, MIB])
async def test_a_queue_gets_the_largest_message_that_it_accepts_and_none_larger(client, sdk_session, limit):
    url = make_queue(client, limit)
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        client.send_message(QueueUrl=url, MessageBody="x" * (limit + 1))
    queue = await open_sqs_queue(url, session=sdk_session)
    try:
        assert queue.max_message_bytes == limit
        largest, larger = OutgoingMessage("x" * limit), OutgoingMessage("x" * (limit + 1))
        assert await queue.send([larger, largest, OutgoingMessage("y" * limit), OutgoingMessage("small")]) == [0]
    finally:
        await queue.close()
    sent = await asyncio.to_thread(bodies_in, client, url)
    assert sorted(map(len, sent)) == [5, limit, limit]


async def test_a_batch_has_the_limit_of_one_message(client, sdk_session):
    """The server refuses a whole batch of more than 1 MiB, so three of 600 KB are three requests."""
    url = make_queue(client, MIB)
    entries = [{"Id": str(number), "MessageBody": "x" * 600_000} for number in range(2)]
    with pytest.raises(ClientError, match="BatchRequestTooLong"):
        client.send_message_batch(QueueUrl=url, Entries=entries)
    queue = await open_sqs_queue(url, session=sdk_session)
    try:
        assert await queue.send([OutgoingMessage("x" * 600_000) for _ in range(3)]) == []
    finally:
        await queue.close()
    assert len(await asyncio.to_thread(bodies_in, client, url)) == 3


async def test_a_limit_that_cannot_be_read_is_256_kib(client, sdk_session, monkeypatch):
    """The queue does not exist, and no server listens: both are found out by the first message."""
    for endpoint in (None, "http://127.0.0.1:9"):
        if endpoint is not None:
            monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", endpoint)
        queue = await open_sqs_queue("http://127.0.0.1:9/000000000000/no-such-queue", session=sdk_session)
        assert queue.max_message_bytes == MAX_MESSAGE_BYTES == 256 * KIB
        with pytest.raises(QueueUnavailable):
            await queue.send([OutgoingMessage("x")])
        await queue.close()


async def test_the_setting_forces_the_limit_of_both_queues(client, pool):
    settings = read_settings({"AWS_REGION": "us-east-1", "RINGBACK_MAX_MESSAGE_BYTES": "2048"}, emulated=True)
    for name, its_pool in ((make_queue(client, MIB), None), ("events", pool)):
        queue = await open_queue(name, its_pool, settings)
        assert queue.max_message_bytes == 2048
        assert await queue.send([OutgoingMessage("x" * 2049), OutgoingMessage("x" * 2048)]) == [0]
        await queue.close()


def webhook(characters: int) -> str:
    """A body that hardly compresses."""
    noise = random.Random(7).randbytes(characters // 2).hex()
    return json.dumps({"event": "call_ended", "call": {"call_id": "call_1", "noise": noise}})


def received_by_the_function(body: str) -> int:
    now_ms = time.time_ns() // 1_000_000
    headers = {"x-retell-signature": sign(body.encode(), KEY, now_ms)}
    return int(handler({"headers": headers, "body": body, "isBase64Encoded": False}, None)["statusCode"])


@pytest.mark.parametrize(("limit", "is_whole"), [(256 * KIB, False), (MIB, True)])
def test_the_function_sends_a_large_webhook_whole_if_its_setting_allows_it(client, monkeypatch, limit, is_whole):
    """Its role may only send, so the setting tells it the limit of the queue."""
    url = make_queue(client, limit)
    given = {"RINGBACK_EVENT_QUEUE": url, "RETELL_WEBHOOK_KEY": KEY, "RINGBACK_MAX_MESSAGE_BYTES": str(limit)}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    _from_environment.cache_clear()
    try:
        assert received_by_the_function(webhook(1_000_000)) == 204
    finally:
        _from_environment.cache_clear()
    [message] = [decode_webhook_received(body) for body in bodies_in(client, url)]
    if is_whole:
        assert message.body == webhook(1_000_000)
    else:
        assert (message.body, message.event, message.provider_call_id) == (None, "call_ended", "call_1")
