"""The emulated Engage: keeps every ABT event and CRM write on disk before it says yes.

- `POST /abt-events` checks the Standard Webhooks signature; a delivery with a bad one is kept and answered 401.
- `PATCH /contacts/{contact_id}/fields` and `POST /contacts/{contact_id}/notes` are CRM writes, checked likewise.
- `GET /emulator/engage/events` and `GET /emulator/engage/writes` list every delivery in order of arrival, repeats too.
- `GET /healthz` says which emulator this is and where its state is.

With the control key (`Authorization: Bearer`):

- `POST /emulator/engage/stop` ends the process.
- `POST /emulator/engage/faults` `{"status": 503, "times": 3, "delay_s": 0.0, "keep": false}`: the next `times`
  deliveries wait `delay_s` real seconds and are answered `status` (null: as usual); such a delivery is stored only with
  `keep`. A restart forgets the fault.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ringback_emulator.access import protect, stop_route
from ringback_emulator.journal import Journal
from ringback_emulator.serving import run
from ringback_emulator.settings import EngageEmulatorSettings


@dataclass(slots=True)
class EngageFault:
    """What the next `times` deliveries meet; `keep` stores a delivery although its answer says no."""

    status: int | None = None
    times: int = 1
    delay_s: float = 0.0
    keep: bool = False


class EngageStore:
    """The two ledgers and the fault in force."""

    def __init__(self, settings: EngageEmulatorSettings) -> None:
        self.settings = settings
        self.events = Journal(settings.state_dir / "events.jsonl")
        self.writes = Journal(settings.state_dir / "writes.jsonl")
        self.fault = EngageFault(times=0)
        self._webhook = Webhook(settings.secret)

    def close(self) -> None:
        self.events.close()
        self.writes.close()

    def signature_ok(self, body: bytes, request: Request) -> bool:
        try:
            self._webhook.verify(body, dict(request.headers), json_parse=False)
        except (WebhookVerificationError, ValueError):
            return False
        return True

    def take_fault(self) -> EngageFault:
        if self.fault.times <= 0:
            return EngageFault()
        self.fault.times -= 1
        return self.fault

    async def receive(self, journal: Journal, record: dict[str, Any], accepted: int) -> Response:
        """Stores the record and answers `accepted`, or does what the fault in force says."""
        fault = self.take_fault()
        if fault.status is None or fault.keep:
            journal.append(record)
        await asyncio.sleep(fault.delay_s)
        return Response(status_code=accepted if fault.status is None else fault.status)


def create_app(settings: EngageEmulatorSettings) -> Starlette:
    """The ASGI application; its lifespan opens the state directory."""

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
            Route("/emulator/engage/events", _events, methods=["GET"]),
            Route("/emulator/engage/writes", _writes, methods=["GET"]),
            Route("/emulator/engage/faults", _change_faults, methods=["POST"]),
            Route("/healthz", _health, methods=["GET"]),
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
    """The JSON value, or None for what is not JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


async def _receive_event(request: Request) -> Response:
    store, body = _store(request), await request.body()
    event = _parsed(body)
    signature_ok = store.signature_ok(body, request)
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
    signature_ok = store.signature_ok(raw, request)
    record = {
        "received_at": _now(),
        "kind": request.url.path.rsplit("/", 1)[1],
        "contact_id": request.path_params["contact_id"],
        "idempotency_key": request.headers.get("idempotency-key"),
        "signature_ok": signature_ok,
        "body": body,
    }
    return await store.receive(store.writes, record, 204 if signature_ok else 401)


async def _events(request: Request) -> Response:
    return Response(_store(request).events.as_items(), media_type="application/json")


async def _writes(request: Request) -> Response:
    return Response(_store(request).writes.as_items(), media_type="application/json")


async def _change_faults(request: Request) -> Response:
    wanted = _parsed(await request.body())
    if not isinstance(wanted, dict) or not wanted.keys() <= {"status", "times", "delay_s", "keep"}:
        return JSONResponse({"error": "status, times, delay_s and keep are known"}, status_code=400)
    _store(request).fault = EngageFault(**wanted)
    return Response(status_code=204)


async def _health(request: Request) -> Response:
    state_dir = _store(request).settings.state_dir.resolve()
    return JSONResponse({"status": "ok", "emulator": "engage", "state_dir": str(state_dir)})
