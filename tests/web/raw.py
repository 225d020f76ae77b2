"""Bytes to a real server and back, for what no client library sends."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from ringback.telemetry import Metrics, make_metrics
from ringback.web.server import listen, serve_http


@dataclass
class Raw:
    """A server on loopback."""

    port: int
    metrics: Metrics

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, *pieces: bytes, pause_s: float = 0.0) -> "Told":
        """What is told until the server closes the connection."""
        reader, writer = await self.open()
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause_s)
        told = await until_closed(reader)
        writer.close()
        return told

    def refused(self) -> dict[str, int]:
        return refusals(self.metrics.registry)


@dataclass
class Told:
    """`text` is empty when the connection ended without an answer."""

    text: bytes

    @property
    def status(self) -> int:
        return int(self.text[9:12] or b"0")

    @property
    def head(self) -> bytes:
        return self.text.partition(b"\r\n\r\n")[0].lower()

    @property
    def problem(self) -> Any:
        assert b"content-type: application/problem+json" in self.head
        return json.loads(self.text.partition(b"\r\n\r\n")[2])


async def until_closed(reader: asyncio.StreamReader) -> Told:
    """What came until then, or within 20 s."""
    text = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(20):
            while piece := await reader.read(65536):
                text += piece
    return Told(text)


def refusals(registry: CollectorRegistry) -> dict[str, int]:
    samples = [sample for family in registry.collect() for sample in family.samples]
    return {
        sample.labels["reason"]: int(sample.value) for sample in samples if sample.name == "ringback_http_refused_total"
    }


@asynccontextmanager
async def served(app: ASGIApp, metrics: Metrics | None = None) -> AsyncIterator[Raw]:
    metrics = metrics or make_metrics()
    bound, stop, ready = listen("127.0.0.1", 0), asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(serve_http(app, bound, stop, ready, metrics))
    await ready.wait()
    try:
        yield Raw(bound.getsockname()[1], metrics)
    finally:
        stop.set()
        await serving
