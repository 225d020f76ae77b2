"""An installation of its own for the commands that need a database."""

import asyncio
import logging

import asyncpg
import pytest
import structlog

DEAD_EVENT = """
INSERT INTO outbox (kind, message_id, order_key, call_id, payload, created_at, due_at, tries, dead_at, last_error)
VALUES ('abt_event', 'e-1', 'call:c-1', 'c-1', '{"id": "e-1", "type": "voice_ai_call_failed"}', now(), now(), 5,
        '2026-12-01T17:00:00Z', 'http_400')
"""


@pytest.fixture
def own_logs():
    """Restore the logs: a command sends them to its own stderr, which is closed after it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def database(own_logs, monkeypatch, tmp_path, database_url):
    for name in ("RETELL_API_KEY", "RETELL_WEBHOOK_KEY", "RETELL_BASE_URL", "RINGBACK_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RINGBACK_DATABASE_URL", database_url)
    monkeypatch.chdir(tmp_path)

    async def execute(statement):
        connection = await asyncpg.connect(database_url)
        await connection.execute(statement)
        await connection.close()

    return lambda statement: asyncio.run(execute(statement))


@pytest.fixture
def dead_event(database):
    """Put one dead ABT event into the outbox."""
    database(DEAD_EVENT)
