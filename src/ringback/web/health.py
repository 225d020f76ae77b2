"""Health, readiness and metrics of this process."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ringback.domain.errors import Retryable

CHECK_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`detail` is a short sentence for the operator, without addresses that hold passwords."""

    ok: bool
    detail: str = ""


Check = Callable[[], Awaitable[CheckResult]]
IsPaused = Callable[[], Awaitable[bool]]
ReadGauges = Callable[[], Awaitable[None]]


def health_routes(
    checks: Mapping[str, Check],
    registry: CollectorRegistry,
    is_paused: IsPaused | None = None,
    read_gauges: ReadGauges | None = None,
) -> list[Route]:
    """`/readyz` answers 503 while a check fails. A pause is shown and is no failure: the process works as told.

    This needs no key, so the operator's reason for a pause is not shown; `ringback doctor` shows it.
    """

    async def healthz(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(request: Request) -> Response:
        paused = False

        async def dialing() -> CheckResult:
            nonlocal paused
            assert is_paused is not None, "asked only where dialing can be paused"
            paused = await is_paused()
            return CheckResult(True, "paused" if paused else "running")

        asked = dict(checks) if is_paused is None else {**checks, "dialing": dialing}
        results = dict(zip(asked, await asyncio.gather(*(_run(check) for check in asked.values())), strict=True))
        ready = all(result.ok for result in results.values())
        body = {
            "status": "ready" if ready else "not_ready",
            "paused": paused,
            "checks": {name: asdict(result) for name, result in results.items()},
        }
        return JSONResponse(body, 200 if ready else 503)

    async def metrics(request: Request) -> Response:
        if read_gauges is not None:
            await read_gauges()
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]


async def _run(check: Check) -> CheckResult:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await check()
    except TimeoutError:
        return CheckResult(False, f"no answer within {CHECK_TIMEOUT_S:g} s")
    except Retryable as error:
        return CheckResult(False, str(error))
    except Exception as error:  # noqa: BLE001 - a check that fails is an answer; its text may quote a row
        return CheckResult(False, type(error).__name__)
