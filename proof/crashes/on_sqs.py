"""Both queues of the crash suite on an SQS server, not in the database: `python -m proof crashes --queues sqs`."""

import os
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from proof.harness.processes import Processes
from ringback.adapters.sqs.queue import SqsQueue
from ringback.failpoints import Failpoint, reach
from tests.loopback import free_ports
from tests.sqs_server import AWS, create_queue, sqs_client

#: The variable of the environment that puts the queues of a proof on SQS.
VARIABLE = "PROOF_QUEUES"
CHOICES = ("sqs",)
#: The points of the embedded queue, which has them after its statement. Here they come after SQS's answer.
POINTS = {
    "send": Failpoint.QUEUE_SENT,
    "receive": Failpoint.QUEUE_RECEIVED,
    "delete": Failpoint.QUEUE_DELETED,
    "change_visibility": Failpoint.QUEUE_GIVEN_BACK,
    "dead_letter": Failpoint.QUEUE_DEAD_LETTERED,
}
_COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")


@contextmanager
def server_if_asked(home: Path) -> Iterator[str | None]:
    """The endpoint of an SQS server for as long as the context lasts. None: the queues are in the database."""
    if VARIABLE not in os.environ:
        yield None
        return
    with Processes(home / "sqs") as processes:
        yield processes.start_sqs(free_ports(1)[0])


class TrialQueues:
    """The queues of a testbed. Each trial gets new ones, and so no message of the trial before."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._client = sqs_client(endpoint)
        self._urls: dict[str, str] = {}

    def renew(self) -> None:
        mark = uuid.uuid4().hex[:12]
        self._urls = {name: create_queue(self._client, f"{name}-{mark}") for name in ("calls", "events")}

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a product with these queues."""
        urls = {"RINGBACK_CALL_QUEUE": self._urls["calls"], "RINGBACK_EVENT_QUEUE": self._urls["events"]}
        return {**AWS, "AWS_ENDPOINT_URL_SQS": self._endpoint, **urls}

    def messages(self, names: tuple[str, ...]) -> int:
        """All messages of these queues, also those that a dead process has received."""
        asked = [
            self._client.get_queue_attributes(QueueUrl=self._urls[name], AttributeNames=list(_COUNTS))["Attributes"]
            for name in names
        ]
        return sum(int(attributes[count]) for attributes in asked for count in _COUNTS)

    def lose(self, call_id: str) -> bool:
        """Delete a message about this call that no process has received. Others stay, and were received once more.

        They stay hidden until all are looked through, because a message that is received too often is a dead letter.
        """
        url, lost, others = self._urls["calls"], False, list[str]()
        asked = {"QueueUrl": url, "MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["ApproximateReceiveCount"]}
        while not lost and (messages := self._client.receive_message(**asked).get("Messages")):
            for message in messages:
                if call_id in message["Body"] and message["Attributes"]["ApproximateReceiveCount"] == "1":
                    self._client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                    lost = True
                else:
                    others.append(message["ReceiptHandle"])
        for receipt in others:
            self._client.change_message_visibility(QueueUrl=url, ReceiptHandle=receipt, VisibilityTimeout=0)
        return lost

    def dead_letters(self) -> list[str]:
        """Take all dead letters of this trial."""
        bodies: list[str] = []
        for url in self._urls.values():
            while found := self._client.receive_message(QueueUrl=f"{url}-dead", MaxNumberOfMessages=10).get("Messages"):
                bodies += [message["Body"] for message in found]
        return bodies


def prepare(environment: Mapping[str, str]) -> None:
    """Give the SDK in this process its settings, and the adapter the points at which a process is killed."""
    os.environ.update({name: value for name, value in environment.items() if name.startswith("AWS_")})
    for name, point in POINTS.items():
        setattr(SqsQueue, name, _reaching(getattr(SqsQueue, name), point))


def _reaching(call: Callable[..., Awaitable[Any]], point: Failpoint) -> Callable[..., Awaitable[Any]]:
    async def reaching(*arguments: Any, **named: Any) -> Any:
        answer = await call(*arguments, **named)
        if answer or point is not Failpoint.QUEUE_RECEIVED:
            reach(point)
        return answer

    return reaching
