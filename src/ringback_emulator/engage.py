"""The emulated Engage: stores every ABT event and CRM write on disk before it accepts it.

- `POST /abt-events` checks the Standard Webhooks signature. A delivery with an invalid one is stored and answered 401.
- `PATCH /contacts/{contact_id}/fields` and `POST /contacts/{contact_id}/notes` are CRM writes with the same check.
  A contact whose id begins with `gone-` does not exist: its writes are stored and answered 404.
- `GET /emulator/engage/events` and `GET /emulator/engage/writes` list every delivery in order of arrival, repeats too.
- `GET /healthz` returns the emulator's name and its state directory.

With the control key (`Authorization: Bearer`):

- `POST /emulator/engage/stop` ends the process.
- `POST /emulator/engage/faults` sets the fault: `{"status": 503, "times": 3, "delay_s": 0.0, "keep": false}`.
  The next `times` deliveries wait `delay_s` real seconds and are answered `status` (null: as usual).
  A delivery with such a status is stored only with `keep`. A restart removes the fault.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ringback_emulator.json_lines import JsonLinesFile
from ringback_emulator.server import health_route, ledger_route, protect, run, stop_route
from ringback_emulator.settings import EngageEmulatorSettings, EngageFault

#: The beginning of the ids of contacts that Engage no longer has.
GONE_CONTACT = "gone-"


class EngageStore:
    """The two ledgers and the active fault."""

    def __init__(self, settings: EngageEmulatorSettings) -> None:
        self.settings = settings
        self.events = JsonLinesFile(settings.state_dir / "events.jsonl")
        self.writes = JsonLinesFile(settings.state_dir / "writes.jsonl")
        self.fault = EngageFault(times=0)
        self._webhook = Webhook(settings.secret)

    def close(self) -> None:
        self.events.close()
        self.writes.close()

    def has_valid_signature(self, body: bytes, request: Request) -> bool:
        try:
            self._webhook.verify(body, dict(request.headers), json_parse=False)
        except (WebhookVerificationError, ValueError):
            return False
        return True

    async def receive(self, ledger: JsonLinesFile, record: dict[str, Any], accepted: int) -> Response:
        """Store the record and answer `accepted`, unless a fault is active."""
        fault = EngageFault()
        if self.fault.times > 0:
            self.fault.times -= 1
            fault = self.fault
        if fault.status is None or fault.keep:
            ledger.append(record)
        await asyncio.sleep(fault.delay_s)
        return Response(status_code=accepted if fault.status is None else fault.status)


def create_app(settings: EngageEmulatorSettings) -> Starlette:
    """Return the ASGI application. Its lifespan opens the state directory."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.store = EngageStore(settings)
        yield
        app.state.store.close()

    app = Starlette(
        routes=[
            Route("/abt-events", _receive_event, methods=["POST"]),
            Route("/contacts/{contact_id:path}/fields", _receive_write, methods=["PATCH"], name="fields"),
            Route("/contacts/{contact_id:path}/notes", _receive_write, methods=["POST"], name="notes"),
            ledger_route("/emulator/engage/events", lambda request: _store(request).events),
            ledger_route("/emulator/engage/writes", lambda request: _store(request).writes),
            Route("/emulator/engage/faults", _change_faults, methods=["POST"]),
            health_route("engage", settings.state_dir),
            stop_route("engage"),
        ],
        lifespan=lifespan,
    )
    protect(app, settings.control_key)
    return app


def run_engage(settings: EngageEmulatorSettings, port: int = 8091) -> None:
    """Serve until SIGTERM, SIGINT or a stop request."""
    run(create_app(settings), port, settings.owner_file)


def _store(request: Request) -> EngageStore:
    store: EngageStore = request.app.state.store
    return store


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _parsed(body: bytes) -> Any:
    """Return the JSON value, None if the body is not JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


async def _receive_event(request: Request) -> Response:
    store, body = _store(request), await request.body()
    event = _parsed(body)
    signature_ok = store.has_valid_signature(body, request)
    record = {
        "received_at": _now(),
        "id": request.headers.get("webhook-id"),
        "type": event.get("type") if isinstance(event, dict) else None,
        "signature_ok": signature_ok,
        "event": event,
    }
    return await store.receive(store.events, record, 202 if signature_ok else 401)


async def _receive_write(request: Request) -> Response:
    store, raw = _store(request), await request.body()
    body = _parsed(raw)
    if not isinstance(body, dict):
        return JSONResponse({"error": "the body must be a JSON object"}, status_code=400)
    signature_ok = store.has_valid_signature(raw, request)
    record = {
        "received_at": _now(),
        "kind": request.url.path.rsplit("/", 1)[1],
        "contact_id": request.path_params["contact_id"],
        "idempotency_key": request.headers.get("idempotency-key"),
        "signature_ok": signature_ok,
        "body": body,
    }
    accepted = 404 if request.path_params["contact_id"].startswith(GONE_CONTACT) else 204
    return await store.receive(store.writes, record, accepted if signature_ok else 401)


async def _change_faults(request: Request) -> Response:
    fault = _parsed(await request.body())
    if not isinstance(fault, dict) or not fault.keys() <= {"status", "times", "delay_s", "keep"}:
        return JSONResponse({"error": "status, times, delay_s and keep are known"}, status_code=400)
    _store(request).fault = EngageFault(**fault)
    return Response(status_code=204)
