"""What no queue of ours takes, decided before sending so that Amazon SQS and the database agree to the byte."""

import re
from collections.abc import Mapping, Sequence

from ringback.domain.errors import QueueUnavailable
from ringback.messages import MAX_MESSAGE_BYTES
from ringback.ports import OutgoingMessage

MAX_DELAY_S = 900
MAX_ATTRIBUTES = 10
MAX_REASON_CHARACTERS = 500
#: Of one listing of dead letters.
MAX_LETTERS = 1000

#: SQS takes the characters of XML 1.0 only, and its documentation names two fates for others: refused, or replaced by
#: U+FFFD, which would break a signed body. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ATTRIBUTE_NAME = re.compile(r"[A-Za-z0-9_\-]+(\.[A-Za-z0-9_\-]+)*")


def body_refusal(body: str) -> str | None:
    """Why no queue takes this text as a body, or None."""
    if not body:
        return "empty body"
    # JSON without its spaces passes by the first two, at a tenth of the search's price.
    if not (body.isascii() and body.isprintable()) and _FORBIDDEN.search(body):
        return "characters outside XML 1.0"
    # Four bytes is the longest character: most bodies need no encoding to be measured.
    if len(body) * 4 > MAX_MESSAGE_BYTES and len(body.encode()) > MAX_MESSAGE_BYTES:
        return f"more than {MAX_MESSAGE_BYTES} bytes"
    return None


def refusal(message: OutgoingMessage) -> str | None:
    """Why no queue takes this message, or None."""
    if not 0 <= message.delay_s <= MAX_DELAY_S:
        return f"delay outside 0..{MAX_DELAY_S} s"
    reason = body_refusal(message.body)
    if reason or not message.attributes:
        return reason
    if len(message.attributes) > MAX_ATTRIBUTES:
        return f"more than {MAX_ATTRIBUTES} attributes"
    for name, value in message.attributes.items():
        if not _ATTRIBUTE_NAME.fullmatch(name) or not value or _FORBIDDEN.search(value):
            return "an attribute's name or value"
    return f"more than {MAX_MESSAGE_BYTES} bytes" if message_bytes(message) > MAX_MESSAGE_BYTES else None


def refusals(messages: Sequence[OutgoingMessage]) -> dict[int, str]:
    """The positions that no queue takes, and why."""
    reasons = ((position, refusal(message)) for position, message in enumerate(messages))
    return {position: reason for position, reason in reasons if reason}


def nothing_taken(refused: Mapping[int, str]) -> QueueUnavailable:
    return QueueUnavailable(f"no message was taken: {', '.join(sorted(set(refused.values())))}")


def clean(text: str) -> str:
    """The text with every character that a queue would not take replaced by U+FFFD."""
    return _FORBIDDEN.sub("\ufffd", text)


def message_bytes(message: OutgoingMessage) -> int:
    """The size SQS counts: the body, and each attribute's name, type (`String`) and value, in UTF-8."""
    attributes = sum(len(f"{name}String{value}".encode()) for name, value in message.attributes.items())
    return len(message.body.encode()) + attributes


def in_batches(sizes: list[int], *, most: int = 10, most_bytes: int = MAX_MESSAGE_BYTES) -> list[list[int]]:
    """Positions in order, cut into batches: SQS limits the bytes of a batch as it limits those of one message."""
    batches: list[list[int]] = []
    room = 0
    for position, size in enumerate(sizes):
        if not batches or len(batches[-1]) == most or size > room:
            batches.append([])
            room = most_bytes
        batches[-1].append(position)
        room -= size
    return batches
