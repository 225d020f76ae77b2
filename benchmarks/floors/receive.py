"""Floor of receiving a webhook: a bare ASGI function, the signature checked, queue sends in tens."""

import hmac
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn

from benchmarks.floors.arguments import read_arguments
from benchmarks.floors.grouping import Grouped
from benchmarks.floors.queue_calls import QueueCalls, open_floor_pool
from benchmarks.payloads import signature

#: Messages of one send, which a queue limits, and sends at once.
GROUP, AT_ONCE = 10, 2


class Floor:
    """An ASGI application with one answer: 204 once the message is in the queue, 401 for a wrong signature."""

    def __init__(self, database_url: str, counts: Path) -> None:
        self._database_url = database_url
        self._counts = counts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            async with self._lifespan():
                await receive()
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        header = dict(scope["headers"])[b"x-retell-signature"].decode()
        signed_ms = int(header.partition(",")[0].removeprefix("v="))
        if not hmac.compare_digest(signature(body, signed_ms), header):
            await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
        else:
            received_at = datetime.now(UTC).isoformat()
            text = {"type": "WebhookReceived", "v": 1, "received_at": received_at, "body": body.decode()}
            await self._send(json.dumps(text))
            await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        pool = await open_floor_pool(self._database_url)
        queue = QueueCalls(pool, "events")

        async def send(texts: list[str]) -> Sequence[None]:
            await queue.send(texts)
            return [None] * len(texts)

        self._send = Grouped(send, GROUP, AT_ONCE)
        yield
        queue.write_counts(self._counts)
        pool.terminate()


def main() -> None:
    asked = read_arguments(__doc__)
    floor = Floor(asked.database_url, asked.counts)
    uvicorn.run(floor, host="127.0.0.1", port=asked.port, log_config=None, access_log=False, backlog=2048)


if __name__ == "__main__":
    main()
