import asyncio

import httpx
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ringback.domain.errors import StoreUnavailable
from ringback.telemetry import make_metrics
from ringback.web import health
from ringback.web.app import create_application
from ringback.web.health import CheckResult, health_routes


async def ask(path, checks=None, paused=None, metrics=None) -> httpx.Response:
    metrics = metrics or make_metrics()
    app = create_application("test", [], health_routes(checks or {}, metrics.registry, paused), metrics)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
        return await client.get(path)


async def fine() -> CheckResult:
    return CheckResult(True)


async def away() -> CheckResult:
    raise StoreUnavailable("ConnectionRefusedError")


async def test_a_living_process_says_so_without_asking_anything():
    answer = await ask("/healthz", {"database": away})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_ready_when_every_check_passes():
    answer = await ask("/readyz", {"database": fine, "queue": fine})
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "paused": False,
        "checks": {"database": {"ok": True, "detail": ""}, "queue": {"ok": True, "detail": ""}},
    }


async def test_not_ready_when_one_fails_and_it_is_named():
    answer = await ask("/readyz", {"database": away, "queue": fine})
    assert (answer.status_code, answer.json()["status"]) == (503, "not_ready")
    assert answer.json()["checks"]["database"] == {"ok": False, "detail": "ConnectionRefusedError"}


async def test_a_check_that_hangs_fails(monkeypatch):
    monkeypatch.setattr(health, "CHECK_TIMEOUT_S", 0.02)

    async def hangs() -> CheckResult:
        await asyncio.sleep(5)
        return CheckResult(True)

    answer = await ask("/readyz", {"queue": hangs})
    assert (answer.status_code, answer.json()["checks"]["queue"]["ok"]) == (503, False)


async def paused() -> bool:
    return True


async def running() -> bool:
    return False


async def test_readyz_tells_of_a_pause_and_not_of_its_reason():
    answer = await ask("/readyz", {"database": fine}, paused)
    assert answer.status_code == 200
    assert answer.json()["paused"] is True
    assert answer.json()["checks"]["dialing"] == {"ok": True, "detail": "paused"}


async def test_a_running_system_says_so():
    answer = (await ask("/readyz", {}, running)).json()
    assert (answer["paused"], answer["checks"]["dialing"]["detail"]) == (False, "running")


async def test_requests_are_counted_by_the_routes_template_never_by_the_path():
    metrics = make_metrics()
    await ask("/healthz", metrics=metrics)
    await ask("/v1/why/+14155550100", metrics=metrics)
    named = Route("/people/{phone}/calls", lambda request: PlainTextResponse(""))
    app = create_application("test", [], [named], metrics)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api") as client:
        await client.get("/people/+14155550100/calls")
    text = (await ask("/metrics", metrics=metrics)).text
    assert 'ringback_http_requests_total{method="GET",route="/healthz",status="200"} 1.0' in text
    assert 'route="/people/{phone}/calls"' in text
    assert 'route="unmatched",status="404"} 1.0' in text
    assert "4155550100" not in text
