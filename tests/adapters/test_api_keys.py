"""Keys in the database: the setting's key, the added keys, and revocations that last."""

import pytest

from ringback.adapters.postgres.api_keys import PostgresApiKeys
from ringback.config import read_settings
from ringback.domain.access import KnownKey, Role
from ringback.web.auth import hash_key
from ringback.wiring import open_dependencies
from tests.audit_log import entry_at, logged

ONE, TWO, THREE = "rbk_one", "rbk_two", "rbk_three"
SETTING = KnownKey("RINGBACK_API_KEY", Role.ADMIN)


@pytest.fixture
def keys(pool):
    return PostgresApiKeys(pool)


async def start(database_url, key: str, *, is_setting: bool = True) -> bool:
    """A process with this key: set by the operator, or made by `up`."""
    settings = read_settings({"RINGBACK_DATABASE_URL": database_url, "RINGBACK_API_KEY": key}, emulated=True)
    if not is_setting:
        object.__setattr__(settings, "given", settings.given - {"RINGBACK_API_KEY"})
    async with open_dependencies(settings) as parts:
        return await parts.put_api_key()


async def valid(keys) -> list[str]:
    return [key for key in (ONE, TWO, THREE) if await keys.find(hash_key(key)) is not None]


async def test_the_setting_is_one_named_key_and_a_new_value_ends_the_old(database_url, keys):
    assert await start(database_url, ONE)
    assert await start(database_url, ONE)
    assert await keys.find(hash_key(ONE)) == SETTING
    assert await start(database_url, TWO)
    assert await valid(keys) == [TWO]
    assert [one.name for one in await keys.all()] == ["RINGBACK_API_KEY"]


async def test_a_start_leaves_a_row_if_it_changes_the_keys(database_url, keys, pool, clock):
    for key in (ONE, ONE, TWO, TWO):
        await start(database_url, key)
    await keys.add("crm", hash_key(THREE), entry_at(clock.now()))
    await start(database_url, THREE)
    await start(database_url, ONE, is_setting=False)
    await start(database_url, ONE, is_setting=False)
    of_up = f"key:ringback up {hash_key(ONE)[:8]}"
    by_setting = [row[1:] for row in await logged(pool) if row[0] == "setting:RINGBACK_API_KEY"]
    assert by_setting == [
        ("key.created", "key:RINGBACK_API_KEY", {"role": "admin", "ended": 0}),
        ("key.created", "key:RINGBACK_API_KEY", {"role": "admin", "ended": 1}),
        ("key.revoked", "key:RINGBACK_API_KEY", {"role": "admin", "ended": 1}),
        ("key.created", of_up, {"role": "admin", "ended": 0}),
    ]


async def test_a_revoked_setting_stays_revoked_at_the_next_start(database_url, keys, clock):
    await start(database_url, ONE)
    assert await keys.revoke("RINGBACK_API_KEY", entry_at(clock.now()))
    assert not await start(database_url, ONE)
    assert await valid(keys) == []


async def test_after_a_revoked_setting_another_value_is_valid_and_the_revoked_one_never_again(
    database_url, keys, clock
):
    await start(database_url, ONE)
    await keys.revoke("RINGBACK_API_KEY", entry_at(clock.now()))
    assert await start(database_url, TWO)
    assert await valid(keys) == [TWO]
    assert not await start(database_url, ONE)
    assert await valid(keys) == [TWO]
    revoked = [one.name for one in await keys.all() if one.revoked_at is not None]
    assert revoked == [f"RINGBACK_API_KEY {hash_key(ONE)[:8]}"]


async def test_a_revoked_key_of_any_name_does_not_come_back_through_the_setting(database_url, keys, clock):
    await keys.add("crm", hash_key(ONE), entry_at(clock.now()), Role.ENGAGE)
    await keys.revoke("crm", entry_at(clock.now()))
    assert not await start(database_url, ONE)
    assert not await keys.add("crm", hash_key(ONE), entry_at(clock.now()))
    assert not await keys.add("other", hash_key(ONE), entry_at(clock.now()))
    assert await valid(keys) == []


async def test_a_key_with_a_name_of_its_own_keeps_its_role_in_the_setting(database_url, keys, clock):
    await keys.add("crm", hash_key(ONE), entry_at(clock.now()), Role.ENGAGE)
    assert await start(database_url, ONE)
    assert await keys.find(hash_key(ONE)) == KnownKey("crm", Role.ENGAGE)
    assert await start(database_url, TWO)
    assert await valid(keys) == [ONE, TWO]


async def test_values_that_the_previous_version_left_valid_end(database_url, keys, pool):
    for key in (ONE, TWO):
        name = f"RINGBACK_API_KEY {hash_key(key)[:8]}"
        await pool.execute(
            "INSERT INTO api_keys (name, key_hash, created_at) VALUES ($1, $2, now())", name, hash_key(key)
        )
    assert await start(database_url, TWO)
    assert await valid(keys) == [TWO]
    assert await keys.find(hash_key(TWO)) == SETTING


async def test_the_key_of_a_data_directory_ends_no_other_key(database_url, keys, clock):
    await start(database_url, ONE)
    assert await start(database_url, TWO, is_setting=False)
    assert await start(database_url, TWO, is_setting=False)
    assert await valid(keys) == [ONE, TWO]
    # The operator's previous key, which `up` remembers when the setting is gone.
    assert await start(database_url, ONE, is_setting=False)
    await keys.revoke(f"ringback up {hash_key(TWO)[:8]}", entry_at(clock.now()))
    assert not await start(database_url, TWO, is_setting=False)
    assert await valid(keys) == [ONE]


async def test_the_last_use_is_noted_once_a_minute(keys, pool, clock):
    await keys.add("crm", hash_key(ONE), entry_at(clock.now()))
    assert (await keys.all())[0].last_used_at is None
    await keys.find(hash_key(ONE))
    (first,) = await keys.all()
    assert first.last_used_at is not None
    written = await pool.fetchval("SELECT xmin::text FROM api_keys")
    await keys.find(hash_key(ONE))
    assert await pool.fetchval("SELECT xmin::text FROM api_keys") == written
    await pool.execute("UPDATE api_keys SET last_used_at = now() - interval '61 seconds'")
    await keys.find(hash_key(ONE))
    assert (await keys.all())[0].last_used_at >= first.last_used_at


async def test_a_revoked_key_is_not_used(keys, clock):
    await keys.add("crm", hash_key(ONE), entry_at(clock.now()))
    await keys.revoke("crm", entry_at(clock.now()))
    assert await keys.find(hash_key(ONE)) is None
    (crm,) = await keys.all()
    assert (crm.last_used_at, crm.revoked_at) == (None, clock.now())


async def test_the_first_revocation_is_the_one_that_counts(keys, clock):
    await keys.add("crm", hash_key(ONE), entry_at(clock.now()))
    began = clock.now()
    await keys.revoke("crm", entry_at(began))
    clock.advance(60)
    assert await keys.revoke("crm", entry_at(clock.now()))
    assert (await keys.all())[0].revoked_at == began
    assert not await keys.revoke("nobody", entry_at(clock.now()))
