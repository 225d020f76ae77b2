"""The spans of actions: below the attempt of the agent's conversation, below the call of a system's request."""

from ringback import tracing
from ringback.tracing import AttemptIds, SpanKind
from tests.recorded_spans import recorded_spans


async def test_an_action_is_below_its_attempt_or_its_call(stack):
    talk = await stack.talk()
    with recorded_spans() as spans:
        await stack.tool(talk, "set_disposition", {"code": "interested"})
        await stack.ask("note_writeback", {"note": "asked for Bob"}, call_id=talk.call_id)
    attempt = tracing.of_attempt(talk.call_id, AttemptIds(talk.attempt_id, 1))
    call = tracing.of_call(talk.call_id)
    assert [(span.new.name, span.new.kind, span.new.parent_id) for span in spans] == [
        ("action.perform", SpanKind.SERVER, attempt.span_id),
        ("action.perform", SpanKind.SERVER, call.span_id),
    ]
    assert [(span.facts["action"], span.facts["door"], span.facts["code"]) for span in spans] == [
        ("set_disposition", "retell", "disposition_set"),
        ("note_writeback", "api", "note_added"),
    ]
    assert all(span.has_ended for span in spans)


async def test_an_action_about_a_person_without_a_call_has_no_span(stack):
    await stack.talk()
    await stack.all("UPDATE calls SET final = true, status = 'completed' RETURNING 1")
    with recorded_spans() as spans:
        assert (await stack.ask("field_writeback", {"fields": {"company": "Acme"}}, contact_id="crm-42")).ok
    assert spans == []


async def test_a_call_that_does_not_exist_is_told_by_its_code_and_never_by_a_phone_number(stack):
    with recorded_spans() as spans:
        unknown = await stack.ask("note_writeback", {"note": "hi"}, call_id="id-unknown")
        phone = await stack.ask("note_writeback", {"note": "hi"}, call_id="+14155550100")
    assert (unknown.code, phone.code) == ("not_found", "not_found")
    assert [(span.new.name, span.facts["code"], span.has_ended) for span in spans] == [
        ("action.perform", "not_found", True)
    ]
