"""Hashes of erased people: keyed ones of phones, contact ids and idempotency keys, and marks of provider call ids.

A keyed hash has two layers. The inner one is salted with a value in the database. The outer one is HMAC-SHA256 under
RINGBACK_ERASURE_KEY, which is outside the database. Without it the few thousand million phone numbers cannot be tried.
The key is random, so a slow hash would add nothing. A newer key hashes the older key's hash, so a leaked key can be
made useless.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence

import asyncpg

from ringback.adapters.postgres.audit import append
from ringback.adapters.postgres.pool import Connection, Pool, connection_of
from ringback.domain.audit import AuditEntry
from ringback.domain.errors import ErasureKeyMissing

#: The keys under which hashes of this database were made, the oldest first.
KEYS_IN_USE = "ARRAY(SELECT key_id FROM erasure_keys ORDER BY generation)"
READ_KEYS_IN_USE = f"SELECT {KEYS_IN_USE}"
IS_ERASED = "SELECT EXISTS (SELECT FROM erased WHERE mark = ANY ($1::bytea[]))"
_LOCK_KEYS = "LOCK TABLE erasure_keys IN SHARE ROW EXCLUSIVE MODE"
_ADD_KEY = "INSERT INTO erasure_keys (generation, key_id, since) VALUES ($1, $2, clock_timestamp())"
_HASHED = """
SELECT suppression_id, phone_hash, contact_hash FROM suppressions
WHERE phone_hash IS NOT NULL OR contact_hash IS NOT NULL
"""
_RENEW_SUPPRESSIONS = """
UPDATE suppressions SET phone_hash = renewed.phone_hash, contact_hash = renewed.contact_hash
FROM unnest($1::text[], $2::text[], $3::text[]) AS renewed (suppression_id, phone_hash, contact_hash)
WHERE suppressions.suppression_id = renewed.suppression_id
"""
_KEYED_CALLS = """
SELECT call_id, idempotency_key, request_hash FROM calls
WHERE phone = 'erased' AND idempotency_key IS NOT NULL FOR UPDATE
"""
_RENEW_CALLS = """
UPDATE calls SET idempotency_key = renewed.idempotency_key, request_hash = renewed.request_hash
FROM unnest($1::text[], $2::text[], $3::text[]) AS renewed (call_id, idempotency_key, request_hash)
WHERE calls.call_id = renewed.call_id
"""
_KEYED = re.compile(r"[0-9a-f]{16}:[0-9a-f]{64}")


class PersonHashes:
    """`keys` are the configured ones, the oldest first. A stored hash names its newest key: `key id:hex`."""

    def __init__(self, salt: bytes, keys: Sequence[str]) -> None:
        self._salt = salt
        self._keys = {_outer(key.encode(), "ringback erasure key")[:16]: key.encode() for key in keys}

    @property
    def key_ids(self) -> list[str]:
        return list(self._keys)

    def check(self, in_use: Sequence[str]) -> None:
        """Raise ErasureKeyMissing unless each key in use is configured, in the order of their use."""
        if list(in_use) != self.key_ids[: len(in_use)]:
            raise ErasureKeyMissing

    def newest(self, text: str) -> str:
        """Return the form in which the text is stored now. Raises ErasureKeyMissing without any key."""
        if not self._keys:
            raise ErasureKeyMissing
        *_, latest = self._forms(text)
        return latest

    def under_keys_in_use(self, text: str, in_use: Sequence[str]) -> str:
        """Return the form under the keys in use. Raises ErasureKeyMissing.

        Other processes may not have a newer key of this one. They would not recognise its hash and would go on calling.
        """
        self.check(in_use)
        return self.known_as(text)[len(in_use)]

    def known_as(self, text: str) -> list[str]:
        """Return every form in which the text may be stored. An earlier version's form has no outer key."""
        return list(self._forms(text))

    def forms_of(self, phone: str, contact_id: str) -> list[str]:
        return [*self.known_as(phone), *self.known_as(contact_id)]

    def renewed(self, stored: str) -> str:
        """Put a stored hash, or an earlier version's inner hash, under the newest key."""
        key_id, digest = stored.split(":") if self.is_keyed(stored) else (None, stored)
        older = self.key_ids.index(key_id) + 1 if key_id is not None else 0
        for key_id in self.key_ids[older:]:
            digest = _outer(self._keys[key_id], digest)
        return f"{key_id}:{digest}" if key_id is not None else stored

    def is_keyed(self, text: str) -> bool:
        """Whether the text is a hash under one of the configured keys."""
        return _KEYED.fullmatch(text) is not None and text[:16] in self._keys

    def _forms(self, text: str) -> Iterator[str]:
        # The same value as the SQL function person_hash of the first schema.
        inner = hashlib.sha256(self._salt + text.encode()).digest()
        digest = hashlib.sha256(self._salt + inner).hexdigest()
        yield digest
        for key_id, key in self._keys.items():
            digest = _outer(key, digest)
            yield f"{key_id}:{digest}"


class Hashing:
    """The hashes of one installation. Its salt is read once. `keys` are in the order of the setting, newest first."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self._keys = tuple(reversed(keys))
        self._hashes: PersonHashes | None = None

    async def hashes(self, connection: Connection) -> PersonHashes:
        if self._hashes is None:
            salt = await connection.fetchval("SELECT hash_key FROM installation")
            self._hashes = PersonHashes(salt, self._keys)
        return self._hashes

    async def ready(self, pool: Pool) -> PersonHashes:
        """Return the hashes, and use a connection only for the first time."""
        if self._hashes is not None:
            return self._hashes
        async with connection_of(pool) as connection:
            return await self.hashes(connection)

    async def check(self, connection: Connection) -> None:
        """Raise ErasureKeyMissing if hashes of this database were made under a key that is not configured."""
        (await self.hashes(connection)).check(await connection.fetchval(READ_KEYS_IN_USE))

    async def renew(self, connection: Connection) -> PersonHashes:
        """Put every hash under the newest key, in the caller's transaction.

        After the commit, a process without that key places no calls. Raises ErasureKeyMissing without any key, or
        without one in use.
        """
        hashes = await self.hashes(connection)
        await connection.execute(_LOCK_KEYS)
        in_use = await connection.fetchval(READ_KEYS_IN_USE)
        hashes.check(in_use)
        if not hashes.key_ids:
            raise ErasureKeyMissing
        for generation, key_id in enumerate(hashes.key_ids[len(in_use) :], len(in_use) + 1):
            await connection.execute(_ADD_KEY, generation, key_id)
        changed = []
        for row in await connection.fetch(f"{_HASHED} FOR UPDATE"):
            before = row["phone_hash"], row["contact_hash"]
            after = tuple(one and hashes.renewed(one) for one in before)
            if after != before:
                changed.append((row["suppression_id"], *after))
        if changed:
            await connection.execute(_RENEW_SUPPRESSIONS, *zip(*changed, strict=True))
        await renew_calls(connection, hashes, await connection.fetch(_KEYED_CALLS))
        return hashes

    async def renew_stored(self, pool: Pool, entry: AuditEntry | None = None) -> bool:
        """Call `renew` if the database has any hash, and record the entry. False: it has none.

        A start of `up` has no entry, because no person asked for it.
        """
        async with connection_of(pool) as connection, connection.transaction():
            is_any: bool = await connection.fetchval(f"SELECT EXISTS ({_HASHED})")
            if is_any:
                await self.renew(connection)
                if entry is not None:
                    await append(connection, entry)
            return is_any


async def renew_calls(connection: Connection, hashes: PersonHashes, rows: Sequence[asyncpg.Record]) -> None:
    """Hash the idempotency keys of these calls, so that a repeat of the request still creates no second call.

    Each row is (call id, idempotency key, request hash). The last two are plain or hashed.
    """
    changed = []
    for call_id, key, request_hash in rows:
        renew = hashes.renewed if hashes.is_keyed(key) else hashes.newest
        changed.append((call_id, renew(key), request_hash and renew(request_hash)))
    if changed:
        await connection.execute(_RENEW_CALLS, *zip(*changed, strict=True))


def _outer(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def covering(phone: str, contact_id: str, hashes: str) -> str:
    """Build the SQL condition for the suppressions that cover a person. The arguments are SQL expressions.

    The suppressions of an erased person hold hashes. `hashes` is an array of all forms of the phone and the contact id.
    """
    return f"""suppressions.lifted_at IS NULL AND (
        suppressions.phone = {phone} OR suppressions.contact_id = {contact_id}
        OR suppressions.phone_hash = ANY ({hashes}) OR suppressions.contact_hash = ANY ({hashes}))"""


def marks_of(ids: Sequence[str | None]) -> list[bytes]:
    """Hash the ids of an erased person's calls for the table `erased`, by which late evidence is recognised."""
    return [hashlib.sha256(id_.encode()).digest() for id_ in ids if id_]
