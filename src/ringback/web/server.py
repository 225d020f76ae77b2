"""Serve one ASGI application inside a running event loop, and stop when told, not by a signal of uvicorn's own."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from functools import partial
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from ringback.domain.errors import StartRefused
from ringback.telemetry import Metrics, make_metrics
from ringback.web.connections import IDLE_WITHIN_S, Connections, LimitedProtocol, most_connections

#: Requests in progress when the server stops get this long.
FINISH_WITHIN_S = 5
#: libuv (1.52, in uvloop 0.23) accepts one connection per turn of the loop from each listening descriptor. With one
#: descriptor, a client waits for many turns while they are long. So several descriptors listen to the one socket.
ACCEPTED_PER_TURN = 32


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The process decides when to stop; a server that raises the signal anew would end it in the middle of a
        drain."""
        yield


class PortTaken(StartRefused):
    """Another process listens there, or the address is none of this machine."""


def listen(host: str, port: int) -> socket.socket:
    """A bound socket, so that a port that cannot be had is known before anything is started. Raises PortTaken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle off only on sockets that name their protocol; with it an answer in two writes, head
    # and body, waits 40 ms for the client's delayed acknowledgement.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise PortTaken(f"cannot listen on {host}:{port} ({error.strerror}): choose another with --port") from None
    return bound


async def serve_http(
    app: ASGIApp, bound: socket.socket, stop: asyncio.Event, ready: asyncio.Event, metrics: Metrics | None = None
) -> None:
    """Until `stop`. Sets `ready` once requests are answered. `metrics` count what the connections' limits refuse."""
    limits = Connections(metrics or make_metrics(), most_connections())
    config = uvicorn.Config(
        app,
        # uvicorn makes its protocols by calling this, with arguments of its own.
        http=cast(type[asyncio.Protocol], partial(LimitedProtocol, limits)),
        ws="none",  # another protocol class, without limits
        log_config=None,
        log_level="error",  # a warning for each malformed request lets anybody fill the log
        access_log=False,
        backlog=2048,
        timeout_keep_alive=IDLE_WITHIN_S,
        timeout_graceful_shutdown=FINISH_WITHIN_S,
        server_header=False,
    )
    server = _Server(config)
    listening = [bound, *(bound.dup() for _ in range(ACCEPTED_PER_TURN - 1))]
    serving = asyncio.create_task(server.serve(sockets=listening))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    ready.set()
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    server.should_exit = True
    await serving
