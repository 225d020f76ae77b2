"""Errors that Amazon SQS gives at any time: nothing is lost, and what comes back is handled again."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiobotocore.session import AioSession

from ringback.adapters.sqs.queue import SqsQueue, open_sqs_queue
from ringback.batching import send_through
from ringback.domain.errors import QueueUnavailable
from ringback.ports import OutgoingMessage
from tests.contracts.test_consumer_on_queues import consuming
from tests.sqs_faults import THROTTLED, Fault, SqsFaults, partly, refused, sqs_faults
from tests.sqs_server import create_queue, sqs_client

#: More in a row than the SDK repeats by itself.
LASTING = 3
WITHIN_S = 120


@pytest.fixture(scope="module")
def proxy(sqs_endpoint: str) -> Iterator[SqsFaults]:
    with sqs_faults(sqs_endpoint) as faults:
        yield faults


@pytest.fixture
def server(sqs_endpoint: str, aws_settings: None) -> Any:
    """A client of the server itself, without the proxy."""
    return sqs_client(sqs_endpoint)


@pytest.fixture
def url(server: Any) -> str:
    return create_queue(server, f"faults-{uuid.uuid4().hex[:12]}")


@pytest.fixture
async def queue(
    proxy: SqsFaults, url: str, monkeypatch: pytest.MonkeyPatch, sdk_session: AioSession
) -> AsyncIterator[SqsQueue]:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", proxy.endpoint)
    opened = await open_sqs_queue(url, session=sdk_session)
    proxy.requests.clear()
    yield opened
    await opened.close()


def outgoing(count: int) -> list[OutgoingMessage]:
    return [OutgoingMessage(f"message {number}") for number in range(count)]


def left_in(server: Any, *urls: str) -> int:
    """Count all messages, hidden ones too."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answers = [server.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"] for url in urls]
    return sum(int(count) for answer in answers for count in answer.values())


async def until_empty(server: Any, url: str) -> None:
    async with asyncio.timeout(WITHIN_S):
        while await asyncio.to_thread(left_in, server, url):
            await asyncio.sleep(0.1)
    assert await asyncio.to_thread(left_in, server, f"{url}-dead") == 0


async def consume(queue: SqsQueue, server: Any, url: str, visibility_s: int = 120) -> Counter[str]:
    """Handle messages until none is left, and return how often each was handled.

    The visibility is longer than any wait of the tests, unless messages have to come back.
    """
    handled: Counter[str] = Counter()

    async def handle(group: Any) -> None:
        handled.update(message.body for message in group)

    async with consuming(queue, handle, visibility_s) as consumer:
        await until_empty(server, url)
    assert (consumer.stats.failures, consumer.stats.dead) == (0, 0)
    return handled


async def test_a_batch_that_was_accepted_in_part_names_the_others(proxy, queue, server, url):
    proxy.plan("SendMessageBatch", partly("InternalError", entries=2))
    assert await queue.send(outgoing(5)) == [0, 1]
    assert await asyncio.to_thread(left_in, server, url) == 3


async def test_only_the_senders_of_the_entries_that_failed_get_an_error(proxy, queue, server, url):
    """A webhook is answered with 2xx only if its own entry was accepted."""
    send = send_through(queue)
    await send(OutgoingMessage("opens the connection"))
    proxy.plan("SendMessageBatch", *[partly("InternalError")] * 3)
    ends = await asyncio.gather(*map(send, outgoing(6)), return_exceptions=True)
    failed = [end for end in ends if end is not None]
    assert failed
    assert all(isinstance(end, QueueUnavailable) for end in failed)
    assert await asyncio.to_thread(left_in, server, url) == 1 + ends.count(None)


async def test_a_throttled_batch_is_not_sent_and_the_others_are(proxy, queue, server, url):
    proxy.plan("SendMessageBatch", *[THROTTLED[0]] * 2)
    failed = await queue.send(outgoing(25))
    assert await asyncio.to_thread(left_in, server, url) == 25 - len(failed)
    proxy.plan("SendMessageBatch", *[THROTTLED[1]] * LASTING)
    with pytest.raises(QueueUnavailable, match="ThrottlingException"):
        await queue.send(outgoing(2))


@pytest.mark.parametrize("fault", THROTTLED)
async def test_a_consumer_waits_while_receives_and_deletes_are_throttled(proxy, queue, server, url, fault: Fault):
    await queue.send(outgoing(12))
    proxy.plan("ReceiveMessage", *[fault] * LASTING)
    proxy.plan("DeleteMessageBatch", *[fault] * LASTING)
    handled = await consume(queue, server, url)
    assert handled == Counter({message.body: 1 for message in outgoing(12)})


@pytest.mark.parametrize("code", ["InternalError", "ServiceUnavailable"])
async def test_entries_that_were_not_deleted_are_deleted_again(proxy, queue, server, url, code):
    await queue.send(outgoing(10))
    proxy.plan("DeleteMessageBatch", partly(code, entries=4), partly(code))
    handled = await consume(queue, server, url)
    assert handled == Counter({message.body: 1 for message in outgoing(10)})
    assert proxy.requests["DeleteMessageBatch"] >= 3


async def test_a_throttled_entry_is_no_stale_receipt(proxy, queue, url):
    """The fault counts as the sender's, and the entry has not been deleted or extended."""
    await queue.send(outgoing(1))
    [message] = await queue.receive(1, 5, 30)
    proxy.plan("DeleteMessageBatch", partly("ThrottlingException", sender_fault=True))
    with pytest.raises(QueueUnavailable, match="ThrottlingException"):
        await queue.delete([message.receipt])
    proxy.plan("ChangeMessageVisibilityBatch", partly("RequestThrottled", sender_fault=True))
    with pytest.raises(QueueUnavailable, match="RequestThrottled"):
        await queue.change_visibility([message.receipt], 30)
    await queue.delete([message.receipt])


@pytest.mark.parametrize("code", ["ReceiptHandleIsInvalid", "InvalidParameterValue"])
async def test_a_message_whose_receipt_expired_before_its_delete_is_handled_again(proxy, queue, server, url, code):
    """AWS names an expired receipt in both ways. Only the message that comes back can be deleted."""
    await queue.send(outgoing(3))
    proxy.plan("DeleteMessageBatch", partly(code, sender_fault=True, entries=10))
    handled = await consume(queue, server, url, visibility_s=2)
    assert set(handled) == {message.body for message in outgoing(3)}
    assert handled.total() > 3


async def test_an_expired_receipt_does_not_stop_the_extension_of_the_others(proxy, queue):
    await queue.send(outgoing(2))
    received = [message async for message in _all(queue, 2)]
    proxy.plan("ChangeMessageVisibilityBatch", partly("MessageNotInflight", sender_fault=True))
    await queue.change_visibility([message.receipt for message in received], 60)


async def _all(queue: SqsQueue, count: int) -> AsyncIterator[Any]:
    while count:
        for message in await queue.receive(10, 5, 30):
            count -= 1
            yield message


async def test_a_message_that_is_delivered_twice_is_handled_twice_and_deleted(proxy, queue, server, url):
    await queue.send(outgoing(4))
    proxy.deliver_again()
    handled = await consume(queue, server, url)
    assert set(handled) == {message.body for message in outgoing(4)}
    assert max(handled.values()) == 2


async def test_a_dead_letter_that_was_not_accepted_stays_in_its_queue(proxy, queue, server, url):
    await queue.send(outgoing(1))
    [message] = await queue.receive(1, 5, 30)
    proxy.plan("SendMessage", *[refused(503, "ServiceUnavailable")] * LASTING)
    with pytest.raises(QueueUnavailable):
        await queue.dead_letter(message, "Permanent: x")
    assert await asyncio.to_thread(left_in, server, url, f"{url}-dead") == 1
    proxy._plan["SendMessage"].clear()
    await queue.dead_letter(message, "Permanent: x")
    assert await asyncio.to_thread(left_in, server, url) == 0
