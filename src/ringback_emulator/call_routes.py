"""The call endpoints of the emulated Retell."""

import asyncio
import base64
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ringback_emulator.call_book import Call
from ringback_emulator.call_filters import read_filters
from ringback_emulator.call_object import call_object, light_call_object
from ringback_emulator.call_request import (
    STORAGE_SETTINGS,
    RequestRefused,
    checked_metadata,
    checked_storage,
    read_order,
)
from ringback_emulator.door import MESSAGES, api, client_left, exchange_of, hang_up, json_object, refusal
from ringback_emulator.exchange import Exchange
from ringback_emulator.faults import CreateFault
from ringback_emulator.scenarios import SCENARIOS

_DEFAULT_PAGE = 50
_LARGEST_PAGE = 1000


@api
async def create_phone_call(request: Request) -> Response:
    exchange = exchange_of(request)
    order = read_order(await json_object(request), exchange.settings.webhook_url)
    fault = exchange.faults.next_create()
    if fault is not None and not fault.places_call:
        await asyncio.sleep(fault.delay_s)
        return await _faulty_answer(request, fault)
    call, is_new = exchange.accept(order)
    answer = call_object(call, call.stage, exchange.settings.seed)
    await asyncio.sleep(exchange.settings.create_latency_s)
    if fault is not None:
        await asyncio.sleep(fault.delay_s)
        if fault.status != 201:
            return await _faulty_answer(request, fault)
    behaviour = SCENARIOS[call.scenario].create if is_new else "answers"
    if behaviour == "fails_after_ring":
        return refusal(500)
    if behaviour == "hangs_after_ring":
        return await client_left(request)
    return JSONResponse(answer, status_code=201)


async def _faulty_answer(request: Request, fault: CreateFault) -> Response:
    if fault.status is None:
        return await client_left(request)
    if fault.status == 0:
        return await hang_up(request)
    if fault.body is not None:
        return Response(fault.body, status_code=fault.status)
    return refusal(fault.status)


@api
async def get_call(request: Request) -> Response:
    return _answer(exchange_of(request), _call(request))


@api
async def update_call(request: Request) -> Response:
    exchange, call = exchange_of(request), _call(request)
    body = await json_object(request)
    storage = checked_storage(body.get("data_storage_setting") or call.data_storage_setting)
    if STORAGE_SETTINGS.index(storage) < STORAGE_SETTINGS.index(call.data_storage_setting):
        raise RequestRefused(400, "`data_storage_setting` can only become more restrictive")
    metadata = body.get("metadata", call.metadata)
    if metadata is not None and not isinstance(metadata, dict):
        raise RequestRefused(400, "`metadata` must be object")
    exchange.book.write(
        "updated", call_id=call.call_id, metadata=checked_metadata(metadata), data_storage_setting=storage
    )
    return _answer(exchange, call)


@api
async def delete_call(request: Request) -> Response:
    exchange_of(request).delete(_call(request))
    return Response(status_code=204)


@api
async def stop_call(request: Request) -> Response:
    await exchange_of(request).stop(_call(request))
    return Response(status_code=204)


@api
async def list_calls(request: Request) -> Response:
    exchange = exchange_of(request)
    body = await json_object(request)
    if exchange.faults.list_calls == "fail":
        return refusal(500)
    matches = read_filters(body.get("filter_criteria", {}))
    calls = [call for call in exchange.book.calls.values() if _listed(exchange, call) and matches(call)]
    total = len(calls)
    # Sorted by start: creation time stands in for it, since a page must not shift when a ringing phone is answered.
    calls.sort(key=_position, reverse=body.get("sort_order", "descending") != "ascending")
    page, has_more = _page(calls, body)
    answer: dict[str, Any] = {
        "items": [light_call_object(call, exchange.settings.seed) for call in page],
        "has_more": has_more,
    }
    if has_more:
        answer["pagination_key"] = base64.urlsafe_b64encode(page[-1].call_id.encode()).decode()
    if body.get("include_total") is True:
        answer["total"] = total
    return JSONResponse(answer)


def _listed(exchange: Exchange, call: Call) -> bool:
    return exchange.faults.list_calls != "lag" or call.created_ms < exchange.faults.lag_since_ms


def _position(call: Call) -> tuple[int, str]:
    return call.created_ms, call.call_id


def _page(calls: list[Call], body: dict[str, Any]) -> tuple[list[Call], bool]:
    limit, skip = body.get("limit", _DEFAULT_PAGE), body.get("skip", 0)
    if not isinstance(limit, int) or not 1 <= limit <= _LARGEST_PAGE or not isinstance(skip, int) or skip < 0:
        raise RequestRefused(400, MESSAGES[400])
    start = skip
    if body.get("pagination_key") is not None:
        start += _after(calls, body["pagination_key"])
    return calls[start : start + limit], len(calls) > start + limit


def _after(calls: list[Call], pagination_key: object) -> int:
    try:
        last_id = base64.urlsafe_b64decode(str(pagination_key)).decode()
    except ValueError:
        raise RequestRefused(400, "`pagination_key` is invalid") from None
    for index, call in enumerate(calls):
        if call.call_id == last_id:
            return index + 1
    raise RequestRefused(400, "`pagination_key` is invalid")


def _call(request: Request) -> Call:
    call = exchange_of(request).book.calls.get(request.path_params["call_id"])
    if call is None:
        raise RequestRefused(422, MESSAGES[422])
    return call


def _answer(exchange: Exchange, call: Call) -> Response:
    return JSONResponse(call_object(call, call.stage, exchange.settings.seed))


ROUTES = [
    Route("/v2/create-phone-call", create_phone_call, methods=["POST"]),
    Route("/v2/get-call/{call_id}", get_call, methods=["GET"]),
    Route("/v3/list-calls", list_calls, methods=["POST"]),
    Route("/v2/update-call/{call_id}", update_call, methods=["PATCH"]),
    Route("/v2/delete-call/{call_id}", delete_call, methods=["DELETE"]),
    Route("/v2/stop-call/{call_id}", stop_call, methods=["POST"]),
]
