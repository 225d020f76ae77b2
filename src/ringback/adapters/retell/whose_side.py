"""Whether Retell's address leads to Ringback's own emulator, which says so of itself."""

import json
from urllib.parse import urlsplit

import aiohttp

from ringback.adapters.retell.account import DEFAULT_BASE_URL

ANSWER_WITHIN_S = 2.0


async def leads_to_emulator(base_url: str) -> bool | None:
    """True: the emulator answers there. False: something else does, and whatever it is, it may ring phones. None: no
    answer, or only that of a gateway which reaches nothing (5xx).

    Retell's own address is not asked. No key is sent.
    """
    if urlsplit(base_url).hostname == urlsplit(DEFAULT_BASE_URL).hostname:
        return False
    timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            async with session.get(f"{base_url.rstrip('/')}/healthz", allow_redirects=False) as answer:
                if answer.status >= 500:
                    return None
                said = await answer.read() if answer.status == 200 else b""
    except (aiohttp.ClientError, OSError, ValueError):
        return None
    return _is_emulator(said)


def _is_emulator(said: bytes) -> bool:
    try:
        told = json.loads(said)
    except (ValueError, RecursionError):
        return False
    return isinstance(told, dict) and told.get("emulator") == "retell"
