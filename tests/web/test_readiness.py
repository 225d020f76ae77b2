"""Readiness asks whether the database can be written, not only whether it answers."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from ringback import wiring
from ringback.adapters.postgres.pool import connection_of
from ringback.config import read_settings
from ringback.flows.operator.monitoring import Monitoring, queue_dependency
from ringback.loops import Loops
from ringback.process import application, process_health
from ringback.services import (
    business_api,
    call_processor,
    internal_api,
    scheduler,
    webhook_processor,
    webhook_receiver,
)
from ringback.telemetry import make_metrics
from ringback.wiring import open_dependencies, open_queue
from tests.loopback import answers, free_ports
from tests.sqs_server import AWS, create_queue, health_of, sqs_client, sqs_server
from tests.stories.running_system import wait_until


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


SERVICES = (internal_api, business_api, call_processor, webhook_processor, scheduler, webhook_receiver)


@pytest.mark.parametrize("service", SERVICES, ids=lambda module: module.__name__.rpartition(".")[2])
async def test_a_process_is_not_ready_while_a_dependency_is_lost_and_ready_when_it_is_back(
    service: Any, database_url: str
) -> None:
    """The receiver needs its queue alone."""
    settings = read_settings(
        {"RINGBACK_DATABASE_URL": database_url, "RETELL_API_KEY": "key_of_the_test"}, emulated=False
    )
    needs_database = service is not webhook_receiver
    async with open_dependencies(settings) as parts:
        transport = httpx.ASGITransport(application(parts, [service.build_service(parts)]))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            for table, lost in (
                ("installation", {"database"} if needs_database else set()),
                ("queue_messages", {"call_queue", "event_queue"} if needs_database else {"event_queue"}),
            ):
                for name, other in ((table, "hidden"), ("hidden", table)):
                    async with connection_of(parts.pool) as connection:
                        await connection.execute(f"ALTER TABLE {name} RENAME TO {other}")
                    answer = await client.get("/readyz")
                    failed = {check for check, told in answer.json()["checks"].items() if not told["ok"]}
                    expected = lost if other == "hidden" else set()
                    assert failed - {"dialing"} == expected
                    assert answer.status_code == (503 if expected else 200)


async def test_a_receiver_on_sqs_is_not_ready_while_its_queue_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (port,) = free_ports(1)
    endpoint = f"http://127.0.0.1:{port}"
    for name, value in {**AWS, "AWS_ENDPOINT_URL_SQS": endpoint}.items():
        monkeypatch.setenv(name, value)
    metrics, loops = make_metrics(), Loops()
    queue = await open_queue(f"{endpoint}/000000000000/events", None, read_settings(AWS, emulated=True))
    monitoring = Monitoring({"event_queue": queue_dependency("event_queue", queue)}, metrics.gauges, loops.availability)
    transport = httpx.ASGITransport(Starlette(routes=process_health(monitoring, loops, metrics.registry)))
    command, environment = sqs_server(port, tmp_path)
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            lost = await client.get("/readyz")
            assert 'ringback_up{dependency="event_queue"} 0.0' in (await client.get("/metrics")).text
            server = await asyncio.create_subprocess_exec(*command, env=environment, cwd=tmp_path)
            try:
                await asyncio.to_thread(wait_until, lambda: answers(health_of(endpoint)), 60, "the SQS server answers")
                await asyncio.to_thread(create_queue, sqs_client(endpoint), "events")
                back = await client.get("/readyz")
            finally:
                server.kill()
                await server.wait()
    finally:
        await queue.close()
    assert (lost.status_code, lost.json()["checks"]["event_queue"]["ok"]) == (503, False)
    assert back.status_code == 200, back.text
