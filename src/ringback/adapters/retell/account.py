"""Questions about Retell's account and address: the key's owner, an agent's webhook, and whether it is an emulator."""

import json
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from ringback.adapters.connection_fault import connection_fault
from ringback.adapters.retell.proxy import environment_proxy
from ringback.domain.errors import ProviderUnavailable
from ringback.domain.operations import AgentWebhook

DEFAULT_BASE_URL = "https://api.retellai.com"
TIMEOUT_S = 10.0
IDENTITY_TIMEOUT_S = 2.0
#: The events of an agent without a setting of its own (retell-sdk 6.2.13, types/agent_response.py).
DEFAULT_EVENTS = ("call_started", "call_ended", "call_analyzed")


class RetellAccount:
    """Implements `diagnostics.Account`. All methods raise ProviderUnavailable unless the response is clear."""

    def __init__(self, api_key: str, base_url: str | None = None) -> None:
        self._headers = {"Authorization": f"Bearer {api_key}"}
        self._base_url = (base_url or DEFAULT_BASE_URL).rstrip("/")

    async def owner(self) -> str | None:
        """Return the name of the organisation that owns the key. None: Retell refuses the key."""
        status, body = await self._get("/get-api-key-info")
        if status in (401, 403):
            return None
        return str(_usable(status, body).get("org_name") or body.get("org_id"))

    async def agent_webhook(self, agent_id: str) -> AgentWebhook | None:
        """Return the webhook settings of an agent. None: the account has no such agent."""
        status, body = await self._get(f"/get-agent/{agent_id}")
        if status in (404, 422):
            return None
        agent = _usable(status, body)
        events = agent.get("webhook_events")
        return AgentWebhook(agent.get("webhook_url"), tuple(events) if events is not None else DEFAULT_EVENTS)

    async def _get(self, path: str) -> tuple[int, dict[str, Any]]:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            proxy = environment_proxy(self._base_url)
            async with aiohttp.ClientSession(timeout=timeout, headers=self._headers, proxy=proxy) as session:
                async with session.get(self._base_url + path, allow_redirects=False) as answer:
                    body = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ProviderUnavailable(f"Retell did not answer: {connection_fault(error)}") from None
        return answer.status, body if isinstance(body, dict) else {}


def _usable(status: int, body: dict[str, Any]) -> dict[str, Any]:
    if status != 200:
        raise ProviderUnavailable(f"Retell answered {status}")
    return body


async def leads_to_emulator(base_url: str) -> bool | None:
    """Whether the address is that of Ringback's own emulator, which says so itself.

    False: another server responds, and it may ring phones. None: there is no response, or only a gateway's (5xx).
    Retell's own address is not asked. No key is sent. The question takes the way of the dials, also through a proxy.
    """
    if urlsplit(base_url).hostname == urlsplit(DEFAULT_BASE_URL).hostname:
        return False
    timeout = aiohttp.ClientTimeout(total=IDENTITY_TIMEOUT_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout, proxy=environment_proxy(base_url)) as session:
            async with session.get(f"{base_url.rstrip('/')}/healthz", allow_redirects=False) as answer:
                if answer.status >= 500:
                    return None
                body = await answer.read() if answer.status == 200 else b""
    except (aiohttp.ClientError, OSError, ValueError):
        return None
    return _is_emulator(body)


def _is_emulator(body: bytes) -> bool:
    try:
        health = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(health, dict) and health.get("emulator") == "retell"
