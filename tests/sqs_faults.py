"""An HTTP proxy before an SQS server. It gives errors that Amazon SQS documents and that a compatible server never has.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
"""

import asyncio
import json
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
from aiohttp import web

Body = dict[str, Any]
Answer = tuple[int, Body]
Forward = Callable[[Body], Awaitable[Answer]]
#: Answers one request, and forwards it as it is, changed, or not at all.
Fault = Callable[[Body, Forward], Awaitable[Answer]]

TARGET = "X-Amz-Target"


def refused(status: int, code: str) -> Fault:
    """Do nothing, and answer with this error."""

    async def fault(_: Body, __: Forward) -> Answer:
        return status, {"__type": f"com.amazonaws.sqs#{code}", "message": "by the proxy"}

    return fault


#: The two forms of throttling, and a server that is overloaded.
THROTTLED = (refused(400, "RequestThrottled"), refused(400, "ThrottlingException"), refused(503, "ServiceUnavailable"))


def partly(code: str, *, sender_fault: bool = False, entries: int = 1) -> Fault:
    """Do not forward the first entries of a batch: the answer has this error for each."""

    async def fault(body: Body, forward: Forward) -> Answer:
        failed, others = body["Entries"][:entries], body["Entries"][entries:]
        status, answer = await forward({**body, "Entries": others}) if others else (200, {"Successful": []})
        told = [{"Id": one["Id"], "Code": code, "SenderFault": sender_fault, "Message": ""} for one in failed]
        return status, {**answer, "Failed": [*answer.get("Failed", []), *told]}

    return fault


class SqsFaults:
    """The proxy's plan and its count of requests, by the name of the API's action."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.endpoint = ""
        self._plan: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._delivered_again: deque[Answer] = deque()

    def plan(self, action: str, *faults: Fault) -> None:
        """The next requests of this action get these faults, one each."""
        self._plan[action].extend(faults)

    def deliver_again(self) -> None:
        """The next receive with messages is answered, and so is the one after it, with the same messages."""

        async def fault(body: Body, forward: Forward) -> Answer:
            status, answer = await forward(body)
            if answer.get("Messages"):
                self._delivered_again.append((status, answer))
            else:
                self._plan["ReceiveMessage"].append(fault)
            return status, answer

        self.plan("ReceiveMessage", fault)

    async def answer(self, action: str, body: Body, forward: Forward) -> Answer:
        self.requests[action] += 1
        if action == "ReceiveMessage" and self._delivered_again:
            return self._delivered_again.popleft()
        planned = self._plan[action]
        return await planned.popleft()(body, forward) if planned else await forward(body)


@contextmanager
def sqs_faults(server: str) -> Iterator[SqsFaults]:
    """Run the proxy before this SQS server, in a thread of its own."""
    faults, started, loop = SqsFaults(), threading.Event(), asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with aiohttp.ClientSession() as session:

            async def handle(request: web.Request) -> web.Response:
                kept = {
                    name: value for name, value in request.headers.items() if name.lower() not in _OF_THE_CONNECTION
                }

                async def forward(body: Body) -> Answer:
                    async with session.post(server + request.path, json=body, headers=kept) as answered:
                        return answered.status, await answered.json(content_type=None)

                action = request.headers[TARGET].partition(".")[2]
                status, body = await faults.answer(action, json.loads(await request.read()), forward)
                return web.json_response(body, status=status, content_type="application/x-amz-json-1.0")

            app = web.Application(client_max_size=4 * 1024 * 1024)
            app.router.add_post("/{path:.*}", handle)
            runner = web.AppRunner(app)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            faults.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
            started.set()
            await over.wait()
            await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert started.wait(120), "the proxy did not start"
    try:
        yield faults
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


#: The body is written anew, so these are made anew too.
_OF_THE_CONNECTION = {"host", "content-length", "connection", "transfer-encoding", "accept-encoding"}
