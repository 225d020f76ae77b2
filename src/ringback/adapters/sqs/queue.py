"""The MessageQueue on Amazon SQS."""

import asyncio
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import BotoCoreError, ClientError

from ringback.adapters.message_limits import (
    MAX_LETTERS,
    MAX_REASON_CHARACTERS,
    clean,
    in_batches,
    message_bytes,
    nothing_taken,
    refusals,
)
from ringback.adapters.sqs.dead_letters import SqsDeadLetters
from ringback.adapters.sqs.sender import region_of
from ringback.domain.errors import Permanent, QueueUnavailable
from ringback.ports import DeadLetter, MessageQueue, OutgoingMessage, ReceivedMessage

LONGEST_WAIT_S = 20

# A retried receive would hide the messages of the first one for their visibility timeout.
_POLLING = AioConfig(connect_timeout=3, read_timeout=LONGEST_WAIT_S + 8, retries={"total_max_attempts": 1})
_CALLING = AioConfig(
    connect_timeout=3, read_timeout=8, retries={"total_max_attempts": 2, "mode": "standard"}, max_pool_connections=32
)


class NoDeadLetterQueue(Permanent):
    """The queue has no redrive policy, so a message cannot be put aside."""


async def open_sqs_queue(queue_url: str, *, region: str | None = None, session: AioSession | None = None) -> "SqsQueue":
    """Endpoint and credentials are the AWS SDK's own settings, and so is a region that neither argument names.

    Queues of one process may share a session, which saves 0.1 s of loading. Asks the network nothing yet. Raises
    QueueUnavailable if there is no region.
    """
    region = region or region_of(queue_url)
    async with AsyncExitStack() as stack:
        with _queue_may_be_away():
            session = session or get_session()
            calls = await stack.enter_async_context(session.create_client("sqs", region_name=region, config=_CALLING))
            polls = await stack.enter_async_context(session.create_client("sqs", region_name=region, config=_POLLING))
        clients = stack.pop_all()
    return SqsQueue(queue_url, calls, polls, clients)


class SqsQueue(MessageQueue):
    """Made by open_sqs_queue. The receive limit and the dead-letter queue are the queue's own redrive policy."""

    def __init__(self, queue_url: str, calls: Any, polls: Any, clients: AsyncExitStack) -> None:
        self._url = queue_url
        self._calls = calls
        self._polls = polls
        self._clients = clients
        self._dead_letter_url: str | None = None

    async def send(self, messages: Sequence[OutgoingMessage]) -> list[int]:
        refused = refusals(messages)
        good = [position for position in range(len(messages)) if position not in refused]
        batches = in_batches([message_bytes(messages[position]) for position in good])
        lost = await asyncio.gather(*(self._send([good[i] for i in batch], messages) for batch in batches))
        refused.update(pair for batch in lost for pair in batch.items())
        if messages and len(refused) == len(messages):
            raise nothing_taken(refused)
        return sorted(refused)

    async def _send(self, positions: Sequence[int], messages: Sequence[OutgoingMessage]) -> dict[int, str]:
        """The positions that were not taken, and why."""
        entries = [{"Id": str(position), **_outgoing(messages[position])} for position in positions]
        try:
            with _queue_may_be_away():
                answer = await self._calls.send_message_batch(QueueUrl=self._url, Entries=entries)
        except QueueUnavailable as error:
            return {position: str(error) for position in positions}
        return {int(entry["Id"]): entry["Code"] for entry in answer.get("Failed", [])}

    async def receive(self, limit: int, wait_s: float, visibility_s: int) -> list[ReceivedMessage]:
        """SQS waits whole seconds: part of one counts as one."""
        with _queue_may_be_away():
            answer = await self._polls.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(limit, 10),
                WaitTimeSeconds=min(math.ceil(wait_s), LONGEST_WAIT_S),
                VisibilityTimeout=visibility_s,
                MessageSystemAttributeNames=["ApproximateReceiveCount"],
                MessageAttributeNames=["All"],
            )
        return [_received(message) for message in answer.get("Messages", [])]

    async def delete(self, receipts: Sequence[str]) -> None:
        entries = [{"ReceiptHandle": receipt} for receipt in receipts]
        await self._in_tens(self._calls.delete_message_batch, entries)

    async def change_visibility(self, receipts: Sequence[str], visibility_s: int) -> None:
        entries = [{"ReceiptHandle": receipt, "VisibilityTimeout": visibility_s} for receipt in receipts]
        await self._in_tens(self._calls.change_message_visibility_batch, entries)

    async def _in_tens(self, call: Any, entries: list[dict[str, Any]]) -> None:
        """An entry refused as our own fault is a stale receipt, and changed nothing; the service's faults raise."""
        for start in range(0, len(entries), 10):
            batch = [{"Id": str(i), **entry} for i, entry in enumerate(entries[start : start + 10])]
            with _queue_may_be_away():
                answer = await call(QueueUrl=self._url, Entries=batch)
            if codes := {entry["Code"] for entry in answer.get("Failed", []) if not entry["SenderFault"]}:
                raise QueueUnavailable(f"the queue failed: {', '.join(sorted(codes))}")

    async def dead_letter(self, message: ReceivedMessage, reason: str) -> None:
        """Sends a copy to the dead-letter queue, then deletes; between the two the message may be in both. Raises
        NoDeadLetterQueue."""
        attributes = dict(list(message.attributes.items())[:9])
        attributes["dead_reason"] = clean(reason)[:MAX_REASON_CHARACTERS] or "unknown"
        with _queue_may_be_away():
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
        """Raises NoDeadLetterQueue."""
        with _queue_may_be_away():
            return await self._letters(await self._find_dead_letter_queue()).look_through(min(limit, MAX_LETTERS))

    async def replay(self, letter_id: str | None) -> int:
        """Sends a copy, then deletes the letter; between the two it may be in both. Raises NoDeadLetterQueue."""
        with _queue_may_be_away():
            return await self._letters(await self._find_dead_letter_queue()).replay(letter_id)

    def _letters(self, dead_letter_url: str) -> SqsDeadLetters:
        return SqsDeadLetters(self._calls, self._url, dead_letter_url)

    async def depth(self) -> int:
        with _queue_may_be_away():
            answer = await self._calls.get_queue_attributes(
                QueueUrl=self._url, AttributeNames=["ApproximateNumberOfMessages"]
            )
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    async def close(self) -> None:
        await self._clients.aclose()


@contextmanager
def _queue_may_be_away() -> Iterator[None]:
    """Missing credentials or permissions and a missing queue count as away too: they are put right from outside."""
    try:
        yield
    except ClientError as error:
        raise QueueUnavailable(f"the queue refused: {error.response['Error']['Code']}") from error
    except (BotoCoreError, aiohttp.ClientError, OSError) as error:
        raise QueueUnavailable(f"the queue is away: {type(error).__name__}") from error


def _outgoing(message: OutgoingMessage) -> dict[str, Any]:
    fields: dict[str, Any] = {"MessageBody": message.body}
    if message.delay_s:
        fields["DelaySeconds"] = message.delay_s
    if message.attributes:
        pairs = message.attributes.items()
        fields["MessageAttributes"] = {n: {"DataType": "String", "StringValue": value} for n, value in pairs}
    return fields


def _received(message: dict[str, Any]) -> ReceivedMessage:
    attributes = message.get("MessageAttributes", {})
    return ReceivedMessage(
        message_id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        body=message["Body"],
        receive_count=int(message["Attributes"]["ApproximateReceiveCount"]),
        attributes={name: value["StringValue"] for name, value in attributes.items() if "StringValue" in value},
    )
