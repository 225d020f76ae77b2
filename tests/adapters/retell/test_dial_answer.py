"""Which errors prove that nothing was sent."""

import aiohttp
import pytest

from ringback.adapters.retell.dial_answer import answer_from_error
from ringback.domain.dial import DialAnswerKind

PROOFS = {
    "ClientConnectorError",
    "ClientConnectorDNSError",
    "ClientConnectorSSLError",
    "ClientConnectorCertificateError",
    "ClientProxyConnectionError",
    "ClientSSLError",
    "UnixClientConnectorError",
    "ConnectionTimeoutError",
}
ERRORS = [
    kind
    for kind in vars(aiohttp.client_exceptions).values()
    if isinstance(kind, type) and issubclass(kind, aiohttp.ClientError)
]


def under_other_names(cause):
    """As the SDK hands it over: its own timeout over httpx's connect timeout over the truth."""
    outer, middle = RuntimeError("APITimeoutError"), RuntimeError("ConnectTimeout")
    outer.__cause__, middle.__cause__ = middle, cause
    return outer


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_only_an_unmade_connection_proves_that_nothing_was_sent(kind):
    answer = answer_from_error(under_other_names(kind.__new__(kind)))
    assert (answer.kind is DialAnswerKind.NOT_SENT) == (kind.__name__ in PROOFS)


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionRefusedError(), OSError(), ValueError("+14155550100")])
def test_without_that_proof_everything_is_ambiguous(error):
    answer = answer_from_error(under_other_names(error) if not isinstance(error, TimeoutError) else error)
    assert answer.kind is DialAnswerKind.AMBIGUOUS
    assert "+1" not in answer.cause


def test_the_cause_is_the_deepest_name():
    error = under_other_names(aiohttp.ServerDisconnectedError())
    assert answer_from_error(error).cause == "server_disconnected"
    assert answer_from_error(TimeoutError()).cause == "timeout"
