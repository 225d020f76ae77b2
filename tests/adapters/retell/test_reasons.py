"""Every disconnection reason of Retell's, in our four facts."""

import typing

import pytest

from ringback.adapters.retell.reasons import REASONS, end_facts

# reason: dial, party, connected
TABLE = """
user_hangup                              answered        human      True
agent_hangup                             answered        human      True
call_transfer                            answered        human      True
voicemail_reached                        answered        voicemail  True
ivr_reached                              answered        ivr        True
inactivity                               answered        human      True
max_duration_reached                     answered        human      True
no_concurrency_fallback                  not_dialed      unknown    None
dial_busy                                busy            unknown    False
dial_no_answer                           no_answer       unknown    False
dial_failed                              provider_error  unknown    False
invalid_destination                      invalid         unknown    False
telephony_provider_permission_denied     rejected        unknown    False
telephony_provider_unavailable           provider_error  unknown    False
sip_routing_error                        provider_error  unknown    False
marked_as_spam                           rejected        unknown    False
user_declined                            declined        unknown    False
concurrency_limit_reached                not_dialed      unknown    False
no_valid_payment                         not_dialed      unknown    False
scam_detected                            rejected        unknown    None
error_llm_websocket_open                 provider_error  unknown    None
error_llm_websocket_lost_connection      provider_error  unknown    None
error_llm_websocket_runtime              provider_error  unknown    None
error_llm_websocket_corrupt_payload      provider_error  unknown    None
error_no_audio_received                  provider_error  unknown    None
error_asr                                provider_error  unknown    None
error_retell                             provider_error  unknown    None
error_unknown                            provider_error  unknown    None
error_user_not_joined                    not_dialed      unknown    False
registered_call_timeout                  not_dialed      unknown    False
user_requested_dnc                       answered        human      True
user_requested_callback                  answered        human      True
transfer_bridged                         answered        human      True
transfer_cancelled                       answered        human      True
manual_stopped                           answered        human      True
call_take_over                           answered        human      True
credit_exhausted                         not_dialed      unknown    None
budget_reached                           not_dialed      unknown    None
network_blocked                          rejected        unknown    False
machine_detected                         answered        voicemail  True
error_inbound_webhook                    not_dialed      unknown    None
a_reason_retell_invents_next_year        provider_error  unknown    None
"""


@pytest.mark.parametrize("row", TABLE.strip().splitlines(), ids=lambda row: row.split()[0])
def test_a_reason_has_its_facts(row):
    reason, dial, party, connected = row.split()
    facts = end_facts(reason)
    assert (facts.dial, facts.party, str(facts.connected)) == (dial, party, connected)
    assert facts.end


def test_no_reason_has_no_facts():
    assert end_facts(None) is None
    assert end_facts("") is None


def test_only_the_asked_for_dnc_opts_out_and_only_the_concurrency_limit_is_capacity():
    assert [name for name, facts in REASONS.items() if facts.opt_out] == ["user_requested_dnc"]
    assert [name for name, facts in REASONS.items() if facts.capacity] == ["concurrency_limit_reached"]


def test_the_table_has_exactly_the_reasons_of_the_sdk():
    from retell.types.phone_call_response import PhoneCallResponse

    field = PhoneCallResponse.model_fields["disconnection_reason"].annotation
    known = {value for part in typing.get_args(field) for value in typing.get_args(part)}
    assert set(REASONS) == known
    assert len(REASONS) == 39
