"""Retell's endpoints by their heads: a request that cannot be genuine is refused before its body."""

import pytest

from ringback.adapters.retell.functions import inbound_reply, parse_inbound_call, parse_tool_call
from ringback.adapters.retell.signature import may_be_genuine, sign, verify
from ringback.telemetry import make_metrics
from ringback.web.app import create_application
from ringback.web.limits import BodyReader
from ringback.web.routes.retell import RetellApi, retell_routes
from tests.web.raw import served

KEY, NOW_MS = "key_webhook", 1_796_000_000_000
PATHS = ("/v1/retell/functions/note_writeback", "/v1/retell/inbound")


@pytest.fixture
async def server():
    metrics = make_metrics()
    api = RetellApi(
        operations=None,  # nothing here gets so far
        bodies=BodyReader(metrics),
        may_be_genuine=lambda header: may_be_genuine(header, NOW_MS),
        verify=lambda body, header: verify(body, header, [KEY], NOW_MS),
        parse_tool_call=parse_tool_call,
        parse_ringing=parse_inbound_call,
        answer=inbound_reply,
    )
    async with served(create_application("test", [], retell_routes(api), metrics), metrics) as raw:
        yield raw


def head(path: str, length: int, *signatures: str) -> bytes:
    headers = "".join(f"x-retell-signature: {signature}\r\n" for signature in signatures)
    return f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n".encode()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("signature", ["", "v=1,d=0", f"v={NOW_MS - 300_001},d={'0' * 64}", f"v={NOW_MS},d={'g' * 64}"])
async def test_what_cannot_be_genuine_is_answered_401_before_its_body(server, path, signature):
    told = await server.ask(head(path, 6_000_000, signature))
    assert (told.status, told.problem["code"], b"connection: close" in told.head) == (401, "bad_signature", True)


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_that_is_not_signed_with_the_key_is_401_and_one_too_large_413(server, path):
    forged = sign(b"{}", "key_of_no_account", NOW_MS)
    assert (await server.ask(head(path, 2, forged), b"{}")).status == 401
    assert (await server.ask(head(path, 6 * 1024 * 1024 + 1, forged))).status == 413


@pytest.mark.parametrize("path", PATHS)
async def test_two_signatures_are_no_signature(server, path):
    good = sign(b"{}", KEY, NOW_MS)
    assert (await server.ask(head(path, 2, good, good), b"{}")).status == 401
