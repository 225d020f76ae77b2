"""Erasing a person, in one transaction under their locks."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from ringback.adapters.postgres import erasing as sql
from ringback.adapters.postgres import statements
from ringback.adapters.postgres.person_hash import Hashing, PersonHashes, renew_calls
from ringback.adapters.postgres.pool import Connection, Pool, connection_of
from ringback.adapters.postgres.tombstones import marks_of
from ringback.domain.erasure import Erased, StillUnderWay
from ringback.domain.errors import Retryable
from ringback.domain.retention import TRACES_KEPT

#: Bodies are searched for a number so much at a time, because a statement may take seconds, not minutes.
SEARCHED_AT_ONCE = timedelta(days=1)
#: What was received while the search went on is searched again under the locks, with this much for clocks that differ.
SEARCHED_AGAIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Person:
    phones: Sequence[str]
    contact_ids: Sequence[str]
    call_ids: Sequence[str]


class PostgresEraser:
    """Implements `flows.operator.erasure.Eraser`."""

    def __init__(self, pool: Pool, hashing: Hashing) -> None:
        self._pool = pool
        self._hashing = hashing

    async def unfinished_calls(self, phone: str) -> list[str]:
        async with connection_of(self._pool) as connection:
            contact_ids = await _column(connection, sql.CONTACTS, phone)
            return await _column(connection, sql.UNFINISHED, phone, contact_ids)

    async def erase(self, phone: str, reason: str, now: datetime) -> Erased | None:
        try:
            async with connection_of(self._pool) as connection:
                phones = await _column(connection, sql.PHONES, phone, await _column(connection, sql.CONTACTS, phone))
                heard_of = await _search(connection, phones, now)
                async with connection.transaction():
                    return await self._erase(connection, phone, heard_of, reason, now)
        except asyncpg.IntegrityConstraintViolationError as error:
            # Its text quotes the person.
            raise Retryable(type(error).__name__) from None

    async def _erase(
        self, connection: Connection, phone: str, heard_of: Sequence[str], reason: str, now: datetime
    ) -> Erased | None:
        person = await _lock_and_find(connection, phone)
        if person is None:
            return None
        asked = (person.call_ids, person.phones, person.contact_ids)
        in_progress = await connection.fetchval(sql.IN_PROGRESS, *asked)
        if in_progress:
            raise StillUnderWay(in_progress)
        if await connection.fetch(sql.UNFINISHED, phone, person.contact_ids):
            return None
        hashes = await self._hashing.renew(connection)
        provider_call_ids = await _column(connection, sql.PROVIDER_CALLS, *asked)
        meanwhile = (now - SEARCHED_AGAIN, now + SEARCHED_AT_ONCE)
        searched = [*heard_of, *await _column(connection, sql.MENTIONING, sql.pattern_of(person.phones), *meanwhile)]
        ids = await _column(connection, sql.IDS, person.call_ids, person.phones, person.contact_ids)
        marks = marks_of(sorted({*ids, *provider_call_ids, *searched}))
        await connection.execute(sql.ADD_TOMBSTONES, marks, now)
        await renew_calls(connection, hashes, await connection.fetch(sql.KEYED_CALLS, person.call_ids))
        rows = await _erase_rows(connection, person, hashes, [*provider_call_ids, *searched], now)
        await connection.execute(sql.NOTE, person.call_ids, now, reason)
        return Erased(rows, tuple(provider_call_ids))


async def _lock_and_find(connection: Connection, phone: str) -> _Person | None:
    """Phones sorted, then contacts, then the contacts' rows: an acceptance holds those until it commits, and what it
    wrote is found behind them. None: the person has become another one meanwhile."""
    contact_ids = await _column(connection, sql.CONTACTS, phone)
    phones = await _column(connection, sql.PHONES, phone, contact_ids)
    for known in phones:
        await connection.execute(statements.LOCK_PHONE, known)
    for contact_id in contact_ids:
        await connection.execute(statements.LOCK_CONTACT, contact_id)
    await connection.execute(sql.LOCK_CONTACT_ROWS, contact_ids)
    found = await _column(connection, sql.CONTACTS, phone)
    phones_found = await _column(connection, sql.PHONES, phone, found)
    if not (set(found) <= set(contact_ids) and set(phones_found) <= set(phones)):
        return None
    return _Person(phones_found, found, await _column(connection, sql.CALLS, [phone], found))


async def _search(connection: Connection, phones: Sequence[str], now: datetime) -> list[str]:
    """Provider calls that are not the person's, as far as our rows tell, but whose bodies hold their number."""
    pattern, found = sql.pattern_of(phones), set()
    since = now - TRACES_KEPT - SEARCHED_AT_ONCE
    while since < now:
        found.update(await _column(connection, sql.MENTIONING, pattern, since, since + SEARCHED_AT_ONCE))
        since += SEARCHED_AT_ONCE
    return sorted(found)


async def _erase_rows(
    connection: Connection, person: _Person, hashes: PersonHashes, provider_call_ids: Sequence[str], now: datetime
) -> dict[str, int]:
    stand_in = f"erased-{uuid.uuid4().hex[:16]}"
    if person.contact_ids:
        await connection.execute(sql.STAND_IN, stand_in, now)
    await connection.execute(sql.STRIP_PENDING_EVENTS, person.call_ids)
    named = await _column(connection, sql.NAMED_BY_STOPS, person.phones, person.contact_ids)
    asked = (
        person.call_ids,
        person.phones,
        person.contact_ids,
        provider_call_ids,
        stand_in,
        {one: hashes.newest(one) for one in named},
        sql.pattern_of(person.phones),
    )
    rows = {}
    for kind, statement in sql.ERASE.items():
        status = await connection.execute(sql.ASKED + statement, *asked)
        rows[kind] = int(status.rpartition(" ")[2])
    return rows


async def _column(connection: Connection, statement: str, *values: object) -> list[str]:
    return [row[0] for row in await connection.fetch(statement, *values)]
