"""The SQL of `suppressions`."""

from datetime import datetime

from ringback.adapters.postgres.person_hash import KEYS_IN_USE, READ_KEYS_IN_USE, PersonHashes, covering
from ringback.adapters.postgres.unit_connection import UnitConnection
from ringback.storage import Suppression

IS_SUPPRESSED = f"""
SELECT EXISTS (SELECT FROM suppressions WHERE {covering("$1", "$2", "$3::text[]")}) AS suppressed,
       {KEYS_IN_USE} AS keys_in_use
"""
# The first condition is by indexes. $1 and $2 are empty where they are not given.
ID_IN_FORCE = f"""
SELECT {KEYS_IN_USE} AS keys_in_use,
       (SELECT suppression_id FROM suppressions WHERE {covering("$1", "$2", "$3::text[]")}
          AND ($1 = '' OR phone = $1 OR phone_hash = ANY ($3::text[]))
          AND ($2 = '' OR contact_id = $2 OR contact_hash = ANY ($3::text[]))
        ORDER BY created_at LIMIT 1) AS suppression_id
"""
ADD_SUPPRESSION = """
INSERT INTO suppressions (suppression_id, phone, contact_id, reason, source, created_at, phone_hash)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
LIFT_SUPPRESSION = """
UPDATE suppressions SET lifted_at = $3, lifted_reason = $2 WHERE suppression_id = $1 AND lifted_at IS NULL
"""


class PostgresSuppressions:
    """Implements `storage.Suppressions`."""

    def __init__(self, connection: UnitConnection, hashes: PersonHashes) -> None:
        self._connection = connection
        self._hashes = hashes

    async def covers(self, phone: str, contact_id: str) -> bool:
        forms = self._hashes.forms_of(phone, contact_id)
        record = await self._connection.read(IS_SUPPRESSED, phone, contact_id, forms)
        assert record is not None
        self._hashes.check(record["keys_in_use"])
        return bool(record["suppressed"])

    async def id_in_force(self, phone: str | None, contact_id: str | None) -> str | None:
        given = (phone or "", contact_id or "")
        record = await self._connection.fetchrow(ID_IN_FORCE, *given, self._hashes.forms_of(*given))
        assert record is not None, "a select without FROM has one row"
        self._hashes.check(record["keys_in_use"])
        suppression_id: str | None = record["suppression_id"]
        return suppression_id

    async def add(self, suppression: Suppression) -> None:
        phone = suppression.phone
        phone_hash = None
        if suppression.of_erased and phone is not None:
            in_use = await self._connection.fetchval(READ_KEYS_IN_USE)
            phone_hash = self._hashes.under_keys_in_use(phone, in_use)
        await self._connection.execute(
            ADD_SUPPRESSION,
            suppression.suppression_id,
            phone if phone_hash is None else None,
            suppression.contact_id,
            suppression.reason,
            suppression.source,
            suppression.created_at,
            phone_hash,
        )

    async def lift(self, suppression_id: str, reason: str, now: datetime) -> bool:
        status = await self._connection.execute(LIFT_SUPPRESSION, suppression_id, reason, now)
        return bool(status == "UPDATE 1")
