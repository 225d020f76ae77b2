"""Sessions of the console, and the links that begin one. The database holds only hashes of both."""

from collections.abc import Collection
from datetime import datetime

from ringback.adapters.postgres.pool import Pool, connection_of
from ringback.domain.access import KnownKey, Role

_ADD = """
INSERT INTO console_sessions (token_hash, kind, key_hash, created_at, expires_at)
SELECT $1, $3, key_hash, $4, $5 FROM api_keys WHERE key_hash = $2 AND revoked_at IS NULL
"""
# The link's row is deleted by the statement that reads it, so it begins one session at most.
_USE_LINK = """
DELETE FROM console_sessions WHERE token_hash = $1 AND kind = 'link' AND expires_at > $2 RETURNING key_hash
"""
_FIND = """
SELECT name, role FROM console_sessions JOIN api_keys USING (key_hash)
WHERE token_hash = $1 AND kind = 'session' AND expires_at > $2 AND revoked_at IS NULL
"""
_IN_FORCE = """
SELECT token_hash FROM console_sessions JOIN api_keys USING (key_hash)
WHERE token_hash = ANY ($1) AND kind = 'session' AND expires_at > $2 AND revoked_at IS NULL
"""


class PostgresConsoleSessions:
    """Implements `web.console.sessions.SessionRows`. All methods raise StoreUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, token_hash: str, key_hash: str, now: datetime, expires_at: datetime) -> bool:
        async with connection_of(self._pool) as connection:
            status = await connection.execute(_ADD, token_hash, key_hash, "session", now, expires_at)
        return bool(status == "INSERT 0 1")

    async def add_link(self, link_hash: str, key_hash: str, now: datetime, expires_at: datetime) -> bool:
        async with connection_of(self._pool) as connection:
            status = await connection.execute(_ADD, link_hash, key_hash, "link", now, expires_at)
        return bool(status == "INSERT 0 1")

    async def use_link(self, link_hash: str, now: datetime) -> str | None:
        async with connection_of(self._pool) as connection:
            key_hash: str | None = await connection.fetchval(_USE_LINK, link_hash, now)
        return key_hash

    async def find(self, token_hash: str, now: datetime) -> KnownKey | None:
        async with connection_of(self._pool) as connection:
            row = await connection.fetchrow(_FIND, token_hash, now)
        return KnownKey(row["name"], Role(row["role"])) if row is not None else None

    async def in_force(self, token_hashes: Collection[str], now: datetime) -> set[str]:
        async with connection_of(self._pool) as connection:
            rows = await connection.fetch(_IN_FORCE, list(token_hashes), now)
        return {row["token_hash"] for row in rows}

    async def end(self, token_hash: str) -> None:
        async with connection_of(self._pool) as connection:
            await connection.execute("DELETE FROM console_sessions WHERE token_hash = $1", token_hash)
