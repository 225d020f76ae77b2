"""The usual way to accept a call: FastAPI, a Pydantic model, one aiobotocore send to SQS. Nothing is written down."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

import uuid_utils
import uvicorn
from aiobotocore.session import get_session
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel

from benchmarks.floors.arguments import read_arguments
from benchmarks.payloads import API_KEY

#: Connections to SQS, as many as requests are open.
CONNECTIONS = 32


class Contact(BaseModel):
    contact_id: str
    phone: str
    time_zone: str | None = None
    fields: dict[str, Any] = {}


class CallRequest(BaseModel):
    contact: Contact
    agent_id: str
    from_number: str
    variables: dict[str, str] = {}
    metadata: dict[str, Any] = {}
    not_before: datetime | None = None


class Accepted(BaseModel):
    call_id: str
    status: str


def main() -> None:
    asked = read_arguments(__doc__)
    clients: list[Any] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        from aiobotocore.config import AioConfig

        config = AioConfig(max_pool_connections=CONNECTIONS)
        endpoint = asked.queue_url.rpartition("/")[0]
        async with get_session().create_client(
            "sqs", region_name="us-east-1", endpoint_url=endpoint, config=config
        ) as client:
            clients.append(client)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/v1/calls", status_code=202)
    async def post_call(call: CallRequest, authorization: Annotated[str, Header()]) -> Accepted:
        if authorization != f"Bearer {API_KEY}":
            raise HTTPException(401)
        call_id = str(uuid_utils.uuid7())
        text = call.model_dump_json()
        await clients[0].send_message(QueueUrl=asked.queue_url, MessageBody=f'{{"call_id":"{call_id}","call":{text}}}')
        return Accepted(call_id=call_id, status="queued")

    uvicorn.run(app, host="127.0.0.1", port=asked.port, log_config=None, access_log=False, backlog=2048)


if __name__ == "__main__":
    main()
