"""The usual way to receive a webhook: FastAPI, the signature checked, one row committed."""

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response

from benchmarks.floors.arguments import read_arguments
from benchmarks.payloads import signature

_INSERT = """
INSERT INTO queue_messages (queue, body, sent_at, visible_at)
VALUES ('events', $1, clock_timestamp(), clock_timestamp())
"""


def main() -> None:
    asked = read_arguments(__doc__)
    pools: list[Any] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        pools.append(await asyncpg.create_pool(asked.database_url, min_size=1, max_size=24))
        yield
        pools[0].terminate()

    app = FastAPI(lifespan=lifespan)

    @app.post("/retell/webhook", status_code=204)
    async def post_webhook(request: Request) -> Response:
        body = await request.body()
        header = request.headers.get("x-retell-signature", "")
        signed_ms = int(header.partition(",")[0].removeprefix("v=") or 0)
        if not hmac.compare_digest(signature(body, signed_ms), header):
            raise HTTPException(401)
        await pools[0].execute(_INSERT, body.decode())
        return Response(status_code=204)

    uvicorn.run(app, host="127.0.0.1", port=asked.port, log_config=None, access_log=False, backlog=2048)


if __name__ == "__main__":
    main()
