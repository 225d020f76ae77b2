"""Bugs of the doors: what comes in over HTTP and out of queues, what is answered, and what must not be said."""

from proof.invariants import Invariant
from proof.planted.bug import TextPatch

I1, I8, I10, I12, I15 = Invariant.I1, Invariant.I8, Invariant.I10, Invariant.I12, Invariant.I15
I16, I18, I19, I20 = Invariant.I16, Invariant.I18, Invariant.I19, Invariant.I20

ACCEPTANCE = "adapters/postgres/acceptance.py"
INITIATION = "flows/call_initiation.py"
SIGNATURE = "adapters/retell/signature.py"
INTAKE = "flows/webhook_intake.py"
QUEUE = "adapters/postgres/message_queue.py"
CONSUMER = "consumer.py"
JSON_BODY = "web/strict_route.py"

_INITIATION = "flows/test_call_initiation.py::"
_SIGNATURE = "adapters/retell/test_signature.py::"
_REQUESTS = "services/test_internal_api_requests.py::"
_QUEUE = "contracts/test_message_queue.py::"
_CONSUMER = "test_consumer.py::"

BUGS = (
    TextPatch(
        name="accepted_without_its_message",
        aims=(I1,),
        file=ACCEPTANCE,
        old="    if one.message is not None:\n        message = one.message\n",
        new="    if one.message is not None and one.idempotency_key is not None:\n        message = one.message\n",
        why="The scheduler publishes what has no message anyway.",
        tests=(f"{_INITIATION}test_a_due_call_is_committed_with_its_task_and_its_message",),
    ),
    TextPatch(
        name="refused_at_acceptance_without_a_word",
        aims=(I1,),
        file=ACCEPTANCE,
        old="    if one.closing is not None:\n        event = one.closing\n",
        new="    if one.closing is not None and one.task is not None:\n        event = one.closing\n",
        why="The answer to the request says it already.",
        tests=(
            f"{_INITIATION}test_a_suppressed_person_is_accepted_and_ends_at_once",
            f"{_INITIATION}test_a_country_that_is_not_allowed_ends_at_once",
        ),
    ),
    TextPatch(
        name="expired_calls_are_forgotten",
        aims=(I1, I10),
        file="flows/scheduled_calls.py",
        old="            if not awaits_verdict(attempt):\n",
        new="            if attempt is not None and not awaits_verdict(attempt):\n",
        why="What was never dialed has nothing to end.",
        tests=("flows/scheduled_calls/test_scheduler.py::test_a_call_whose_message_was_dead_lettered_still_ends",),
    ),
    TextPatch(
        name="a_group_that_may_have_been_committed_is_tried_again",
        aims=(I8, I1),
        file=INITIATION,
        old="        except StoreUnavailable as error:\n"
        "            # The commit may be unclear, so nothing is tried again.\n"
        "            return dict.fromkeys(asked, error)\n",
        new="        except StoreUnavailable:\n            pass\n",
        why="One by one they may get through.",
        tests=(f"{_INITIATION}test_what_may_have_been_committed_is_not_tried_again",),
    ),
    TextPatch(
        name="the_key_is_only_looked_up",
        aims=(I8,),
        file=ACCEPTANCE,
        old='    columns |= {"idempotency_key": one.idempotency_key, "request_hash": None, "response": None}\n',
        new='    columns |= {"idempotency_key": None, "request_hash": None, "response": None}\n',
        why="Whether the key is known was asked a moment ago.",
        tests=(f"{_INITIATION}test_twenty_at_once_with_one_key_make_one_call",),
    ),
    TextPatch(
        name="a_key_answers_any_request",
        aims=(I8,),
        file=ACCEPTANCE,
        old='        is_same = record["request_hash"] in (asked[key], *hashes.known_as(asked[key]))\n',
        new='        is_same = bool(record["request_hash"])\n',
        why="The key names the request.",
        tests=(f"{_INITIATION}test_the_same_key_with_another_request_is_refused",),
    ),
    TextPatch(
        name="an_actions_key_is_only_looked_up",
        aims=(I8,),
        file="flows/business_operations/runner.py",
        old="        if not await tx.store_action(result):\n            raise Retryable("
        '"the idempotency key was taken by another request", 0.1)\n',
        new="        await tx.store_action(result)\n",
        why="Whether the key is known was asked a moment ago, behind the locks.",
        tests=("flows/business_operations/test_runner.py::test_one_key_for_two_calls_at_once_is_one_calls",),
    ),
    TextPatch(
        name="accepted_before_it_is_enqueued",
        aims=(I12, I1),
        file="services/webhook_lambda.py",
        old="            return answer(Intake.QUEUE_DOWN)\n        return answer(Intake.ACCEPTED)\n",
        new="            return answer(Intake.ACCEPTED)\n        return answer(Intake.ACCEPTED)\n",
        why="It is signed and well-formed, and the queue will be back.",
        tests=("services/test_webhook_lambda.py::test_while_the_queue_is_down_retell_is_told_to_come_again",),
    ),
    TextPatch(
        name="a_refused_entry_is_durable",
        aims=(I12,),
        file="batching.py",
        old="        return [position not in refused for position in range(len(messages))]\n",
        new="        return [not refused or len(refused) < len(messages) + 1 for _ in messages]\n",
        why="The send came back without an error.",
        tests=("services/test_webhook_receiver.py::test_a_queue_that_does_not_take_the_webhook_is_answered_503",),
    ),
    TextPatch(
        name="the_receiver_waits_as_long_as_the_queue",
        aims=(I12,),
        file="adapters/sqs/sender.py",
        old="            sending.result(limit_s)\n",
        new="            sending.result(None)\n",
        why="botocore has timeouts of its own.",
        tests=("contracts/test_sqs_sender.py::test_an_answer_that_trickles_does_not_outlast_the_limit",),
    ),
    TextPatch(
        name="the_time_is_not_signed",
        aims=(I15,),
        file=SIGNATURE,
        old="    digest.update(str(at_ms).encode())\n",
        new="",
        why="The signature is over the body.",
        tests=(f"{_SIGNATURE}test_recorded_signatures_are_made_and_accepted",),
    ),
    TextPatch(
        name="an_empty_key_verifies",
        aims=(I15,),
        file=SIGNATURE,
        old=" for key in keys if key)\n",
        new=" for key in keys)\n",
        why="Which keys there are is the settings' business.",
        tests=(f"{_SIGNATURE}test_an_empty_key_verifies_nothing",),
    ),
    TextPatch(
        name="old_webhooks_are_welcome",
        aims=(I15,),
        file=SIGNATURE,
        old="    if abs(now_ms - signed_ms) > WINDOW_MS:\n",
        new="    if signed_ms - now_ms > WINDOW_MS:\n",
        why="A webhook from the future is the suspicious one.",
        tests=(f"{_SIGNATURE}test_the_window_is_five_minutes_in_both_directions_inclusive",),
    ),
    TextPatch(
        name="only_the_first_key_verifies",
        aims=(I15,),
        file=SIGNATURE,
        old=" for key in keys if key)\n",
        new=" for key in keys[:1] if key)\n",
        why="There is one webhook key.",
        tests=(f"{_SIGNATURE}test_while_keys_rotate_either_verifies",),
    ),
    TextPatch(
        name="enqueued_and_then_verified",
        aims=(I15,),
        file=INTAKE,
        old="    if not ports.verify(body, signature, now_ms):\n",
        new="    if not (ports.verify(body, signature, now_ms) or signature):\n",
        why="Forgeries are kept for those who look into them.",
        tests=("services/test_webhook_lambda.py::test_a_forged_webhook_is_answered_401_and_nothing_is_written",),
    ),
    TextPatch(
        name="poison_is_never_dead",
        aims=(I16,),
        file=QUEUE,
        old="        dead_at = CASE WHEN receive_count >= $4 THEN clock_timestamp() END,\n",
        new="        dead_at = CASE WHEN receive_count > $4 THEN clock_timestamp() END,\n",
        why="The limit is how often it may be received.",
        tests=(f"{_QUEUE}test_a_message_received_more_often_than_the_limit_goes_to_the_dead_letters[postgres]",),
    ),
    TextPatch(
        name="a_replayed_letter_has_no_tries_left",
        aims=(I16,),
        file=QUEUE,
        old="receipt = NULL, receive_count = 0, visible_at",
        new="receipt = NULL, visible_at",
        why="It was received that often.",
        tests=(
            "contracts/test_dead_letters.py"
            "::test_a_letter_that_was_received_too_often_may_be_received_as_often_again[postgres]",
        ),
    ),
    TextPatch(
        name="a_permanent_error_is_tried_again",
        aims=(I16,),
        file=CONSUMER,
        old="        if isinstance(error, Permanent):\n",
        new="        if isinstance(error, Permanent) and message.receive_count > 1:\n",
        why="A second try never hurt anyone.",
        tests=(f"{_CONSUMER}test_a_group_that_fails_is_handled_one_by_one",),
    ),
    TextPatch(
        name="poison_takes_its_group_with_it",
        aims=(I16,),
        file=CONSUMER,
        old="            if len(group) > 1:\n                for message in group:\n"
        "                    await self._process([message])\n",
        new="            if len(group) > 1:\n                for message in group:\n"
        "                    await self._handle_failure(message, error)\n",
        why="They failed together.",
        tests=(f"{_CONSUMER}test_a_group_that_fails_is_handled_one_by_one",),
    ),
    TextPatch(
        name="acknowledged_before_it_is_handled",
        aims=(I20, I1, I16),
        file=CONSUMER,
        old="            try:\n                await self._handle(group)\n",
        new="            try:\n                await self._queue.delete([message.receipt for message in group])\n"
        "                await self._handle(group)\n",
        why="So that nobody else gets it while it is worked on.",
        tests=(f"{_CONSUMER}test_an_unforeseen_error_returns_its_message_and_is_logged_without_the_payload",),
    ),
    TextPatch(
        name="a_stale_receipt_acknowledges",
        aims=(I20, I16),
        file=QUEUE,
        old="    WHERE message.id = done.id AND message.receipt = done.receipt AND message.dead_at IS NULL\n",
        new="    WHERE message.id = done.id AND message.dead_at IS NULL\n",
        why="The row's id is unique.",
        tests=(f"{_QUEUE}test_a_stale_receipt_deletes_nothing_and_changes_no_visibility[postgres]",),
    ),
    TextPatch(
        name="deep_json_is_our_fault",
        aims=(I18,),
        file=JSON_BODY,
        old="    raise _too_deep()\n\n\ndef _check_text",
        new="    return\n\n\ndef _check_text",
        why="The parser has a limit of its own.",
        tests=(f"{_REQUESTS}test_a_hostile_body_is_the_callers_mistake",),
    ),
    TextPatch(
        name="a_nul_reaches_the_database",
        aims=(I18,),
        file=JSON_BODY,
        old='    if "\\x00" in text or any(',
        new="    if any(",
        why="JSON allows it.",
        tests=(f"{_REQUESTS}test_a_hostile_body_is_the_callers_mistake",),
    ),
    TextPatch(
        name="an_unknown_field_is_ignored",
        aims=(I18,),
        file="web/request_models.py",
        old='    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)\n',
        new='    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)\n',
        why="Be liberal in what you accept.",
        tests=(f"{_REQUESTS}test_one_answer_lists_every_problem",),
    ),
    TextPatch(
        name="a_time_beyond_the_calendar_is_our_fault",
        aims=(I18,),
        file="domain/instant.py",
        old="    if not FIRST_YEAR <= moment.year <= LAST_YEAR:\n",
        new="    if moment.year < FIRST_YEAR:\n",
        why="Only the years of programs that have no date are wrong.",
        tests=(f"{_REQUESTS}test_a_bad_value_is_named_by_pointer_and_code",),
    ),
    TextPatch(
        name="a_problem_quotes_the_callers_text",
        aims=(I19,),
        file="web/problems.py",
        old="    if sum(map(str.isdigit, text)) >= FEWEST_DIGITS_OF_A_PHONE:\n",
        new="    if text.isdigit() and len(text) >= FEWEST_DIGITS_OF_A_PHONE:\n",
        why="A phone number is digits.",
        tests=(f"{_REQUESTS}test_a_bad_value_is_named_by_pointer_and_code",),
    ),
    TextPatch(
        name="an_encoded_number_is_logged",
        aims=(I19,),
        file="telemetry.py",
        old='_PHONE = re.compile(r"(?:\\+|%2[Bb])[1-9]',
        new='_PHONE = re.compile(r"\\+[1-9]',
        why="A phone number begins with a plus sign.",
        tests=("test_logs.py::test_whatever_is_logged_no_number_and_no_secret_comes_out",),
    ),
    TextPatch(
        name="the_payload_is_in_the_log",
        aims=(I19,),
        file=CONSUMER,
        old='            self._log.error("message.failed", error=type(error).__name__,',
        new='            self._log.error("message.failed", error=repr(error),',
        why="The name alone helps nobody.",
        tests=(f"{_CONSUMER}test_an_unforeseen_error_returns_its_message_and_is_logged_without_the_payload",),
    ),
    TextPatch(
        name="the_sdk_logs_what_it_sends",
        aims=(I19,),
        file="adapters/retell/client.py",
        old='        for name in ("retell", "httpx"):\n',
        new='        for name in ("httpx",):\n',
        why="The level is set in one place for all libraries.",
        tests=("adapters/retell/test_client.py::test_no_phone_number_is_logged_at_any_level",),
    ),
    TextPatch(
        name="a_dead_processs_work_stays_hidden",
        aims=(I20, I1),
        file=QUEUE,
        old="        visible_at = clock_timestamp() + make_interval(secs => $3),\n        receive_count",
        new="        visible_at = clock_timestamp() + make_interval(secs => greatest($3, 3600)),\n"
        "        receive_count",
        why="An hour is long enough for any message.",
        tests=(f"{_QUEUE}test_an_unacknowledged_message_returns_after_its_visibility_counted_twice[postgres]",),
    ),
)
