"""The role under which the product uses its database."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from ringback.embedded.cluster import user_name_map


async def test_the_product_owns_its_database_and_is_no_superuser(ask, server_at, short_dir):
    url = server_at(short_dir).start()
    assert await ask(url, "SELECT current_user::text") == "ringback"
    assert await ask(url, "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = user") is False
    owner = "SELECT datdba::regrole::text FROM pg_database WHERE datname = current_database()"
    assert await ask(url, owner) == "ringback"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await ask(url, "COPY (SELECT 1) TO PROGRAM 'cat'")


async def test_objects_of_an_earlier_superuser_go_to_the_role(ask, server_at, short_dir):
    server = server_at(short_dir)
    server.start()
    administrator = server.superuser_url
    await ask(administrator, "CREATE TABLE old_calls (id bigint GENERATED ALWAYS AS IDENTITY, phone text)")
    await ask(administrator, "CREATE FUNCTION old_hash(text) RETURNS text LANGUAGE sql AS 'SELECT $1'")
    await ask(administrator, "INSERT INTO old_calls (phone) VALUES ('+14155550100')")
    await ask(administrator, "REASSIGN OWNED BY ringback TO postgres")
    await ask(administrator, "DROP ROLE ringback")
    server.stop()
    pgdata = short_dir / "postgres" / "pgdata"
    (pgdata / "pg_hba.conf").write_text("local all all trust\n")
    url = server.start()
    try:
        assert await ask(url, "SELECT phone FROM old_calls") == "+14155550100"
        await ask(url, "INSERT INTO old_calls (phone) VALUES ('+14155550101')")
        await ask(url, "ALTER TABLE old_calls ADD COLUMN added text")
        await ask(url, "ALTER FUNCTION old_hash(text) RENAME TO new_hash")
        assert "trust" not in (pgdata / "pg_hba.conf").read_text()
    finally:
        await ask(server.superuser_url, "DROP TABLE IF EXISTS old_calls")
        await ask(server.superuser_url, "DROP FUNCTION IF EXISTS new_hash(text)")


async def test_a_user_outside_the_map_is_refused(ask, server_at, short_dir):
    server = server_at(short_dir)
    url = server.start()
    names = Path(short_dir / "postgres" / "pgdata" / "pg_ident.conf")
    names.write_text(user_name_map("someone-else"))
    await ask(server.superuser_url, "SELECT pg_reload_conf()")
    await asyncio.sleep(0.5)  # the reload reaches the postmaster a moment later
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await ask(url, "SELECT 1")
    server.stop()
    assert await ask(server.start(), "SELECT 1") == 1


def test_a_quote_in_an_account_name_is_doubled():
    assert user_name_map('o"brien').splitlines() == ['ringback "o""brien" ringback', 'ringback "o""brien" postgres']
