"""The SDK client against a server that misbehaves: the meaning of each response, and one POST for one dial."""

import asyncio
import socket
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from retell import AsyncRetell

from ringback.adapters.retell.client import RetellProvider, create_body
from ringback.domain.attempt import DialAnswerKind, DialRequest, VoicemailAction
from ringback.domain.errors import ProviderUnavailable
from ringback.domain.provider_report import ProviderStatus, ReportKind

from .hostile_server import (
    answering,
    hanging,
    hostile,
    resetting,
    sending_then_closing,
    trickling,
)

ATTEMPT = "0192f0c0-0000-7000-8000-0000000a77e1"
REQUEST = DialRequest(
    to_number="+14155550100",
    from_number="+14155550199",
    agent_id="agent_1",
    variables={"first_name": "Ada"},
    metadata={"ringback_call_id": "call-7", "ringback_attempt_id": ATTEMPT, "ringback_instance": "i", "campaign": "x"},
    idempotency_key=ATTEMPT,
)
CALL = {"call_id": "call_1", "call_status": "ongoing", "metadata": {"ringback_attempt_id": ATTEMPT}}
LATER = float("inf")


class Clock:
    seconds = 100.0

    def now(self):
        return datetime(2026, 12, 1, 17, 0, tzinfo=UTC)

    def monotonic(self):
        return self.seconds


@asynccontextmanager
async def provider(url, clock=None, **settings):
    retell = RetellProvider("key_1", clock or Clock(), url, **settings)
    try:
        yield retell
    finally:
        await retell.close()


async def dial(behave, **settings):
    """The answer, and the server's ledger."""
    settings = {"create_timeout_s": 5.0, **settings}
    async with hostile(behave) as received, provider(received.url, **settings) as retell:
        answer = await retell.dial(REQUEST, LATER)
        await asyncio.sleep(0.02)  # a repeat would be sent now
    return answer, received


async def test_a_placed_call_is_one_post_with_our_marks():
    answer, received = await dial(answering(201, {"call_id": "call_1", "call_status": "registered"}))
    assert (answer.kind, answer.provider_call_id, answer.cause) == (DialAnswerKind.PLACED, "call_1", "http_201")
    assert received.requests == [
        (
            "POST",
            "/v2/create-phone-call",
            {
                "from_number": "+14155550199",
                "to_number": "+14155550100",
                "override_agent_id": "agent_1",
                "retell_llm_dynamic_variables": {
                    "first_name": "Ada",
                    "ringback_call_id": "call-7",
                    "ringback_attempt_id": ATTEMPT,
                },
                "metadata": REQUEST.metadata,
                "idempotency_key": ATTEMPT,
                "honor_internal_dnc": True,
            },
        )
    ]


async def test_the_request_is_the_one_of_the_sdks_typed_method():
    """Its headers, above all the key, and its bytes. A resend may come from the version that used that method."""
    async with hostile(answering(201, CALL)) as received:
        async with provider(received.url) as retell:
            await retell.dial(REQUEST, LATER)
        async with AsyncRetell(api_key="key_1", base_url=received.url, max_retries=0, timeout=30.0) as sdk:
            await sdk.call.create_phone_call(**create_body(REQUEST))
    (headers, body), (of_the_sdk, typed_body) = received.raw
    assert body == typed_body
    # The typed method waits 30 s here, and the HTTP libraries below the two differ.
    others = {"x-stainless-read-timeout", "x-stainless-timeout", "connection", "accept-encoding", "user-agent"}
    assert headers["authorization"] == "Bearer key_1"
    assert {**headers, **dict.fromkeys(others)} == {**of_the_sdk, **dict.fromkeys(others)}


ERROR = {"status": "error", "message": "+14155550100 is no good"}
JSON_HEAD = b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n"
A = DialAnswerKind.AMBIGUOUS


@pytest.mark.parametrize(
    ("behave", "kind", "cause"),
    [
        pytest.param(sending_then_closing(b""), A, "server_disconnected", id="closes"),
        pytest.param(resetting, A, None, id="resets"),
        pytest.param(sending_then_closing(b"\x00\xff nonsense\r\n\r\n"), A, None, id="garbage"),
        pytest.param(sending_then_closing(b"HTTP/1.1 20"), A, None, id="half a status line"),
        pytest.param(sending_then_closing(JSON_HEAD + b'{"call_id":"call_1"'), A, None, id="half a body"),
        pytest.param(answering(307, {}, "location: /v2/create-phone-call\r\n"), A, "http_307", id="307"),
        pytest.param(answering(302, {}, "location: http://127.0.0.1:9/\r\n"), A, "http_302", id="302"),
        pytest.param(answering(400, ERROR), DialAnswerKind.REJECTED, "http_400", id="400"),
        pytest.param(answering(401, ERROR), DialAnswerKind.ACCOUNT_REFUSED, "http_401", id="401"),
        pytest.param(answering(402, ERROR), DialAnswerKind.ACCOUNT_REFUSED, "http_402", id="402"),
        pytest.param(answering(403, ERROR), DialAnswerKind.ACCOUNT_REFUSED, "http_403", id="403"),
        pytest.param(answering(404, ERROR), DialAnswerKind.ACCOUNT_REFUSED, "http_404", id="404"),
        pytest.param(answering(408, ERROR), A, "http_408", id="408"),
        pytest.param(answering(409, ERROR), A, "http_409", id="409"),
        pytest.param(answering(422, ERROR), DialAnswerKind.REJECTED, "http_422", id="422"),
        pytest.param(answering(429, ERROR), DialAnswerKind.DEFERRED, "http_429", id="429"),
        pytest.param(answering(500, ERROR), A, "http_500", id="500"),
        pytest.param(answering(500, ERROR, "x-should-retry: true\r\n"), A, "http_500", id="500 that begs for a retry"),
        pytest.param(answering(502, "<html>Bad Gateway</html>"), A, "http_502", id="502 HTML"),
        pytest.param(answering(418, "teapot"), A, "http_418", id="418"),
        pytest.param(answering(201, {"call_status": "registered"}), A, "http_201_without_call_id", id="no call_id"),
        pytest.param(answering(201, {"call_id": None}), A, "http_201_without_call_id", id="null call_id"),
        pytest.param(answering(201, {"call_id": ""}), A, "http_201_without_call_id", id="empty call_id"),
        pytest.param(answering(201, "created"), A, "http_201_without_call_id", id="201 not JSON"),
        pytest.param(answering(201, [CALL]), A, "http_201_without_call_id", id="201 list"),
        pytest.param(answering(204, ""), A, "http_204_without_call_id", id="204"),
    ],
)
async def test_every_answer_has_its_meaning_and_is_asked_for_once(behave, kind, cause):
    answer, received = await dial(behave)
    assert answer.kind is kind
    assert answer.cause == cause or (cause is None and answer.cause)
    assert answer.provider_call_id is None
    assert received.posts == 1
    assert "+1" not in repr(answer)


@pytest.mark.parametrize("behave", [trickling, hanging])
async def test_the_whole_call_has_one_bound_and_beyond_it_nothing_is_known(behave):
    started = asyncio.get_running_loop().time()
    answer, received = await dial(behave, create_timeout_s=0.3)
    assert (answer.kind, received.posts) == (A, 1)
    assert answer.cause in ("timeout", "socket_timeout")
    assert asyncio.get_running_loop().time() - started < 5


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("retry-after: 7\r\n", 7.0),
        ("retry-after: 1.5\r\n", 1.5),
        ("retry-after: Tue, 01 Dec 2026 17:00:30 GMT\r\n", 30.0),
        ("retry-after: Tue, 01 Dec 2020 17:00:30 GMT\r\n", 0.0),
        ("retry-after: 99999999\r\n", 3600.0),
        ("retry-after: soon\r\n", None),
        ("", None),
    ],
)
async def test_retry_after_of_retell_is_returned(header, wait_s):
    answer, received = await dial(answering(429, ERROR, header))
    assert (answer.kind, answer.retry_after_s, received.posts) == (DialAnswerKind.DEFERRED, wait_s, 1)


async def test_a_refused_connection_was_not_sent():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        async with provider(f"http://127.0.0.1:{port}") as retell:
            answer = await retell.dial(REQUEST, LATER)
    assert (answer.kind, answer.cause) == (DialAnswerKind.NOT_SENT, "connection_refused")


async def test_a_connection_that_is_never_made_was_not_sent():
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        for _ in range(4):  # fill the backlog: the next SYN is dropped
            waiting.append(socket.socket())
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(full.getsockname())
        async with provider(f"http://127.0.0.1:{full.getsockname()[1]}", create_timeout_s=0.6) as retell:
            answer = await retell.dial(REQUEST, LATER)
        for connection in waiting:
            connection.close()
    assert answer.kind is DialAnswerKind.NOT_SENT


async def test_a_tls_handshake_that_fails_was_not_sent():
    async with hostile(answering(201, CALL)) as received:
        async with provider(received.url.replace("http:", "https:"), create_timeout_s=1.0) as retell:
            answer = await retell.dial(REQUEST, LATER)
    assert (answer.kind, received.posts) == (DialAnswerKind.NOT_SENT, 0)


async def test_after_the_lease_nothing_is_sent():
    clock = Clock()
    async with hostile(answering(201, CALL)) as received, provider(received.url, clock) as retell:
        answer = await retell.dial(REQUEST, lease_deadline=100.0)
        assert (answer.kind, answer.cause) == (DialAnswerKind.NOT_SENT, "lease_over")
        assert (await retell.dial(REQUEST, lease_deadline=100.1)).kind is DialAnswerKind.PLACED
    assert received.posts == 1


async def test_a_cancelled_dial_says_so_and_is_not_sent_again():
    async with hostile(hanging) as received, provider(received.url) as retell:
        dialing = asyncio.create_task(retell.dial(REQUEST, LATER))
        while not received.requests:
            await asyncio.sleep(0.01)
        dialing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialing
    assert received.posts == 1


async def test_no_phone_number_is_logged_at_any_level(caplog):
    caplog.set_level("DEBUG")
    async with hostile(answering(400, ERROR)) as received, provider(received.url) as retell:
        await retell.dial(REQUEST, LATER)
    assert received.posts == 1
    assert "5550" not in caplog.text
    assert "Ada" not in caplog.text


async def test_a_connection_that_dies_after_the_request_is_not_retried_below_us():
    placed, behaviours = answering(201, CALL), []

    async def behave(writer):
        await behaviours.pop(0)(writer)

    behaviours += [placed, sending_then_closing(b""), placed]
    async with hostile(behave) as received, provider(received.url) as retell:
        first, second = [await retell.dial(REQUEST, LATER) for _ in range(2)]
        await asyncio.sleep(0.02)
    assert (first.kind, second.kind) == (DialAnswerKind.PLACED, A)
    assert received.posts == 2


async def found(page):
    async with hostile(answering(200, page)) as received, provider(received.url) as retell:
        return await retell.find_attempt(ATTEMPT), received


async def test_an_attempt_is_looked_for_by_its_metadata_alone():
    reports, received = await found({"items": [CALL], "has_more": False})
    assert [(report.provider_call_id, report.kind) for report in reports] == [("call_1", ReportKind.SNAPSHOT)]
    assert received.requests == [
        (
            "POST",
            "/v3/list-calls",
            {
                "filter_criteria": {
                    "metadata": [{"type": "string", "op": "eq", "key": "ringback_attempt_id", "value": ATTEMPT}]
                },
                "limit": 100,
            },
        )
    ]


async def test_both_calls_of_one_attempt_are_found():
    reports, _ = await found({"items": [CALL, {**CALL, "call_id": "call_2"}], "has_more": False})
    assert [report.provider_call_id for report in reports] == ["call_1", "call_2"]


async def test_an_item_without_a_transcript_decides_nothing_about_a_conversation():
    """Its analysis would say that the call is over and that no one spoke."""
    analysed = {**CALL, "call_status": "ended", "call_analysis": {"call_successful": True}}
    whole = {**analysed, "transcript": "User: Hi."}
    (light, full), _ = await found({"items": [analysed, whole], "has_more": False})
    assert (light.user_turns, light.analysis) == (None, None)
    assert (full.user_turns, full.analysis.successful) == (1, True)


async def test_an_empty_list_is_a_clean_look_up():
    assert (await found({"items": [], "has_more": False}))[0] == []


async def test_calls_of_others_are_not_ours_when_the_filter_is_ignored():
    others = [{"call_id": "call_2"}, {"call_id": "call_3", "metadata": {"ringback_attempt_id": "other"}}]
    assert (await found({"items": others, "has_more": False}))[0] == []


@pytest.mark.parametrize(
    "page",
    [
        [],
        {},
        {"items": None},
        {"items": [{"metadata": {"ringback_attempt_id": ATTEMPT}}]},
        "<html>",
        {"items": [{"call_id": "call_2"}], "has_more": True},
        {"items": [{"call_id": "call_2"}], "has_more": True, "pagination_key": "again"},
    ],
)
async def test_a_list_that_proves_nothing_is_no_clean_look_up(page):
    with pytest.raises(ProviderUnavailable):
        await found(page)


async def fetched(behave, **settings):
    async with hostile(behave) as received, provider(received.url, **settings) as retell:
        return await retell.fetch_call("call_1"), received


async def test_a_call_is_fetched_as_it_is_now():
    report, received = await fetched(answering(200, {**CALL, "disconnection_reason": "brand_new", "call_cost": {}}))
    assert (report.provider_call_id, report.status, report.attempt_id) == ("call_1", ProviderStatus.ONGOING, ATTEMPT)
    assert received.requests == [("GET", "/v2/get-call/call_1", None)]


@pytest.mark.parametrize("status", [404, 422])
async def test_a_call_retell_does_not_know_is_none(status):
    assert (await fetched(answering(status, ERROR)))[0] is None


@pytest.mark.parametrize(
    "behave",
    [
        answering(400, ERROR),
        answering(401, ERROR),
        answering(429, ERROR),
        answering(500, ERROR),
        answering(302, {}, "location: /\r\n"),
        answering(200, "<html>"),
        answering(200, {"call_status": "ended"}),
        answering(200, {"call_id": "call_2"}),
        sending_then_closing(b"HTTP/1.1 2"),
        resetting,
    ],
)
async def test_any_other_answer_to_a_look_up_is_unavailable(behave):
    with pytest.raises(ProviderUnavailable) as error:
        await fetched(behave)
    assert "+1" not in str(error.value)


@pytest.mark.parametrize("behave", [trickling, hanging])
async def test_a_look_up_has_a_bound(behave):
    with pytest.raises(ProviderUnavailable):
        await fetched(behave, lookup_timeout_s=0.2)


async def test_a_call_is_stopped_and_an_unknown_one_needs_no_stopping():
    for status in (204, 422, 404):
        async with hostile(answering(status, "")) as received, provider(received.url) as retell:
            await retell.stop_call("call_1")
        assert received.requests == [("POST", "/v2/stop-call/call_1", None)]
    async with hostile(answering(500, "")) as received, provider(received.url) as retell:
        with pytest.raises(ProviderUnavailable):
            await retell.stop_call("call_1")


@pytest.mark.parametrize(
    ("agent", "action"),
    [
        ({"voicemail_option": {"action": {"type": "hangup"}}}, VoicemailAction.HANGUP),
        ({"voicemail_option": {"action": {"type": "static_text", "text": "Hi"}}}, VoicemailAction.MESSAGE),
        ({"voicemail_option": {"action": {"type": "prompt", "text": "Hi"}}}, VoicemailAction.MESSAGE),
        ({"voicemail_option": {"action": {"type": "bridge_transfer"}}}, VoicemailAction.UNKNOWN),
        ({"voicemail_option": {"action": None}}, VoicemailAction.UNKNOWN),
        ({"voicemail_option": None}, VoicemailAction.UNKNOWN),
        ({}, VoicemailAction.UNKNOWN),
        ("nonsense", VoicemailAction.UNKNOWN),
    ],
)
async def test_the_agents_action_on_a_voicemail_is_read(agent, action):
    async with hostile(answering(200, agent)) as received, provider(received.url) as retell:
        assert await retell.voicemail_action("agent_1") is action


async def test_the_voicemail_action_is_asked_for_once_in_five_minutes():
    clock = Clock()
    hangup = answering(200, {"voicemail_option": {"action": {"type": "hangup"}}})
    async with hostile(hangup) as received, provider(received.url, clock) as retell:
        for at, asked in [(100.0, 1), (399.0, 1), (401.0, 2)]:
            clock.seconds = at
            assert await retell.voicemail_action("agent_1") is VoicemailAction.HANGUP
            assert len(received.requests) == asked


async def test_an_agent_that_cannot_be_read_is_asked_again_soon():
    clock = Clock()
    async with hostile(answering(500, ERROR)) as received, provider(received.url, clock) as retell:
        for at, asked in [(100.0, 1), (101.0, 1), (116.0, 2)]:
            clock.seconds = at
            assert await retell.voicemail_action("agent_1") is VoicemailAction.UNKNOWN
            assert len(received.requests) == asked
