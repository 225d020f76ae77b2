"""The Lambda's work behind ASGI, for machines without Lambda."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ringback.config import Settings
from ringback.domain.errors import QueueUnavailable, Retryable
from ringback.flows.webhook_intake import MAX_BODY_BYTES, Intake
from ringback.grouping import Grouped
from ringback.ports import MessageQueue, OutgoingMessage
from ringback.process import Service, run_loop, run_process, stop_on_signals
from ringback.services.webhook_lambda import WebhookDoor, answer
from ringback.telemetry import Metrics, make_metrics
from ringback.web.admission import WEBHOOKS_AT_ONCE, Places
from ringback.web.bodies import Bodies
from ringback.web.health import health_routes
from ringback.web.problem import Problem
from ringback.web.serving import listen, serve_http
from ringback.wiring import Parts, open_queue

PATH = "/retell/webhook"

#: Retell is answered within 3 s whatever the queue does.
ANSWER_WITHIN_S = 2.8
#: Webhooks of one send; a queue call costs the same for ten messages as for one.
GROUP = 50
#: Larger bodies are read in threads, because the event loop would stand still for milliseconds. Each is copied a few
#: times there, so only few at once.
SMALL_BYTES = 64 * 1024
LARGE_AT_ONCE = 4

#: Returns once the message is durable; raises Retryable when it is not known to be.
Send = Callable[[str], Awaitable[None]]


def create_receiver(
    door: WebhookDoor, send: Send, metrics: Metrics, more_routes: Sequence[BaseRoute] = ()
) -> Starlette:
    """The receiver as an application of its own; `more_routes` are the operator's (health, metrics)."""
    route = webhook_route(door, send, Bodies(metrics), Places(WEBHOOKS_AT_ONCE))
    return Starlette(routes=[route, *more_routes])


def webhook_route(door: WebhookDoor, send: Send, bodies: Bodies, places: Places) -> Route:
    """POST /retell/webhook, to be mounted wherever it is served. While a webhook waits for the queue it has a place."""
    threads = anyio.CapacityLimiter(LARGE_AT_ONCE)

    async def take_in(body: bytes, signature: str | None) -> Intake:
        if len(body) > SMALL_BYTES:
            read = await anyio.to_thread.run_sync(door.read, body, signature, abandon_on_cancel=True, limiter=threads)
        else:
            read = door.read(body, signature)
        if isinstance(read, Intake):
            return read
        with places.one() as is_free:
            if not is_free:
                return Intake.QUEUE_DOWN
            await send(read.message)
        return Intake.ACCEPTED

    async def receive(request: Request) -> Response:
        # Several are joined, as API Gateway joins them: two signatures are no signature.
        signature = ",".join(request.headers.getlist("x-retell-signature"))
        if not door.may_be_genuine(signature):
            return _response(Intake.FORGED)
        try:
            async with bodies.whole(request.receive, request.headers, MAX_BODY_BYTES) as body:
                # An enqueue that outlives the deadline may still happen; Retell's repeat is then a harmless duplicate.
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    return _response(await take_in(body, signature))
        except (Retryable, TimeoutError):
            return _response(Intake.QUEUE_DOWN)
        except Problem as refused:
            return refused.response()
        except ClientDisconnect:
            return Response(status_code=400)  # the connection is gone: no one reads this

    return Route(PATH, receive, methods=["POST"])


def _response(outcome: Intake) -> Response:
    answered = answer(outcome)
    return Response(answered.get("body"), answered["statusCode"], headers=answered.get("headers"))


def send_through(queue: MessageQueue) -> Send:
    """A Send through this queue, at the price of a group."""

    async def send_group(messages: Sequence[OutgoingMessage]) -> list[bool]:
        refused = set(await queue.send(messages))
        return [position not in refused for position in range(len(messages))]

    taken: Grouped[OutgoingMessage, bool] = Grouped(send_group, limit=GROUP, parallel=2)

    async def send(body: str) -> None:
        if not await taken(OutgoingMessage(body)):
            raise QueueUnavailable("the queue refused the webhook")

    return send


def assemble(parts: Parts) -> Service:
    door = WebhookDoor(parts.settings.retell_webhook_key, parts.now_ms)
    route = webhook_route(door, send_through(parts.event_queue), parts.bodies, parts.webhook_places)
    return Service("webhook-receiver", routes=[route])


def run(settings: Settings, host: str, port: int) -> None:
    """With an SQS queue the receiver needs nothing but that queue, as the Lambda does."""
    if settings.event_queue.startswith("http"):
        run_loop(_serve_alone(settings, listen(host, port)))
    else:
        run_process(settings, host, port, assemble)


async def _serve_alone(settings: Settings, bound: socket.socket) -> None:
    stop, metrics = asyncio.Event(), make_metrics()
    stop_on_signals(stop)
    queue = await open_queue(settings.event_queue, None, settings.aws_region)
    try:
        door = WebhookDoor(settings.retell_webhook_key, lambda: time.time_ns() // 1_000_000)
        app = create_receiver(door, send_through(queue), metrics, health_routes({}, metrics.registry))
        await serve_http(app, bound, stop, asyncio.Event(), metrics)
    finally:
        await queue.close()
