"""Bugs of sending: the time at which a request may leave, its bytes, and the meaning of its response."""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import aiohttp
import httpx

from proof.planted.bug import Right, planted
from ringback.adapters.retell.client import RetellProvider
from ringback.domain.attempt import Attempt, AttemptState, DialAnswer, DialAnswerKind, DialRequest
from ringback.domain.call import Call
from ringback.flows.call_processing import SEND_WITHIN_S, CallProcessing, Claim
from ringback.messages import CallRequested
from ringback.storage import UnitOfWork

CLAIMING = "ringback.flows.call_processing:CallProcessing._claim"
DIALING = "ringback.adapters.retell.client:RetellProvider.dial"
RECORDING = "ringback.flows.dial_results:record_answer"
KINDS = "ringback.adapters.retell.dial_answer:_KINDS"
BEFORE_THE_FIRST_BYTE = "ringback.adapters.retell.dial_answer:_BEFORE_THE_FIRST_BYTE"

Kinds = Mapping[int, DialAnswerKind]
Errors = tuple[type[Exception], ...]

_FLOWS = "flows/"
_EVERY_ANSWER = "adapters/retell/test_client.py::test_every_answer_has_its_meaning_and_is_asked_for_once"
_NO_PROOF = "adapters/retell/test_dial_answer.py::test_only_an_unmade_connection_proves_that_nothing_was_sent"
_SAME_BYTES = (
    f"{_FLOWS}reconciliation/test_same_key_resend.py::test_after_the_third_clean_lookup_the_same_bytes_go_out_once_more"
)


@planted(DIALING, "I2 I9", "adapters/retell/test_client.py::test_after_the_lease_nothing_is_sent")
async def lease_not_checked_before_the_send(
    right: Right, provider: RetellProvider, request: DialRequest, lease_deadline: float
) -> DialAnswer:
    """The lease was just taken, so a second check seems superfluous."""
    return await right(provider, request, float("inf"))


@planted(
    CLAIMING,
    "I2 I9",
    "flows/call_processing/test_write_ahead.py::test_a_worker_that_was_stopped_within_its_claims_commit_does_not_send",
)
async def lease_counted_from_the_end_of_the_commit(
    right: Right, processing: CallProcessing, message: CallRequested
) -> Claim | None:
    """The time for sending seems to begin with the sending."""
    claim: Claim | None = await right(processing, message)
    return claim and replace(claim, lease_deadline=processing.clock.monotonic() + SEND_WITHIN_S)


@planted(KINDS, "I5 I6", _EVERY_ANSWER)
def a_500_is_a_refusal(right: Kinds) -> Kinds:
    """An error of the provider reads like a call that was not placed."""
    return {**right, HTTPStatus.INTERNAL_SERVER_ERROR: DialAnswerKind.REJECTED}


@planted(
    KINDS,
    "I2 I5",
    "adapters/retell/test_dial_answer.py::test_a_status_that_does_not_say_that_nothing_was_taken_is_ambiguous",
)
def a_503_is_tried_again(right: Kinds) -> Kinds:
    """Service Unavailable is what every HTTP client tries again."""
    return {**right, HTTPStatus.SERVICE_UNAVAILABLE: DialAnswerKind.DEFERRED}


@planted(KINDS, "I5 I6", _EVERY_ANSWER)
def a_conflict_is_a_refusal(right: Kinds) -> Kinds:
    """All 4xx are the caller's mistake, and a 409 is one of them."""
    return {**right, HTTPStatus.CONFLICT: DialAnswerKind.REJECTED}


@planted(BEFORE_THE_FIRST_BYTE, "I2", _NO_PROOF, _EVERY_ANSWER)
def connect_timeout_is_believed_by_its_name(right: Errors) -> Errors:
    """A connect timeout seems to mean that there was no connection."""
    return (*right, httpx.ConnectTimeout)


@planted(BEFORE_THE_FIRST_BYTE, "I2", _NO_PROOF)
def a_reset_was_never_sent(right: Errors) -> Errors:
    """The base class looks like the more general name of the same thing."""
    return (*right, aiohttp.ClientOSError)


@planted("ringback.adapters.retell.dial_answer:answer_from_success", "I2 I5", _EVERY_ANSWER)
def a_2xx_without_an_id_is_tried_again(right: Right, *rest: Any) -> DialAnswer:
    """Without a call id there seems to be no call."""
    answer: DialAnswer = right(*rest)
    return replace(answer, kind=DialAnswerKind.DEFERRED) if answer.cause.endswith("_without_call_id") else answer


@planted(
    "ringback.adapters.retell.dial_answer:answer_from_error",
    "I2 I5",
    "adapters/retell/test_client.py::test_the_whole_call_has_one_bound_and_beyond_it_nothing_is_known",
    "adapters/retell/test_dial_answer.py::test_without_that_proof_everything_is_ambiguous",
)
def a_timeout_was_never_sent(right: Right, error: BaseException) -> DialAnswer:
    """A server that did not respond in time was often not reached."""
    answer: DialAnswer = right(error)
    return replace(answer, kind=DialAnswerKind.NOT_SENT) if answer.cause == "timeout" else answer


@planted(RECORDING, "I2 I5 I6", "flows/dial_results/test_answers.py::test_ambiguous_is_unknown_and_says_nothing_yet")
async def ambiguous_becomes_waiting(
    right: Right, tx: UnitOfWork, call: Call, attempt: Attempt, answer: DialAnswer, *rest: Any
) -> None:
    """A failure is tried again, as everywhere else."""
    if answer.kind is DialAnswerKind.AMBIGUOUS:
        answer = replace(answer, kind=DialAnswerKind.DEFERRED)
    await right(tx, call, attempt, answer, *rest)


@planted(CLAIMING, "I5 I2", _SAME_BYTES)
async def a_resend_has_a_key_of_its_own(right: Right, *rest: Any) -> Claim | None:
    """Idempotency keys are usually one for each request."""
    claim: Claim | None = await right(*rest)
    if claim is None:
        return None
    return replace(claim, request=replace(claim.request, idempotency_key=f"{claim.attempt_id}:{claim.fence}"))


@planted(
    "ringback.flows.call_processing:_own_attempt",
    "I5 I2",
    f"{_FLOWS}dial_results/test_answers.py::test_a_waiting_attempt_is_claimed_again_as_itself",
)
def a_waiting_attempt_is_another_attempt(right: Right, *rest: Any) -> Attempt | None:
    """A new try is a new attempt."""
    own: Attempt | None = right(*rest)
    return None if own is not None and own.state is AttemptState.WAITING else own


@planted(
    "ringback.flows.call_processing:CallProcessing._send_within_s",
    "I5 I2",
    f"{_FLOWS}reconciliation/test_same_key_resend.py::test_a_resend_claimed_at_the_windows_end_is_not_sent_behind_it",
)
def resend_sent_behind_the_window(_: Right, processing: CallProcessing, case: object) -> float:
    """A lease is a lease."""
    return SEND_WITHIN_S
