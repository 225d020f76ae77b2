"""Bugs of the API, the webhooks, the message queue and the logs."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from proof.invariants import Invariant
from proof.planted.bug import Right, TextPatch, edited, planted
from ringback.consumer import Consumer
from ringback.domain.errors import Retryable, StoreUnavailable
from ringback.flows.business_operations.runner import BusinessOperations
from ringback.flows.call_initiation import AcceptRequest, AcceptResult, CallInitiation
from ringback.flows.webhook_intake import Intake, IntakePorts, ToEnqueue
from ringback.ports import ReceivedMessage
from ringback.storage import AcceptedCall

I1, I8, I10, I12, I15 = Invariant.I1, Invariant.I8, Invariant.I10, Invariant.I12, Invariant.I15
I16, I18, I19, I20 = Invariant.I16, Invariant.I18, Invariant.I19, Invariant.I20

OUTBOX_ROW = "ringback.adapters.postgres.acceptance:_outbox_row"
VERIFYING = "ringback.adapters.retell.signature:verify"
RECEIVING = "ringback.adapters.postgres.message_queue:_RECEIVE"
HANDLING_FAILURE = "ringback.consumer:Consumer._handle_failure"

_INITIATION = "flows/test_call_initiation.py::"
_SIGNATURE = "adapters/retell/test_signature.py::"
_REQUESTS = "services/test_internal_api_requests.py::"
_QUEUE = "contracts/test_message_queue.py::"
_CONSUMER = "test_consumer.py::"


@planted(
    OUTBOX_ROW,
    aims=(I1,),
    why="The scheduler publishes a task without a message anyway.",
    tests=(f"{_INITIATION}test_a_due_call_is_committed_with_its_task_and_its_message",),
)
def accepted_without_its_message(right: Right, one: AcceptedCall) -> dict[str, Any] | None:
    row: dict[str, Any] | None = right(one if one.idempotency_key is not None else replace(one, message=None))
    return row


@planted(
    OUTBOX_ROW,
    aims=(I1,),
    why="The response to the request says it already.",
    tests=(
        f"{_INITIATION}test_a_suppressed_person_is_accepted_and_ends_at_once",
        f"{_INITIATION}test_a_country_that_is_not_allowed_ends_at_once",
    ),
)
def refused_at_acceptance_without_a_word(right: Right, one: AcceptedCall) -> dict[str, Any] | None:
    row: dict[str, Any] | None = right(one if one.task is not None else replace(one, closing=None))
    return row


expired_calls_are_forgotten = edited(
    "ringback.flows.scheduled_calls:ScheduledCalls._end_expired",
    old="not awaits_verdict(attempt)",
    new="attempt is not None and not awaits_verdict(attempt)",
    aims=(I1, I10),
    why="A call that was never dialed has nothing to end.",
    tests=("flows/scheduled_calls/test_scheduler.py::test_a_call_whose_message_was_dead_lettered_still_ends",),
)


@planted(
    "ringback.flows.call_initiation:CallInitiation._accept_apart",
    aims=(I8, I1),
    why="One by one they may succeed.",
    tests=(f"{_INITIATION}test_what_may_have_been_committed_is_not_tried_again",),
)
async def a_group_that_may_have_been_committed_is_tried_again(
    right: Right, initiation: CallInitiation, asked: dict[int, AcceptRequest]
) -> dict[int, AcceptResult]:
    answers: dict[int, AcceptResult] = await right(initiation, asked)
    for position, one in asked.items():
        if isinstance(answers[position], StoreUnavailable):
            answers |= await right(initiation, {position: one})
    return answers


@planted(
    "ringback.adapters.postgres.acceptance:_row",
    aims=(I8,),
    why="The key was looked up a moment ago.",
    tests=(f"{_INITIATION}test_twenty_at_once_with_one_key_make_one_call",),
)
def the_key_is_only_looked_up(right: Right, one: AcceptedCall) -> dict[str, Any]:
    row: dict[str, Any] = right(replace(one, idempotency_key=None))
    return row


a_key_answers_any_request = edited(
    "ringback.adapters.postgres.acceptance:read_answers",
    old='record["request_hash"] in (asked[key], *hashes.known_as(asked[key]))',
    new='bool(record["request_hash"])',
    aims=(I8,),
    why="The key names the request.",
    tests=(f"{_INITIATION}test_the_same_key_with_another_request_is_refused",),
)


@planted(
    "ringback.flows.business_operations.runner:BusinessOperations._keep",
    aims=(I8,),
    why="The key was looked up a moment ago, after the locks.",
    tests=("flows/business_operations/test_runner.py::test_one_key_for_two_calls_at_once_is_one_calls",),
)
async def an_actions_key_is_only_looked_up(right: Right, operations: BusinessOperations, *rest: Any) -> None:
    with suppress(Retryable):
        await right(operations, *rest)


accepted_before_it_is_enqueued = edited(
    "ringback.services.webhook_lambda:make_handler",
    old="Intake.QUEUE_DOWN",
    new="Intake.ACCEPTED",
    aims=(I12, I1),
    why="The webhook is signed and well-formed, and the queue will recover.",
    tests=("services/test_webhook_lambda.py::test_while_the_queue_is_down_retell_is_told_to_come_again",),
)

a_refused_entry_is_durable = edited(
    "ringback.batching:send_through",
    old="[position not in refused for position in range(len(messages))]",
    new="[True for _ in messages]",
    aims=(I12,),
    why="The send returned without an error.",
    tests=("services/test_webhook_receiver.py::test_a_queue_that_does_not_take_the_webhook_is_answered_503",),
)

the_receiver_waits_as_long_as_the_queue = edited(
    "ringback.adapters.sqs.sender:make_sender",
    old="sending.result(limit_s)",
    new="sending.result(None)",
    aims=(I12,),
    why="botocore has timeouts of its own.",
    tests=("contracts/test_sqs_sender.py::test_an_answer_that_trickles_does_not_outlast_the_limit",),
)


@planted(
    "ringback.adapters.retell.signature:_digest",
    aims=(I15,),
    why="The signature is over the body.",
    tests=(f"{_SIGNATURE}test_recorded_signatures_are_made_and_accepted",),
)
def the_time_is_not_signed(_: Right, body: bytes, key: str, at_ms: int) -> str:
    return hmac.new(key.encode("utf-8", "surrogatepass"), body, hashlib.sha256).hexdigest()


an_empty_key_verifies = edited(
    VERIFYING,
    old="any(hmac.compare_digest(_digest(body, key, signed_ms), digest) for key in keys if key)",
    new="any(hmac.compare_digest(_digest(body, key, signed_ms), digest) for key in keys)",
    aims=(I15,),
    why="The settings decide which keys there are.",
    tests=(f"{_SIGNATURE}test_an_empty_key_verifies_nothing",),
)

old_webhooks_are_welcome = edited(
    "ringback.adapters.retell.signature:_split",
    old="abs(now_ms - signed_ms) > WINDOW_MS",
    new="signed_ms - now_ms > WINDOW_MS",
    aims=(I15,),
    why="A webhook from the future is the suspicious one.",
    tests=(f"{_SIGNATURE}test_the_window_is_five_minutes_in_both_directions_inclusive",),
)


@planted(
    VERIFYING,
    aims=(I15,),
    why="There is one webhook key.",
    tests=(f"{_SIGNATURE}test_while_keys_rotate_either_verifies",),
)
def only_the_first_key_verifies(
    right: Right, body: bytes, header: str | None, keys: Sequence[str], now_ms: int
) -> bool:
    return bool(right(body, header, keys[:1], now_ms))


@planted(
    "ringback.flows.webhook_intake:read_webhook",
    aims=(I15,),
    why="Forgeries are kept for an investigation.",
    tests=("services/test_webhook_lambda.py::test_a_forged_webhook_is_answered_401_and_nothing_is_written",),
)
def enqueued_and_then_verified(
    right: Right, body: bytes, signature: str | None, now_ms: int, ports: IntakePorts
) -> ToEnqueue | Intake:
    accepting = replace(ports, verify=lambda *asked: ports.verify(*asked) or bool(signature))
    read: ToEnqueue | Intake = right(body, signature, now_ms, accepting)
    return read


the_limit_is_checked_before_the_compression = edited(
    "ringback.messages:encode_webhook",
    old="raw = body.encode()",
    new="""
        raw = body.encode()
        if len(raw) > MAX_MESSAGE_BYTES: return None
    """,
    aims=(I12,),
    why="A body over the limit of a message is not for the queue.",
    tests=("flows/test_webhook_intake.py::test_a_conversation_of_500_kb_travels_whole",),
)

the_limit_is_not_checked_after_the_compression = edited(
    "ringback.messages:encode_webhook",
    old="text if len(text) <= MAX_MESSAGE_BYTES else None",
    new="text",
    aims=(I12,),
    why="The compression ends at the limit.",
    tests=("flows/test_webhook_intake.py::test_the_limit_of_the_queue_is_kept_to_the_byte",),
)

inflated_without_a_limit = edited(
    "ringback.messages:_inflated",
    old="""
        raw = inflater.decompress(base64.b64decode(deflated, validate=True), MAX_BODY_BYTES + 1)
        if len(raw) > MAX_BODY_BYTES: raise Permanent(f"compressed body is longer than {MAX_BODY_BYTES} bytes")
    """,
    new="raw = inflater.decompress(base64.b64decode(deflated, validate=True))",
    aims=(I16,),
    why="A message has at most 256 KiB.",
    tests=("test_messages.py::test_a_few_kilobytes_that_stand_for_much_more_are_not_inflated",),
)

a_body_that_is_cut_short_is_read = edited(
    "ringback.messages:_inflated",
    old="not inflater.eof or inflater.unused_data",
    new="inflater.unused_data",
    aims=(I16,),
    why="zlib reports damage itself.",
    tests=("test_messages.py::test_a_damaged_compressed_body_is_permanent_and_its_reason_has_no_content",),
)

poison_is_never_dead = edited(
    RECEIVING,
    old="dead_at = CASE WHEN receive_count >= $4",
    new="dead_at = CASE WHEN receive_count > $4",
    aims=(I16,),
    why="The limit is how often it may be received.",
    tests=(f"{_QUEUE}test_a_message_received_more_often_than_the_limit_goes_to_the_dead_letters[postgres]",),
)

a_replayed_letter_has_no_tries_left = edited(
    "ringback.adapters.postgres.message_queue:_REPLAY",
    old="receive_count = 0,",
    new="",
    aims=(I16,),
    why="It was received that often.",
    tests=(
        "contracts/test_dead_letters.py"
        "::test_a_letter_that_was_received_too_often_may_be_received_as_often_again[postgres]",
    ),
)

a_permanent_error_is_tried_again = edited(
    HANDLING_FAILURE,
    old="isinstance(error, Permanent)",
    new="isinstance(error, Permanent) and message.receive_count > 1",
    aims=(I16,),
    why="A second try does no harm.",
    tests=(f"{_CONSUMER}test_a_group_that_fails_is_handled_one_by_one",),
)

poison_takes_its_group_with_it = edited(
    "ringback.consumer:Consumer._process",
    old="await self._process([message])",
    new="await self._handle_failure(message, error)",
    aims=(I16,),
    why="They failed together.",
    tests=(f"{_CONSUMER}test_a_group_that_fails_is_handled_one_by_one",),
)


@planted(
    "ringback.consumer:Consumer._handle_with_retry",
    aims=(I20, I1, I16),
    why="No other process receives it during the work.",
    tests=(f"{_CONSUMER}test_an_unforeseen_error_returns_its_message_and_is_logged_without_the_payload",),
)
async def acknowledged_before_it_is_handled(right: Right, consumer: Consumer, group: Sequence[ReceivedMessage]) -> bool:
    await consumer._queue.delete([message.receipt for message in group])
    return bool(await right(consumer, group))


a_stale_receipt_acknowledges = edited(
    "ringback.adapters.postgres.message_queue:_DELETE",
    old="AND message.receipt = done.receipt",
    new="",
    aims=(I20, I16),
    why="The row's id is unique.",
    tests=(f"{_QUEUE}test_a_stale_receipt_deletes_nothing_and_changes_no_visibility[postgres]",),
)


@planted(
    "ringback.web.strict_route:is_deeper_than",
    aims=(I18,),
    why="The parser has a limit of its own.",
    tests=(f"{_REQUESTS}test_a_hostile_body_is_the_callers_mistake",),
)
def deep_json_is_our_fault(right: Right, most: int, value: Any) -> bool:
    return False


@planted(
    "ringback.web.strict_route:is_storable_text",
    aims=(I18,),
    why="JSON allows it.",
    tests=(f"{_REQUESTS}test_a_hostile_body_is_the_callers_mistake",),
)
def a_nul_reaches_the_database(right: Right, text: str) -> bool:
    return bool(right(text.replace("\x00", "")))


# A text patch, because Pydantic reads it while the classes of the requests are made.
an_unknown_field_is_ignored = TextPatch(
    "web/request_models.py",
    old='    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)\n',
    new='    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)\n',
    aims=(I18,),
    why="Be liberal in what you accept.",
    tests=(f"{_REQUESTS}test_one_answer_lists_every_problem",),
)

a_time_beyond_the_calendar_is_our_fault = edited(
    "ringback.domain.instant:read_instant",
    old="FIRST_YEAR <= moment.year <= LAST_YEAR",
    new="FIRST_YEAR <= moment.year",
    aims=(I18,),
    why="Only years before the first one come from programs without a date.",
    tests=(f"{_REQUESTS}test_a_bad_value_is_named_by_pointer_and_code",),
)

a_problem_quotes_the_callers_text = edited(
    "ringback.web.problems:_name",
    old="sum(map(str.isdigit, text)) >= FEWEST_DIGITS_OF_A_PHONE",
    new="text.isdigit() and len(text) >= FEWEST_DIGITS_OF_A_PHONE",
    aims=(I19,),
    why="A phone number is digits.",
    tests=(f"{_REQUESTS}test_a_bad_value_is_named_by_pointer_and_code",),
)


@planted(
    "ringback.log_text:_PHONE",
    aims=(I19,),
    why="A phone number begins with a plus sign.",
    tests=("test_logs.py::test_whatever_is_logged_no_number_and_no_secret_comes_out",),
)
def an_encoded_number_is_logged(right: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile(right.pattern.replace("|%2[Bb]", ""))


the_payload_is_in_the_log = edited(
    HANDLING_FAILURE,
    old='self._log.error("message.failed", error=type(error).__name__, at=location(error), **facts)',
    new='self._log.error("message.failed", error=repr(error), at=location(error), **facts)',
    aims=(I19,),
    why="The name alone does not help.",
    tests=(f"{_CONSUMER}test_an_unforeseen_error_returns_its_message_and_is_logged_without_the_payload",),
)

the_sdk_logs_what_it_sends = edited(
    "ringback.adapters.retell.client:RetellProvider._build",
    old='("retell", "httpx")',
    new='("httpx",)',
    aims=(I19,),
    why="The level is set in one place for all libraries.",
    tests=("adapters/retell/test_client.py::test_no_phone_number_is_logged_at_any_level",),
)

a_dead_processs_work_stays_hidden = edited(
    RECEIVING,
    old="make_interval(secs => $3)",
    new="make_interval(secs => greatest($3, 3600))",
    aims=(I20, I1),
    why="An hour is long enough for any message.",
    tests=(f"{_QUEUE}test_an_unacknowledged_message_returns_after_its_visibility_counted_twice[postgres]",),
)
