"""Findings and advice of the doctor, on a real database and with recorded answers of Retell."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, timedelta

import pytest
from aiohttp import web

from ringback.adapters.clock import SystemClock
from ringback.adapters.engage_http import EngageHttp
from ringback.adapters.postgres.installation import PostgresInspection
from ringback.adapters.postgres.message_queue import PostgresQueue
from ringback.adapters.postgres.outbox import PostgresDeadOutbox
from ringback.adapters.postgres.person_hash import Hashing
from ringback.adapters.postgres.rollup_rows import PostgresRollupRows
from ringback.adapters.retell.account import RetellAccount
from ringback.domain.errors import QueueUnavailable, StoreUnavailable
from ringback.flows.operator.diagnostics import DiagnosticTargets, diagnose
from ringback.ports import OutgoingMessage

SECRET = "whsec_c2VjcmV0LW9mLXRoZS10ZXN0cw=="
KEY = "key_0123456789abcdef"
AGENTS = {
    "agent_ok": {"agent_id": "agent_ok", "webhook_url": "https://x.example/retell/webhook"},
    "agent_bare": {"agent_id": "agent_bare", "webhook_url": None},
    "agent_quiet": {"agent_id": "agent_quiet", "webhook_url": "https://x", "webhook_events": ["call_ended"]},
}


@pytest.fixture
async def retell_url():
    async def key_info(request):
        if request.headers["Authorization"] != f"Bearer {KEY}":
            return web.json_response({"status": "error", "message": "Invalid API key"}, status=401)
        return web.json_response({"org_id": "org_1", "org_name": "Northwind"})

    async def agent(request):
        found = AGENTS.get(request.match_info["agent_id"])
        return web.json_response(found or {"status": "error"}, status=200 if found else 422)

    app = web.Application()
    app.add_routes([web.get("/get-api-key-info", key_info), web.get("/get-agent/{agent_id}", agent)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def engage_url():
    """An Engage that allows POST alone, as a receiver of events does."""

    async def accept(request):
        return web.Response(status=202)

    app = web.Application()
    app.add_routes([web.post("/abt-events", accept), web.options("/broken/abt-events", broken)])
    app.add_routes([web.options("/plain/abt-events", without_options)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def broken(request):
    return web.Response(status=503)


async def without_options(request):
    """Answer as Python's http.server does, with which the receiver of docs/engage.md is written."""
    return web.Response(status=501)


@pytest.fixture
async def around(pool, retell_url, engage_url) -> AsyncIterator[DiagnosticTargets]:
    engage = EngageHttp(engage_url, SECRET, SystemClock())
    yield DiagnosticTargets(
        clock=SystemClock(),
        database=PostgresInspection(pool, Hashing()),
        outbox=PostgresDeadOutbox(pool),
        queues={"call queue": PostgresQueue(pool, "calls"), "event queue": PostgresQueue(pool, "events")},
        account=RetellAccount(KEY, retell_url),
        api_key=KEY,
        webhook_keys=("key_fedcba9876543210",),
        engage=engage,
        engage_url=engage_url,
    )
    await engage.close()


async def wrongs(around, *more):
    return {
        finding.subject: (finding.said, finding.advice) for finding in await diagnose(around, *more) if finding.wrong
    }


async def test_nothing_is_wrong_with_a_sound_installation(around):
    findings = await diagnose(around, "agent_ok", "https://x.example/retell/webhook")
    assert [finding for finding in findings if finding.wrong] == []
    subjects = {finding.subject for finding in findings}
    assert {"database", "clock", "schema", "dialing", "breaker", "outbox", "call queue", "Retell API key"} <= subjects
    assert "accepted, of Northwind" in {finding.said for finding in findings}


async def test_an_unavailable_dependency_is_reported_and_hides_no_other(around):
    away = replace(
        around,
        database=StoreUnavailable("ConnectionRefusedError"),
        queues={"call queue": QueueUnavailable("the queue is away")},
        account=RetellAccount(KEY, "http://127.0.0.1:9"),
    )
    found = await wrongs(away)
    assert set(found) == {"database", "call queue", "Retell API key"}
    assert all(advice for _, advice in found.values())


async def test_what_is_not_configured_is_named_by_its_setting(around):
    found = await wrongs(replace(around, database=None, account=None, queues={}, engage_url=None))
    assert {advice for _, advice in found.values()} == {"set RINGBACK_DATABASE_URL", "set RETELL_API_KEY"}


async def warnings(around):
    return {finding.subject: finding.said for finding in await diagnose(around) if finding.warning}


async def test_an_engage_that_is_not_configured_is_a_warning(around):
    told = await warnings(replace(around, engage=None, engage_url=None))
    assert told == {"Engage": "none is configured: events and CRM writes wait in the outbox"}


async def test_engage_is_really_tried(around, engage_url):
    [sound] = [finding for finding in await diagnose(around) if finding.subject == "Engage"]
    assert (sound.wrong, sound.said) == (False, f"{engage_url} responds; only an event can prove the secret")
    for url, said in {
        f"{engage_url}/broken": "responds 503",
        "http://127.0.0.1:9": "no connection (Connection refused)",
    }.items():
        engage = EngageHttp(url, SECRET, SystemClock())
        found = await wrongs(replace(around, engage=engage, engage_url=url))
        await engage.close()
        assert said in found["Engage"][0]


async def test_an_engage_that_does_not_know_the_method_is_there(around, engage_url):
    engage = EngageHttp(f"{engage_url}/plain", SECRET, SystemClock())
    assert "Engage" not in await wrongs(replace(around, engage=engage))
    await engage.close()


async def test_the_last_failed_delivery_is_named_until_it_succeeds(around, pool, store):
    assert await warnings(around) == {}
    async with store.transaction() as tx:
        await tx.outbox.enqueue("crm_note", "late", {}, None, SystemClock().now())
    await pool.execute("UPDATE outbox SET last_error = 'http_410', tries = 3")
    assert await warnings(around) == {
        "deliveries": "the last one failed with http_410 after 3 tries and is tried again"
    }
    await pool.execute("UPDATE outbox SET dead_at = now()")
    assert (await warnings(around))["deliveries"].endswith("and was given up")
    await pool.execute("UPDATE outbox SET dead_at = NULL, delivered_at = now(), last_error = NULL")
    assert await warnings(around) == {}


async def test_numbers_that_differ_from_their_rows_are_wrong(around, pool):
    counting = replace(around, statistics=PostgresRollupRows(pool, UTC))
    assert "analytics" not in await wrongs(counting)
    await pool.execute(
        "INSERT INTO rollup_hour (hour, direction, outcome, attempts) "
        "VALUES (date_trunc('hour', now()), 'outbound', 'completed', 1)"
    )
    said, advice = (await wrongs(counting))["analytics"]
    assert said == "1 number of the last hours differs from its rows"
    assert "ringback analytics rebuild" in advice


async def test_a_missing_erasure_key_is_wrong_unless_only_this_process_lacks_it(around, pool):
    await pool.execute("INSERT INTO erasure_keys (generation, key_id, since) VALUES (1, 'another', now())")
    said, advice = (await wrongs(around))["erasure key"]
    assert "no call is accepted or dialed" in said
    assert "RINGBACK_ERASURE_KEY" in advice
    elsewhere = replace(around, known_elsewhere=frozenset({"RINGBACK_ERASURE_KEY"}))
    assert "erasure key" not in await wrongs(elsewhere)
    assert "not known here" in (await warnings(elsewhere))["erasure key"]


async def test_settings_that_only_the_running_system_has_are_not_wrong(around):
    names = ("RINGBACK_DATABASE_URL", "RETELL_API_KEY", "RINGBACK_ENGAGE_URL")
    lacking = replace(around, database=None, account=None, engage=None, queues={}, known_elsewhere=frozenset(names))
    assert await wrongs(lacking) == {}
    told = await warnings(lacking)
    assert set(told) == {"database", "Retell API key", "Engage"}
    assert all("not known here" in said for said in told.values())


async def test_a_clock_that_is_off_stops_dialing_and_is_found(around):
    class Late(SystemClock):
        def now(self):
            return super().now() - timedelta(seconds=10)

    said, _ = (await wrongs(replace(around, clock=Late())))["clock"]
    assert said.startswith("the database's is +10.0 s off ours")


async def test_a_schema_that_is_behind_is_to_be_upgraded(around, pool):
    await pool.execute("UPDATE alembic_version SET version_num = '0000'")
    assert (await wrongs(around))["schema"][1] == "run: ringback db upgrade"


async def test_an_open_breaker_late_rows_and_dead_letters_are_wrong_but_a_pause_is_not(around, pool, store):
    now = SystemClock().now()
    async with store.transaction() as tx:
        await tx.capacity.open_breaker("http_402", now)
        await tx.outbox.enqueue("crm_note", "late", {}, None, now - timedelta(hours=1))
    async with store.transaction() as tx:
        await tx.outbox.enqueue("crm_note", "dead", {}, None, now)
    await pool.execute("UPDATE outbox SET dead_at = now() WHERE message_id = 'dead'")
    await pool.execute("UPDATE installation SET paused_at = now(), pause_reason = 'wrong script'")
    queue = around.queues["event queue"]
    await queue.send([OutgoingMessage("x")])
    [message] = await queue.receive(1, 1, 30)
    await queue.dead_letter(message, "Permanent")
    findings = await diagnose(around)
    wrong = [(finding.subject, finding.said) for finding in findings if finding.wrong]
    assert [subject for subject, _ in wrong] == ["breaker", "outbox", "outbox", "event queue"]
    assert [said for _, said in wrong][2:] == ["1 dead letter", "1 dead letter"]
    assert "paused: wrong script" in {finding.said for finding in findings if finding.warning}


async def test_a_key_that_retell_refuses_and_one_that_is_none_of_its_keys(around, retell_url):
    found = await wrongs(replace(around, account=RetellAccount("key_other", retell_url), webhook_keys=("secret",)))
    assert set(found) == {"Retell API key", "Retell webhook key"}
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("agent", "expected", "said"),
    [
        ("agent_ok", "https://y", "goes to https://x.example/retell/webhook"),
        ("agent_quiet", None, "does not send call_started, call_analyzed"),
        ("agent_unknown", None, "the account has no such agent"),
    ],
)
async def test_an_agent_whose_webhooks_go_astray_is_found(around, agent, expected, said):
    assert (await wrongs(around, agent, expected))["agent's webhook"][0] == said


async def test_an_agent_without_a_webhook_of_its_own_uses_the_accounts(around):
    findings = await diagnose(around, "agent_bare", "https://x")
    assert any("account's webhook URL" in finding.said and not finding.wrong for finding in findings)
