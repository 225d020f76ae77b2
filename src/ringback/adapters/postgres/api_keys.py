"""API keys. The database holds only their hashes."""

from datetime import datetime

from ringback.adapters.postgres.audit import append
from ringback.adapters.postgres.pool import Pool, connection_of
from ringback.domain.access import KeyRecord, KnownKey, Role
from ringback.domain.audit import Actor, AuditAction, AuditEntry, Via

#: The name of the setting's row. There is one, because the setting has one value.
SETTING = "RINGBACK_API_KEY"

# The previous version added the hash to the name of the setting's rows, and kept every earlier value valid.
_OF_SETTING = "name = 'RINGBACK_API_KEY' OR name ~ '^RINGBACK_API_KEY [0-9a-f]{8}$'"
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('api key of the setting', 0))"
_IS_REVOKED = "SELECT revoked_at IS NOT NULL FROM api_keys WHERE key_hash = $1"
# A revoked row keeps its hash, which must never be valid again. Its name goes to the next value.
_RENAME_REVOKED = """
UPDATE api_keys SET name = name || ' ' || left(key_hash, 8)
WHERE name = 'RINGBACK_API_KEY' AND key_hash <> $1 AND revoked_at IS NOT NULL
"""
_END_OTHERS = f"""
DELETE FROM api_keys WHERE ({_OF_SETTING}) AND key_hash <> $1 AND revoked_at IS NULL
"""
_NAME = f"UPDATE api_keys SET name = 'RINGBACK_API_KEY' WHERE ({_OF_SETTING}) AND key_hash = $1"
_ADD = """
INSERT INTO api_keys (name, key_hash, created_at, role) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""
_USED = """
UPDATE api_keys SET last_used_at = now()
WHERE name = $1 AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
"""
_REVOKE = "UPDATE api_keys SET revoked_at = $2 WHERE name = $1 AND revoked_at IS NULL"
_EXISTS = "SELECT EXISTS (SELECT FROM api_keys WHERE name = $1)"
_ALL = "SELECT name, role, created_at, last_used_at, revoked_at FROM api_keys ORDER BY created_at, name"


class PostgresApiKeys:
    """All methods raise StoreUnavailable. `key_hash` is sha256 in hex."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, key_hash: str) -> KnownKey | None:
        """Return the valid key with this hash. None: unknown or revoked. Its use is noted at most once a minute."""
        async with connection_of(self._pool) as connection:
            row = await connection.fetchrow(
                "SELECT name, role FROM api_keys WHERE key_hash = $1 AND revoked_at IS NULL", key_hash
            )
            if row is None:
                return None
            await connection.execute(_USED, row["name"])
        return KnownKey(row["name"], Role(row["role"]))

    async def add(self, name: str, key_hash: str, entry: AuditEntry, role: Role = Role.ADMIN) -> bool:
        """Add a key as of the entry's time, and record the entry. Adding the same pair again does nothing.

        Returns False if the name has another key, the key has another name, or the key was revoked.
        """
        async with connection_of(self._pool) as connection, connection.transaction():
            if await connection.execute(_ADD, name, key_hash, entry.at, role) == "INSERT 0 1":
                await append(connection, entry)
            row = await connection.fetchrow("SELECT key_hash, revoked_at FROM api_keys WHERE name = $1", name)
        return bool(row is not None and row["key_hash"] == key_hash and row["revoked_at"] is None)

    async def add_of_up(self, key_hash: str, now: datetime) -> bool:
        """Add the key that `up` made for its data directory, beside the setting's key. False: it was revoked."""
        name = f"ringback up {key_hash[:8]}"
        await self.add(name, key_hash, _entry_of_start(now, name))
        async with connection_of(self._pool) as connection:
            return not await connection.fetchval(_IS_REVOKED, key_hash)

    async def put_setting(self, key_hash: str, now: datetime) -> bool:
        """Make this the key of the setting RINGBACK_API_KEY, with every permission. The previous value becomes invalid.

        A key that was added under another name keeps its name. False: it was revoked, and nothing changes.
        """
        async with connection_of(self._pool) as connection, connection.transaction():
            # Processes that start together write one value each. The last one applies.
            await connection.execute(_LOCK)
            is_revoked = await connection.fetchval(_IS_REVOKED, key_hash)
            if is_revoked:
                return False
            await connection.execute(_RENAME_REVOKED, key_hash)
            ended = int((await connection.execute(_END_OTHERS, key_hash)).removeprefix("DELETE "))
            await connection.execute(_NAME, key_hash)
            if is_revoked is None:
                await connection.execute(_ADD, SETTING, key_hash, now, Role.ADMIN)
            if is_revoked is None or ended:
                await append(connection, _entry_of_start(now, SETTING, ended, is_new=is_revoked is None))
        return True

    async def revoke(self, name: str, entry: AuditEntry) -> bool:
        """Revoke a key for ever as of the entry's time, and record the entry. False: there is no such key."""
        async with connection_of(self._pool) as connection, connection.transaction():
            if await connection.execute(_REVOKE, name, entry.at) == "UPDATE 1":
                await append(connection, entry)
            return bool(await connection.fetchval(_EXISTS, name))

    async def all(self) -> list[KeyRecord]:
        """Return all keys, revoked ones included, the oldest first."""
        async with connection_of(self._pool) as connection:
            rows = await connection.fetch(_ALL)
        return [KeyRecord(**{**row, "role": Role(row["role"])}) for row in rows]


def _entry_of_start(now: datetime, name: str, ended: int = 0, *, is_new: bool = True) -> AuditEntry:
    """The entry of a start with a new key, or with one that ends others. `ended` counts those."""
    action = AuditAction.KEY_CREATED if is_new else AuditAction.KEY_REVOKED
    return AuditEntry(now, Actor(Via.SETTING, SETTING), action, f"key:{name}", {"role": Role.ADMIN, "ended": ended})
