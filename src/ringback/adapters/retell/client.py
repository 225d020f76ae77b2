"""Retell as the VoiceProvider. The official SDK sends each request once; its results are classified here."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from ringback.adapters.retell.account import DEFAULT_BASE_URL, leads_to_emulator
from ringback.adapters.retell.dial_answer import (
    answer_from_error,
    answer_from_status,
    answer_from_success,
    refusal_message,
)
from ringback.adapters.retell.events import ATTEMPT_KEY, CALL_KEY, report_from_call
from ringback.adapters.retell.proxy import environment_proxy
from ringback.domain.attempt import DialAnswer, DialAnswerKind, DialRequest, VoicemailAction
from ringback.domain.errors import Permanent, ProviderUnavailable
from ringback.domain.provider_report import ProviderReport, ReportKind
from ringback.failpoints import Failpoint, reach
from ringback.ports import Clock, VoiceProvider

if TYPE_CHECKING:
    import ssl

    import aiohttp
    from retell import AsyncRetell

VOICEMAIL_ACTION_FOR_S = 300.0
# An agent that cannot be read is read again soon, but not with every dial.
VOICEMAIL_FAILURE_FOR_S = 15.0
# An address without a response is asked again after this time.
UNIDENTIFIED_FOR_S = 2.0

CREATE_PATH = "/v2/create-phone-call"
# Retell's statuses for "not found": 422 and, on some routes, 404.
_ABSENT = frozenset({404, 422})
_LIST_PAGE = 100
_LIST_PAGES = 10

_Send = Callable[["AsyncRetell"], Awaitable[Any]]


class RetellProvider(VoiceProvider):
    """One per process and event loop. The SDK is imported with the first use, which takes 3 s: see `warm_up`."""

    def __init__(
        self,
        api_key: str,
        clock: Clock,
        base_url: str | None = None,
        create_timeout_s: float = 30.0,
        lookup_timeout_s: float = 10.0,
        max_connections: int = 100,
    ) -> None:
        """`base_url` None is Retell itself.

        `max_connections` must be at least the number of live calls, so that no dial waits for another.
        """
        self._api_key = api_key
        self._clock = clock
        self._base_url = base_url or DEFAULT_BASE_URL
        self._create_timeout_s = create_timeout_s
        self._lookup_timeout_s = lookup_timeout_s
        self._max_connections = max_connections
        self._client: AsyncRetell | None = None
        self._voicemail: dict[str, tuple[float, VoicemailAction]] = {}
        self._is_emulated: bool | None = None
        self._ask_again_at = float("-inf")

    async def warm_up(self) -> None:
        """Import the SDK and build the client, off the event loop."""
        await self._ready()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def is_emulated(self) -> bool | None:
        """Whether the address is that of Ringback's own emulator. None: there is no response yet.

        The address is asked until it is known. Then the result is kept.
        """
        if self._is_emulated is None and self._clock.monotonic() >= self._ask_again_at:
            self._ask_again_at = self._clock.monotonic() + UNIDENTIFIED_FOR_S
            self._is_emulated = await leads_to_emulator(self._base_url)
        return self._is_emulated

    async def dial(self, request: DialRequest, lease_deadline: float) -> DialAnswer:
        """Send one create-phone-call. Errors of the network and of Retell become part of the returned DialAnswer.

        After an asyncio.CancelledError it is unknown whether the call was placed.
        """
        client = await self._ready()
        content = msgspec.json.encode(create_body(request))
        import httpx
        from retell import APIStatusError

        reach(Failpoint.DIAL_SENDING)
        try:
            async with asyncio.timeout(self._create_timeout_s):
                if self._clock.monotonic() >= lease_deadline:
                    return DialAnswer(DialAnswerKind.NOT_SENT, "lease_over")
                # The SDK's typed method converts each field by its type, and builds a model of the answer.
                response = await client.post(
                    CREATE_PATH, content=content, cast_to=httpx.Response, options={"max_retries": 0}
                )
            reach(Failpoint.DIAL_ACCEPTED)
            attempt_id = request.metadata.get(ATTEMPT_KEY)
            return answer_from_success(response.status_code, response.content, attempt_id)
        except APIStatusError as error:
            answer = answer_from_status(error.status_code, error.response.headers.get("retry-after"), self._clock.now())
            return replace(answer, message=refusal_message(error.response.content, request))
        except _network_errors() as error:
            return answer_from_error(error)

    async def find_attempt(self, attempt_id: str) -> list[ProviderReport]:
        """Find every call with this attempt id in its metadata.

        An empty list is conclusive: Retell listed all calls. Raises ProviderUnavailable for a less conclusive result.
        """
        filters = {"metadata": [{"type": "string", "op": "eq", "key": ATTEMPT_KEY, "value": attempt_id}]}
        query: dict[str, Any] = {"filter_criteria": filters, "limit": _LIST_PAGE}
        found: list[ProviderReport] = []
        for _ in range(_LIST_PAGES):
            page = _object(await self._ask("list-calls", lambda client: client.call.with_raw_response.list(**query)))
            found += _reports_of(attempt_id, page.get("items"))
            if page.get("has_more") is not True:
                return found
            if not (cursor := page.get("pagination_key")):
                break
            query["pagination_key"] = cursor
        if found:
            return found
        raise ProviderUnavailable("list-calls has more than a filtered answer can have")

    async def fetch_call(self, provider_call_id: str) -> ProviderReport | None:
        """Return the call's current state. None: Retell does not know it. Raises ProviderUnavailable."""
        body = await self._ask("get-call", lambda client: client.call.with_raw_response.retrieve(provider_call_id))
        if body is None:
            return None
        report = _snapshot(_object(body))
        if report.provider_call_id != provider_call_id:
            raise ProviderUnavailable("get-call returned another call")
        return report

    async def stop_call(self, provider_call_id: str) -> None:
        """End an ongoing call. An unknown call is no error. Raises ProviderUnavailable."""
        await self._ask("stop-call", lambda client: client.call.with_raw_response.stop(provider_call_id))

    async def voicemail_action(self, agent_id: str) -> VoicemailAction:
        """Return the agent's action on a voicemail, cached for five minutes. UNKNOWN if it cannot be read."""
        now = self._clock.monotonic()
        until, action = self._voicemail.get(agent_id, (now, VoicemailAction.UNKNOWN))
        if now < until:
            return action
        try:
            body = await self._ask("get-agent", lambda client: client.agent.with_raw_response.retrieve(agent_id))
            action, keep_s = _voicemail_action(_object(body)), VOICEMAIL_ACTION_FOR_S
        except ProviderUnavailable:
            action, keep_s = VoicemailAction.UNKNOWN, VOICEMAIL_FAILURE_FOR_S
        self._voicemail[agent_id] = (now + keep_s, action)
        return action

    async def _ask(self, what: str, send: _Send) -> bytes | None:
        """Return the body of a 2xx. None: Retell does not know the object. Raises ProviderUnavailable."""
        client = await self._ready()
        from retell import APIStatusError

        try:
            async with asyncio.timeout(self._lookup_timeout_s):
                raw = await send(client)
            content: bytes = raw.http_response.content
            return content
        except APIStatusError as error:
            if error.status_code in _ABSENT:
                return None
            raise ProviderUnavailable(f"{what} responded with {error.status_code}") from None
        except _network_errors() as error:
            raise ProviderUnavailable(f"{what} failed: {answer_from_error(error).cause}") from None

    async def _ready(self) -> "AsyncRetell":
        if self._client is None:
            built = await asyncio.to_thread(self._build)
            # Another task may have been faster. An unused client holds no resources.
            self._client = self._client or built
        return self._client

    def _build(self) -> "AsyncRetell":
        import httpx
        from httpx_aiohttp import AiohttpTransport
        from retell import AsyncRetell, DefaultAioHttpClient

        # With its RETELL_LOG at debug, the SDK logs whole request bodies: phone numbers, names, keys.
        for name in ("retell", "httpx"):
            logging.getLogger(name).setLevel(logging.WARNING)
        longest_s = max(self._create_timeout_s, self._lookup_timeout_s)
        # A failed connection must be reported as such, before the limit of the whole call makes it ambiguous.
        connect_s = min(5.0, self._create_timeout_s / 2)
        timeout = httpx.Timeout(longest_s, connect=connect_s, pool=self._create_timeout_s * 0.75)
        transport = AiohttpTransport()
        proxy = environment_proxy(self._base_url)
        transport.client = partial(_one_request_each, transport.ssl_context, proxy, self._max_connections)
        # The default follows redirects, and a 307 would send the dial again.
        http_client = DefaultAioHttpClient(timeout=timeout, transport=transport, follow_redirects=False)
        return AsyncRetell(
            api_key=self._api_key, base_url=self._base_url, timeout=timeout, max_retries=0, http_client=http_client
        )


def _one_request_each(ssl_context: "ssl.SSLContext", proxy: str | None, most: int) -> "aiohttp.ClientSession":
    """Build a session that opens a connection for each request.

    A server can leave bytes on a kept connection. A refusal left there would be read as the response to the next dial,
    which rings: the contact would be dialed again. The extra TLS handshake costs 1 to 2 ms of CPU and two round trips.
    """
    import aiohttp

    connector = aiohttp.TCPConnector(ssl=ssl_context, limit=most, force_close=True)
    return aiohttp.ClientSession(connector=connector, proxy=proxy)


def create_body(request: DialRequest) -> dict[str, Any]:
    """Build the fields of create-phone-call.

    Our ids in the metadata also become dynamic variables. A tool with its arguments at the root then names its call.
    """
    # In the order of the SDK's typed method, so that a resend after an upgrade from it has the same bytes.
    marks = {key: str(request.metadata[key]) for key in (CALL_KEY, ATTEMPT_KEY) if key in request.metadata}
    return {
        "from_number": request.from_number,
        "to_number": request.to_number,
        "honor_internal_dnc": True,
        "idempotency_key": request.idempotency_key,
        "metadata": request.metadata,
        "override_agent_id": request.agent_id,
        "retell_llm_dynamic_variables": {**request.variables, **marks},
    }


def _network_errors() -> tuple[type[Exception], ...]:
    """List the exceptions of the SDK and its libraries for failures of the network and of the server."""
    import aiohttp
    import httpx
    from retell import RetellError

    return RetellError, httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, ValueError


def _object(body: bytes | None) -> dict[str, Any]:
    try:
        value = json.loads(body or b"")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ProviderUnavailable("Retell's response is not a JSON object")
    return value


def _snapshot(call: object) -> ProviderReport:
    try:
        return report_from_call(call, ReportKind.SNAPSHOT)
    except Permanent as error:
        raise ProviderUnavailable(f"Retell's response is not a call: {error}") from None


def _reports_of(attempt_id: str, items: object) -> list[ProviderReport]:
    """Translate the items of this attempt. Their metadata is compared, because a server may ignore the filter."""
    if not isinstance(items, list):
        raise ProviderUnavailable("list-calls answered without items")
    return [_without_a_verdict(report) for report in map(_snapshot, items) if report.attempt_id == attempt_id]


def _without_a_verdict(report: ProviderReport) -> ProviderReport:
    """Leave out the analysis of a conversation without its transcript: nothing says yet whether the person spoke.

    Items of list-calls have no transcript (retell-sdk 6.2.13, types/call_list_response.py). get-call has both.
    """
    is_unread = report.user_turns is None and not report.transcript_withheld
    return replace(report, analysis=None) if is_unread else report


def _voicemail_action(agent: dict[str, Any]) -> VoicemailAction:
    """Read get-agent's `voicemail_option.action.type` (retell-sdk 6.2.13, types/agent_response.py)."""
    option = agent.get("voicemail_option")
    action = option.get("action") if isinstance(option, dict) else None
    kind = action.get("type") if isinstance(action, dict) else None
    if kind == "hangup":
        return VoicemailAction.HANGUP
    return VoicemailAction.MESSAGE if kind in ("prompt", "static_text") else VoicemailAction.UNKNOWN
