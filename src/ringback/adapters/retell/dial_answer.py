"""What one create-phone-call came to, judged by what can have reached Retell and not by the name of the error."""

import re
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec

from ringback.adapters.retell.events import ATTEMPT_KEY
from ringback.domain.dial import DialAnswer, DialAnswerKind

#: No wish of the provider's keeps a task away longer than this.
MAX_RETRY_AFTER_S = 3600.0

# Only these two are raised before the first byte of the request is written (aiohttp 3.14, connector and client).
_BEFORE_THE_FIRST_BYTE = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)

_KINDS: dict[int, DialAnswerKind] = {
    HTTPStatus.BAD_REQUEST: DialAnswerKind.REJECTED,
    HTTPStatus.UNPROCESSABLE_ENTITY: DialAnswerKind.REJECTED,
    HTTPStatus.UNAUTHORIZED: DialAnswerKind.ACCOUNT_REFUSED,
    HTTPStatus.PAYMENT_REQUIRED: DialAnswerKind.ACCOUNT_REFUSED,
    HTTPStatus.FORBIDDEN: DialAnswerKind.ACCOUNT_REFUSED,
    # create-phone-call itself does not exist there: a wrong base URL, never a property of this call
    HTTPStatus.NOT_FOUND: DialAnswerKind.ACCOUNT_REFUSED,
    HTTPStatus.TOO_MANY_REQUESTS: DialAnswerKind.DEFERRED,
}


class _Created(msgspec.Struct):
    call_id: str
    metadata: Any = None


_created = msgspec.json.Decoder(_Created)


def answer_from_success(status: int, body: bytes, attempt_id: object) -> DialAnswer:
    """The answer for a 2xx, which counts as placed only with a call id. Retell echoes the metadata: an answer that
    names another attempt was left on the connection by a request before ours, and says nothing about this one."""
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
    """The answer for any other status that arrived whole; `now` (UTC) is for a Retry-After that is a date."""
    kind = _KINDS.get(status, DialAnswerKind.AMBIGUOUS)
    wait_s = retry_after_s(retry_after, now) if kind is DialAnswerKind.DEFERRED else None
    return DialAnswer(kind, f"http_{status}", retry_after_s=wait_s)


def answer_from_error(error: BaseException) -> DialAnswer:
    """The answer when no whole response came. The names on top lie about what was sent: a server that read the whole
    request and hung up surfaces as the SDK's APITimeoutError over httpx.ConnectTimeout."""
    if isinstance(error, TimeoutError):  # our own bound on the whole call; the SDK wraps every other timeout
        return DialAnswer(DialAnswerKind.AMBIGUOUS, "timeout")
    chain = list(_causes(error))
    if any(isinstance(cause, _BEFORE_THE_FIRST_BYTE) for cause in chain):
        return DialAnswer(DialAnswerKind.NOT_SENT, _code(chain[-1]))
    return DialAnswer(DialAnswerKind.AMBIGUOUS, _code(chain[-1]))


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds of a Retry-After header (a number or an HTTP date, RFC 9110 section 10.2.3), at most an hour."""
    if not value:
        return None
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value.strip()):
        wait_s = float(value)
    else:
        try:
            wait_s = (parsedate_to_datetime(value) - now).total_seconds()
        except (ValueError, TypeError):  # not a date, or one without a zone
            return None
    return min(max(wait_s, 0.0), MAX_RETRY_AFTER_S)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _code(error: BaseException) -> str:
    """`ServerDisconnectedError` -> `server_disconnected`: a name, never a message, which may quote the request."""
    name = re.sub(r"(Error|Exception)$", "", type(error).__name__) or "error"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
