"""Classify the result of one create-phone-call by the bytes that can have reached Retell, not by the error's name."""

import re
from datetime import datetime
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec

from ringback.adapters.retell.events import ATTEMPT_KEY
from ringback.adapters.retry_after import retry_after_s
from ringback.domain.attempt import DialAnswer, DialAnswerKind, DialRequest
from ringback.domain.storable import storable
from ringback.log_text import HIDDEN

# Only these two are raised before the first byte of the request is written (aiohttp 3.14, connector and client).
_BEFORE_THE_FIRST_BYTE = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)

_KINDS: dict[int, DialAnswerKind] = {
    HTTPStatus.BAD_REQUEST: DialAnswerKind.REJECTED,
    HTTPStatus.UNPROCESSABLE_ENTITY: DialAnswerKind.REJECTED,
    HTTPStatus.UNAUTHORIZED: DialAnswerKind.ACCOUNT_REFUSED,
    HTTPStatus.PAYMENT_REQUIRED: DialAnswerKind.ACCOUNT_REFUSED,
    HTTPStatus.FORBIDDEN: DialAnswerKind.ACCOUNT_REFUSED,
    HTTPStatus.NOT_FOUND: DialAnswerKind.ACCOUNT_REFUSED,  # no such route: the base URL is wrong, not the call
    HTTPStatus.TOO_MANY_REQUESTS: DialAnswerKind.DEFERRED,
}
_SHORTEST_HIDDEN, _LONGEST_MESSAGE = 3, 200  # characters
# Seven digits or more, with the separators of phone numbers between them.
_DIGITS = re.compile(r"\+?\d(?:[\s().\-]*\d){6,}")


class _Created(msgspec.Struct):
    call_id: str
    metadata: Any = None


_created = msgspec.json.Decoder(_Created)


def answer_from_success(status: int, body: bytes, attempt_id: object) -> DialAnswer:
    """Classify a 2xx. It counts as placed only with a call id.

    Retell echoes the metadata. A response that names another attempt was left on the connection by an earlier request,
    and is no information about this one.
    """
    try:
        created = _created.decode(body)
    except (ValueError, RecursionError):
        created = _Created("")
    if not created.call_id:
        return DialAnswer(DialAnswerKind.AMBIGUOUS, f"http_{status}_without_call_id")
    if isinstance(created.metadata, dict) and created.metadata.get(ATTEMPT_KEY, attempt_id) != attempt_id:
        return DialAnswer(DialAnswerKind.AMBIGUOUS, f"http_{status}_of_another_attempt")
    return DialAnswer(DialAnswerKind.PLACED, f"http_{status}", provider_call_id=created.call_id)


def answer_from_status(status: int, retry_after: str | None, now: datetime) -> DialAnswer:
    """Classify any other complete response. `now` (UTC) is for a Retry-After that is a date."""
    kind = _KINDS.get(status, DialAnswerKind.AMBIGUOUS)
    wait_s = retry_after_s(retry_after, now) if kind is DialAnswerKind.DEFERRED else None
    return DialAnswer(kind, f"http_{status}", retry_after_s=wait_s)


def refusal_message(body: bytes, request: DialRequest) -> str | None:
    """Return Retell's own message about a refused dial, without numbers and without the values of the request."""
    try:
        said = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None
    text = (said.get("message") or said.get("error_message")) if isinstance(said, dict) else None
    if not isinstance(text, str):
        return None
    values = _texts([request.variables, request.metadata, request.to_number, request.from_number])
    words = {word for value in values for word in (value, *value.split()) if len(word) >= _SHORTEST_HIDDEN}
    # The longest first, so that a whole name goes before its parts.
    for word in sorted(words, key=len, reverse=True):
        text = re.sub(re.escape(word), HIDDEN, text, flags=re.IGNORECASE)
    return str(storable(" ".join(_DIGITS.sub(HIDDEN, text).split())[:_LONGEST_MESSAGE]))


def _texts(value: object) -> list[str]:
    """Return every text within a JSON value, numbers as text."""
    if isinstance(value, dict):
        return [text for one in value.values() for text in _texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    return [] if value is None or isinstance(value, bool) else [str(value)]


def answer_from_error(error: BaseException) -> DialAnswer:
    """Classify a request without a complete response.

    The outer exception does not tell how much was sent: if a server reads the whole request and hangs up, the SDK
    raises APITimeoutError over httpx.ConnectTimeout.
    """
    if isinstance(error, TimeoutError):  # our own limit on the whole call; the SDK wraps every other timeout
        return DialAnswer(DialAnswerKind.AMBIGUOUS, "timeout")
    chain = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    if any(isinstance(cause, _BEFORE_THE_FIRST_BYTE) for cause in chain):
        return DialAnswer(DialAnswerKind.NOT_SENT, _code(chain[-1]))
    return DialAnswer(DialAnswerKind.AMBIGUOUS, _code(chain[-1]))


def _code(error: BaseException) -> str:
    """`ServerDisconnectedError` -> `server_disconnected`: a name, never a message, which may quote the request."""
    name = re.sub(r"(Error|Exception)$", "", type(error).__name__) or "error"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
