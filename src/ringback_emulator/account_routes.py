"""The account endpoints of the emulated Retell: agents, numbers, concurrency, and whose key this is."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ringback_emulator.call_request import DEFAULT_AGENT_ID, RequestRefused, agent_exists, is_e164
from ringback_emulator.door import MESSAGES, api, exchange_of
from ringback_emulator.transcript import hangs_up_on_voicemail

# The emulated account does not change; 2026-01-01T00:00:00Z.
_LAST_MODIFIED_MS = 1_767_225_600_000
_OWN_NUMBER = "+14155550199"


@api
async def get_agent(request: Request) -> Response:
    agent_id = request.path_params["agent_id"]
    if not agent_exists(agent_id):
        raise RequestRefused(422, MESSAGES[422])
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
            "webhook_url": exchange_of(request).settings.webhook_url,
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


@api
async def get_concurrency(request: Request) -> Response:
    exchange = exchange_of(request)
    limit = exchange.settings.concurrency_limit
    return JSONResponse(
        {
            "current_concurrency": len(exchange.book.live),
            "concurrency_limit": limit,
            "base_concurrency": min(limit, 20),
            "purchased_concurrency": max(0, limit - 20),
            "concurrency_purchase_limit": limit,
            "remaining_purchase_limit": 0,
            "concurrency_burst_enabled": False,
            "concurrency_burst_limit": 0,
            "reserved_inbound_concurrency": 0,
        }
    )


@api
async def list_phone_numbers(request: Request) -> Response:
    return JSONResponse({"items": [_phone_number(request, _OWN_NUMBER)], "has_more": False})


@api
async def get_phone_number(request: Request) -> Response:
    """Every well-formed number belongs to the emulated account, since every one may be dialed from."""
    number = request.path_params["phone_number"]
    if not is_e164(number):
        raise RequestRefused(422, MESSAGES[422])
    return JSONResponse(_phone_number(request, number))


def _phone_number(request: Request, number: str) -> dict[str, Any]:
    inbound_url = exchange_of(request).settings.inbound_url
    agents = [{"agent_id": DEFAULT_AGENT_ID, "agent_version": 0, "weight": 1}]
    return {
        "phone_number": number,
        "phone_number_type": "retell-twilio",
        "nickname": "Emulated number",
        "outbound_agents": agents,
        "inbound_agents": agents,
        **({} if inbound_url is None else {"inbound_webhook_url": inbound_url}),
        "last_modification_timestamp": _LAST_MODIFIED_MS,
    }


ROUTES = [
    Route("/get-agent/{agent_id}", get_agent, methods=["GET"]),
    Route("/get-api-key-info", get_api_key_info, methods=["GET"]),
    Route("/get-concurrency", get_concurrency, methods=["GET"]),
    Route("/v2/list-phone-numbers", list_phone_numbers, methods=["GET"]),
    Route("/get-phone-number/{phone_number}", get_phone_number, methods=["GET"]),
]
