"""Readiness asks whether the database can be written, not only whether it answers."""

import httpx
import pytest

from ringback import wiring
from ringback.adapters.postgres.pool import connection_of
from ringback.config import read_settings
from ringback.process import application
from ringback.wiring import open_dependencies


async def test_a_process_whose_server_takes_no_writes_is_not_ready_until_it_has_another(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "POOL_SIZE", 1)
    settings = read_settings({"RINGBACK_DATABASE_URL": database_url}, emulated=False)
    async with open_dependencies(settings) as parts:
        async with connection_of(parts.pool) as connection:
            await connection.execute("SET default_transaction_read_only = on")
        transport = httpx.ASGITransport(application(parts, []))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            answer = await client.get("/readyz")
            assert (answer.status_code, answer.json()["checks"]["database"]["ok"]) == (503, False)
            again = await client.get("/readyz")
            assert (again.status_code, again.json()["checks"]["database"]["ok"]) == (200, True)


async def test_an_unforeseen_error_of_a_check_is_an_answer_without_the_errors_text(database_url: str) -> None:
    settings = read_settings({"RINGBACK_DATABASE_URL": database_url}, emulated=False)
    async with open_dependencies(settings) as parts:
        async with connection_of(parts.pool) as connection:
            await connection.execute("ALTER TABLE installation RENAME TO hidden_installation")
        transport = httpx.ASGITransport(application(parts, []))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"] == {"ok": False, "detail": "UndefinedTableError"}
