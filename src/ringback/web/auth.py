"""API keys: only their hashes are known, and a known one is remembered for a moment."""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable

from starlette.requests import Request

from ringback.web.problem import Problem, unavailable

KEY_PREFIX = "rbk_"
#: A deleted key works this much longer at most; without it every request costs a query.
REMEMBER_S = 30.0
MAX_REMEMBERED = 1000
#: Keys that nobody has presented before are looked up in so few places at once: a flood of wrong ones takes neither the
#: connections to the database nor the turn of a key that was good a moment ago. More than wait are sent away.
LOOK_UPS_AT_ONCE = 2
MOST_WAITING = 200

KeyIsKnown = Callable[[str], Awaitable[bool]]


def make_key() -> str:
    """A new API key of 256 random bits. It is shown once; the database gets `hash_key` of it."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """sha256 in hex: enough for a random key, and it can be looked up."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class ApiKeys:
    """The door for systems. `key_is_known` looks a hash up and may raise StoreUnavailable."""

    def __init__(
        self, key_is_known: KeyIsKnown, monotonic: Callable[[], float], remember_s: float = REMEMBER_S
    ) -> None:
        self._key_is_known = key_is_known
        self._monotonic = monotonic
        self._remember_s = remember_s
        self._known_until: dict[str, float] = {}
        self._strangers = asyncio.Semaphore(LOOK_UPS_AT_ONCE)
        self._waiting = 0

    async def require(self, request: Request) -> None:
        """A FastAPI dependency. Raises Problem 401 unless `Authorization: Bearer` or `X-API-Key` holds a known key."""
        key = presented_key(request)
        if key is None or not await self._is_known(hash_key(key)):
            detail = "An API key is needed: Authorization: Bearer, or X-API-Key."
            raise Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="ringback"'})

    async def _is_known(self, key_hash: str) -> bool:
        now = self._monotonic()
        if self._known_until.get(key_hash, 0.0) > now:
            return True
        if not await self._look_up(key_hash):
            self._known_until.pop(key_hash, None)
            return False
        if len(self._known_until) >= MAX_REMEMBERED:
            self._known_until.clear()
        self._known_until[key_hash] = now + self._remember_s
        return True

    async def _look_up(self, key_hash: str) -> bool:
        if key_hash in self._known_until:
            return await self._key_is_known(key_hash)
        if self._waiting >= MOST_WAITING:
            raise unavailable(1)
        self._waiting += 1
        try:
            async with self._strangers:
                return await self._key_is_known(key_hash)
        finally:
            self._waiting -= 1


def presented_key(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return request.headers.get("x-api-key") or None


def require_api_key(keys: ApiKeys) -> Callable[[Request], Awaitable[None]]:
    return keys.require
