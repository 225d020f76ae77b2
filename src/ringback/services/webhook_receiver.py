"""The Lambda's handler behind ASGI, for machines without Lambda."""

import asyncio
import concurrent.futures
import socket
import time
from collections.abc import Callable, Sequence

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ringback.adapters.sqs_send import make_sender
from ringback.config import Settings
from ringback.domain.errors import QueueUnavailable
from ringback.flows.webhook_intake import MAX_BODY_BYTES, Intake
from ringback.grouping import Grouped
from ringback.ports import MessageQueue, OutgoingMessage
from ringback.services.webhook_lambda import Handler, answer, make_handler
from ringback.telemetry import make_metrics
from ringback.web.admission import Places
from ringback.web.health import health_routes
from ringback.web.lambda_event import bounded_body, http_event, http_response
from ringback.web.serving import listen, serve_http
from ringback.wiring import Parts, Service, run_loop, run_process, stop_on_signals

PATH = "/retell/webhook"

# Retell is answered within 3 s whatever the queue does; the wait for a free thread counts too.
ANSWER_WITHIN_S = 2.8
SEND_WITHIN_S = 2.5
# Each thread waits for one enqueue; enough for the webhooks of a few hundred live calls ending together.
THREADS = 64
#: So many more wait for a thread, which is far below a second; the others hear at once that they have to come again.
WAITING = 32
#: Webhooks of one send; a queue call costs the same for ten messages as for one.
GROUP = 50


def create_receiver(handler: Handler, more_routes: Sequence[BaseRoute] = ()) -> Starlette:
    """The receiver as an application of its own; `more_routes` are the operator's (health, metrics)."""
    return Starlette(routes=[webhook_route(handler), *more_routes])


def webhook_route(handler: Handler) -> Route:
    """POST /retell/webhook, to be mounted wherever it is served."""
    threads = anyio.CapacityLimiter(THREADS)
    places = Places(THREADS + WAITING)

    async def receive(request: Request) -> Response:
        try:
            body = await bounded_body(request, MAX_BODY_BYTES)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it
        if body is None:
            return http_response(answer(Intake.TOO_LARGE))
        event = http_event(request, body)
        # An enqueue that outlives the deadline may still happen; Retell's repeat is then a harmless duplicate.
        with places.one() as is_free, anyio.move_on_after(ANSWER_WITHIN_S):
            if is_free:
                return http_response(
                    await anyio.to_thread.run_sync(handler, event, None, abandon_on_cancel=True, limiter=threads)
                )
        return http_response(answer(Intake.QUEUE_DOWN))

    return Route(PATH, receive, methods=["POST"])


def send_through(
    queue: MessageQueue, loop: asyncio.AbstractEventLoop, timeout_s: float = SEND_WITHIN_S
) -> Callable[[str], None]:
    """A blocking `send` for the handler's threads over a queue that lives on `loop`. Raises QueueUnavailable if the
    queue did not take the message in time. Must not be called on the loop's own thread."""

    async def send_group(messages: Sequence[OutgoingMessage]) -> list[bool]:
        refused = set(await queue.send(messages))
        return [position not in refused for position in range(len(messages))]

    taken: Grouped[OutgoingMessage, bool] = Grouped(send_group, limit=GROUP, parallel=2)

    def send(body: str) -> None:
        pending = asyncio.run_coroutine_threadsafe(taken(OutgoingMessage(body)), loop)
        try:
            is_durable = pending.result(timeout_s)
        except (TimeoutError, concurrent.futures.CancelledError):
            pending.cancel()
            raise QueueUnavailable(f"the queue did not take the webhook within {timeout_s} s") from None
        if not is_durable:
            raise QueueUnavailable("the queue refused the webhook")

    return send


def assemble(parts: Parts) -> Service:
    send = send_through(parts.event_queue, asyncio.get_running_loop())
    handler = make_handler(send, parts.settings.retell_webhook_key, parts.now_ms)
    return Service("webhook-receiver", routes=[webhook_route(handler)])


def run(settings: Settings, host: str, port: int) -> None:
    """With an SQS queue the receiver needs nothing but that queue, as the Lambda does."""
    if settings.event_queue.startswith("http"):
        handler = make_handler(
            make_sender(settings.event_queue, region=settings.aws_region),
            settings.retell_webhook_key,
            lambda: time.time_ns() // 1_000_000,
        )
        app = create_receiver(handler, health_routes({}, make_metrics().registry))
        run_loop(_serve_alone(app, listen(host, port)))
    else:
        run_process(settings, host, port, assemble)


async def _serve_alone(app: Starlette, bound: socket.socket) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    await serve_http(app, bound, stop, asyncio.Event())
