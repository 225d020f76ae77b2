"""The dead-letter queue of an SQS queue. Letters are received to list them, because SQS cannot list."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from ringback.adapters.clock import SystemClock
from ringback.adapters.message_limits import in_batches
from ringback.ports import DeadLetter

#: The visibility timeout during a listing, so that no letter is received twice. Afterwards they become visible again.
LISTING_S = 60
#: SQS asks only some of its servers for a receive, so one empty response does not mean an empty queue.
EMPTY_RESPONSES = 3

Letter = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SqsDeadLetters:
    """`calls` is an SQS client, `max_message_bytes` the limit of the queue. Raises the client's own errors."""

    calls: Any
    queue_url: str
    dead_letter_url: str
    max_message_bytes: int

    async def list_letters(self, limit: int) -> list[DeadLetter]:
        """List the letters. Of two listings at the same time, each gets a part."""
        found: list[Letter] = []
        try:
            async for batch in self._batches():
                found += batch
                if len(found) >= limit:
                    break
        finally:
            await self._release(found)
        letters = found[:limit]
        reasons = [letter.get("MessageAttributes", {}).get("dead_reason", {}).get("StringValue") for letter in letters]
        return [DeadLetter(one["MessageId"], one["Body"], why, None) for one, why in zip(letters, reasons, strict=True)]

    async def replay(self, letter_id: str | None) -> int:
        replayed, began_ms = 0, SystemClock().now().timestamp() * 1000
        others: list[Letter] = []
        try:
            async for batch in self._batches():
                # A copy that became a dead letter again meanwhile would be replayed without an end.
                earlier = [one for one in batch if int(one["Attributes"]["SentTimestamp"]) <= began_ms]
                wanted = [letter for letter in earlier if letter_id in (None, letter["MessageId"])]
                if batch and not earlier:
                    others += batch
                    break
                others += [letter for letter in batch if letter not in wanted]
                replayed += await self._send_back(wanted)
                if letter_id is not None and replayed:
                    break
        finally:
            await self._release(others)
        return replayed

    async def _batches(self) -> AsyncIterator[list[Letter]]:
        empty = 0
        while empty < EMPTY_RESPONSES:
            answer = await self.calls.receive_message(
                QueueUrl=self.dead_letter_url,
                MaxNumberOfMessages=10,
                VisibilityTimeout=LISTING_S,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["SentTimestamp"],
            )
            batch = answer.get("Messages", [])
            empty = 0 if batch else empty + 1
            if batch:
                yield batch

    async def _send_back(self, letters: list[Letter]) -> int:
        """Return the number of copies that were accepted. A letter without an accepted copy stays."""
        sent: list[Letter] = []
        sizes = [
            len(letter["Body"].encode())
            + sum(
                len(f"{name}{value['DataType']}{value.get('StringValue', '')}".encode())
                for name, value in letter.get("MessageAttributes", {}).items()
            )
            for letter in letters
        ]
        for batch in in_batches(sizes, most_bytes=self.max_message_bytes):
            entries = []
            for at in batch:
                # The message as it was before it became a dead letter.
                attributes = {
                    name: {"DataType": value["DataType"], "StringValue": value["StringValue"]}
                    for name, value in letters[at].get("MessageAttributes", {}).items()
                    if name != "dead_reason" and "StringValue" in value
                }
                entry = {"Id": str(at), "MessageBody": letters[at]["Body"]}
                entries.append({**entry, "MessageAttributes": attributes} if attributes else entry)
            answer = await self.calls.send_message_batch(QueueUrl=self.queue_url, Entries=entries)
            sent += [letters[int(entry["Id"])] for entry in answer.get("Successful", [])]
        if sent:
            entries = [{"Id": str(at), "ReceiptHandle": letter["ReceiptHandle"]} for at, letter in enumerate(sent)]
            await self.calls.delete_message_batch(QueueUrl=self.dead_letter_url, Entries=entries)
        await self._release([letter for letter in letters if letter not in sent])
        return len(sent)

    async def _release(self, letters: list[Letter]) -> None:
        for start in range(0, len(letters), 10):
            entries = [
                {"Id": str(at), "ReceiptHandle": letter["ReceiptHandle"], "VisibilityTimeout": 0}
                for at, letter in enumerate(letters[start : start + 10])
            ]
            await self.calls.change_message_visibility_batch(QueueUrl=self.dead_letter_url, Entries=entries)
