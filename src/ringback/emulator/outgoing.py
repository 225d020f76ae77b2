"""Signed requests from the emulated Retell to the outside: bodies, headers and time limits of both kinds."""

import json
import time
from typing import Any

import aiohttp

from ringback.emulator.signing import retell_signature

# Retell gives a webhook ten seconds by default (webhook_timeout_ms); the emulated tools are given the same.
TIMEOUT_S = 10.0
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


class SignedPost:
    """Posts a body with a signature of that very moment."""

    def __init__(self, session: aiohttp.ClientSession, key: str) -> None:
        self._session = session
        self._key = key

    async def __call__(self, url: str, body: bytes) -> tuple[int, str]:
        """Status and text of the answer; (0, reason) when there was none."""
        headers = {**_HEADERS, "x-retell-signature": retell_signature(body, self._key, now_ms())}
        limit = aiohttp.ClientTimeout(total=TIMEOUT_S)
        try:
            async with self._session.post(
                url, data=body, headers=headers, timeout=limit, allow_redirects=False
            ) as answer:
                return answer.status, await answer.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError, ValueError) as failure:
            return 0, type(failure).__name__
