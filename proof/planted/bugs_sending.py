"""Bugs of the sending: when a request may leave, with which bytes, and what its answer is taken for."""

from proof.invariants import Invariant
from proof.planted.bug import PlantedBug

I1, I2, I4, I5, I6, I9 = Invariant.I1, Invariant.I2, Invariant.I4, Invariant.I5, Invariant.I6, Invariant.I9

PROCESSING = "flows/call_processing.py"
ANSWERS = "flows/dial_results.py"
CLIENT = "adapters/retell/client.py"
DIAL_ANSWER = "adapters/retell/dial_answer.py"

_DIALING = "flows/dialing/"
_EVERY_ANSWER = "adapters/retell/test_client.py::test_every_answer_has_its_meaning_and_is_asked_for_once"
_NO_PROOF = "adapters/retell/test_dial_answer.py::test_only_an_unmade_connection_proves_that_nothing_was_sent"
_SAME_BYTES = f"{_DIALING}test_same_key_resend.py::test_after_the_third_clean_lookup_the_same_bytes_go_out_once_more"

BUGS = (
    PlantedBug(
        name="sent_before_the_commit",
        aims=(I4, I2),
        file=PROCESSING,
        old="            attempt = await self._write_ahead(tx, case, instance)\n",
        new="            attempt = await self._write_ahead(tx, case, instance)\n"
        "            request = DialRequest(**attempt.request)\n"
        "            answer = await self.provider.dial(request, monotonic + self._send_within_s(case))\n"
        "            await record_answer(tx, case.call, attempt, answer, self.rules.deadlines, now)\n"
        "            return None\n",
        why="Claim and answer in one transaction save a commit for each call.",
        tests=(f"{_DIALING}test_write_ahead.py::test_the_attempt_is_committed_before_the_first_byte_of_its_request",),
    ),
    PlantedBug(
        name="an_unclear_commit_is_sent",
        aims=(I4,),
        file=PROCESSING,
        old="            reach(Failpoint.CLAIM_WRITTEN)\n        reach(Failpoint.CLAIM_COMMITTED)\n",
        new="            reach(Failpoint.CLAIM_WRITTEN)\n"
        "            await self.provider.dial(DialRequest(**attempt.request), monotonic + SEND_WITHIN_S)\n"
        "        return None\n",
        why="The lease has long been written when the statement returned, so why wait for the commit.",
        tests=(f"{_DIALING}test_write_ahead.py::test_a_claim_whose_commit_is_unclear_is_never_sent",),
    ),
    PlantedBug(
        name="a_second_claim_is_not_written",
        aims=(I4,),
        file=PROCESSING,
        old="        await (tx.insert(attempt) if case.own is None else tx.save(attempt))\n",
        new="        if case.own is None:\n            await tx.insert(attempt)\n",
        why="The row of a waiting attempt is there already.",
        tests=(
            f"{_DIALING}test_write_ahead.py::test_a_waiting_attempt_is_dialing_for_everybody_before_it_is_sent_again",
        ),
    ),
    PlantedBug(
        name="lease_not_checked_before_the_send",
        aims=(I2, I9),
        file=CLIENT,
        old="if self._clock.monotonic() >= lease_deadline:",
        new="if lease_deadline <= 0:",
        why="The lease was just taken; to look at it again seems superfluous.",
        tests=("adapters/retell/test_client.py::test_after_the_lease_nothing_is_sent",),
    ),
    PlantedBug(
        name="lease_counted_from_the_end_of_the_commit",
        aims=(I2, I9),
        file=PROCESSING,
        old="            monotonic + self._send_within_s(case),\n",
        new="            self.clock.monotonic() + self._send_within_s(case),\n",
        why="The time for sending begins when sending begins.",
        tests=(
            f"{_DIALING}test_write_ahead.py::test_a_worker_that_was_stopped_within_its_claims_commit_does_not_send",
        ),
    ),
    PlantedBug(
        name="sdk_retries_by_itself",
        aims=(I2, I5),
        file=CLIENT,
        old="create_phone_call(**body, max_retries=0)",
        new="create_phone_call(**body, max_retries=2)",
        why="Two retries are the SDK's own default.",
        tests=(_EVERY_ANSWER,),
    ),
    PlantedBug(
        name="redirects_are_followed",
        aims=(I2,),
        file=CLIENT,
        old="follow_redirects=False",
        new="follow_redirects=True",
        why="Following redirects is the SDK's own default.",
        tests=(_EVERY_ANSWER,),
    ),
    PlantedBug(
        name="a_500_is_a_refusal",
        aims=(I5, I6),
        file=DIAL_ANSWER,
        old="    HTTPStatus.UNPROCESSABLE_ENTITY: DialAnswerKind.REJECTED,\n",
        new="    HTTPStatus.UNPROCESSABLE_ENTITY: DialAnswerKind.REJECTED,\n"
        "    HTTPStatus.INTERNAL_SERVER_ERROR: DialAnswerKind.REJECTED,\n",
        why="An error of the provider's reads like a call that was not placed.",
        tests=(_EVERY_ANSWER,),
    ),
    PlantedBug(
        name="a_503_is_tried_again",
        aims=(I2, I5),
        file=DIAL_ANSWER,
        old="    HTTPStatus.TOO_MANY_REQUESTS: DialAnswerKind.DEFERRED,\n",
        new="    HTTPStatus.TOO_MANY_REQUESTS: DialAnswerKind.DEFERRED,\n"
        "    HTTPStatus.SERVICE_UNAVAILABLE: DialAnswerKind.DEFERRED,\n",
        why="Service Unavailable is what every HTTP client tries again.",
        tests=(
            "adapters/retell/test_dial_answer.py::test_a_status_that_does_not_say_that_nothing_was_taken_is_ambiguous",
        ),
    ),
    PlantedBug(
        name="a_conflict_is_a_refusal",
        aims=(I5, I6),
        file=DIAL_ANSWER,
        old="    HTTPStatus.BAD_REQUEST: DialAnswerKind.REJECTED,\n",
        new="    HTTPStatus.BAD_REQUEST: DialAnswerKind.REJECTED,\n    HTTPStatus.CONFLICT: DialAnswerKind.REJECTED,\n",
        why="All 4xx are the caller's mistake, and a 409 is one of them.",
        tests=(_EVERY_ANSWER,),
    ),
    PlantedBug(
        name="connect_timeout_is_believed_by_its_name",
        aims=(I2,),
        file=DIAL_ANSWER,
        old="_BEFORE_THE_FIRST_BYTE = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)",
        new="import httpx\n\n"
        "_BEFORE_THE_FIRST_BYTE = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout)",
        why="A connect timeout says that there was no connection.",
        tests=(_NO_PROOF, _EVERY_ANSWER),
    ),
    PlantedBug(
        name="a_reset_was_never_sent",
        aims=(I2,),
        file=DIAL_ANSWER,
        old="_BEFORE_THE_FIRST_BYTE = (aiohttp.ClientConnectorError,",
        new="_BEFORE_THE_FIRST_BYTE = (aiohttp.ClientOSError,",
        why="The base class looks like the more general name of the same thing.",
        tests=(_NO_PROOF,),
    ),
    PlantedBug(
        name="a_2xx_without_an_id_is_tried_again",
        aims=(I2, I5),
        file=DIAL_ANSWER,
        old='return DialAnswer(DialAnswerKind.AMBIGUOUS, f"http_{status}_without_call_id")',
        new='return DialAnswer(DialAnswerKind.DEFERRED, f"http_{status}_without_call_id")',
        why="Without a call id there seems to be no call.",
        tests=(_EVERY_ANSWER,),
    ),
    PlantedBug(
        name="a_timeout_was_never_sent",
        aims=(I2, I5),
        file=DIAL_ANSWER,
        old='return DialAnswer(DialAnswerKind.AMBIGUOUS, "timeout")',
        new='return DialAnswer(DialAnswerKind.NOT_SENT, "timeout")',
        why="Who did not answer in time is often who was not reached.",
        tests=(
            "adapters/retell/test_client.py::test_the_whole_call_has_one_bound_and_beyond_it_nothing_is_known",
            "adapters/retell/test_dial_answer.py::test_without_that_proof_everything_is_ambiguous",
        ),
    ),
    PlantedBug(
        name="ambiguous_becomes_waiting",
        aims=(I2, I5, I6),
        file=ANSWERS,
        old="    elif answer.kind is DialAnswerKind.AMBIGUOUS or attempt.resent:\n",
        new="    elif attempt.resent:\n",
        why="Whatever failed is tried again, as everywhere else.",
        tests=(f"{_DIALING}test_dial_answers.py::test_ambiguous_is_unknown_and_says_nothing_yet",),
    ),
    PlantedBug(
        name="the_answer_to_a_resend_is_believed",
        aims=(I2, I5),
        file=ANSWERS,
        old="    elif answer.kind is DialAnswerKind.AMBIGUOUS or attempt.resent:\n",
        new="    elif answer.kind is DialAnswerKind.AMBIGUOUS:\n",
        why="A refusal is a refusal.",
        tests=(
            f"{_DIALING}test_same_key_resend.py::test_no_answer_to_a_resend_says_that_the_first_request_did_not_ring",
        ),
    ),
    PlantedBug(
        name="a_resend_has_a_key_of_its_own",
        aims=(I5, I2),
        file=PROCESSING,
        old="            DialRequest(**attempt.request),\n",
        new='            DialRequest(**{**attempt.request, "idempotency_key": '
        'f"{attempt.attempt_id}:{attempt.fence}"}),\n',
        why="One key for each request is what idempotency keys are usually for.",
        tests=(_SAME_BYTES,),
    ),
    PlantedBug(
        name="a_waiting_attempt_is_written_anew",
        aims=(I5,),
        file=PROCESSING,
        old="            DialRequest(**attempt.request),\n",
        new='            DialRequest(**{**attempt.request, "agent_id": case.call.agent_id}),\n',
        why="The newest version of the agent should take the call.",
        tests=(f"{_DIALING}test_write_ahead.py::test_a_change_of_the_call_does_not_reach_a_request_that_is_frozen",),
    ),
    PlantedBug(
        name="a_waiting_attempt_is_another_attempt",
        aims=(I5, I2),
        file=PROCESSING,
        old="    if latest is None or latest.state not in (AttemptState.WAITING, AttemptState.UNKNOWN):\n",
        new="    if latest is None or latest.state is not AttemptState.UNKNOWN:\n",
        why="A new try is a new attempt.",
        tests=(f"{_DIALING}test_dial_answers.py::test_a_waiting_attempt_is_claimed_again_as_itself",),
    ),
    PlantedBug(
        name="resend_beyond_the_window",
        aims=(I5, I2),
        file=PROCESSING,
        old="        if case.is_resend and self._same_key_left_s(case) <= 0:\n",
        new="        if case.is_resend and self.rules.deadlines.same_key_window_s == 0:\n",
        why="The window was looked at when the resend was asked for.",
        tests=(
            f"{_DIALING}test_same_key_resend.py"
            "::test_a_resend_that_waited_beyond_the_window_is_not_made_and_the_call_goes_on",
        ),
    ),
    PlantedBug(
        name="resend_sent_behind_the_window",
        aims=(I5, I2),
        file=PROCESSING,
        old="        return min(SEND_WITHIN_S, self._same_key_left_s(case)) if case.is_resend else SEND_WITHIN_S\n",
        new="        return SEND_WITHIN_S\n",
        why="A lease is a lease.",
        tests=(f"{_DIALING}test_same_key_resend.py::test_a_resend_claimed_at_the_windows_end_is_not_sent_behind_it",),
    ),
    PlantedBug(
        name="a_second_resend",
        aims=(I5, I2),
        file="flows/reconciliation.py",
        old="        if attempt.resent or has_task or",
        new="        if has_task or",
        why="The key still works, so another try costs nothing.",
        tests=(f"{_DIALING}test_same_key_resend.py::test_no_second_resend_whatever_the_first_was_told",),
    ),
    PlantedBug(
        name="an_old_answer_settles_the_resend",
        aims=(I2, I5),
        file=PROCESSING,
        old="            holds_claim = attempt.state is AttemptState.DIALING and attempt.fence == claim.fence\n",
        new="            holds_claim = attempt.state is AttemptState.DIALING\n",
        why="The attempt is dialing and this is the answer to its dial.",
        tests=(
            f"{_DIALING}test_same_key_resend.py::test_an_answer_to_the_first_request_says_nothing_about_the_resend_that_is_out",
        ),
    ),
)
