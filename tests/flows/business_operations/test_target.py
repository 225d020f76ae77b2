"""Shown numbers and marks prove nothing: the facts for a caller, and the reach of the call's functions."""

from dataclasses import replace

from ringback.domain.provider_report import ProviderReport, ReportKind
from ringback.flows.business_operations.action import ActionRequest, Scope

from .test_incoming_call import event, ring


async def test_a_caller_is_told_what_the_catalogue_allows_and_no_more_than_a_phone_can_ring_with(stack):
    fields = {f"f{number:02d}": "x" * 900 for number in range(30)}
    talk = await stack.talk(fields=fields, variables={"product": "solar", "secret": "s"})
    await stack.tool(talk, "reschedule_call", {"when": "tomorrow at 3pm", "reason": "in a meeting"})
    allowed = ("product", "callback_reason", *fields, "contact_id")
    stack.actions["incoming_call"] = replace(stack.actions["incoming_call"], allowed_names=allowed)
    variables = (await ring(stack)).result["dynamic_variables"]
    assert (variables["product"], variables["callback_reason"]) == ("solar", "in a meeting")
    assert variables["contact_id"] == "crm-42"
    assert "secret" not in variables
    kept = [name for name in variables if name in fields]
    assert kept == list(fields)[:15], "500 characters of each, and 8,000 with their names"
    assert {len(variables[name]) for name in kept} == {500}


async def test_tools_of_a_call_reach_no_call_by_the_marks_of_another(stack):
    """An attempt's marks on an inbound call, and the marks of one inbound call on another."""
    talk = await stack.talk(contact_id="crm-43", phone="+14155550101")
    await stack.accept()
    metadata = (await ring(stack)).result["metadata"]
    await stack.webhook(event("call_started", metadata))
    before = await stack.rows_written()
    marks = {"ringback_instance": "test-instance", "ringback_attempt_id": talk.attempt_id}
    for call_id, given in (("call_in_1", marks), ("call_in_2", metadata)):
        report = ProviderReport(
            ReportKind.TOOL,
            call_id,
            attempt_id=given.get("ringback_attempt_id"),
            instance="test-instance",
            inbound_id=given.get("ringback_inbound_id"),
            direction="inbound",
        )
        asked = ActionRequest("note_writeback", Scope.RETELL, "k", {"note": "n"}, report=report)
        asked = replace(asked, attempt_id=report.attempt_id, provider_call_id=call_id)
        reply = await stack.operations.perform(asked)
        assert (reply.ok, reply.code) == (False, "no_call")
    assert await stack.rows_written() == before
