"""The webhook receiver: the code of the Lambda behind ASGI, for machines without Lambda."""

import asyncio
import socket
import time
from collections.abc import Callable, Sequence

from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ringback import tracing
from ringback.batching import Send, send_through
from ringback.config import Settings
from ringback.domain.errors import Retryable
from ringback.flows.operator.monitoring import Monitoring, queue_dependency
from ringback.flows.webhook_intake import Intake, IntakePorts, read_webhook
from ringback.loops import Loops
from ringback.messages import MAX_BODY_BYTES
from ringback.ports import OutgoingMessage
from ringback.process import Service, process_health, run_loop, run_process, serve_alone
from ringback.services.lambda_event import answer
from ringback.services.webhook_lambda import webhook_ports
from ringback.telemetry import Metrics, make_metrics
from ringback.web.app import CountRequests
from ringback.web.direct_routes import DirectRoutes
from ringback.web.limits import WEBHOOKS_AT_ONCE, BodyReader, ConcurrencyLimit
from ringback.web.problems import Problem
from ringback.web.server import listen
from ringback.wiring import Dependencies, open_queue, quoted

NAME, PATH, EVENT_QUEUE = "webhook-receiver", "/retell/webhook", "event_queue"
#: Retell gets a response within 3 s, even while the queue is unavailable.
ANSWER_WITHIN_S = 2.8
#: Larger bodies would block the event loop, so threads read them: a few at once, because each is copied there.
SMALL_BYTES = 64 * 1024
LARGE_AT_ONCE = 4


def create_receiver(
    ports: IntakePorts, now_ms: Callable[[], int], send: Send, metrics: Metrics, more_routes: Sequence[BaseRoute] = ()
) -> Starlette:
    """Create the receiver as an application of its own. `more_routes` are for health and metrics."""
    route = webhook_route(ports, now_ms, send, BodyReader(metrics), ConcurrencyLimit(WEBHOOKS_AT_ONCE))
    middleware = [Middleware(CountRequests, metrics=metrics), Middleware(DirectRoutes, routes=[route])]
    return Starlette(routes=[route, *more_routes], middleware=middleware)


def webhook_route(
    ports: IntakePorts, now_ms: Callable[[], int], send: Send, bodies: BodyReader, waiting: ConcurrencyLimit
) -> Route:
    """Create the route POST /retell/webhook. A webhook takes a slot while it waits for the queue."""
    threads = CapacityLimiter(LARGE_AT_ONCE)

    async def enqueue(body: bytes, signature: str | None) -> Intake:
        given, began_ns = (body, signature, now_ms(), ports), tracing.now_ns()
        if len(body) > SMALL_BYTES:
            read = await to_thread.run_sync(read_webhook, *given, abandon_on_cancel=True, limiter=threads)
        else:
            read = read_webhook(*given)
        if isinstance(read, Intake):
            return read
        with tracing.span_of_webhook("webhook.receive", body, began_ns=began_ns) as span, waiting.slot() as is_free:
            if is_free:
                await send(OutgoingMessage(read.message, attributes=span.carried()))
        return Intake.ACCEPTED if is_free else Intake.QUEUE_DOWN

    async def receive(request: Request) -> Response:
        # Several headers are joined, as in API Gateway. Two signatures are an invalid one.
        signature = ",".join(request.headers.getlist("x-retell-signature"))
        if not ports.may_be_genuine(signature, now_ms()):
            return _response(Intake.FORGED)
        try:
            async with bodies.read(request.receive, request.headers, MAX_BODY_BYTES) as body:
                # An enqueue may finish after the deadline. Retell's repeat is then a harmless duplicate.
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    return _response(await enqueue(body, signature))
        except (Retryable, TimeoutError):
            return _response(Intake.QUEUE_DOWN)
        except Problem as refused:
            return refused.response()
        except ClientDisconnect:
            return Response(status_code=400)  # the connection is closed, so this response is not sent

    return Route(PATH, receive, methods=["POST"])


def _response(outcome: Intake) -> Response:
    answered = answer(outcome)
    return Response(answered.get("body"), answered["statusCode"], headers=answered.get("headers"))


def build_service(deps: Dependencies) -> Service:
    ports = webhook_ports(deps.settings.retell_webhook_key, quoted, deps.event_queue.max_message_bytes)
    route = webhook_route(ports, deps.now_ms, send_through(deps.event_queue), deps.bodies, deps.webhooks_waiting)
    return Service(NAME, routes=[route], needs=(EVENT_QUEUE,))


def run(settings: Settings, host: str, port: int) -> None:
    """Run the receiver. With an SQS queue it needs only that queue, as the Lambda does."""
    if settings.event_queue.startswith("http"):
        run_loop(_serve_alone(settings, listen(host, port)))
    else:
        run_process(settings, host, port, build_service)


async def _serve_alone(settings: Settings, bound: socket.socket) -> None:
    metrics, loops = make_metrics(), Loops()
    queue = await open_queue(settings.event_queue, None, settings)
    try:
        monitoring = Monitoring({EVENT_QUEUE: queue_dependency(EVENT_QUEUE, queue)}, metrics.gauges, loops.availability)
        ports = webhook_ports(settings.retell_webhook_key, quoted, queue.max_message_bytes)
        health = process_health(monitoring, loops, metrics.registry)
        app = create_receiver(ports, lambda: time.time_ns() // 1_000_000, send_through(queue), metrics, health)
        await serve_alone(NAME, app, bound, monitoring, loops, metrics)
    finally:
        await queue.close()
