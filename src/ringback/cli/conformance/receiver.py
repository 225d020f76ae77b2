"""The receiver under examination: send it deliveries as Ringback does, or broken ones, and observe its answers."""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ssl import create_default_context

import aiohttp
from standardwebhooks import Webhook
from yarl import URL

from ringback.adapters.connection_fault import connection_fault
from ringback.adapters.engage_http import TEMPORARY_4XX, TIMEOUT_S, EngageRequest, event_request, write_request
from ringback.cli.conformance.streams import CrmWrite, Event

#: The kinds of rows that are delivered to Engage.
Message = Event | CrmWrite

#: Ringback waits for seconds, then for longer. The examination tries as often as this and waits shortly.
TRIES = 3
PAUSE_S = 0.3
#: A receiver that does not answer would make the examination take minutes.
MOST_TIMEOUTS = 3


class Unreachable(Exception):
    """The receiver accepts no connection, or no event, or has left too many requests without an answer."""


def name_of(message: Message) -> str:
    """The message in the sentence about a problem."""
    return message.name if isinstance(message, CrmWrite) else str(message["type"])


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, or None with the `fault` that came instead of it."""

    status: int | None
    fault: str | None = None

    @property
    def is_accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_refused(self) -> bool:
        return self.status is not None and 400 <= self.status < 500 and self.status not in TEMPORARY_4XX

    @property
    def is_temporary(self) -> bool:
        """Whether Ringback would send the same delivery again and expect another answer."""
        return self.status is None or self.status >= 500 or self.status in TEMPORARY_4XX

    def __str__(self) -> str:
        return self.fault or f"was answered {self.status}"


@dataclass(slots=True)
class Receiver:
    """Sends to `url`, which is the value of RINGBACK_ENGAGE_URL. Counts and times what it sends."""

    url: str
    webhook: Webhook
    session: aiohttp.ClientSession
    timeout_s: float = TIMEOUT_S
    pause_s: float = PAUSE_S
    requests: int = 0
    repeats: int = 0
    slowest_s: float = 0.0
    late: list[str] = field(default_factory=list)

    def request(self, message: Message, sent_at: datetime | None = None) -> EngageRequest:
        """The delivery of a message, signed as of now or of another time."""
        at = sent_at or datetime.now(UTC)
        if isinstance(message, CrmWrite):
            return write_request(self.webhook, message.kind, message.id, message.payload, at)
        return event_request(self.webhook, message["id"], message, at)

    async def deliver(self, message: Message) -> Answer:
        """Deliver as Ringback does: a temporary failure is followed by the same message with a new signature."""
        for _ in range(TRIES - 1):
            answer = await self.send(self.request(message), name_of(message))
            if not answer.is_temporary:
                return answer
            self.repeats += 1
            await asyncio.sleep(self.pause_s)
        return await self.send(self.request(message), name_of(message))

    async def shown(self, url: str) -> str:
        """The page that the receiver's test system has at this URL. Raises Unreachable without one."""
        try:
            async with self.session.get(url, timeout=aiohttp.ClientTimeout(total=self.timeout_s)) as response:
                if response.status != 200:
                    raise Unreachable(f"The page of a contact is answered {response.status}")
                return await response.text()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"The page of a contact cannot be read ({type(error).__name__})") from None

    async def send(self, request: EngageRequest, what: str) -> Answer:
        """Send one request. Raises Unreachable if the receiver accepts no connection."""
        self.requests += 1
        began_s = time.perf_counter()
        try:
            async with self.session.request(
                request.method,
                URL(self.url.rstrip("/") + request.path, encoded=True),
                data=request.body.encode(),
                headers=request.headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self.timeout_s),
            ) as response:
                self.slowest_s = max(self.slowest_s, time.perf_counter() - began_s)
                with suppress(aiohttp.ClientError, TimeoutError, OSError):
                    await response.content.read(65536)
                return Answer(response.status)
        except TimeoutError:
            self.slowest_s = max(self.slowest_s, self.timeout_s)
            self.late.append(what)
            if len(self.late) >= MOST_TIMEOUTS:
                raise Unreachable(f"{MOST_TIMEOUTS} requests got no answer within {self.timeout_s:g} s") from None
            return Answer(None, f"got no answer within {self.timeout_s:g} s")
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(f"The receiver cannot be reached: {connection_fault(error)}") from None
        except (aiohttp.ClientError, OSError):
            return Answer(None, "lost its connection before an answer")

    async def break_off(self, request: EngageRequest, share: float) -> None:
        """Send this share of the body, and close the connection without waiting for an answer."""
        url = URL(self.url.rstrip("/") + request.path, encoded=True)
        body = request.body.encode()
        head = [f"{request.method} {url.raw_path} HTTP/1.1", f"Host: {url.authority}", f"Content-Length: {len(body)}"]
        head += [f"{name}: {text}" for name, text in request.headers.items()]
        secure = create_default_context() if url.scheme == "https" else None
        self.requests += 1
        try:
            async with asyncio.timeout(self.timeout_s):
                _, writer = await asyncio.open_connection(url.host, url.port, ssl=secure)
                writer.write("\r\n".join([*head, "", ""]).encode() + body[: int(len(body) * share)])
                await writer.drain()
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
        except (OSError, TimeoutError):
            raise Unreachable("The receiver cannot be reached: no connection") from None
