"""Bugs of the events to Engage: which ones, their order, each once, and the same in every order of Retell's reports."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from standardwebhooks import Webhook

from proof.planted.bug import Right, planted
from ringback.domain.attempt import Attempt
from ringback.domain.call import Call, TaskKind
from ringback.domain.outcome import OutcomeInputs, Verdict, verdict_digest
from ringback.flows.outbox_delivery import RetryPace
from ringback.storage import UnitOfWork

OUTCOME = "ringback.domain.outcome"
EVENTS = "ringback.flows.abt_events"
CHANNELS = "ringback.flows.outbox_delivery"
ENGAGE = "ringback.adapters.engage_http"

_ORDERS = "flows/event_processing/test_every_order.py::"
_ANY_ORDER = f"{_ORDERS}test_every_order_and_repetition_gives_the_same_rows_and_events"
_RULES = "flows/call_outcome/test_retry_rules.py::"
_MESSAGES = "flows/outbox_delivery/test_call_messages.py::"


@planted("ringback.domain.abt_event:event_id", "I14 I11", f"{_ANY_ORDER}[no_answer]")
def event_ids_are_random(_: Right, *fact: object) -> str:
    """An event's id is a UUID."""
    return str(uuid.uuid4())


@planted("ringback.domain.provider_report:_known_rank", "I11", f"{_ANY_ORDER}[the_analysis_knows_better]")
def the_last_word_wins(_: Right, attempt: Attempt) -> int:
    """The newest report knows best."""
    return 0


@planted(
    f"{EVENTS}:emit_initiated",
    "I14",
    "flows/event_processing/test_late_evidence.py::test_evidence_of_an_abandoned_call_advances_it_and_its_end_corrects",
)
async def given_up_and_bound_without_initiated(
    right: Right, tx: UnitOfWork, call: Call, attempt: Attempt, now: datetime
) -> None:
    """After the event of the end, one of the beginning seems superfluous."""
    if attempt.verdict_type is None:
        await right(tx, call, attempt, now)


@planted(
    f"{OUTCOME}:_is_last_word",
    "I14",
    "flows/call_outcome/test_retries.py::test_the_last_delay_repeats_until_the_budget_is_used_and_one_event_is_final",
)
def every_verdict_is_final(
    right: Right, attempt: Attempt, call: Call, is_followed: bool, inputs: OutcomeInputs
) -> bool:
    """A verdict ends its attempt."""
    is_followed = inputs.task is not None and inputs.task.kind is TaskKind.CALLBACK
    return right(attempt, call, is_followed, inputs)


@planted(
    "ringback.flows.call_outcome:digests_like",
    "I14",
    f"{_RULES}test_a_voicemail_with_and_one_without_a_message_are_one_outcome",
)
def a_voicemail_without_a_message_is_another_outcome(right: Right, verdict: Verdict) -> list[str]:
    """The event of a left message has another name."""
    return [verdict_digest(verdict)]


@planted(f"{CHANNELS}:QUEUE_RETRY", "I1", f"{_MESSAGES}test_a_call_message_never_dies_while_the_queue_is_unavailable")
def a_call_message_can_die(right: RetryPace) -> RetryPace:
    """A queue recovers within four hours."""
    return replace(right, tries=480)


@planted(
    f"{ENGAGE}:_signed", "I14", "adapters/test_engage_http.py::test_the_same_row_sends_the_same_bytes_and_id_every_time"
)
def engage_is_told_under_a_new_id(right: Right, webhook: Webhook, message_id: str, *rest: Any) -> Mapping[str, str]:
    """Every delivery is a message of its own."""
    return {**right(webhook, message_id, *rest), "webhook-id": f"{message_id}-{uuid.uuid4()}"}
