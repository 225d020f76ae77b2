"""The emulated Retell: the API its SDK speaks, its webhooks and tool calls, and a ledger of every phone that rang.

Besides Retell's own routes, without a key:

- `GET /healthz` says which emulator this is and where its state is.
- `GET /emulator/retell/rings` is the ledger: `{"items": [{provider_call_id, to_number, metadata, rang_at}]}`.

With the control key (`Authorization: Bearer`):

- `POST /emulator/retell/stop` ends the process.
- `POST /emulator/retell/faults` changes the faults it names and answers 204:
  `{"create": [{"status": 500, "rings": true, "times": 2, "body": null, "delay_s": 0.0}],
  "list_calls": "fail"|"lag"|null, "webhooks": "drop"|null, "account": 402|null}`. A create fault with status null never
  answers, with 0 it resets the connection, with 201 it answers normally after `delay_s` real seconds; `rings` says
  whether the phone rings all the same.
- `POST /emulator/retell/inbound` is somebody calling: `{from_number, to_number, agent_id?, scenario?, names_call?}`,
  answered as inbound.ring_in says once the inbound webhook has decided; the call then goes on by itself.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ringback_emulator import account_routes, call_routes
from ringback_emulator.access import protect, stop_route
from ringback_emulator.call_request import RequestRefused
from ringback_emulator.door import exchange_of, json_object, refusal
from ringback_emulator.exchange import Exchange
from ringback_emulator.inbound import read_caller, ring_in
from ringback_emulator.outgoing import now_ms
from ringback_emulator.serving import run
from ringback_emulator.settings import RetellEmulatorSettings


def create_app(settings: RetellEmulatorSettings) -> Starlette:
    """The ASGI application; its lifespan opens the state directory and takes up the calls found there."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.exchange = Exchange(settings)
        app.state.exchange.resume()
        yield
        await app.state.exchange.close()

    app = Starlette(
        routes=[
            *call_routes.ROUTES,
            *account_routes.ROUTES,
            Route("/healthz", _health, methods=["GET"]),
            Route("/emulator/retell/rings", _rings, methods=["GET"]),
            Route("/emulator/retell/faults", _change_faults, methods=["POST"]),
            Route("/emulator/retell/inbound", _ring_in, methods=["POST"]),
            stop_route("retell"),
        ],
        lifespan=lifespan,
        exception_handlers={404: _no_such_route, 405: _no_such_route},
    )
    app.state.leaving = False
    protect(app, settings.control_key)
    return app


def run_retell(settings: RetellEmulatorSettings, port: int = 8090) -> None:
    """Serve until SIGTERM, SIGINT or a stop request."""
    run(create_app(settings), port, settings.owner_file)


async def _health(request: Request) -> Response:
    state_dir = exchange_of(request).settings.state_dir.resolve()
    return JSONResponse({"status": "ok", "emulator": "retell", "state_dir": str(state_dir)})


async def _rings(request: Request) -> Response:
    return Response(exchange_of(request).rings.as_items(), media_type="application/json")


async def _change_faults(request: Request) -> Response:
    try:
        exchange_of(request).faults.change(await json_object(request), now_ms())
    except (RequestRefused, TypeError, ValueError) as problem:
        return refusal(400, str(problem))
    return Response(status_code=204)


async def _ring_in(request: Request) -> Response:
    try:
        caller = read_caller(await json_object(request))
        return JSONResponse(await ring_in(exchange_of(request), caller))
    except RequestRefused as refused:
        return refusal(refused.status, refused.message)


async def _no_such_route(request: Request, exc: Exception) -> Response:
    return refusal(404)
