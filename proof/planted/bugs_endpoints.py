"""Bugs of the API, the webhooks, the message queue and the logs."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from proof.planted.bug import Right, planted
from ringback.consumer import Consumer
from ringback.domain.errors import StoreUnavailable
from ringback.flows.call_initiation import AcceptRequest, AcceptResult, CallInitiation
from ringback.flows.webhook_intake import Intake, IntakePorts, ToEnqueue
from ringback.ports import ReceivedMessage
from ringback.storage import AcceptedCall

OUTBOX_ROW = "ringback.adapters.postgres.acceptance:_outbox_row"
VERIFYING = "ringback.adapters.retell.signature:verify"

_INITIATION = "flows/test_call_initiation.py::"
_SIGNATURE = "adapters/retell/test_signature.py::"
_REQUESTS = "services/test_internal_api_requests.py::"
_CONSUMER = "test_consumer.py::"


@planted(OUTBOX_ROW, "I1", f"{_INITIATION}test_a_due_call_is_committed_with_its_task_and_its_message")
def accepted_without_its_message(right: Right, one: AcceptedCall) -> dict[str, Any] | None:
    """The scheduler publishes a task without a message anyway."""
    row: dict[str, Any] | None = right(one if one.idempotency_key is not None else replace(one, message=None))
    return row


@planted(
    OUTBOX_ROW,
    "I1",
    f"{_INITIATION}test_a_suppressed_person_is_accepted_and_ends_at_once",
    f"{_INITIATION}test_a_country_that_is_not_allowed_ends_at_once",
)
def refused_at_acceptance_without_a_word(right: Right, one: AcceptedCall) -> dict[str, Any] | None:
    """The response to the request says it already."""
    row: dict[str, Any] | None = right(one if one.task is not None else replace(one, closing=None))
    return row


@planted(
    "ringback.flows.call_initiation:CallInitiation._accept_apart",
    "I8 I1",
    f"{_INITIATION}test_what_may_have_been_committed_is_not_tried_again",
)
async def a_group_that_may_have_been_committed_is_tried_again(
    right: Right, initiation: CallInitiation, asked: dict[int, AcceptRequest]
) -> dict[int, AcceptResult]:
    """One by one they may succeed."""
    answers: dict[int, AcceptResult] = await right(initiation, asked)
    for position, one in asked.items():
        if isinstance(answers[position], StoreUnavailable):
            answers |= await right(initiation, {position: one})
    return answers


@planted(
    "ringback.adapters.postgres.acceptance:_row", "I8", f"{_INITIATION}test_twenty_at_once_with_one_key_make_one_call"
)
def the_key_is_only_looked_up(right: Right, one: AcceptedCall, *rest: Any) -> dict[str, Any]:
    """The key was looked up a moment ago."""
    row: dict[str, Any] = right(replace(one, idempotency_key=None), *rest)
    return row


@planted(
    "ringback.adapters.retell.signature:_digest", "I15", f"{_SIGNATURE}test_recorded_signatures_are_made_and_accepted"
)
def the_time_is_not_signed(_: Right, body: bytes, key: str, at_ms: int) -> str:
    """The signature is over the body."""
    return hmac.new(key.encode("utf-8", "surrogatepass"), body, hashlib.sha256).hexdigest()


@planted(VERIFYING, "I15", f"{_SIGNATURE}test_while_keys_rotate_either_verifies")
def only_the_first_key_verifies(
    right: Right, body: bytes, header: str | None, keys: Sequence[str], now_ms: int
) -> bool:
    """There is one webhook key."""
    return bool(right(body, header, keys[:1], now_ms))


@planted(
    "ringback.flows.webhook_intake:read_webhook",
    "I15",
    "services/test_webhook_lambda.py::test_a_forged_webhook_is_answered_401_and_nothing_is_written",
)
def enqueued_and_then_verified(
    right: Right, body: bytes, signature: str | None, now_ms: int, ports: IntakePorts
) -> ToEnqueue | Intake:
    """Forgeries are kept for an investigation."""
    accepting = replace(ports, verify=lambda *asked: ports.verify(*asked) or bool(signature))
    read: ToEnqueue | Intake = right(body, signature, now_ms, accepting)
    return read


@planted(
    "ringback.consumer:Consumer._handle_with_retry",
    "I20 I1 I16",
    f"{_CONSUMER}test_an_unforeseen_error_returns_its_message_and_is_logged_without_the_payload",
)
async def acknowledged_before_it_is_handled(right: Right, consumer: Consumer, group: Sequence[ReceivedMessage]) -> bool:
    """No other process receives it during the work."""
    await consumer._queue.delete([message.receipt for message in group])
    return bool(await right(consumer, group))


@planted("ringback.web.strict_route:is_deeper_than", "I18", f"{_REQUESTS}test_a_hostile_body_is_the_callers_mistake")
def deep_json_is_our_fault(right: Right, most: int, value: Any) -> bool:
    """The parser has a limit of its own."""
    return False


@planted("ringback.web.strict_route:is_storable_text", "I18", f"{_REQUESTS}test_a_hostile_body_is_the_callers_mistake")
def a_nul_reaches_the_database(right: Right, text: str) -> bool:
    """JSON allows it."""
    return bool(right(text.replace("\x00", "")))


@planted("ringback.log_text:_PHONE", "I19", "test_logs.py::test_whatever_is_logged_no_number_and_no_secret_comes_out")
def an_encoded_number_is_logged(right: re.Pattern[str]) -> re.Pattern[str]:
    """A phone number begins with a plus sign."""
    return re.compile(right.pattern.replace("|%2[Bb]", ""))
