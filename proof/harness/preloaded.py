"""Imports once what every fork of the product or of the emulators would import at its start or at its first use."""

import gc
import importlib

import httpx

import ringback.up.stack  # noqa: F401 - all services
import ringback_emulator.dialogues
import ringback_emulator.engage
import ringback_emulator.retell  # noqa: F401
from ringback.adapters.spoken_time import EnglishSpokenTime

_LAZY = (
    "anyio._backends._asyncio",
    "fastapi.telemetry._runtime",
    "pydantic.v1",
    "retell.resources.agent",
    "retell.resources.call",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
)
for name in _LAZY:
    importlib.import_module(name)
EnglishSpokenTime()
# Nothing speaks TLS in a proof, and every client of the SDK would read the machine's certificates anew.
_certificates = httpx.create_ssl_context()
vars(httpx)["create_ssl_context"] = lambda *_, **__: _certificates
# The forks' collector skips frozen objects, and their memory stays shared.
gc.collect()
gc.freeze()
