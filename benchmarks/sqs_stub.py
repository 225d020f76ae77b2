"""SQS in memory: the JSON protocol of the calls that a run makes. Messages never become visible again.

It checks no signature and keeps nothing, so it is faster than any real queue, which favours the programs on SQS.
The contract of the queue is tested against another server, in tests/contracts.
"""

import argparse
import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.stub_server import serve

#: Messages that one receive returns at most.
BATCH = 10


@dataclass(slots=True)
class Queue:
    """`in_flight` by receipt."""

    waiting: deque[str] = field(default_factory=deque)
    in_flight: dict[str, str] = field(default_factory=dict)
    sent: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, bodies: list[str]) -> None:
        self.waiting.extend(bodies)
        self.sent += len(bodies)
        self.arrived.set()

    async def receive(self, most: int, wait_s: float) -> list[dict[str, Any]]:
        if not self.waiting and wait_s:
            self.arrived.clear()
            try:
                await asyncio.wait_for(self.arrived.wait(), wait_s)
            except TimeoutError:
                return []
        messages = []
        for _ in range(min(most, BATCH, len(self.waiting))):
            receipt = f"receipt-{self.sent}-{len(self.waiting)}-{len(self.in_flight)}"
            body = self.in_flight[receipt] = self.waiting.popleft()
            attributes = {"ApproximateReceiveCount": "1"}
            messages.append({"MessageId": receipt, "ReceiptHandle": receipt, "Body": body, "Attributes": attributes})
        return messages

    def delete(self, receipt: str) -> None:
        self.in_flight.pop(receipt, None)


class Sqs:
    """Queues by the last part of their URLs; a queue exists as soon as it is named."""

    def __init__(self) -> None:
        self.queues: defaultdict[str, Queue] = defaultdict(Queue)
        self._calls: dict[str, Callable[[Queue, dict[str, Any]], Any]] = {
            "SendMessage": self._send,
            "SendMessageBatch": self._send_batch,
            "DeleteMessage": self._delete,
            "DeleteMessageBatch": self._delete_batch,
            "ChangeMessageVisibility": lambda queue, asked: {},
            "ChangeMessageVisibilityBatch": lambda queue, asked: _successful(asked),
            "GetQueueAttributes": lambda queue, asked: {"Attributes": {"ApproximateNumberOfMessages": "0"}},
        }

    async def respond(self, head: bytes, body: bytes) -> bytes:
        path = head.split(b" ", 2)[1].decode()
        name = path.rpartition("/")[2]
        if path.startswith("/count/"):
            queue = self.queues[name]
            return json.dumps({"left": len(queue.waiting) + len(queue.in_flight), "sent": queue.sent}).encode()
        asked = json.loads(body)
        if path.startswith("/put/"):
            self.queues[name].put(asked)
            return b"{}"
        target = head.lower().partition(b"x-amz-target:")[2].split(b"\r\n", 1)[0].rpartition(b".")[2].decode()
        queue = self.queues[asked["QueueUrl"].rpartition("/")[2]]
        if target == "receivemessage":
            messages = await queue.receive(asked.get("MaxNumberOfMessages", 1), asked.get("WaitTimeSeconds", 0))
            return json.dumps({"Messages": messages}).encode()
        call = next(call for name, call in self._calls.items() if name.lower() == target)
        return json.dumps(call(queue, asked)).encode()

    def _send(self, queue: Queue, asked: dict[str, Any]) -> dict[str, Any]:
        queue.put([asked["MessageBody"]])
        return {"MessageId": str(queue.sent), "MD5OfMessageBody": ""}

    def _send_batch(self, queue: Queue, asked: dict[str, Any]) -> dict[str, Any]:
        queue.put([entry["MessageBody"] for entry in asked["Entries"]])
        return _successful(asked)

    def _delete(self, queue: Queue, asked: dict[str, Any]) -> dict[str, Any]:
        queue.delete(asked["ReceiptHandle"])
        return {}

    def _delete_batch(self, queue: Queue, asked: dict[str, Any]) -> dict[str, Any]:
        for entry in asked["Entries"]:
            queue.delete(entry["ReceiptHandle"])
        return _successful(asked)


def _successful(asked: dict[str, Any]) -> dict[str, Any]:
    entries = [{"Id": entry["Id"], "MessageId": entry["Id"], "MD5OfMessageBody": ""} for entry in asked["Entries"]]
    return {"Successful": entries, "Failed": []}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    serve(Sqs().respond, parser.parse_args().port)


if __name__ == "__main__":
    main()
