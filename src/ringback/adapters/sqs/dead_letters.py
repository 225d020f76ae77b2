"""The dead-letter queue of an SQS queue: looked through by receiving, because SQS cannot list."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from ringback.adapters.message_limits import in_batches
from ringback.ports import DeadLetter

#: Letters stay hidden this long while they are looked through, so that none comes twice; then they are given back.
LOOK_S = 60
#: SQS answers a receive from some of its servers only: one empty answer does not mean that there is nothing.
EMPTY_ANSWERS = 3

Letter = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SqsDeadLetters:
    """`calls` is an SQS client. Raises the client's own errors."""

    calls: Any
    queue_url: str
    dead_letter_url: str

    async def look_through(self, limit: int) -> list[DeadLetter]:
        """Two that look at the same time see a part each."""
        found: list[Letter] = []
        try:
            async for batch in self._batches():
                found += batch
                if len(found) >= limit:
                    break
        finally:
            await self._give_back(found)
        return [_read(letter) for letter in found[:limit]]

    async def replay(self, letter_id: str | None) -> int:
        replayed = 0
        others: list[Letter] = []
        try:
            async for batch in self._batches():
                wanted = [letter for letter in batch if letter_id in (None, letter["MessageId"])]
                others += [letter for letter in batch if letter not in wanted]
                replayed += await self._send_back(wanted)
                if letter_id is not None and replayed:
                    break
        finally:
            await self._give_back(others)
        return replayed

    async def _batches(self) -> AsyncIterator[list[Letter]]:
        empty = 0
        while empty < EMPTY_ANSWERS:
            answer = await self.calls.receive_message(
                QueueUrl=self.dead_letter_url,
                MaxNumberOfMessages=10,
                VisibilityTimeout=LOOK_S,
                MessageAttributeNames=["All"],
            )
            batch = answer.get("Messages", [])
            empty = 0 if batch else empty + 1
            if batch:
                yield batch

    async def _send_back(self, letters: list[Letter]) -> int:
        """How many were taken; a letter whose copy was not taken stays where it is."""
        sent: list[Letter] = []
        for batch in in_batches([_bytes(letter) for letter in letters]):
            entries = [{"Id": str(at), **_copy(letters[at])} for at in batch]
            answer = await self.calls.send_message_batch(QueueUrl=self.queue_url, Entries=entries)
            sent += [letters[int(entry["Id"])] for entry in answer.get("Successful", [])]
        if sent:
            entries = [{"Id": str(at), "ReceiptHandle": letter["ReceiptHandle"]} for at, letter in enumerate(sent)]
            await self.calls.delete_message_batch(QueueUrl=self.dead_letter_url, Entries=entries)
        await self._give_back([letter for letter in letters if letter not in sent])
        return len(sent)

    async def _give_back(self, letters: list[Letter]) -> None:
        for start in range(0, len(letters), 10):
            entries = [
                {"Id": str(at), "ReceiptHandle": letter["ReceiptHandle"], "VisibilityTimeout": 0}
                for at, letter in enumerate(letters[start : start + 10])
            ]
            await self.calls.change_message_visibility_batch(QueueUrl=self.dead_letter_url, Entries=entries)


def _read(letter: Letter) -> DeadLetter:
    reason = letter.get("MessageAttributes", {}).get("dead_reason", {}).get("StringValue")
    return DeadLetter(letter["MessageId"], letter["Body"], reason, None)


def _copy(letter: Letter) -> dict[str, Any]:
    """As it was before it died."""
    attributes = {
        name: {"DataType": value["DataType"], "StringValue": value["StringValue"]}
        for name, value in letter.get("MessageAttributes", {}).items()
        if name != "dead_reason" and "StringValue" in value
    }
    copy = {"MessageBody": letter["Body"]}
    return {**copy, "MessageAttributes": attributes} if attributes else copy


def _bytes(letter: Letter) -> int:
    attributes = letter.get("MessageAttributes", {}).items()
    return len(letter["Body"].encode()) + sum(
        len(f"{name}{value['DataType']}{value.get('StringValue', '')}".encode()) for name, value in attributes
    )
