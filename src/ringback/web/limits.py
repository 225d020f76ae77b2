"""The load that one process takes: requests at once, seconds per request, and the size of all bodies."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ringback.domain.errors import Retryable
from ringback.telemetry import HttpRefusal, Metrics
from ringback.web.problems import Problem, response_to, unavailable

#: New calls at once. Two cores store that many in less than a second, so no caller waits much longer.
ACCEPTS_AT_ONCE = 200
#: Requests at once in every other group. They share a few dozen connections to the database with the loops.
AT_ONCE = 100
#: Verified webhooks that wait for the queue. A thousand calls may end at once; later webhooks get a 503 and are sent
#: again.
WEBHOOKS_AT_ONCE = 1_200
RETRY_AFTER_S = 1

API_PREFIX, ACCEPT_PATH = "/v1/", "/v1/calls"
#: Retell's endpoints have limits of their own: one function call for each conversation, and a deadline in seconds.
RETELL_PREFIX = "/v1/retell/"
EXPORTS_PREFIX = "/v1/exports/"
#: Groups of paths, each with a limit of its own. A crowd in one group does not block the others, above all the stops.
GROUPS = ("/v1/calls/", "/v1/actions/", "/v1/suppressions", "/v1/dialing/")
#: The scope's key for the group of a request that was rejected before it reached its route. The metrics read it.
REJECTED_IN = "ringback.rejected_in"

#: Below the 10 s after which most HTTP clients give up by themselves and learn nothing.
ANSWER_WITHIN_S = 7.0

KIB, MIB = 1024, 1024 * 1024
#: The largest body of the systems' API, and of Retell's endpoints, whose bodies contain whole transcripts.
SYSTEMS_BODY_BYTES = 256 * KIB
RETELL_BODY_BYTES = 6 * MIB
#: From the head's end to the body's end.
BODY_WITHIN_S = 5.0
#: The memory that all bodies of one reader hold together, from their first byte until their requests are answered.
MOST_BYTES = 64 * MIB
#: Bodies that have not arrived whole. Fewer than the connections, so that slow bodies cannot use those up.
MOST_UNFINISHED = 1_500

log = structlog.get_logger(__name__)

#: Raises Problem 401, or Retryable when the key cannot be checked.
Authenticate = Callable[[Request], Awaitable[None]]


class ConcurrencyLimit:
    """A number of slots, for an endpoint that has to read a request before it can tell whether to shed it."""

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self.in_use = 0

    @contextmanager
    def slot(self) -> Iterator[bool]:
        """Take a slot until the block ends. Yields False if none is free."""
        is_free = self.in_use < self._slots
        self.in_use += is_free
        try:
            yield is_free
        finally:
            self.in_use -= is_free


class LoadShedding:
    """ASGI middleware: 503 at once for a request whose group is full, before the request costs anything."""

    def __init__(self, app: ASGIApp, accepts_at_once: int = ACCEPTS_AT_ONCE, at_once: int = AT_ONCE) -> None:
        self._app = app
        self._limits = {ACCEPT_PATH: accepts_at_once}
        self._limit = at_once
        self._in_progress: Counter[str] = Counter()
        self._rejection = unavailable(RETRY_AFTER_S).response()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        group = group_of(scope)
        if group is None:
            await self._app(scope, receive, send)
            return
        if self._in_progress[group] >= self._limits.get(group, self._limit):
            scope[REJECTED_IN] = group
            await self._rejection(scope, receive, send)
            return
        self._in_progress[group] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_progress[group] -= 1


def group_of(scope: Scope) -> str | None:
    """The group whose limit counts this request. None for health, for Retell's endpoints, and for non-HTTP scopes."""
    if not _is_for_systems(scope):
        return None
    path: str = scope["path"]
    if scope["method"] == "GET":
        return "GET /v1/"
    if path == ACCEPT_PATH:
        return ACCEPT_PATH
    return next((group for group in GROUPS if path.startswith(group)), API_PREFIX)


def _is_for_systems(scope: Scope) -> bool:
    path: str = scope.get("path", "")
    return scope["type"] == "http" and path.startswith(API_PREFIX) and not path.startswith(RETELL_PREFIX)


class RequestTimeout:
    """ASGI middleware: 503 for an API request that is not answered in time.

    The request may have been committed. A repeat with the same idempotency key gets its answer. An export has to begin
    in time, and may take as long as the client reads it.
    """

    def __init__(self, app: ASGIApp, seconds: float = ANSWER_WITHIN_S) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_for_systems(scope):
            await self._app(scope, receive, send)
            return
        has_started, deadline = False, asyncio.timeout(self._seconds)

        async def noted(message: Message) -> None:
            nonlocal has_started
            has_started = True
            if scope["path"].startswith(EXPORTS_PREFIX):
                deadline.reschedule(None)
            await send(message)

        try:
            async with deadline:
                await self._app(scope, receive, noted)
        except TimeoutError:
            if has_started:
                raise
            log.warning("http.unavailable", cause="no answer in time")
            await unavailable(1).response()(scope, receive, send)


class BodyReader:
    """Read bodies whole: each within a size and a time, and all together within a size.

    Past the common size the body that has been arriving longest is dropped. Honest bodies arrive in milliseconds, so
    bodies that are never finished cannot keep them out.
    """

    def __init__(self, metrics: Metrics, most_bytes: int = MOST_BYTES, most_unfinished: int = MOST_UNFINISHED) -> None:
        self._metrics = metrics
        self._most_bytes = most_bytes
        self._most_unfinished = most_unfinished
        self._held = 0
        self._unfinished: dict[_Body, None] = {}  # the oldest first

    @asynccontextmanager
    async def read(
        self, receive: Receive, headers: Headers, max_bytes: int, within_s: float = BODY_WITHIN_S
    ) -> AsyncIterator[bytes]:
        """Yield the body, which counts as held until the block ends. Raises Problem 413 (from the declared length,
        before anything is read), 408 and 503, and ClientDisconnect."""
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > max_bytes:
            raise self._too_large(max_bytes)
        body = _Body(within_s)
        self._unfinished[body] = None
        try:
            try:
                async with body.deadline:
                    await self._receive(body, receive, max_bytes)
            except TimeoutError:
                if body.is_dropped:
                    self._metrics.refused(HttpRefusal.BODIES_TOO_MANY)
                    raise unavailable(1) from None
                self._metrics.refused(HttpRefusal.BODY_TOO_SLOW)
                raise Problem(408, "body_too_slow", f"The body did not arrive within {within_s:g} s.") from None
            finally:
                self._unfinished.pop(body, None)
            yield b"".join(body.pieces)
        finally:
            self._release(body)

    async def _receive(self, body: "_Body", receive: Receive, max_bytes: int) -> None:
        more = True
        while more:
            self._make_room()
            if body.is_dropped:
                raise TimeoutError
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            piece, more = message.get("body", b""), message.get("more_body", False)
            body.pieces.append(piece)
            body.size += len(piece)
            self._held += len(piece)
            if body.size > max_bytes:
                raise self._too_large(max_bytes)
        self._make_room()
        if body.is_dropped:
            raise TimeoutError

    def _make_room(self) -> None:
        while self._unfinished and (self._held > self._most_bytes or len(self._unfinished) > self._most_unfinished):
            oldest = next(iter(self._unfinished))
            del self._unfinished[oldest]
            oldest.drop()
            self._release(oldest)

    def _release(self, body: "_Body") -> None:
        self._held -= body.size
        body.size = 0
        body.pieces.clear()

    def _too_large(self, max_bytes: int) -> Problem:
        self._metrics.refused(HttpRefusal.BODY_TOO_LARGE)
        return Problem(413, "too_large", f"The body is larger than {max_bytes // KIB} KiB.")


class _Body:
    """A body that is arriving."""

    def __init__(self, within_s: float) -> None:
        self.deadline = asyncio.timeout(within_s)
        self.pieces: list[bytes] = []
        self.size = 0
        self.is_dropped = False

    def drop(self) -> None:
        self.is_dropped = True
        if not self.deadline.expired():
            self.deadline.reschedule(asyncio.get_running_loop().time())


class AuthenticatedBody:
    """ASGI middleware: check the API key before a byte of the body is read, then read the whole body.

    Only complete requests reach the application and use its slots.
    """

    def __init__(self, app: ASGIApp, bodies: BodyReader, authenticate: Authenticate | None = None) -> None:
        self._app = app
        self._bodies = bodies
        self._authenticate = authenticate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        group = group_of(scope)
        if group is None:
            await self._app(scope, receive, send)
            return
        request, has_body = Request(scope), False
        try:
            if self._authenticate is not None:
                await self._authenticate(request)
            async with self._bodies.read(receive, request.headers, SYSTEMS_BODY_BYTES) as body:
                has_body = True
                await self._app(scope, replayed(body, receive), send)
        except (Problem, Retryable) as error:
            if has_body:
                raise
            scope[REJECTED_IN] = group
            await response_to(error)(scope, receive, send)
        except ClientDisconnect:
            if has_body:
                raise


def replayed(body: bytes, receive: Receive) -> Receive:
    """Give the body as one message, and after it the messages of the connection."""
    is_given = False

    async def messages() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return messages
