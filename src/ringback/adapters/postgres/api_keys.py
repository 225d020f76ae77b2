"""API keys, of which the database holds the hashes."""

from datetime import datetime

from ringback.adapters.postgres.pool import Pool, connection_of


class PostgresApiKeys:
    """All methods raise StoreUnavailable. `key_hash` is sha256 in hex."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def is_known(self, key_hash: str) -> bool:
        async with connection_of(self._pool) as connection:
            return bool(await connection.fetchval("SELECT true FROM api_keys WHERE key_hash = $1", key_hash))

    async def add(self, name: str, key_hash: str, now: datetime) -> bool:
        """False if the name has another key, or the key another name; adding the same pair again does nothing."""
        async with connection_of(self._pool) as connection:
            await connection.execute(
                "INSERT INTO api_keys (name, key_hash, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                name,
                key_hash,
                now,
            )
            known = await connection.fetchval("SELECT key_hash FROM api_keys WHERE name = $1", name)
        return bool(known == key_hash)
