"""The limits of a message, checked before sending. Amazon SQS and the database then agree to the byte.

`max_bytes` is the limit of the queue. SQS has the same one for a batch as for one message.
"""

import re
from collections.abc import Mapping, Sequence

from ringback.domain.errors import QueueUnavailable
from ringback.ports import OutgoingMessage

MAX_DELAY_S = 900
MAX_ATTRIBUTES = 10
MAX_REASON_CHARACTERS = 500
#: The most letters that one listing returns.
MAX_LETTERS = 1000

#: SQS accepts only the characters of XML 1.0. Its documentation says that others are rejected, and also that they are
#: replaced by U+FFFD, which would break a signed body. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: The same for ASCII. Removing them by a table costs a tenth of the search, and the product's messages are ASCII.
_ALLOWED_ASCII = bytes([*b"\t\n\r", *range(0x20, 0x80)])
_ATTRIBUTE_NAME = re.compile(r"[A-Za-z0-9_\-]+(\.[A-Za-z0-9_\-]+)*")


def body_rejection(body: str, max_bytes: int) -> str | None:
    """Return the reason why a queue rejects this text as a body. None: it is accepted."""
    if not body:
        return "empty body"
    if body.encode().translate(None, _ALLOWED_ASCII) if body.isascii() else _FORBIDDEN.search(body):
        return "characters outside XML 1.0"
    # A character has at most four bytes, so most bodies are measured without encoding them.
    if len(body) * 4 > max_bytes and len(body.encode()) > max_bytes:
        return f"more than {max_bytes} bytes"
    return None


def rejection(message: OutgoingMessage, max_bytes: int) -> str | None:
    """Return the reason why a queue rejects this message. None: it is accepted."""
    if not 0 <= message.delay_s <= MAX_DELAY_S:
        return f"delay outside 0..{MAX_DELAY_S} s"
    reason = body_rejection(message.body, max_bytes)
    if reason or not message.attributes:
        return reason
    if len(message.attributes) > MAX_ATTRIBUTES:
        return f"more than {MAX_ATTRIBUTES} attributes"
    for name, value in message.attributes.items():
        if not _ATTRIBUTE_NAME.fullmatch(name) or not value or _FORBIDDEN.search(value):
            return "an attribute's name or value"
    return f"more than {max_bytes} bytes" if message_bytes(message) > max_bytes else None


def rejections(messages: Sequence[OutgoingMessage], max_bytes: int) -> dict[int, str]:
    """Return the positions of the rejected messages, with the reasons."""
    reasons = ((position, rejection(message, max_bytes)) for position, message in enumerate(messages))
    return {position: reason for position, reason in reasons if reason}


def all_rejected(rejected: Mapping[int, str]) -> QueueUnavailable:
    return QueueUnavailable(f"every message was rejected: {', '.join(sorted(set(rejected.values())))}")


def clean(text: str) -> str:
    """Replace every character that a queue rejects by U+FFFD."""
    return _FORBIDDEN.sub("\ufffd", text)


def message_bytes(message: OutgoingMessage) -> int:
    """Return the size that SQS counts: the body, and each attribute's name, type (`String`) and value, in UTF-8."""
    attributes = sum(len(f"{name}String{value}".encode()) for name, value in message.attributes.items())
    return len(message.body.encode()) + attributes


def in_batches(sizes: list[int], *, most: int = 10, most_bytes: int) -> list[list[int]]:
    """Cut the positions into batches, in order."""
    batches: list[list[int]] = []
    free_bytes = 0
    for position, size in enumerate(sizes):
        if not batches or len(batches[-1]) == most or size > free_bytes:
            batches.append([])
            free_bytes = most_bytes
        batches[-1].append(position)
        free_bytes -= size
    return batches
