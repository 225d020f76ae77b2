"""Clients as the API asks for: they repeat a request that was not acknowledged, under the same key."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from tests.stories.running_system import SystemClient

GIVE_UP_S = 300.0
REPEAT_S = 0.03
#: Content and headers, made anew for each try.
Request = Callable[[], tuple[bytes | None, Mapping[str, str]]]


class NeverAnswered(Exception):
    """A request was repeated and never accepted."""


def place(client: SystemClient, body: dict[str, Any]) -> str:
    """Returns the call's id. A busy machine answers 503 to some requests, which says nothing about the product."""
    key, give_up_at = {"Idempotency-Key": uuid.uuid4().hex}, time.monotonic() + GIVE_UP_S
    while (answer := client.ask("POST", "/v1/calls", body, key)).status == 503 and time.monotonic() < give_up_at:
        time.sleep(1.0)
    assert answer.status == 202, (answer.status, answer.body)
    call_id: str = answer.body["call_id"]
    return call_id


async def until_2xx(session: aiohttp.ClientSession, method: str, url: str, request: Request) -> Any:
    """Returns the JSON of the first 2xx. Raises NeverAnswered."""
    give_up_at, last = time.monotonic() + GIVE_UP_S, None
    while time.monotonic() < give_up_at:
        content, headers = request()
        try:
            async with session.request(
                method, url, data=content, headers={"Content-Type": "application/json", **headers}
            ) as answer:
                text = await answer.read()
                if answer.status < 300:
                    return json.loads(text or b"null")
                last = str((answer.status, text[:200]))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            last = repr(error)
        await asyncio.sleep(REPEAT_S)
    raise NeverAnswered(f"{method} {url}: {last}")
