"""Sessions of the console, the cookies that hold them, and the checks of every request that writes."""

import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from ringback.domain.access import KnownKey, Permission
from ringback.domain.audit import Actor, Via
from ringback.ports import Clock
from ringback.web.auth import ApiKeys, hash_key

COOKIE = "ringback_console"
#: Holds nothing but random bits, so that the form of the login has a token too.
LOGIN_COOKIE = "ringback_console_login"
ROOT = "/console"
LASTS = timedelta(hours=12)
LINK_LASTS = timedelta(hours=1)

#: Of every answer below /console. Form posts carry an Origin only if the referrer policy lets same-origin ones through.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
NOT_STORED = {"Cache-Control": "no-store"}


class SessionRows(Protocol):
    """Sessions and login links by the hash of their token. All methods raise StoreUnavailable."""

    async def add(self, token_hash: str, key_hash: str, now: datetime, expires_at: datetime) -> bool:
        """Begin a session of a key. False: the key is unknown or revoked."""
        ...

    async def add_link(self, link_hash: str, key_hash: str, now: datetime, expires_at: datetime) -> bool:
        """Make a link that begins one session of a key. False: the key is unknown or revoked."""
        ...

    async def use_link(self, link_hash: str, now: datetime) -> str | None:
        """Return the hash of the link's key, once. None: it was used, has expired, or never existed."""
        ...

    async def find(self, token_hash: str, now: datetime) -> KnownKey | None:
        """Return the key of a session that has not ended. None also if the key was revoked."""
        ...

    async def in_force(self, token_hashes: Collection[str], now: datetime) -> set[str]:
        """Return those of the sessions that have not ended, and whose keys were not revoked."""
        ...

    async def end(self, token_hash: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Visitor:
    """The key behind a request, and the token that its forms send back."""

    key: KnownKey
    token: str

    @property
    def csrf(self) -> str:
        return csrf_of(self.token)

    @property
    def actor(self) -> Actor:
        return Actor(Via.CONSOLE, self.key.name)

    @property
    def session(self) -> str:
        """The hash of the token, by which the database knows the session."""
        return hash_key(self.token)

    def may(self, permission: Permission) -> bool:
        return self.key.may(permission)


@dataclass(frozen=True, slots=True)
class Sessions:
    rows: SessionRows
    keys: ApiKeys
    clock: Clock

    async def visitor(self, request: Request) -> Visitor | None:
        """Find the session of the cookie. None: there is none in force, or its key may not use the console."""
        token = request.cookies.get(COOKIE)
        key = await self.rows.find(hash_key(token), self.clock.now()) if token else None
        return Visitor(key, token) if key and token and key.may(Permission.USE_CONSOLE) else None

    @staticmethod
    def new_token() -> str:
        """A token of 256 random bits."""
        return secrets.token_urlsafe(32)

    async def begin(self, *, api_key: str = "", link: str = "") -> str | None:
        """Begin a session with an API key or a one-time link. Returns its token, or None if neither is valid."""
        now = self.clock.now()
        if link:
            key_hash = await self.rows.use_link(hash_key(link), now)
        else:
            found = await self.keys.known(api_key or None)
            key_hash = hash_key(api_key) if found is not None and found.may(Permission.USE_CONSOLE) else None
        token = self.new_token()
        if key_hash is None or not await self.rows.add(hash_key(token), key_hash, now, now + LASTS):
            return None
        return token

    async def add_link(self, link: str, api_key: str) -> bool:
        """Let this link begin one session of the key. False: the key is unknown or revoked."""
        now = self.clock.now()
        return await self.rows.add_link(hash_key(link), hash_key(api_key), now, now + LINK_LASTS)

    async def in_force(self, sessions: Collection[str]) -> set[str]:
        return await self.rows.in_force(sessions, self.clock.now())

    async def end(self, visitor: Visitor) -> None:
        await self.rows.end(visitor.session)


def csrf_of(token: str) -> str:
    """The token of a session's forms. It follows from the cookie, which no other site can read or set."""
    return hmac.new(token.encode(), b"ringback console form", hashlib.sha256).hexdigest()


def is_own_form(request: Request, form: Mapping[str, str], token: str | None) -> bool:
    """Whether the console's own page sent this form: the Origin is this host, and the form has its token."""
    return (
        token is not None
        and is_same_origin(request)
        and hmac.compare_digest(form.get("csrf", "").encode(), csrf_of(token).encode())
    )


def is_same_origin(request: Request) -> bool:
    """Compare the Origin with the Host. The scheme is unknown behind a proxy that ends TLS."""
    scheme, _, host = request.headers.get("origin", "").partition("://")
    return scheme in ("http", "https") and host != "" and host.lower() == request.headers.get("host", "").lower()


def set_cookie(request: Request, response: Response, name: str, value: str, lasts: timedelta) -> None:
    response.set_cookie(
        name,
        value,
        max_age=int(lasts.total_seconds()),
        path=ROOT,
        secure=not is_loopback(request),
        httponly=True,
        samesite="strict",
    )


def is_loopback(request: Request) -> bool:
    """Whether the browser asked this machine by a loopback name, for which there is no HTTPS."""
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:
        return False
    return host in ("localhost", "127.0.0.1", "::1")
