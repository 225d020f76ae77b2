"""The address itself is asked whether it is our own emulator. Any other server may ring phones."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from ringback.adapters.clock import SystemClock
from ringback.adapters.retell.account import leads_to_emulator
from ringback.adapters.retell.client import UNIDENTIFIED_FOR_S, RetellProvider
from ringback_emulator import retell
from ringback_emulator.settings import RetellEmulatorSettings
from tests.emulator.conftest import served
from tests.fixed_clock import FixedClock
from tests.loopback import free_ports

OF_EMULATOR = b'{"status": "ok", "emulator": "retell", "state_dir": "/x"}'


@asynccontextmanager
async def answering(status: int, body: bytes = b"", port: int = 0, more: str = ""):
    """Serve this response to every client. Yields the address and the received request lines and headers."""
    heard: list[bytes] = []

    async def answer(reader, writer):
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n"
        writer.write(head.encode() + body)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heard


@pytest.mark.parametrize(
    ("status", "body", "side"),
    [
        (200, OF_EMULATOR, True),
        (200, b'{"status": "ok", "emulator": "engage"}', False),
        (200, b'{"status": "ok"}', False),
        (200, b"[]", False),
        (200, b"<html>It works</html>", False),
        (200, b"\xff[" * 3, False),
        (204, b"", False),
        (301, b"", False),
        (401, b'{"emulator": "retell"}', False),
        (404, b"{}", False),
        (502, b"", None),
        (503, OF_EMULATOR, None),
    ],
)
async def test_only_the_emulators_own_health_identifies_it(status, body, side):
    async with answering(status, body) as (url, _):
        assert await leads_to_emulator(url) is side


async def test_it_is_asked_without_a_key_and_a_redirect_is_not_followed():
    async with answering(200, OF_EMULATOR) as (elsewhere, heard_elsewhere):
        async with answering(302, more=f"Location: {elsewhere}/healthz\r\n") as (url, heard):
            assert await leads_to_emulator(f"{url}/") is False
    assert heard_elsewhere == []
    (request,) = heard
    assert request.startswith(b"GET /healthz HTTP/1.1\r\n")
    assert b"authorization" not in request.lower()


async def test_an_address_without_a_listener_is_unknown():
    assert await leads_to_emulator(f"http://127.0.0.1:{free_ports(1)[0]}") is None


@pytest.mark.parametrize(
    "url", ["https://api.retellai.com", "https://api.retellai.com/", "http://api.retellai.com:1/x"]
)
async def test_retell_itself_is_not_asked(url):
    assert await leads_to_emulator(url) is False


async def test_the_emulator_says_so_of_itself(tmp_path):
    app = retell.create_app(RetellEmulatorSettings(state_dir=tmp_path, api_key="key_1", webhook_key="key_2"))
    async with served(app) as url:
        assert await leads_to_emulator(url) is True


async def test_a_provider_without_an_address_is_the_real_one():
    assert await RetellProvider("key_1", SystemClock()).is_emulated() is False


async def test_a_known_identity_is_kept_and_an_unknown_one_is_asked_again_soon():
    clock, port = FixedClock(), free_ports(1)[0]
    provider = RetellProvider("key_1", clock, base_url=f"http://127.0.0.1:{port}")
    assert await provider.is_emulated() is None
    async with answering(200, OF_EMULATOR, port) as (_, heard):
        assert await provider.is_emulated() is None  # too soon
        clock.advance(UNIDENTIFIED_FOR_S)
        assert await provider.is_emulated() is True
        assert await provider.is_emulated() is True
        assert len(heard) == 1
    clock.advance(3600)
    assert await provider.is_emulated() is True
