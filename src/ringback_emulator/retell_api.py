"""Retell's API as far as the product uses it: calls, agents, and the owner of the key."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from functools import wraps
from types import MethodType
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ringback_emulator.call_object import call_object, hangs_up_on_voicemail, light_call_object
from ringback_emulator.call_request import MESSAGES, RequestRejected, agent_exists, read_call_request
from ringback_emulator.call_simulator import CallSimulator
from ringback_emulator.call_store import Call
from ringback_emulator.scenarios import SCENARIOS
from ringback_emulator.settings import CreateFault

Handler = Callable[[Request], Awaitable[Response]]

_DEFAULT_PAGE = 50
_LARGEST_PAGE = 1000
_DISCONNECT_CHECK_S = 0.05
# The emulated account does not change; 2026-01-01T00:00:00Z.
_LAST_MODIFIED_MS = 1_767_225_600_000


def simulator_of(request: Request) -> CallSimulator:
    simulator: CallSimulator = request.app.state.simulator
    return simulator


def error_response(status: int, message: str = "") -> JSONResponse:
    """Return an error in Retell's form, by default with Retell's message for the status."""
    text = message or MESSAGES.get(status, MESSAGES[500])
    return JSONResponse({"status": "error", "message": text}, status_code=status)


def api(handler: Handler) -> Handler:
    """Check the API key and the account's fault first. Return RequestRejected as an error in Retell's form."""

    @wraps(handler)
    async def checked(request: Request) -> Response:
        simulator = simulator_of(request)
        if request.headers.get("authorization") != f"Bearer {simulator.settings.api_key}":
            return error_response(401)
        if simulator.faults.account is not None:
            return error_response(simulator.faults.account)
        try:
            return await handler(request)
        except RequestRejected as rejected:
            return error_response(rejected.status, rejected.message)

    return checked


async def json_object(request: Request) -> dict[str, Any]:
    """Return the body's JSON object; an empty body is an empty object. Raises RequestRejected (400)."""
    raw = await request.body()
    try:
        body = json.loads(raw or b"{}")
        if b"\\ud" in raw.lower():
            # Half a surrogate pair can be parsed but not encoded as UTF-8.
            json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise RequestRejected(400) from None
    if not isinstance(body, dict):
        raise RequestRejected(400)
    return body


@api
async def create_phone_call(request: Request) -> Response:
    simulator = simulator_of(request)
    call_request = read_call_request(await json_object(request), simulator.settings.webhook_url)
    fault = simulator.faults.next_create()
    if fault is not None and not fault.places_call:
        await asyncio.sleep(fault.delay_s)
        return await _faulty_response(request, fault)
    call, is_new = simulator.accept(call_request)
    answer = call_object(call, call.stage, simulator.settings.seed)
    await asyncio.sleep(simulator.settings.create_latency_s)
    if fault is not None:
        await asyncio.sleep(fault.delay_s)
        if fault.status != 201:
            return await _faulty_response(request, fault)
    behavior = SCENARIOS[call.scenario].create if is_new else "answers"
    if behavior == "fails_after_ring":
        return error_response(500)
    if behavior == "hangs_after_ring":
        return await _never_answer(request)
    return JSONResponse(answer, status_code=201)


async def _faulty_response(request: Request, fault: CreateFault) -> Response:
    if fault.status is None:
        return await _never_answer(request)
    if fault.status == 0:
        # ASGI cannot reset a connection. uvicorn's `receive` is a method of the object that owns the transport.
        cycle: Any = cast(MethodType, request.receive).__self__
        cycle.transport.abort()
        await asyncio.sleep(0)
        return Response(status_code=503)
    if fault.body is not None:
        return Response(fault.body, status_code=fault.status)
    return error_response(fault.status)


async def _never_answer(request: Request) -> Response:
    """Return only after the client closed the connection, or when this process is to end."""
    while not request.app.state.is_stopping and not await request.is_disconnected():
        await asyncio.sleep(_DISCONNECT_CHECK_S)
    return Response(status_code=503)


@api
async def get_call(request: Request) -> Response:
    call = _call_in_path(request)
    return JSONResponse(call_object(call, call.stage, simulator_of(request).settings.seed))


@api
async def stop_call(request: Request) -> Response:
    await simulator_of(request).stop(_call_in_path(request))
    return Response(status_code=204)


@api
async def list_calls(request: Request) -> Response:
    """List the calls from the newest to the oldest. Only a filter by metadata is supported."""
    simulator = simulator_of(request)
    body = await json_object(request)
    if simulator.faults.list_calls == "fail":
        return error_response(500)
    wanted = _wanted_metadata(body.get("filter_criteria", {}))
    limit = body.get("limit", _DEFAULT_PAGE)
    if not isinstance(limit, int) or not 1 <= limit <= _LARGEST_PAGE:
        raise RequestRejected(400)
    is_lagging, lag_since_ms = simulator.faults.list_calls == "lag", simulator.faults.lag_since_ms
    calls = [
        call
        for call in simulator.store.calls.values()
        if not (is_lagging and call.created_ms >= lag_since_ms)
        and all((call.metadata or {}).get(key) == value for key, value in wanted)
    ]
    # Retell sorts by start. Creation time takes its place, so that no page changes when a phone is answered.
    calls.sort(key=lambda call: (call.created_ms, call.call_id), reverse=True)
    start = 0
    if body.get("pagination_key") is not None:
        try:
            last_id = base64.urlsafe_b64decode(str(body["pagination_key"])).decode()
            start = [call.call_id for call in calls].index(last_id) + 1
        except ValueError:
            raise RequestRejected(400, "`pagination_key` is invalid") from None
    page, has_more = calls[start : start + limit], len(calls) > start + limit
    answer = {"items": [light_call_object(call, simulator.settings.seed) for call in page], "has_more": has_more}
    if has_more:
        answer["pagination_key"] = base64.urlsafe_b64encode(page[-1].call_id.encode()).decode()
    return JSONResponse(answer)


def _wanted_metadata(criteria: object) -> list[tuple[str, str]]:
    """Return the keys and values that a call's metadata must have. Raises RequestRejected (400)."""
    if not isinstance(criteria, dict):
        raise RequestRejected(400, "`filter_criteria` must be object")
    for name in criteria.keys() - {"metadata"}:
        raise RequestRejected(400, f"`filter_criteria.{name}` is not a filter of this emulator")
    filters = criteria.get("metadata", [])
    if not isinstance(filters, list):
        raise RequestRejected(400, "`filter_criteria.metadata` must be array")
    wanted = []
    for item in filters:
        match item:
            case {"type": "string", "op": "eq", "key": str(key), "value": str(value)}:
                wanted.append((key, value))
            case _:
                raise RequestRejected(400, "`filter_criteria.metadata` must be a filter object")
    return wanted


def _call_in_path(request: Request) -> Call:
    call = simulator_of(request).store.calls.get(request.path_params["call_id"])
    if call is None:
        raise RequestRejected(422)
    return call


@api
async def get_agent(request: Request) -> Response:
    agent_id = request.path_params["agent_id"]
    if not agent_exists(agent_id):
        raise RequestRejected(422)
    action: dict[str, Any] = {"type": "hangup"}
    if not hangs_up_on_voicemail(agent_id):
        action = {"type": "static_text", "text": "Hi {{first_name}}, this is Robin of Northwind. I will try again."}
    return JSONResponse(
        {
            "agent_id": agent_id,
            "agent_name": "Emulated agent",
            "version": 0,
            "is_published": True,
            "voice_id": "11labs-Adrian",
            "response_engine": {"type": "retell-llm", "llm_id": "llm_emulator", "version": 0},
            "language": "en-US",
            "webhook_url": simulator_of(request).settings.webhook_url,
            "webhook_timeout_ms": 10_000,
            "ring_duration_ms": 30_000,
            "max_call_duration_ms": 3_600_000,
            "end_call_after_silence_ms": 600_000,
            "voicemail_option": {"action": action},
            "data_storage_setting": "everything",
            "timezone": "America/Los_Angeles",
            "last_modification_timestamp": _LAST_MODIFIED_MS,
        }
    )


@api
async def get_api_key_info(request: Request) -> Response:
    return JSONResponse({"org_id": "org_emulator", "org_name": "Emulator", "api_key_name": "emulator"})


ROUTES = [
    Route("/v2/create-phone-call", create_phone_call, methods=["POST"]),
    Route("/v2/get-call/{call_id}", get_call, methods=["GET"]),
    Route("/v3/list-calls", list_calls, methods=["POST"]),
    Route("/v2/stop-call/{call_id}", stop_call, methods=["POST"]),
    Route("/get-agent/{agent_id}", get_agent, methods=["GET"]),
    Route("/get-api-key-info", get_api_key_info, methods=["GET"]),
]
