"""A code in; the disposition, and for some codes a suppression before the ok, out."""

import pytest

from ringback.domain.provider_report import ReportKind
from ringback.flows.suppression import lift_suppression
from tests.audit_log import TESTER


async def test_a_disposition_is_kept_with_its_note_and_its_conversation(stack):
    talk = await stack.talk()
    reply = await stack.tool(talk, "set_disposition", {"code": "interested", "note": "wants the brochure"})
    assert reply.ok
    assert reply.code == "disposition_set"
    assert reply.result == {"code": "interested", "suppressed": False}
    row = await stack.one("SELECT * FROM dispositions")
    assert (row["call_id"], row["attempt_id"], row["contact_id"]) == (talk.call_id, talk.attempt_id, "crm-42")
    assert (row["code"], row["note"]) == ("interested", "wants the brochure")
    assert await stack.all("SELECT * FROM suppressions") == []


async def test_the_attempt_shows_what_it_was_filed_under(stack):
    talk = await stack.talk()
    await stack.tool(talk, "set_disposition", {"code": "no_decision"})
    await stack.tool(talk, "set_disposition", {"code": "interested"})
    attempt = await stack.one("SELECT business FROM attempts")
    assert attempt["business"]["disposition"] == "interested"
    assert len(await stack.all("SELECT * FROM dispositions")) == 2


@pytest.mark.parametrize("code", ["do_not_call", "wrong_number"])
async def test_a_code_that_suppresses_writes_phone_and_contact(stack, code):
    talk = await stack.talk()
    reply = await stack.tool(talk, "set_disposition", {"code": code})
    assert reply.result == {"code": code, "suppressed": True}
    assert reply.say == "Understood, we will not call you again."
    row = await stack.one("SELECT * FROM suppressions")
    assert (row["phone"], row["contact_id"], row["reason"], row["source"]) == ("+14155550100", "crm-42", code, "agent")


async def test_a_suppression_ends_every_other_call_of_phone_and_contact(stack):
    talk = await stack.talk()
    same_phone = await stack.accept(contact_id="crm-43")
    same_contact = await stack.accept(phone="+14155550101")
    stranger = await stack.accept(contact_id="crm-44", phone="+14155550102")
    assert (await stack.tool(talk, "set_disposition", {"code": "do_not_call"})).ok
    for call_id in (same_phone, same_contact):
        call = await stack.call(call_id)
        assert (call["status"], call["final"]) == ("failed", True)
        assert (await stack.events(call_id))[-1]["data"]["reason"] == "suppressed"
    assert not (await stack.call(stranger))["final"]
    assert not (await stack.call(talk.call_id))["final"], "the conversation of this call goes on"


async def test_nothing_is_dialed_after_ok(stack):
    call_id = await stack.accept()
    task = (await stack.tasks(call_id))[0]
    assert (await stack.ask("set_disposition", {"code": "do_not_call"}, contact_id="crm-42")).ok
    await stack.deliver(call_id, task["task_id"], task["dispatch"])
    assert await stack.all("SELECT * FROM attempts") == []


async def test_the_number_that_was_talked_to_is_suppressed_and_not_the_contacts_new_one(stack):
    talk = await stack.talk()
    await stack.accept(phone="+14155550101")
    assert (await stack.one("SELECT phone FROM contacts"))["phone"] == "+14155550101"
    await stack.tool(talk, "set_disposition", {"code": "wrong_number"})
    assert (await stack.one("SELECT phone FROM suppressions"))["phone"] == "+14155550100"


async def test_systems_file_a_contact_without_a_call(stack):
    call_id = await stack.accept()
    await stack.cancel(call_id)
    reply = await stack.ask("set_disposition", {"code": "do_not_call"}, contact_id="crm-42")
    assert reply.ok
    row = await stack.one("SELECT * FROM dispositions")
    assert (row["call_id"], row["attempt_id"], row["contact_id"]) == (None, None, "crm-42")
    assert (await stack.one("SELECT * FROM suppressions"))["source"] == "api"


async def test_a_finished_call_may_still_be_filed(stack):
    call_id = await stack.accept()
    await stack.cancel(call_id)
    assert (await stack.ask("set_disposition", {"code": "not_interested"}, call_id=call_id)).ok


async def test_an_unknown_code_gets_the_list_of_valid_ones(stack):
    talk = await stack.talk()
    for args in ({"code": "maybe"}, {"code": "not before noon"}, {}, {"code": None}):
        reply = await stack.tool(talk, "set_disposition", args)
        assert (reply.ok, reply.code) == (False, "unknown_disposition")
        assert reply.result["valid"] == [
            "interested",
            "not_interested",
            "callback_requested",
            "converted",
            "no_decision",
            "wrong_number",
            "do_not_call",
        ]
    assert await stack.all("SELECT * FROM dispositions") == []


async def test_a_systems_note_that_is_no_text_is_refused(stack):
    await stack.accept()
    for note in ("a\0b", "\ud800", 7, ["x"], "x" * 2001):
        reply = await stack.ask("set_disposition", {"code": "interested", "note": note}, contact_id="crm-42")
        assert (reply.code, list(reply.result["errors"])) == ("invalid_args", ["note"])


async def test_a_report_after_an_opt_out_does_not_renew_a_suppression_that_was_lifted(stack):
    talk = await stack.talk()
    await stack.tool(talk, "set_disposition", {"code": "do_not_call"})
    suppression = await stack.one("SELECT * FROM suppressions")
    assert await lift_suppression(stack.store, stack.clock, suppression["suppression_id"], "a mistake", TESTER)
    await stack.report(talk, ReportKind.ENDED, ended_at=stack.clock.now())
    assert [row["lifted_at"] is not None for row in await stack.all("SELECT * FROM suppressions")] == [True]
