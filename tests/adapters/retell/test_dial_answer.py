"""The errors that prove that nothing was sent, and the statuses that prove that nothing was accepted."""

import json
from datetime import UTC, datetime

import aiohttp
import pytest

from ringback.adapters.retell.dial_answer import (
    answer_from_error,
    answer_from_status,
    answer_from_success,
    refusal_message,
)
from ringback.domain.attempt import DialAnswerKind, DialRequest

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
# Statuses that prove that Retell accepted nothing. Every other one is ambiguous.
TAKEN_NOTHING = {
    400: DialAnswerKind.REJECTED,
    422: DialAnswerKind.REJECTED,
    401: DialAnswerKind.ACCOUNT_REFUSED,
    402: DialAnswerKind.ACCOUNT_REFUSED,
    403: DialAnswerKind.ACCOUNT_REFUSED,
    404: DialAnswerKind.ACCOUNT_REFUSED,
    429: DialAnswerKind.DEFERRED,
}
ERRORS = [
    kind
    for kind in vars(aiohttp.client_exceptions).values()
    if isinstance(kind, type) and issubclass(kind, aiohttp.ClientError)
]


def under_other_names(cause):
    """Wrap an error as the SDK does: its own timeout over httpx's connect timeout over the real cause."""
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


@pytest.mark.parametrize("status", [status for status in range(300, 600) if status not in TAKEN_NOTHING])
def test_a_status_that_does_not_say_that_nothing_was_taken_is_ambiguous(status):
    answer = answer_from_status(status, "1", datetime(2026, 12, 1, tzinfo=UTC))
    assert (answer.kind, answer.retry_after_s) == (DialAnswerKind.AMBIGUOUS, None)


@pytest.mark.parametrize(("status", "kind"), TAKEN_NOTHING.items())
def test_each_rejecting_status_has_its_kind(status, kind):
    assert answer_from_status(status, None, datetime(2026, 12, 1, tzinfo=UTC)).kind is kind


@pytest.mark.parametrize(
    "echo", ["", ', "metadata": null', ', "metadata": {"ringback_attempt_id": "a1"}', ', "metadata": 7']
)
def test_a_call_id_proves_that_the_call_was_placed(echo):
    answer = answer_from_success(201, f'{{"call_id": "call_1"{echo}}}'.encode(), "a1")
    assert (answer.kind, answer.provider_call_id) == (DialAnswerKind.PLACED, "call_1")


def test_an_answer_that_names_another_attempt_was_left_over_by_another_request():
    answer = answer_from_success(201, b'{"call_id": "call_1", "metadata": {"ringback_attempt_id": "a2"}}', "a1")
    assert (answer.kind, answer.provider_call_id) == (DialAnswerKind.AMBIGUOUS, None)
    assert answer.cause == "http_201_of_another_attempt"


def test_a_refusals_message_is_kept_without_numbers_and_values_of_the_request():
    request = DialRequest(
        to_number="+14155550100",
        from_number="+14155550199",
        agent_id="agent_1",
        variables={"first_name": "Quentina Tarantola"},
        metadata={"crm": {"note": "owes 4711"}},
        idempotency_key="a-1",
    )
    said = "from_number (415) 555-0199 of 14155550100 for quentina is not yours: owes 4711"
    body = json.dumps({"status": "error", "message": said}).encode()
    assert refusal_message(body, request) == ("from_number ([hidden] of [hidden] for [hidden] is not yours: [hidden]")
    assert refusal_message(json.dumps({"error_message": "agent\nnot found"}).encode(), request) == "agent not found"
    not_storable = json.dumps({"message": "no\x00agent"}).encode()
    assert refusal_message(not_storable, request) == "no\N{REPLACEMENT CHARACTER}agent"
    assert len(refusal_message(json.dumps({"message": "x y " * 999}).encode(), request)) == 200
    for body in (b"", b"<html>", b"[]", b"{}", b'{"message": 7}'):
        assert refusal_message(body, request) is None
