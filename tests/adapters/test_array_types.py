"""The arrays that connections know are those of the server, and none of them costs a query of the catalogue."""

import asyncpg

from ringback.adapters.postgres.array_types import BUILT_IN_ARRAYS
from ringback.adapters.postgres.pool import Connection, connection_of, open_pool

_OF_THE_SERVER = "SELECT oid::int, typname::text, typelem::int FROM pg_type WHERE oid = ANY ($1::oid[]) ORDER BY oid"


async def test_the_server_has_the_same_numbers(database_url: str) -> None:
    pool = await open_pool(database_url, max_size=1)
    async with connection_of(pool) as connection:
        rows = await connection.fetch(_OF_THE_SERVER, [oid for oid, _, _ in BUILT_IN_ARRAYS])
    pool.terminate()
    assert [tuple(row) for row in rows] == list(BUILT_IN_ARRAYS)


async def test_no_array_of_the_product_asks_for_its_type(database_url: str) -> None:
    queries: list[str] = []
    pool = await open_pool(database_url, max_size=1)
    async with connection_of(pool) as connection:
        connection.add_query_logger(lambda record: queries.append(record.query))
        for _, name, _ in BUILT_IN_ARRAYS:
            assert await _back_and_forth(connection, name) == [None]
        assert await connection.fetchval("SELECT $1::jsonb[]", [{"a": 1}]) == [{"a": 1}]
    pool.terminate()
    assert not [query for query in queries if "typeinfo" in query]


async def test_the_driver_asks_for_a_type_that_is_not_listed(database_url: str) -> None:
    """Else the test above would pass with a driver that asks in another way."""
    queries: list[str] = []
    connection = await asyncpg.connect(database_url)
    connection.add_query_logger(lambda record: queries.append(record.query))
    assert await connection.fetchval("SELECT $1::interval[]", [None]) == [None]
    await connection.close()
    assert [query for query in queries if "typeinfo" in query]


async def _back_and_forth(connection: Connection, name: str) -> object:
    return await connection.fetchval(f"SELECT $1::{name}", [None])
