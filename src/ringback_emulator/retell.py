"""The emulated Retell: its API, its webhooks and function calls, and a ledger of every phone that rang.

Besides Retell's own routes, without a key:

- `GET /healthz` returns the emulator's name and its state directory.
- `GET /emulator/retell/rings` is the ledger: `{"items": [{provider_call_id, to_number, metadata, rang_at}]}`.

With the control key (`Authorization: Bearer`):

- `POST /emulator/retell/stop` ends the process.
- `POST /emulator/retell/faults` changes the named faults and answers 204:
  `{"create": [{"status": 500, "rings": true, "times": 2, "body": null, "delay_s": 0.0}],
  "list_calls": "fail"|"lag"|null, "webhooks": "drop"|null, "account": 402|null}`. settings.py explains each.
- `POST /emulator/retell/inbound` starts an inbound call: `{from_number, to_number, agent_id?, scenario?, names_call?}`.
  It answers as `receive_inbound_call` says, after the inbound webhook has decided. The call then continues by itself.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ringback_emulator import retell_api
from ringback_emulator.call_request import RequestRejected
from ringback_emulator.call_simulator import CallSimulator
from ringback_emulator.inbound_calls import read_caller, receive_inbound_call
from ringback_emulator.retell_api import error_response, json_object, simulator_of
from ringback_emulator.server import health_route, ledger_route, protect, run, stop_route
from ringback_emulator.settings import RetellEmulatorSettings


def create_app(settings: RetellEmulatorSettings) -> Starlette:
    """Return the ASGI application. Its lifespan opens the state directory and continues the calls in it."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.simulator = CallSimulator(settings)
        app.state.simulator.resume()
        yield
        await app.state.simulator.close()

    app = Starlette(
        routes=[
            *retell_api.ROUTES,
            health_route("retell", settings.state_dir),
            ledger_route("/emulator/retell/rings", lambda request: simulator_of(request).rings),
            Route("/emulator/retell/faults", _change_faults, methods=["POST"]),
            Route("/emulator/retell/inbound", _receive_inbound_call, methods=["POST"]),
            stop_route("retell"),
        ],
        lifespan=lifespan,
        exception_handlers={404: _no_such_route, 405: _no_such_route},
    )
    app.state.is_stopping = False
    protect(app, settings.control_key)
    return app


def run_retell(settings: RetellEmulatorSettings, port: int = 8090) -> None:
    """Serve until SIGTERM, SIGINT or a stop request."""
    run(create_app(settings), port, settings.owner_file)


async def _change_faults(request: Request) -> Response:
    try:
        simulator = simulator_of(request)
        simulator.faults.change(await json_object(request), simulator.settings.time.now_ms())
    except (RequestRejected, TypeError, ValueError) as problem:
        return error_response(400, str(problem))
    return Response(status_code=204)


async def _receive_inbound_call(request: Request) -> Response:
    try:
        caller = read_caller(await json_object(request))
        return JSONResponse(await receive_inbound_call(simulator_of(request), caller))
    except RequestRejected as rejected:
        return error_response(rejected.status, rejected.message)


async def _no_such_route(request: Request, exc: Exception) -> Response:
    return error_response(404)
