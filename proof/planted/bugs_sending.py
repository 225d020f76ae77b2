"""Bugs of sending: the time at which a request may leave, its bytes, and the meaning of its response."""

from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import aiohttp
import httpx

from proof.invariants import Invariant
from proof.planted.bug import Right, edited, planted
from ringback.adapters.retell.client import RetellProvider
from ringback.domain.attempt import Attempt, AttemptState, DialAnswer, DialAnswerKind, DialRequest
from ringback.domain.call import Call, Task
from ringback.flows.call_processing import SEND_WITHIN_S, CallProcessing, Claim
from ringback.messages import CallRequested
from ringback.storage import UnitOfWork

I2, I4, I5, I6, I9 = Invariant.I2, Invariant.I4, Invariant.I5, Invariant.I6, Invariant.I9

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

sent_before_the_commit = edited(
    CLAIMING,
    old="attempt = await self._write_ahead(tx, case, instance)",
    new="""
        attempt = await self._write_ahead(tx, case, instance)
        answer = await self.provider.dial(DialRequest(**attempt.request), monotonic + self._send_within_s(case))
        await record_answer(tx, case.call, attempt, answer, self.rules, now)
        return None
    """,
    aims=(I4, I2),
    why="Claim and answer in one transaction save a commit for each call.",
    tests=(
        f"{_FLOWS}call_processing/test_write_ahead.py::test_the_attempt_is_committed_before_the_first_byte_of_its_request",
    ),
)

an_unclear_commit_is_sent = edited(
    CLAIMING,
    old="attempt = await self._write_ahead(tx, case, instance)",
    new="""
        attempt = await self._write_ahead(tx, case, instance)
        await self.provider.dial(DialRequest(**attempt.request), monotonic + SEND_WITHIN_S)
        return None
    """,
    aims=(I4,),
    why="The statement has returned, so the lease seems to be written without the commit.",
    tests=("flows/call_processing/test_write_ahead.py::test_a_claim_whose_commit_is_unclear_is_never_sent",),
)

a_second_claim_is_not_written = edited(
    "ringback.flows.call_processing:CallProcessing._write_ahead",
    old="await (tx.insert(attempt) if case.own is None else tx.save(attempt))",
    new="""
        if case.own is None:
            await tx.insert(attempt)
    """,
    aims=(I4,),
    why="The row of a waiting attempt exists already.",
    tests=(
        "flows/call_processing/test_write_ahead.py"
        "::test_a_waiting_attempt_is_dialing_for_everybody_before_it_is_sent_again",
    ),
)


@planted(
    DIALING,
    aims=(I2, I9),
    why="The lease was just taken, so a second check seems superfluous.",
    tests=("adapters/retell/test_client.py::test_after_the_lease_nothing_is_sent",),
)
async def lease_not_checked_before_the_send(
    right: Right, provider: RetellProvider, request: DialRequest, lease_deadline: float
) -> DialAnswer:
    return await right(provider, request, float("inf"))


@planted(
    CLAIMING,
    aims=(I2, I9),
    why="The time for sending seems to begin with the sending.",
    tests=(
        "flows/call_processing/test_write_ahead.py"
        "::test_a_worker_that_was_stopped_within_its_claims_commit_does_not_send",
    ),
)
async def lease_counted_from_the_end_of_the_commit(
    right: Right, processing: CallProcessing, message: CallRequested
) -> Claim | None:
    claim: Claim | None = await right(processing, message)
    return claim and replace(claim, lease_deadline=processing.clock.monotonic() + SEND_WITHIN_S)


sdk_retries_by_itself = edited(
    DIALING,
    old='{"max_retries": 0}',
    new='{"max_retries": 2}',
    aims=(I2, I5),
    why="Two retries are the SDK's own default.",
    tests=(_EVERY_ANSWER,),
)

redirects_are_followed = edited(
    "ringback.adapters.retell.client:RetellProvider._build",
    old="DefaultAioHttpClient(timeout=timeout, transport=transport, follow_redirects=False)",
    new="DefaultAioHttpClient(timeout=timeout, transport=transport, follow_redirects=True)",
    aims=(I2,),
    why="Following redirects is the SDK's own default.",
    tests=(_EVERY_ANSWER,),
)


@planted(
    KINDS,
    aims=(I5, I6),
    why="An error of the provider reads like a call that was not placed.",
    tests=(_EVERY_ANSWER,),
)
def a_500_is_a_refusal(right: Kinds) -> Kinds:
    return {**right, HTTPStatus.INTERNAL_SERVER_ERROR: DialAnswerKind.REJECTED}


@planted(
    KINDS,
    aims=(I2, I5),
    why="Service Unavailable is what every HTTP client tries again.",
    tests=("adapters/retell/test_dial_answer.py::test_a_status_that_does_not_say_that_nothing_was_taken_is_ambiguous",),
)
def a_503_is_tried_again(right: Kinds) -> Kinds:
    return {**right, HTTPStatus.SERVICE_UNAVAILABLE: DialAnswerKind.DEFERRED}


@planted(
    KINDS,
    aims=(I5, I6),
    why="All 4xx are the caller's mistake, and a 409 is one of them.",
    tests=(_EVERY_ANSWER,),
)
def a_conflict_is_a_refusal(right: Kinds) -> Kinds:
    return {**right, HTTPStatus.CONFLICT: DialAnswerKind.REJECTED}


@planted(
    BEFORE_THE_FIRST_BYTE,
    aims=(I2,),
    why="A connect timeout seems to mean that there was no connection.",
    tests=(_NO_PROOF, _EVERY_ANSWER),
)
def connect_timeout_is_believed_by_its_name(right: Errors) -> Errors:
    return (*right, httpx.ConnectTimeout)


@planted(
    BEFORE_THE_FIRST_BYTE,
    aims=(I2,),
    why="The base class looks like the more general name of the same thing.",
    tests=(_NO_PROOF,),
)
def a_reset_was_never_sent(right: Errors) -> Errors:
    return (*right, aiohttp.ClientOSError)


@planted(
    "ringback.adapters.retell.dial_answer:answer_from_success",
    aims=(I2, I5),
    why="Without a call id there seems to be no call.",
    tests=(_EVERY_ANSWER,),
)
def a_2xx_without_an_id_is_tried_again(right: Right, status: int, body: bytes, attempt_id: object) -> DialAnswer:
    answer: DialAnswer = right(status, body, attempt_id)
    return replace(answer, kind=DialAnswerKind.DEFERRED) if answer.cause.endswith("_without_call_id") else answer


@planted(
    "ringback.adapters.retell.dial_answer:answer_from_error",
    aims=(I2, I5),
    why="A server that did not respond in time was often not reached.",
    tests=(
        "adapters/retell/test_client.py::test_the_whole_call_has_one_bound_and_beyond_it_nothing_is_known",
        "adapters/retell/test_dial_answer.py::test_without_that_proof_everything_is_ambiguous",
    ),
)
def a_timeout_was_never_sent(right: Right, error: BaseException) -> DialAnswer:
    answer: DialAnswer = right(error)
    return replace(answer, kind=DialAnswerKind.NOT_SENT) if answer.cause == "timeout" else answer


@planted(
    RECORDING,
    aims=(I2, I5, I6),
    why="A failure is tried again, as everywhere else.",
    tests=("flows/dial_results/test_answers.py::test_ambiguous_is_unknown_and_says_nothing_yet",),
)
async def ambiguous_becomes_waiting(
    right: Right, tx: UnitOfWork, call: Call, attempt: Attempt, answer: DialAnswer, *rest: Any
) -> None:
    if answer.kind is DialAnswerKind.AMBIGUOUS:
        answer = replace(answer, kind=DialAnswerKind.DEFERRED)
    await right(tx, call, attempt, answer, *rest)


the_answer_to_a_resend_is_believed = edited(
    RECORDING,
    old="answer.kind is DialAnswerKind.AMBIGUOUS or attempt.resent",
    new="answer.kind is DialAnswerKind.AMBIGUOUS",
    aims=(I2, I5),
    why="A refusal is a refusal.",
    tests=(
        f"{_FLOWS}reconciliation/test_same_key_resend.py::test_no_answer_to_a_resend_says_that_the_first_request_did_not_ring",
    ),
)


@planted(
    CLAIMING,
    aims=(I5, I2),
    why="Idempotency keys are usually one for each request.",
    tests=(_SAME_BYTES,),
)
async def a_resend_has_a_key_of_its_own(
    right: Right, processing: CallProcessing, message: CallRequested
) -> Claim | None:
    claim: Claim | None = await right(processing, message)
    if claim is None:
        return None
    return replace(claim, request=replace(claim.request, idempotency_key=f"{claim.attempt_id}:{claim.fence}"))


a_waiting_attempt_is_written_anew = edited(
    CLAIMING,
    old="DialRequest(**attempt.request)",
    new='DialRequest(**{**attempt.request, "agent_id": case.call.agent_id})',
    aims=(I5,),
    why="The newest version of the agent should take the call.",
    tests=(
        f"{_FLOWS}call_processing/test_write_ahead.py::test_a_change_of_the_call_does_not_reach_a_request_that_is_frozen",
    ),
)


@planted(
    "ringback.flows.call_processing:_own_attempt",
    aims=(I5, I2),
    why="A new try is a new attempt.",
    tests=(f"{_FLOWS}dial_results/test_answers.py::test_a_waiting_attempt_is_claimed_again_as_itself",),
)
def a_waiting_attempt_is_another_attempt(right: Right, latest: Attempt | None, task: Task) -> Attempt | None:
    own: Attempt | None = right(latest, task)
    return None if own is not None and own.state is AttemptState.WAITING else own


resend_beyond_the_window = edited(
    "ringback.flows.call_processing:CallProcessing._decide",
    old="case.is_resend and self._same_key_left_s(case) <= 0",
    new="case.is_resend and self.rules.deadlines.same_key_window_s == 0",
    aims=(I5, I2),
    why="The window was checked when the resend was planned.",
    tests=(
        f"{_FLOWS}reconciliation/test_same_key_resend.py"
        "::test_a_resend_that_waited_beyond_the_window_is_not_made_and_the_call_goes_on",
    ),
)


@planted(
    "ringback.flows.call_processing:CallProcessing._send_within_s",
    aims=(I5, I2),
    why="A lease is a lease.",
    tests=(
        f"{_FLOWS}reconciliation/test_same_key_resend.py::test_a_resend_claimed_at_the_windows_end_is_not_sent_behind_it",
    ),
)
def resend_sent_behind_the_window(_: Right, processing: CallProcessing, case: object) -> float:
    return SEND_WITHIN_S


a_second_resend = edited(
    "ringback.flows.reconciliation:Reconciliation._ask_for_resend",
    old="attempt.resent or has_task or now >= window_ends or call.no_more_retries is not None",
    new="has_task or now >= window_ends or call.no_more_retries is not None",
    aims=(I5, I2),
    why="The key still works, so another try costs nothing.",
    tests=(f"{_FLOWS}reconciliation/test_same_key_resend.py::test_no_second_resend_whatever_the_first_was_told",),
)

an_old_answer_decides_the_resend = edited(
    "ringback.flows.call_processing:CallProcessing._record",
    old="attempt.state is AttemptState.DIALING and attempt.fence == claim.fence",
    new="attempt.state is AttemptState.DIALING",
    aims=(I2, I5),
    why="The attempt is dialing, and this is the result of its dial.",
    tests=(
        f"{_FLOWS}reconciliation/test_same_key_resend.py::test_an_answer_to_the_first_request_says_nothing_about_the_resend_that_is_out",
    ),
)
