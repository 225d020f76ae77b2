"""The environment's proxy, and what else of the environment must not reach a request to Retell."""

from pathlib import Path

import pytest

from ringback.adapters.retell.account import RetellAccount, leads_to_emulator
from ringback.adapters.retell.proxy import environment_proxy
from ringback.domain.attempt import DialAnswerKind

from .hostile_server import answering, hostile
from .test_client import LATER, REQUEST, dial, provider

PLACED = answering(201, {"call_id": "call_1"})


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


async def test_a_dial_goes_through_the_proxy_with_its_login(monkeypatch):
    async with hostile(PLACED) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("://", "://ada:secret@"))
        async with provider("http://retell.test") as retell:
            answer = await retell.dial(REQUEST, LATER)
    assert answer.kind is DialAnswerKind.PLACED
    [(headers, _)] = proxy.raw
    assert proxy.requests[0][:2] == ("POST", "http://retell.test/v2/create-phone-call")
    assert (headers["proxy-authorization"], headers["authorization"]) == ("Basic YWRhOnNlY3JldA==", "Bearer key_1")


async def test_the_questions_about_the_account_take_the_same_way(monkeypatch):
    async with hostile(answering(200, {"org_name": "Example"})) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert await RetellAccount("key_1", "http://retell.test").owner() == "Example"
        assert await leads_to_emulator("http://retell.test") is False
    assert [path for _, path, _ in proxy.requests] == [
        "http://retell.test/get-api-key-info",
        "http://retell.test/healthz",
    ]


async def test_a_host_of_no_proxy_is_asked_directly(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    answer, received = await dial(PLACED)
    assert (answer.kind, received.posts) == (DialAnswerKind.PLACED, 1)


async def test_a_login_in_netrc_does_not_refuse_the_dial(tmp_path: Path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login ada password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    answer, received = await dial(PLACED)
    assert answer.kind is DialAnswerKind.PLACED
    assert received.raw[0][0]["authorization"] == "Bearer key_1"


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"https_proxy": "proxy:3128"}, "http://proxy:3128"),
        ({"ALL_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"HTTP_PROXY": "http://proxy:3128"}, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".retellai.com"}, None),
    ],
)
def test_the_proxy_of_an_address_is_the_one_for_its_scheme(variables, proxy, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert environment_proxy("https://api.retellai.com") == proxy
