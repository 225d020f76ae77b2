"""Signed requests from the emulated Retell to the outside: bodies, headers, time limits and retries."""

import asyncio
import json
import time
from typing import Any, NamedTuple

import aiohttp

from ringback_emulator.signing import retell_signature

# Retell gives a webhook ten seconds by default (webhook_timeout_ms); inbound webhooks have them too, and the emulated
# tools are given the same.
TIMEOUT_S = 10.0
# Emulated seconds before the second, third and fourth try. Retell documents three retries, not their spacing.
_RETRY_PAUSES_S = (1.0, 2.0, 4.0)
_SHORTEST_PAUSE_S = 0.2
_HEADERS = {
    "content-type": "application/json",
    "accept": "application/json, text/plain, */*",
    "user-agent": "axios/1.15.2",
}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def encoded(body: dict[str, Any]) -> bytes:
    """Compact JSON with its characters unescaped, as JavaScript writes it."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


class Answer(NamedTuple):
    """What a post was answered with; status 0 and the failure's name when there was no answer."""

    status: int
    text: str

    @property
    def accepted(self) -> bool:
        return 200 <= self.status < 300


class SignedPost:
    """Posts a body with a signature of that very moment."""

    def __init__(self, session: aiohttp.ClientSession, key: str) -> None:
        self._session = session
        self._key = key

    async def __call__(self, url: str, body: bytes, silence_s: float = TIMEOUT_S) -> Answer:
        """Gives up after ten seconds, or `silence_s` of waiting for the answer once the whole body was sent."""
        headers = {**_HEADERS, "x-retell-signature": retell_signature(body, self._key, now_ms())}
        limit = aiohttp.ClientTimeout(total=TIMEOUT_S, sock_read=silence_s)
        try:
            async with self._session.post(
                url, data=body, headers=headers, timeout=limit, allow_redirects=False
            ) as answer:
                return Answer(answer.status, await answer.text(errors="replace"))
        except (aiohttp.ClientError, TimeoutError, ValueError) as failure:
            return Answer(0, type(failure).__name__)


async def post_until_accepted(post: SignedPost, url: str, body: bytes, speed: float) -> list[Answer]:
    """The answers to up to four tries, each signed anew; only the last one can be an acceptance."""
    answers = [await post(url, body)]
    for pause_s in _RETRY_PAUSES_S:
        if answers[-1].accepted:
            break
        await asyncio.sleep(max(_SHORTEST_PAUSE_S, pause_s / speed))
        answers.append(await post(url, body))
    return answers
