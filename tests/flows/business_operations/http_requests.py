"""The actions' three APIs over HTTP, as the processes build them."""

import itertools
import json

import httpx

from ringback.adapters.retell.functions import inbound_reply, parse_inbound_call, parse_tool_call
from ringback.adapters.retell.signature import may_be_genuine, sign, verify
from ringback.domain.access import KnownKey, Role
from ringback.telemetry import make_metrics
from ringback.web.app import create_application
from ringback.web.auth import ApiKeys, hash_key, require_api_key
from ringback.web.limits import BodyReader
from ringback.web.routes.actions import BusinessApi, action_routes
from ringback.web.routes.retell import RetellApi, retell_routes

API_KEY, WEBHOOK_KEY = "rbk_test", "key_webhook"
NOW_MS = 1_796_000_000_000
PROBLEM = "application/problem+json"


def client_of(operations) -> httpx.AsyncClient:
    async def find_key(key_hash: str) -> KnownKey | None:
        return KnownKey("test", Role.ADMIN) if key_hash == hash_key(API_KEY) else None

    numbers = itertools.count(1)
    api = BusinessApi(operations, lambda: f"request-{next(numbers)}")
    retell_api = RetellApi(
        operations=operations,
        bodies=BodyReader(make_metrics()),
        may_be_genuine=lambda header: may_be_genuine(header, NOW_MS),
        verify=lambda body, header: verify(body, header, [WEBHOOK_KEY], NOW_MS),
        parse_tool_call=parse_tool_call,
        parse_ringing=parse_inbound_call,
        answer=inbound_reply,
    )
    keys = ApiKeys(find_key, lambda: 0.0)
    routers = [action_routes(api, require_api_key(keys))]
    app = create_application("test", routers, retell_routes(retell_api), make_metrics())
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://ringback.test")


async def ask(client, action: str, body, **headers: str) -> httpx.Response:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await client.post(f"/v1/actions/{action}", content=sent, headers={"X-API-Key": API_KEY, **headers})


async def post_function(client, action: str, body, signature: str | None = None) -> httpx.Response:
    return await _post_signed(client, f"/v1/retell/functions/{action}", body, signature)


async def post_inbound(client, body, signature: str | None = None) -> httpx.Response:
    return await _post_signed(client, "/v1/retell/inbound", body, signature)


async def _post_signed(client, path: str, body, signature: str | None) -> httpx.Response:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    header = sign(sent, WEBHOOK_KEY, NOW_MS) if signature is None else signature
    return await client.post(path, content=sent, headers={"X-Retell-Signature": header} if header else {})
