"""Serve one ASGI application inside a running event loop, and stop when told, not by a signal of uvicorn's own."""

import asyncio
import contextlib
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

#: Requests under way when the door closes get this long.
FINISH_WITHIN_S = 5


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The process decides when to stop; a server that raises the signal anew would end it in the middle of a
        drain."""
        yield


async def serve_http(app: ASGIApp, host: str, port: int, stop: asyncio.Event, ready: asyncio.Event) -> None:
    """Until `stop`. Sets `ready` once the port is listening; raises OSError if it cannot be had."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        backlog=2048,
        timeout_graceful_shutdown=FINISH_WITHIN_S,
        server_header=False,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if serving.done():
        await serving
        raise OSError(f"port {port} on {host} cannot be listened on")
    ready.set()
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    server.should_exit = True
    await serving
