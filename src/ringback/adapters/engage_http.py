"""Deliver ABT events and CRM writes to Engage over HTTP, one request for each outbox row."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import aiohttp
from aiohttp.connector import Connection
from standardwebhooks import Webhook
from yarl import URL

from ringback.adapters.connection_fault import connection_fault
from ringback.adapters.retry_after import retry_after_s
from ringback.domain.errors import Retryable
from ringback.failpoints import Failpoint, reach
from ringback.ports import Clock, Delivery
from ringback.tracing import span_of_event

TIMEOUT_S = 10.0

#: 4xx statuses about the moment, not about the request (RFC 9110, RFC 8470, RFC 6585).
TEMPORARY_4XX = frozenset({408, 425, 429})

# The response body is ignored. It is read up to these limits so that its connection can be used again.
_ANSWER_BYTES = 64 * 1024
_ANSWER_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True)
class EngageRequest:
    method: str
    path: str  # already percent-encoded
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)


def event_request(webhook: Webhook, message_id: str, event: Mapping[str, Any], now: datetime) -> EngageRequest:
    """The request that delivers an ABT event, signed as of `now`."""
    body = _json(event)
    headers = {"Content-Type": "application/cloudevents+json", **_signed(webhook, message_id, body, now)}
    return EngageRequest("POST", "/abt-events", body, headers)


def write_request(
    webhook: Webhook, kind: str, message_id: str, payload: Mapping[str, Any], now: datetime
) -> EngageRequest:
    """The request that writes fields or a note of a contact to the CRM, signed as of `now`.

    Raises ValueError for another kind, and for a contact id that no path can hold.
    """
    match kind:
        case "crm_fields":
            method, resource, body = "PATCH", "fields", _json({"fields": payload["fields"]})
        case "crm_note":
            note = {name: payload[name] for name in ("note", "author", "call_id")}
            method, resource, body = "POST", "notes", _json(note)
        case _:
            raise ValueError(f"Engage takes no {kind}")
    contact_id = payload["contact_id"]
    if contact_id in ("", ".", ".."):
        raise ValueError("a server would resolve this contact id away (RFC 3986, 5.2.4)")
    signed = _signed(webhook, message_id, body, now)
    headers = {"Content-Type": "application/json", "Idempotency-Key": message_id, **signed}
    return EngageRequest(method, f"/contacts/{quote(contact_id, safe='')}/{resource}", body, headers)


def _signed(webhook: Webhook, message_id: str, body: str, now: datetime) -> dict[str, str]:
    """Sign by Standard Webhooks 1.0: the signature covers the id, the time and the exact bytes of the body."""
    moment = now.astimezone(UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": webhook.sign(message_id, moment, body),
    }


class _CleanConnections(aiohttp.TCPConnector):
    """Drops kept connections on which bytes arrived between two requests.

    aiohttp 3.14 would read them as the response to the next request. An event that Engage never received would count as
    delivered, or as refused.
    """

    async def _get(self, key: Any, traces: list[Any]) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            if connection.protocol is None or not connection.protocol.should_close:
                return connection
            connection.close()
        return None


class EngageHttp:
    """Implements `ports.Engage`. Build it where an event loop runs; `close` it there.

    `secret` is a Standard Webhooks secret: `whsec_` and base64. The pool holds `connections`. A delivery takes at most
    `timeout_s`, including the wait for a free connection.
    """

    def __init__(
        self, base_url: str, secret: str, clock: Clock, *, connections: int = 50, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._base_url = str(URL(base_url)).rstrip("/")
        self._webhook = Webhook(secret)
        self._clock = clock
        self._session = aiohttp.ClientSession(
            connector=_CleanConnections(limit=connections),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"User-Agent": "ringback"},
        )

    async def close(self) -> None:
        await self._session.close()

    async def deliver(self, kind: str, message_id: str, payload: Mapping[str, Any]) -> Delivery:
        """Try once. `detail` never quotes the response.

        It is `http_<status>`, `timeout`, `tls`, `connect`, `connection_lost` or `malformed` (the row makes no request).
        """
        try:
            with span_of_event("event.deliver", message_id, payload if kind == "abt_event" else {}) as delivering:
                request = self._request(kind, message_id, payload)
                reach(Failpoint.ENGAGE_ASKING)
                delivery = await self._send(request, delivering.carried())
                delivering.note(delivered=delivery.delivered, answer=delivery.detail)
            reach(Failpoint.ENGAGE_ANSWERED)
            return delivery
        except TimeoutError:
            return Delivery(delivered=False, detail="timeout")
        except aiohttp.ClientSSLError:
            return Delivery(delivered=False, detail="tls")
        except aiohttp.ClientConnectorError:
            return Delivery(delivered=False, detail="connect")
        except (aiohttp.ClientError, OSError):
            return Delivery(delivered=False, detail="connection_lost")
        except (KeyError, TypeError, ValueError):
            return Delivery(delivered=False, permanent=True, detail="malformed")

    async def status(self) -> int:
        """Return the status of a request that delivers nothing. Raises Retryable if there is no response."""
        try:
            url = URL(f"{self._base_url}/abt-events", encoded=True)
            async with self._session.options(url, allow_redirects=False) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Retryable(connection_fault(error)) from None

    def _request(self, kind: str, message_id: str, payload: Mapping[str, Any]) -> EngageRequest:
        now = self._clock.now()
        if kind == "abt_event":
            return event_request(self._webhook, message_id, payload, now)
        return write_request(self._webhook, kind, message_id, payload, now)

    async def _send(self, request: EngageRequest, traced: Mapping[str, str]) -> Delivery:
        async with self._session.request(
            request.method,
            URL(self._base_url + request.path, encoded=True),
            data=request.body.encode(),
            headers={**request.headers, **traced},
            allow_redirects=False,
        ) as answer:
            status, is_delivered = answer.status, 200 <= answer.status < 300
            delivery = Delivery(
                delivered=is_delivered,
                permanent=400 <= status < 500 and status not in TEMPORARY_4XX,
                detail=f"http_{status}",
                retry_after_s=None
                if is_delivered
                else retry_after_s(answer.headers.get("Retry-After"), self._clock.now()),
            )
            with suppress(EOFError, aiohttp.ClientError, TimeoutError, OSError):
                async with asyncio.timeout(_ANSWER_TIMEOUT_S):
                    await answer.content.readexactly(_ANSWER_BYTES)
        return delivery


def _json(value: Mapping[str, Any]) -> str:
    # ASCII only: a lone surrogate in a transcript has an escape in JSON, but no UTF-8.
    return json.dumps(value, separators=(",", ":"))
