"""The MessageQueue on Amazon SQS."""

import asyncio
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import aiohttp
import structlog
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError

from ringback.adapters.message_limits import (
    MAX_LETTERS,
    MAX_REASON_CHARACTERS,
    all_rejected,
    clean,
    in_batches,
    message_bytes,
    rejections,
)
from ringback.adapters.sqs.dead_letters import SqsDeadLetters
from ringback.adapters.sqs.sender import region_of
from ringback.domain.errors import Permanent, QueueUnavailable
from ringback.messages import MAX_MESSAGE_BYTES
from ringback.ports import DeadLetter, MessageQueue, OutgoingMessage, ReceivedMessage

_log = structlog.get_logger(__name__)

LONGEST_WAIT_S = 20
#: A start waits this long for the queue's own limit of a message.
READ_LIMIT_WITHIN_S = 10.0

# A retried receive would hide the messages of the first one for their visibility timeout.
_POLLING = AioConfig(connect_timeout=3, read_timeout=LONGEST_WAIT_S + 8, retries={"total_max_attempts": 1})
_CALLING = AioConfig(
    connect_timeout=3, read_timeout=8, retries={"total_max_attempts": 2, "mode": "standard"}, max_pool_connections=32
)


class NoDeadLetterQueue(Permanent):
    """The queue has no redrive policy, so it has no dead-letter queue."""


async def open_sqs_queue(
    queue_url: str,
    *,
    region: str | None = None,
    session: AioSession | None = None,
    max_message_bytes: int | None = None,
) -> "SqsQueue":
    """Open a queue. The endpoint, the credentials and a region that neither argument names are the AWS SDK's settings.

    Queues of one process may share a session, which saves 0.1 s of loading. Without `max_message_bytes` the limit of a
    message is the queue's attribute, or 256 KiB if it cannot be read now. Raises QueueUnavailable without a region.
    """
    region = region or region_of(queue_url)
    async with AsyncExitStack() as stack:
        with _translated():
            session = session or get_session()
            calls = await stack.enter_async_context(session.create_client("sqs", region_name=region, config=_CALLING))
            polls = await stack.enter_async_context(session.create_client("sqs", region_name=region, config=_POLLING))
        limit = max_message_bytes or await _read_limit(calls, queue_url)
        return SqsQueue(queue_url, calls, polls, stack.pop_all(), limit)


async def _read_limit(calls: Any, queue_url: str) -> int:
    """Return the queue's MaximumMessageSize, or a limit that every queue accepts if it cannot be read."""
    try:
        async with asyncio.timeout(READ_LIMIT_WITHIN_S):
            with _translated():
                answer = await calls.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["MaximumMessageSize"])
        return int(answer["Attributes"]["MaximumMessageSize"])
    except (QueueUnavailable, TimeoutError, KeyError, ValueError) as error:
        _log.warning("queue.limit_unknown", error=type(error).__name__, max_message_bytes=MAX_MESSAGE_BYTES)
        return MAX_MESSAGE_BYTES


class SqsQueue(MessageQueue):
    """Made by `open_sqs_queue`. The queue's redrive policy sets the receive limit and the dead-letter queue."""

    def __init__(self, queue_url: str, calls: Any, polls: Any, clients: AsyncExitStack, max_message_bytes: int) -> None:
        self._url = queue_url
        self._calls = calls
        self._polls = polls
        self._clients = clients
        self._dead_letter_url: str | None = None
        self._max_message_bytes = max_message_bytes

    @property
    def max_message_bytes(self) -> int:
        return self._max_message_bytes

    async def send(self, messages: Sequence[OutgoingMessage]) -> list[int]:
        rejected = rejections(messages, self._max_message_bytes)
        valid = [position for position in range(len(messages)) if position not in rejected]
        sizes = [message_bytes(messages[position]) for position in valid]
        batches = in_batches(sizes, most_bytes=self._max_message_bytes)
        failed = await asyncio.gather(*(self._send([valid[i] for i in batch], messages) for batch in batches))
        rejected.update(pair for batch in failed for pair in batch.items())
        if messages and len(rejected) == len(messages):
            raise all_rejected(rejected)
        return sorted(rejected)

    async def _send(self, positions: Sequence[int], messages: Sequence[OutgoingMessage]) -> dict[int, str]:
        """Return the positions that were not accepted, with the reasons."""
        entries = [{"Id": str(position), **_outgoing(messages[position])} for position in positions]
        try:
            with _translated():
                answer = await self._calls.send_message_batch(QueueUrl=self._url, Entries=entries)
        except QueueUnavailable as error:
            return {position: str(error) for position in positions}
        return {int(entry["Id"]): entry["Code"] for entry in answer.get("Failed", [])}

    async def receive(self, limit: int, wait_s: float, visibility_s: int) -> list[ReceivedMessage]:
        """Receive messages. SQS waits whole seconds, so a fraction is rounded up."""
        with _translated():
            answer = await self._polls.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(limit, 10),
                WaitTimeSeconds=min(math.ceil(wait_s), LONGEST_WAIT_S),
                VisibilityTimeout=visibility_s,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
                MessageAttributeNames=["All"],
            )
        received = []
        for message in answer.get("Messages", []):
            attributes = message.get("MessageAttributes", {})
            received.append(
                ReceivedMessage(
                    message_id=message["MessageId"],
                    receipt=message["ReceiptHandle"],
                    body=message["Body"],
                    receive_count=int(message["Attributes"]["ApproximateReceiveCount"]),
                    attributes={name: one["StringValue"] for name, one in attributes.items() if "StringValue" in one},
                )
            )
        return received

    async def delete(self, receipts: Sequence[str]) -> None:
        entries = [{"ReceiptHandle": receipt} for receipt in receipts]
        await self._in_tens(self._calls.delete_message_batch, entries)

    async def change_visibility(self, receipts: Sequence[str], visibility_s: int) -> None:
        entries = [{"ReceiptHandle": receipt, "VisibilityTimeout": visibility_s} for receipt in receipts]
        await self._in_tens(self._calls.change_message_visibility_batch, entries)

    async def _in_tens(self, call: Any, entries: list[dict[str, Any]]) -> None:
        """Call in batches of ten. Only a stale receipt is no error, because it changes nothing."""
        for start in range(0, len(entries), 10):
            batch = [{"Id": str(i), **entry} for i, entry in enumerate(entries[start : start + 10])]
            with _translated():
                answer = await call(QueueUrl=self._url, Entries=batch)
            # Throttling counts as the sender's fault too.
            failed = [one for one in answer.get("Failed", []) if not one["SenderFault"] or "Throttl" in one["Code"]]
            if codes := {entry["Code"] for entry in failed}:
                raise QueueUnavailable(f"the queue failed: {', '.join(sorted(codes))}")

    async def dead_letter(self, message: ReceivedMessage, reason: str) -> None:
        """Send a copy to the dead-letter queue, then delete the message. Between the two it may be in both queues.

        Raises NoDeadLetterQueue.
        """
        attributes = dict(list(message.attributes.items())[:9])
        attributes["dead_reason"] = clean(reason)[:MAX_REASON_CHARACTERS] or "unknown"
        with _translated():
            url = await self._find_dead_letter_queue()
            await self._calls.send_message(QueueUrl=url, **_outgoing(OutgoingMessage(message.body, 0, attributes)))
        await self.delete([message.receipt])

    async def _find_dead_letter_queue(self) -> str:
        if self._dead_letter_url is None:
            answer = await self._calls.get_queue_attributes(QueueUrl=self._url, AttributeNames=["RedrivePolicy"])
            policy = answer.get("Attributes", {}).get("RedrivePolicy")
            if not policy:
                raise NoDeadLetterQueue("the queue has no redrive policy")
            *_, account, name = json.loads(policy)["deadLetterTargetArn"].split(":")
            answer = await self._calls.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)
            self._dead_letter_url = str(answer["QueueUrl"])
        return self._dead_letter_url

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        """List the dead letters. Raises NoDeadLetterQueue."""
        with _translated():
            return await self._letters(await self._find_dead_letter_queue()).list_letters(min(limit, MAX_LETTERS))

    async def replay(self, letter_id: str | None) -> int:
        """Send a copy, then delete the letter. Between the two it may be in both queues. Raises NoDeadLetterQueue."""
        with _translated():
            return await self._letters(await self._find_dead_letter_queue()).replay(letter_id)

    def _letters(self, dead_letter_url: str) -> SqsDeadLetters:
        return SqsDeadLetters(self._calls, self._url, dead_letter_url, self._max_message_bytes)

    async def dead_letter_count(self) -> int:
        """Count the dead letters that no one is looking at. Raises NoDeadLetterQueue."""
        with _translated():
            return await self._waiting_in(await self._find_dead_letter_queue())

    async def depth(self) -> int:
        with _translated():
            return await self._waiting_in(self._url)

    async def _waiting_in(self, url: str) -> int:
        answer = await self._calls.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    async def oldest_age_s(self) -> float | None:
        """Return None: SQS tells the age to CloudWatch only (ApproximateAgeOfOldestMessage)."""
        return None

    async def close(self) -> None:
        await self._clients.aclose()


@contextmanager
def _translated() -> Iterator[None]:
    """Raise QueueUnavailable for errors of the service and of the network.

    Missing credentials, missing permissions and a missing queue count as well: an operator corrects them.
    """
    try:
        yield
    except ClientError as error:
        raise QueueUnavailable(f"the queue refused: {error.response['Error']['Code']}") from error
    except NoRegionError:
        raise QueueUnavailable("AWS_REGION: must be set, because the URL of the queue names no region") from None
    except (BotoCoreError, aiohttp.ClientError, OSError) as error:
        raise QueueUnavailable(f"the queue is unavailable: {type(error).__name__}") from error


def _outgoing(message: OutgoingMessage) -> dict[str, Any]:
    fields: dict[str, Any] = {"MessageBody": message.body}
    if message.delay_s:
        fields["DelaySeconds"] = message.delay_s
    if message.attributes:
        pairs = message.attributes.items()
        fields["MessageAttributes"] = {n: {"DataType": "String", "StringValue": value} for n, value in pairs}
    return fields
