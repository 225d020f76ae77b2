"""The key to the hashes of erased people is outside the database. Without it no person is called."""

import asyncio
import hashlib
import hmac
import stat
from dataclasses import replace

import asyncpg
import pytest

from ringback.adapters.postgres.person_hash import Hashing
from ringback.adapters.postgres.store import PostgresStore
from ringback.adapters.postgres.views import PostgresViews
from ringback.config import SettingsError, read_settings
from ringback.domain.call import KeyReused
from ringback.domain.errors import ErasureKeyMissing
from ringback.flows.suppression import SuppressionOrder, suppress, suppress_now
from ringback.process import run_services
from ringback.storage import Suppression
from ringback.up.state import make_erasure_key, read_erasure_key
from ringback.web.server import listen
from ringback.wiring import open_dependencies
from tests.audit_log import TESTER

from .conftest import CONTACT, KEY, PHONE, ErasureStack

OLD, NEW, OTHER = "o" * 32, "n" * 32, "x" * 32


def with_keys(stack: ErasureStack, pool, *keys: str) -> ErasureStack:
    """The same database as a process with these keys sees it, the newest first."""
    store = PostgresStore(pool, clock_is_real=False, hashing=Hashing(keys))
    other = ErasureStack(store, pool, stack.clock, Hashing(keys))
    other.initiation = replace(other.initiation, new_id=stack.new_id)
    other.new_id = stack.new_id
    return other


@pytest.fixture
async def old(stack: ErasureStack, pool) -> ErasureStack:
    """A process with the old key, in whose database a person was erased who had asked not to be called."""
    stack = with_keys(stack, pool, OLD)
    await stack.whole_call(await stack.place())
    await suppress_now(
        stack.store,
        stack.clock,
        stack.new_id,
        SuppressionOrder(phone=PHONE, contact_id=None, reason="asked", actor=TESTER),
    )
    await suppress_now(
        stack.store,
        stack.clock,
        stack.new_id,
        SuppressionOrder(phone=None, contact_id=CONTACT, reason="asked", actor=TESTER),
    )
    await stack.erase()
    return stack


async def is_suppressed(stack: ErasureStack, phone: str = PHONE, contact_id: str = "") -> bool:
    async with stack.store.transaction() as tx:
        return await tx.suppressions.covers(phone, contact_id)


async def renew(pool, *keys: str) -> None:
    assert await Hashing(keys).renew_stored(pool)


async def test_the_stored_hash_needs_the_key_that_is_not_in_the_database(old: ErasureStack):
    salt = (await old.one("SELECT hash_key FROM installation"))["hash_key"]
    inner = hashlib.sha256(salt + hashlib.sha256(salt + PHONE.encode()).digest()).hexdigest()
    outer = hmac.new(OLD.encode(), inner.encode(), hashlib.sha256).hexdigest()
    rows = await old.all("SELECT phone_hash FROM suppressions WHERE phone_hash IS NOT NULL")
    assert [row["phone_hash"].rpartition(":")[2] for row in rows] == [outer]
    assert inner not in str(await old.all("SELECT * FROM suppressions"))


@pytest.mark.parametrize(
    "keys", [(), (OTHER,), (NEW, OTHER), (OLD, NEW)], ids=["none", "another", "two", "wrong order"]
)
async def test_a_process_without_the_key_neither_accepts_nor_dials_nor_explains(old: ErasureStack, pool, clock, keys):
    stranger = with_keys(old, pool, *keys)
    waiting = await old.post_call(key="another-order", phone="+14155550161", contact_id="crm-7")
    task = (await old.tasks(waiting.call_id))[0]
    for refused in (
        stranger.post_call(key="a-third"),
        stranger.deliver(waiting.call_id, task["task_id"], task["dispatch"]),
        is_suppressed(stranger),
        PostgresViews(pool, Hashing(keys)).contact_snapshot(PHONE, None, clock.now()),
        stranger.erase(),
    ):
        with pytest.raises(ErasureKeyMissing, match="RINGBACK_ERASURE_KEY"):
            await refused
    assert await old.all("SELECT * FROM attempts WHERE call_id = $1", waiting.call_id) == []
    await old.deliver(waiting.call_id, task["task_id"], task["dispatch"])
    assert len(await old.all("SELECT * FROM attempts WHERE call_id = $1", waiting.call_id)) == 1


async def test_nor_does_one_that_had_started_before_anybody_was_erased(stack: ErasureStack, pool):
    without = with_keys(stack, pool)
    await without.whole_call(await without.place())
    assert not await is_suppressed(without)
    await stack.erase()
    with pytest.raises(ErasureKeyMissing):
        await without.post_call(key="another-order")


async def test_a_process_without_the_key_does_not_start(old: ErasureStack, database_url):
    env = {"RINGBACK_DATABASE_URL": database_url}
    async with open_dependencies(read_settings(env, emulated=False)) as parts:
        with pytest.raises(SettingsError, match="RINGBACK_ERASURE_KEY"), listen("127.0.0.1", 0) as bound:
            await run_services(parts, [], bound, asyncio.Event(), asyncio.Event())
    async with open_dependencies(read_settings(env | {"RINGBACK_ERASURE_KEY": OLD}, emulated=False)) as parts:
        await parts.check_erasure_key()


async def test_no_person_is_erased_without_a_key(stack: ErasureStack, pool):
    without = with_keys(stack, pool)
    await without.whole_call(await without.place())
    with pytest.raises(ErasureKeyMissing):
        await without.erase()
    assert (await stack.one("SELECT phone FROM contacts"))["phone"] == PHONE
    assert not await is_suppressed(without)


async def test_a_new_key_replaces_one_that_leaked(old: ErasureStack, pool):
    both = with_keys(old, pool, NEW, OLD)
    assert await is_suppressed(both) and await is_suppressed(both, "", CONTACT)
    before = await old.all("SELECT phone_hash, contact_hash FROM suppressions")
    await renew(pool, NEW, OLD)
    after = await old.all("SELECT phone_hash, contact_hash FROM suppressions")
    assert not {*map(str, before)} & {*map(str, after)}
    assert await is_suppressed(both) and await is_suppressed(both, "", CONTACT)
    assert not await is_suppressed(both, "+14155550161", "crm-7")
    for keys in ((OLD,), (NEW,), (OLD, NEW)):
        with pytest.raises(ErasureKeyMissing):
            await is_suppressed(with_keys(old, pool, *keys))
    await renew(pool, NEW, OLD)
    assert await old.all("SELECT phone_hash, contact_hash FROM suppressions") == after


async def test_a_repeated_request_makes_no_second_call_before_and_after_a_new_key(old: ErasureStack, pool):
    calls = await old.all("SELECT call_id FROM calls")
    both = with_keys(old, pool, NEW, OLD)
    for stack in (old, both):
        again = await stack.post_call()
        assert (again.replayed, again.call_id) == (True, calls[0]["call_id"])
    await renew(pool, NEW, OLD)
    assert (await both.post_call()).replayed
    with pytest.raises(KeyReused):
        await both.post_call(fingerprint="of-another-body")
    assert await old.all("SELECT call_id FROM calls") == calls
    assert KEY not in str(await old.all("SELECT * FROM calls"))


async def say_stop(stack: ErasureStack, phone: str) -> None:
    async with stack.store.transaction() as tx:
        stop = Suppression(f"stop-{phone}", phone, None, "opt_out", "provider", stack.clock.now(), of_erased=True)
        await suppress(tx, stop, stack.clock.now())


async def test_a_stop_heard_of_by_a_process_with_a_newer_key_holds_for_those_that_have_the_old_one(
    old: ErasureStack, pool
):
    both = with_keys(old, pool, NEW, OLD)
    await say_stop(both, "+14155550161")
    assert await is_suppressed(old, "+14155550161") and await is_suppressed(both, "+14155550161")
    await renew(pool, NEW, OLD)
    assert await is_suppressed(both, "+14155550161")


async def test_a_stop_of_a_person_erased_under_an_earlier_version_holds_for_processes_without_a_key(
    stack: ErasureStack, pool
):
    without = with_keys(stack, pool)
    await say_stop(stack, PHONE)
    await say_stop(without, "+14155550161")
    for one in (stack, without):
        assert await is_suppressed(one) and await is_suppressed(one, "+14155550161")
    await renew(pool, OLD)
    assert await is_suppressed(with_keys(stack, pool, OLD), "+14155550161")


async def test_the_hashes_of_an_earlier_version_work_until_they_are_renewed_and_after_it(stack: ErasureStack, pool):
    await stack.execute(
        f"""INSERT INTO suppressions (suppression_id, phone_hash, contact_hash, reason, source, created_at)
            VALUES ('s', person_hash('{PHONE}'), person_hash('{CONTACT}'), 'erased', 'api', now())"""
    )
    without = with_keys(stack, pool)
    for one in (without, stack):
        assert await is_suppressed(one) and await is_suppressed(one, "", CONTACT)
    await renew(pool, OLD)
    assert await is_suppressed(with_keys(stack, pool, OLD))
    with pytest.raises(ErasureKeyMissing):
        await is_suppressed(without)
    # A process of the earlier version asks so. It then calls no person, rather than one who must not be called.
    with pytest.raises(asyncpg.RaiseError, match="RINGBACK_ERASURE_KEY"):
        await stack.execute(f"SELECT person_hash('{PHONE}')")


async def test_without_an_erased_person_no_key_is_needed(stack: ErasureStack, pool):
    assert not await Hashing().renew_stored(pool)
    assert not await is_suppressed(with_keys(stack, pool))


def test_under_up_the_key_is_a_file_that_only_its_owner_reads_and_that_stays(tmp_path):
    assert read_erasure_key(tmp_path) == ()
    (key,) = make_erasure_key(tmp_path)
    assert len(key) == 64
    assert stat.S_IMODE((tmp_path / "erasure.key").stat().st_mode) == 0o600
    assert make_erasure_key(tmp_path) == read_erasure_key(tmp_path) == (key,)


@pytest.mark.parametrize("value", ["short", f"{OLD},short", "with a blank".ljust(40)])
def test_a_key_that_could_be_guessed_is_refused(value):
    with pytest.raises(SettingsError) as caught:
        read_settings({"RINGBACK_ERASURE_KEY": value}, emulated=False)
    assert value not in str(caught.value)
