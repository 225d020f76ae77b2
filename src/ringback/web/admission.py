"""How many requests are worked on at once, door by door: more than that are sent away while it costs little."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from ringback.web.problem import unavailable

#: Calls to be accepted: what two cores write down in less than a second, so that nobody waits much longer than that.
ACCEPTS_AT_ONCE = 200
#: Everything else of the systems' doors. They share a few dozen connections to the database with the loops.
AT_ONCE = 100
#: Verified webhooks that wait for the queue. A thousand calls may end at once; more than that are told to come again.
WEBHOOKS_AT_ONCE = 1_200
RETRY_AFTER_S = 1

PREFIX, ACCEPTS = "/v1/", "/v1/calls"
#: Bounded by themselves: one tool call for each person on the phone.
AGENTS = "/v1/retell/"
#: A crowd at one of these does not keep anybody from the others: the stops above all.
DOORS = ("/v1/calls/", "/v1/actions/", "/v1/suppressions", "/v1/dialing/")
#: Where a refused request says at which door it was, for the metrics.
REFUSED_AT = "ringback.refused_at"


class Places:
    """So many at once, for a door that reads what it is given before it can know what it is worth."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.taken = 0

    @contextmanager
    def one(self) -> Iterator[bool]:
        """Whether there was a place; it is kept until the block is left."""
        is_free = self.taken < self._most
        self.taken += is_free
        try:
            yield is_free
        finally:
            self.taken -= is_free


class Admission:
    """ASGI middleware: 503 at once for a request that finds its door full, before anything of it is read."""

    def __init__(self, app: ASGIApp, accepts_at_once: int = ACCEPTS_AT_ONCE, at_once: int = AT_ONCE) -> None:
        self._app = app
        self._limits = {ACCEPTS: accepts_at_once}
        self._limit = at_once
        self._inside: Counter[str] = Counter()
        self._refusal = unavailable(RETRY_AFTER_S).response()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        door = door_of(scope)
        if door is None:
            await self._app(scope, receive, send)
            return
        if self._inside[door] >= self._limits.get(door, self._limit):
            scope[REFUSED_AT] = door
            await self._refusal(scope, receive, send)
            return
        self._inside[door] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._inside[door] -= 1


def door_of(scope: Scope) -> str | None:
    """None where nobody is counted: health, what Retell calls, and everything that is no request."""
    path: str = scope.get("path", "")
    if scope["type"] != "http" or not path.startswith(PREFIX) or path.startswith(AGENTS):
        return None
    if scope["method"] == "GET":
        return "GET /v1/"
    if path == ACCEPTS:
        return ACCEPTS
    return next((door for door in DOORS if path.startswith(door)), PREFIX)
