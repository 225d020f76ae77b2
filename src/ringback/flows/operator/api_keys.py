"""Create and revoke the API keys of systems and people."""

from datetime import datetime
from typing import Protocol

from ringback.domain.access import Role
from ringback.domain.audit import Actor, AuditAction, AuditEntry


class ApiKeyRows(Protocol):
    """The store of keys. Both methods record the entry if they change anything, and raise StoreUnavailable."""

    async def add(self, name: str, key_hash: str, entry: AuditEntry, role: Role) -> bool: ...
    async def revoke(self, name: str, entry: AuditEntry) -> bool: ...


async def create_key(keys: ApiKeyRows, now: datetime, name: str, key_hash: str, role: Role, actor: Actor) -> bool:
    """Create a key of which the database holds the hash alone. Returns False if there is a key of that name."""
    entry = AuditEntry(now, actor, AuditAction.KEY_CREATED, f"key:{name}", {"role": role})
    return await keys.add(name, key_hash, entry, role)


async def revoke_key(keys: ApiKeyRows, now: datetime, name: str, actor: Actor) -> bool:
    """Revoke a key for ever. Returns False if there is no such key."""
    return await keys.revoke(name, AuditEntry(now, actor, AuditAction.KEY_REVOKED, f"key:{name}"))
