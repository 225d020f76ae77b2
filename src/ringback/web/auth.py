"""API keys: find the key of a request, and check that its role may use the endpoint.

Only hashes are known. A known key is remembered for some seconds.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import Depends
from starlette.requests import Request

from ringback.domain.access import PERMISSIONS, KnownKey, Permission
from ringback.domain.audit import Actor, Via
from ringback.web.problems import Problem, unavailable

KEY_PREFIX = "rbk_"
#: A revoked key works this much longer at most; without it every request costs a query.
REMEMBER_S = 5.0
MAX_REMEMBERED = 1000
#: Permissions that are used too often for a log line each time.
_NOT_LOGGED = frozenset({Permission.READ_CALLS, Permission.READ_EVENTS, Permission.PLACE_CALLS})
#: Look-ups at once of keys that were not presented before. A flood of wrong keys then uses neither the connections to
#: the database nor the turn of a key that was good a moment ago. Past the number that may wait, the answer is 503.
LOOK_UPS_AT_ONCE = 2
MOST_WAITING = 200

FindKey = Callable[[str], Awaitable[KnownKey | None]]
_log = structlog.get_logger(__name__)


def make_key() -> str:
    """A new API key of 256 random bits. It is shown once; the database gets `hash_key` of it."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """sha256 in hex: enough for a random key, and it can be looked up."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class ApiKeys:
    """The keys of systems. `find_key` looks a hash up and may raise StoreUnavailable."""

    def __init__(self, find_key: FindKey, monotonic: Callable[[], float], remember_s: float = REMEMBER_S) -> None:
        self._find_key = find_key
        self._monotonic = monotonic
        self._remember_s = remember_s
        self._remembered: dict[str, tuple[float, KnownKey]] = {}
        self._strangers = asyncio.Semaphore(LOOK_UPS_AT_ONCE)
        self._waiting = 0

    async def known(self, key: str | None) -> KnownKey | None:
        """Find a key. Returns None if it is unknown, revoked or not given."""
        if key is None:
            return None
        key_hash, now = hash_key(key), self._monotonic()
        until, found = self._remembered.get(key_hash, (0.0, None))
        if found is not None and until > now:
            return found
        found = await (self._find_key(key_hash) if found is not None else self._find_stranger(key_hash))
        if found is None:
            self._remembered.pop(key_hash, None)
        else:
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[key_hash] = (now + self._remember_s, found)
        return found

    async def require(self, request: Request) -> None:
        """A FastAPI dependency that leaves the key in `request.state.api_key`, for `needs`. Raises Problem 401 unless
        `Authorization: Bearer` or `X-API-Key` holds a known key. A key that was found for this request is kept."""
        if hasattr(request.state, "api_key"):
            return
        found = await self.known(presented_key(request))
        if found is None:
            detail = "A key that is known and not revoked is needed: Authorization: Bearer, or X-API-Key."
            raise Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="ringback"'})
        request.state.api_key = found

    async def _find_stranger(self, key_hash: str) -> KnownKey | None:
        if self._waiting >= MOST_WAITING:
            raise unavailable(1)
        self._waiting += 1
        try:
            async with self._strangers:
                return await self._find_key(key_hash)
        finally:
            self._waiting -= 1


def presented_key(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return request.headers.get("x-api-key") or None


def require_api_key(keys: ApiKeys) -> Callable[[Request], Awaitable[None]]:
    return keys.require


@dataclass(frozen=True, slots=True)
class Needed:
    """A dependency that runs after `ApiKeys.require`. Raises Problem 403 unless the key's role may do this."""

    permission: Permission

    async def __call__(self, request: Request) -> None:
        key: KnownKey = request.state.api_key
        told = {"key_name": key.name, "role": key.role, "needs": self.permission.name.lower()}
        if not key.may(self.permission):
            _log.warning("api_key.refused", **told)
            roles = ", ".join(role for role, granted in PERMISSIONS.items() if self.permission in granted)
            detail = f"A key of the role {key.role} may not {self.permission}; these roles may: {roles}."
            raise Problem(403, "forbidden", detail)
        if self.permission not in _NOT_LOGGED:
            _log.info("api_key.used", **told)


def actor_of(request: Request) -> Actor:
    """The key of the request, which `ApiKeys.require` has found, as the author of a write."""
    key: KnownKey = request.state.api_key
    return Actor(Via.API, key.name)


def sees_phones(request: Request) -> bool:
    """Whether an answer to this request has whole phone numbers. Without a key it has none."""
    key: KnownKey | None = getattr(request.state, "api_key", None)
    return key is not None and key.may(Permission.SEE_PHONES)


def needs(permission: Permission) -> Any:
    """The permission that a route declares among its `dependencies`. A test checks that every route has one."""
    return Depends(Needed(permission))
