"""ringback conformance: a receiver that keeps the rules passes, and each rule finds the receiver that breaks it."""

import json
import socket

import aiohttp
import pytest
from standardwebhooks import Webhook
from typer.testing import CliRunner

from ringback import cli
from ringback.cli.conformance import streams
from ringback.cli.conformance.examination import Examination
from ringback.cli.conformance.receiver import Receiver
from ringback.cli.conformance.rules import APPLIED_ONCE, NOT_OBSERVABLE, NOT_OBSERVABLE_WRITES, RULES, examine
from ringback.config import SettingsError
from ringback.domain.abt_event import AbtType, FailReason
from ringback.web.event_reference import read_examples
from ringback_emulator import engage
from ringback_emulator.settings import EngageEmulatorSettings
from tests.emulator.conftest import served

from . import receivers
from .receivers import SECRET, serving

SEEN_FROM_OUTSIDE = [rule.name for rule in RULES]
#: With the page of a contact. The last rule judges all answers.
NAMES = [*SEEN_FROM_OUTSIDE[:-1], APPLIED_ONCE.name, SEEN_FROM_OUTSIDE[-1]]
#: Each receiver, and the rules that it breaks.
BREAKS = {
    receivers.RefusesAType: {"every_event"},
    receivers.Redirects: {"every_event"},
    receivers.RefusesRepeats: {"repeats", "repeats_at_once", "broken_connections"},
    receivers.RefusesARepeatInProgress: {"repeats_at_once"},
    receivers.NotesAnIdBeforeItsEvent: {"broken_connections"},
    receivers.ExpectsOneCallAfterTheOther: {"interleaved"},
    receivers.TakesFewAtOnce: {"at_once"},
    receivers.WantsTheOriginalOfACorrection: {"corrections"},
    receivers.RefusesUnknownTypes: {"unknown_types"},
    receivers.RefusesUnknownMembers: {"unknown_members"},
    receivers.VerifiesJsonOfItsOwn: {"unusual_text"},
    receivers.TakesSmallBodies: {"largest"},
    receivers.TakesUnsigned: {"unsigned"},
    receivers.FailsAtAGarbledSignature: {"wrong_signature"},
    receivers.TakesTheIdFromTheBody: {"altered"},
    receivers.NeverLooksAtTheTime: {"stale"},
    receivers.NotesAnIdBeforeItIsVerified: {"forged_first"},
    receivers.VerifiesNothing: {"unsigned", "wrong_signature", "altered", "stale", "applied_once"},
    receivers.VerifiesEventsOnly: {"unsigned", "wrong_signature", "altered", "stale", "applied_once"},
    receivers.HasNoContacts: {"writes", "applied_once"},
    receivers.KnowsPlainContactIds: {"writes"},
    receivers.RefusesARepeatedWrite: {"repeats", "repeats_at_once", "broken_connections"},
    receivers.IgnoresTheKeyOfAWrite: {"applied_once"},
    receivers.AnswersLateOnce: {"in_time"},
}


FIELDS = {"first_name", "email", "budget", "opted_in", "appointment_at", "interest"}
#: Enough for a receiver that breaks a rule.
FEW = {
    name: stream
    for name, stream in read_examples().items()
    if not name.startswith("failed_") or name in ("failed_suppressed", "failed_cancelled")
}


async def examined(url, timeout_s=10.0, examples=FEW):
    """The problems by rule, and the receiver with its counts."""
    page = url.replace("/hooks", "/crm/{contact_id}")
    async with aiohttp.ClientSession() as session:
        receiver = Receiver(url, Webhook(SECRET), session, timeout_s=timeout_s, pause_s=0.05)
        verdicts = await examine(Examination(receiver, examples, "test", contact_url=page))
    return {verdict.rule.name: verdict.problems for verdict in verdicts}, receiver


def broken(problems):
    return {name for name, found in problems.items() if found}


async def test_a_good_receiver_keeps_every_rule_and_has_got_every_type_and_reason():
    good = receivers.GoodReceiver()
    with serving(good) as url:
        problems, receiver = await examined(url, 10, read_examples())
    assert problems == {name: [] for name in NAMES}
    assert {event["type"] for event in good.events.values()} == {*AbtType, "lead_qualified", "conformance_new_type"}
    reasons = {event["data"].get("reason") for event in good.events.values() if event["type"] == AbtType.FAILED}
    assert reasons == set(FailReason)
    assert receiver.requests > len(good.events) > 100
    assert (receiver.repeats, receiver.late) == (0, [])
    assert all(event["data"]["contact_id"].startswith("conformance-crm-") for event in good.events.values())
    contacts = good.contacts
    assert all(contact_id.startswith("conformance-") for contact_id in contacts)
    assert any(contact_id.startswith(f"conformance-{streams.UNUSUAL_CONTACT}") for contact_id in contacts)
    assert {name for contact in contacts.values() for name in contact["fields"]} == FIELDS
    assert len({event["data"]["call_id"] for event in good.events.values()} & set(json.dumps(read_examples()))) == 0


@pytest.mark.matrix
@pytest.mark.parametrize("kind", BREAKS, ids=lambda kind: kind.__name__)
async def test_a_bad_receiver_breaks_its_rule_and_no_other(kind):
    with serving(kind()) as url:
        problems, _ = await examined(url, 4.0 if kind is receivers.AnswersLateOnce else 10.0)
    assert broken(problems) == BREAKS[kind], problems
    assert None not in problems.values()


def test_every_rule_has_a_receiver_that_breaks_it():
    assert set().union({"first_event"}, *BREAKS.values()) == set(NAMES)


async def test_a_receiver_with_another_secret_ends_the_examination_with_a_hint():
    with serving(receivers.HasAnotherSecret()) as url:
        problems, receiver = await examined(url)
    assert problems.pop("first_event") == [
        "voice_ai_call_initiated was answered 401; the examination ends here.",
    ]
    assert set(problems.values()) == {None}
    assert receiver.requests == 1


async def test_a_receiver_that_is_busy_at_first_keeps_the_rules():
    with serving(receivers.IsBusyAtFirst()) as url:
        problems, receiver = await examined(url)
    assert broken(problems) == set()
    assert receiver.repeats > 10


async def test_a_receiver_without_answers_ends_the_examination():
    with serving(receivers.NeverAnswers()) as url:
        problems, receiver = await examined(url, timeout_s=0.2)
    assert broken(problems) == {"first_event", "in_time"}
    assert receiver.requests == 3
    assert [name for name, found in problems.items() if found is None] == NAMES[1:-1]


async def test_the_emulated_engage_keeps_every_rule_that_is_seen_from_outside(tmp_path):
    settings = EngageEmulatorSettings(state_dir=tmp_path, secret=SECRET, control_key="rbk_control")
    async with served(engage.create_app(settings)) as url, aiohttp.ClientSession() as session:
        receiver = Receiver(url, Webhook(SECRET), session)
        verdicts = await examine(Examination(receiver, read_examples(), "test"))
    assert {verdict.rule.name: verdict.problems for verdict in verdicts} == {name: [] for name in SEEN_FROM_OUTSIDE}


def test_the_command_says_what_is_kept_and_what_cannot_be_seen():
    with serving(receivers.GoodReceiver()) as url:
        result = CliRunner().invoke(cli.app, ["conformance", url, "--secret", SECRET])
    assert result.exit_code == 0, result.output
    assert "BROKEN" not in result.output
    for rule in RULES:
        assert f"ok      {rule.title}\n" in result.output
    for fact in (*NOT_OBSERVABLE, NOT_OBSERVABLE_WRITES):
        assert fact in result.output


def test_the_command_names_a_receiver_that_ignores_the_key_of_a_write():
    with serving(receivers.IgnoresTheKeyOfAWrite()) as url:
        page = url.replace("/hooks", "/crm/{contact_id}")
        words = ["conformance", url, "--secret", SECRET, "--contact-url", page]
        result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 1
    assert result.output.count("BROKEN") == 1
    assert f"BROKEN  {APPLIED_ONCE.title}\n        The contact has a note " in result.output
    assert "The contact has an earlier value of first_name: a repeat of that write was applied again." in result.output
    assert "Note the Idempotency-Key of each write under a unique key" in result.output
    assert NOT_OBSERVABLE_WRITES not in result.output


def test_the_command_leaves_out_the_writes_on_request():
    with serving(receivers.HasNoContacts()) as url:
        result = CliRunner().invoke(cli.app, ["conformance", url, "--secret", SECRET, "--events-only", "--json"])
    report = json.loads(result.stdout)
    assert (result.exit_code, report["conforms"]) == (0, True)
    assert [rule["rule"] for rule in report["rules"]] == [name for name in SEEN_FROM_OUTSIDE if name != "writes"]
    assert report["not_observable"] == list(NOT_OBSERVABLE)


def test_the_command_names_the_broken_rule_with_an_observation_and_advice(monkeypatch):
    monkeypatch.setenv("RINGBACK_ENGAGE_SECRET", SECRET)
    with serving(receivers.RefusesRepeats()) as url:
        result = CliRunner().invoke(cli.app, ["conformance", url])
    assert result.exit_code == 1
    assert "BROKEN  It accepts an event or a write that it has already.\n" in result.output
    assert "        voice_ai_call_initiated sent again at once was answered 409.\n" in result.output
    assert "Recognise it by its webhook-id, which is the Idempotency-Key of a write." in result.output
    assert SECRET not in result.output


def test_the_command_prints_json_for_scripts():
    with serving(receivers.TakesUnsigned()) as url:
        result = CliRunner().invoke(cli.app, ["conformance", url, "--secret", SECRET, "--json"])
    report = json.loads(result.stdout)
    assert (result.exit_code, report["conforms"]) == (1, False)
    assert [rule["rule"] for rule in report["rules"]] == SEEN_FROM_OUTSIDE
    assert [rule["rule"] for rule in report["rules"] if not rule["kept"]] == ["unsigned"]
    unsigned = next(rule for rule in report["rules"] if rule["rule"] == "unsigned")
    assert unsigned["problems"] == [
        "voice_ai_call_completed without a signature was answered 202.",
        "PATCH fields without a signature was answered 202.",
        "POST notes without a signature was answered 202.",
    ]
    assert report["not_observable"] == [*NOT_OBSERVABLE, NOT_OBSERVABLE_WRITES]


def test_a_receiver_that_accepts_no_connection_ends_the_command_with_1():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        result = CliRunner().invoke(cli.app, ["conformance", url, "--secret", SECRET])
    assert result.exit_code == 1
    first, problem = result.output.splitlines()[:2]
    assert first == "BROKEN  It accepts a signed event."
    assert "The receiver cannot be reached: no connection (Connection refused);" in problem
    assert result.output.count("unknown ") == len(RULES) - 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["http://127.0.0.1:1"], "RINGBACK_ENGAGE_SECRET"),
        (["ftp://127.0.0.1", "--secret", SECRET], "URL: must begin with http:// or https://"),
        (["127.0.0.1:80", "--secret", SECRET], "URL: must begin with http:// or https://"),
        (["http://", "--secret", SECRET], "URL: must begin with http:// or https://"),
        (["http://127.0.0.1:1", "--secret", "whsec_x"], "whsec_ and base64"),
        (
            ["http://127.0.0.1:1", "--secret", SECRET, "--contact-url", "http://127.0.0.1/crm"],
            "must have {contact_id} in it",
        ),
        (
            ["http://127.0.0.1:1", "--secret", SECRET, "--contact-url", "http://x/{contact_id}", "--events-only"],
            "cannot be used with --events-only",
        ),
    ],
)
def test_wrong_use_is_one_sentence(monkeypatch, arguments, told):
    """`ringback.cli.main` ends a SettingsError with exit code 2."""
    monkeypatch.delenv("RINGBACK_ENGAGE_SECRET", raising=False)
    result = CliRunner().invoke(cli.app, ["conformance", *arguments])
    assert isinstance(result.exception, SettingsError)
    assert len(result.exception.problems) == 1
    assert told in result.exception.problems[0]


async def test_the_examination_sends_what_the_product_sends():
    """Beside the signature, the id and the time, the requests are the same."""
    from ringback.adapters.clock import SystemClock
    from ringback.adapters.engage_http import EngageHttp

    seen = []

    class Listens(receivers.GoodReceiver):
        def answer(self, headers, body, path):
            seen.append((path, sorted(headers), headers["content-type"], headers["user-agent"], body))
            return 202

    event = read_examples()["completed"][0]
    fields, note = streams.writes("test")[:2]
    with serving(Listens()) as url:
        product = EngageHttp(url, SECRET, SystemClock())
        await product.deliver("abt_event", event["id"], event)
        for write in (fields, note):
            await product.deliver(write.kind, write.id, write.payload)
        await product.close()
        async with aiohttp.ClientSession(headers={"User-Agent": "ringback"}) as session:
            receiver = Receiver(url, Webhook(SECRET), session)
            for message in (event, fields, note):
                await receiver.deliver(message)
    assert seen[:3] == seen[3:]
