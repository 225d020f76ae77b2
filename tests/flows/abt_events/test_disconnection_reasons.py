"""Every disconnection reason of Retell, played as a whole call: the four facts and the events for Engage."""

from typing import Any

import pytest

from ringback.domain.call import RetryPolicy
from tests.flows.event_processing import recordings as r
from tests.flows.event_processing.conftest import EventStack

# Reason; whether the recording has a conversation; dial, party and end of the attempt; the terminal event.
# The recording of a conversation has user turns and an unsuccessful analysis; the agent leaves messages.
TABLE = """
user_hangup                              talk  answered        human      person      partially_completed
agent_hangup                             talk  answered        human      agent       partially_completed
call_transfer                            talk  answered        human      transfer    partially_completed
voicemail_reached                        talk  answered        voicemail  agent       left_voicemail
ivr_reached                              talk  answered        ivr        agent       failed ivr
inactivity                               talk  answered        human      silence     partially_completed
max_duration_reached                     talk  answered        human      time_limit  partially_completed
no_concurrency_fallback                  talk  answered        human      transfer    partially_completed
no_concurrency_fallback                  none  not_dialed      unknown    transfer    failed provider_error
dial_busy                                none  busy            unknown    network     failed busy
dial_no_answer                           none  no_answer       unknown    network     failed no_answer
dial_failed                              none  provider_error  unknown    network     failed provider_error
invalid_destination                      none  invalid         unknown    network     failed invalid_number
telephony_provider_permission_denied     none  rejected        unknown    provider    failed refused
telephony_provider_unavailable           none  provider_error  unknown    provider    failed provider_error
sip_routing_error                        none  provider_error  unknown    network     failed provider_error
marked_as_spam                           none  rejected        unknown    network     failed refused
user_declined                            none  declined        unknown    person      failed declined
concurrency_limit_reached                none  not_dialed      unknown    provider    failed capacity
no_valid_payment                         none  not_dialed      unknown    provider    failed provider_error
scam_detected                            talk  answered        human      provider    partially_completed
scam_detected                            none  rejected        unknown    provider    failed refused
error_llm_websocket_open                 talk  answered        human      system      partially_completed
error_llm_websocket_open                 none  provider_error  unknown    system      failed provider_error
error_llm_websocket_lost_connection      talk  answered        human      system      partially_completed
error_llm_websocket_lost_connection      none  provider_error  unknown    system      failed provider_error
error_llm_websocket_runtime              talk  answered        human      system      partially_completed
error_llm_websocket_runtime              none  provider_error  unknown    system      failed provider_error
error_llm_websocket_corrupt_payload      talk  answered        human      system      partially_completed
error_llm_websocket_corrupt_payload      none  provider_error  unknown    system      failed provider_error
error_no_audio_received                  talk  answered        human      system      partially_completed
error_no_audio_received                  none  provider_error  unknown    system      failed provider_error
error_asr                                talk  answered        human      system      partially_completed
error_asr                                none  provider_error  unknown    system      failed provider_error
error_retell                             talk  answered        human      system      partially_completed
error_retell                             none  provider_error  unknown    system      failed provider_error
error_unknown                            talk  answered        human      system      partially_completed
error_unknown                            none  provider_error  unknown    system      failed provider_error
error_user_not_joined                    none  not_dialed      unknown    system      failed provider_error
registered_call_timeout                  none  not_dialed      unknown    time_limit  failed provider_error
user_requested_dnc                       talk  answered        human      person      partially_completed
user_requested_callback                  talk  answered        human      person      partially_completed
transfer_bridged                         talk  answered        human      transfer    partially_completed
transfer_cancelled                       talk  answered        human      transfer    partially_completed
manual_stopped                           talk  answered        human      operator    partially_completed
call_take_over                           talk  answered        human      operator    partially_completed
credit_exhausted                         talk  answered        human      provider    partially_completed
credit_exhausted                         none  not_dialed      unknown    provider    failed provider_error
budget_reached                           talk  answered        human      provider    partially_completed
budget_reached                           none  not_dialed      unknown    provider    failed provider_error
network_blocked                          none  rejected        unknown    network     failed refused
machine_detected                         talk  answered        voicemail  agent       left_voicemail
error_inbound_webhook                    none  not_dialed      unknown    system      failed provider_error
a_reason_retell_invents_next_year        talk  answered        human      unknown     partially_completed
a_reason_retell_invents_next_year        none  provider_error  unknown    unknown     failed provider_error
"""

RETRIED = {"dial_busy", "dial_no_answer", "concurrency_limit_reached"}


async def test_each_reason_has_its_facts_and_its_terminal_event(stack: EventStack) -> None:
    for row in TABLE.strip().splitlines():
        reason, talked, dial, party, end, *told = row.split()
        recording = r.connected(reason, r.analysis(False)) if talked == "talk" else r.unconnected(reason)
        call = EventStack(stack.store, stack.pool, stack.clock)
        talk = await call.talk(retry=RetryPolicy(max_attempts=2))
        await call.play(talk, recording)
        attempt = await call.attempt(talk.call_id)
        facts = (attempt["dial"], attempt["party"], attempt["end"], attempt["disconnection_reason"])
        assert facts == (dial, party, end, reason), row
        started = ["started"] if talked == "talk" else []
        assert await call.told(talk.call_id) == ["initiated", *started, " ".join(told)], row
        await check_failure(call, talk.call_id, reason)


async def check_failure(call: EventStack, call_id: str, reason: str) -> None:
    data: dict[str, Any] = await call.last(call_id)
    will_retry = reason in RETRIED
    assert data["is_final"] is not will_retry, reason
    if "reason" in data:
        assert (data["provider_reason"], data["attempted"], data["will_retry"]) == (reason, True, will_retry)
        assert (data["next_attempt_at"] is not None) is will_retry
    assert (await call.call(call_id))["final"] is not will_retry


@pytest.mark.parametrize(("event", "known"), [("call_ended", False), ("call_analyzed", True)])
async def test_a_call_that_ends_without_any_reason_is_asked_about(stack: EventStack, event: str, known: bool) -> None:
    talk = await stack.talk()
    silent = {name: {**body, "disconnection_reason": None} for name, body in r.PARTIAL.items()}
    await stack.play(talk, silent, "call_started", event)
    assert await stack.told(talk.call_id) == ["initiated", "started"]
    attempt = await stack.attempt(talk.call_id)
    assert (attempt["state"], attempt["analysis_source"] is not None) == ("ended", known)
    stack.record(talk, silent, "call_analyzed")
    stack.clock.advance(300)
    await stack.watchdog.reconcile_due_attempts()
    assert await stack.told(talk.call_id) == ["initiated", "started", "partially_completed"]
    attempt = await stack.attempt(talk.call_id)
    assert (attempt["state"], attempt["dial"], attempt["end"]) == ("analyzed", "answered", "unknown")
