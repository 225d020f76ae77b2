"""A provider that answers create-phone-call and get-agent after a fixed latency and keeps nothing."""

import argparse
import asyncio
from itertools import count

import uvloop
from aiohttp import web


def make_application(latency_s: float, run: str) -> web.Application:
    """`run` keeps the call ids of two runs apart."""
    numbers = count(1)
    answered = 0

    async def create_phone_call(request: web.Request) -> web.Response:
        nonlocal answered
        asked = await request.json()
        await asyncio.sleep(latency_s)
        answered += 1
        call = {
            "call_id": f"call_{run}{next(numbers):024x}",
            "call_type": "phone_call",
            "call_status": "registered",
            "direction": "outbound",
            "agent_id": asked["override_agent_id"],
            "agent_version": 1,
            "from_number": asked["from_number"],
            "to_number": asked["to_number"],
            "metadata": asked["metadata"],
        }
        return web.json_response(call, status=201)

    async def get_agent(request: web.Request) -> web.Response:
        await asyncio.sleep(latency_s)
        agent = {"agent_id": request.match_info["agent_id"], "version": 1, "voicemail_option": None}
        return web.json_response(agent)

    async def get_count(request: web.Request) -> web.Response:
        return web.json_response(answered)

    app = web.Application()
    app.router.add_get("/count", get_count)
    app.router.add_post("/v2/create-phone-call", create_phone_call)
    app.router.add_get("/get-agent/{agent_id}", get_agent)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--latency-s", type=float, required=True)
    parser.add_argument("--run", required=True)
    asked = parser.parse_args()
    app = make_application(asked.latency_s, asked.run)
    # As long as a burst of several hundred connections may be while each is accepted in its turn.
    web.run_app(
        app,
        host="127.0.0.1",
        port=asked.port,
        access_log=None,
        print=None,
        backlog=2048,
        # A side that waits for its turn keeps its connections.
        keepalive_timeout=3600,
        loop=uvloop.new_event_loop(),
    )


if __name__ == "__main__":
    main()
