"""ringback pause, resume and why, against recorded responses of the API."""

import inspect
import json
import re

import pytest
from typer.testing import CliRunner

from ringback import cli
from ringback.cli.dialing import _decision
from ringback.domain import contact_snapshot, eligibility
from ringback.domain.abt_event import FailReason
from ringback.domain.eligibility import EligibilityVerdict
from ringback.domain.rules_in_words import RULES_IN_WORDS

run = CliRunner().invoke
WHY = {
    "next_eligible_at": "2026-12-02T14:00:00.000Z",
    "because": "outside_calling_hours",
    "dialing": {"paused": False, "reason": None, "breaker_until": None, "live": 2},
    "calling_hours": {"policy": "mon-sat 09:00-20:00", "time_zones": ["America/New_York"], "open_now": False,
                      "opens_at": "2026-12-02T14:00:00.000Z"},
    "contacts": [],
    "suppressions": [{"suppression_id": "s-1", "matches": ["phone"], "reason": "asked", "source": "api",
                      "created_at": "2026-12-01T17:00:00.000Z"}],
    "open_tasks": [{"call_id": "c-1", "task_id": "t-1", "kind": "callback", "status": "held", "held": True,
                    "due_at": "2026-12-02T01:00:00.000Z", "local_time": None, "time_zone": None,
                    "next_eligible_at": "2026-12-02T14:00:00.000Z", "because": "outside_calling_hours",
                    "waits": [{"rule": "outside_calling_hours", "until": "2026-12-02T14:00:00.000Z"}]}],
    "attempts_last_24h": [{"attempt_id": "a-1", "call_id": "c-1", "number": 1, "state": "analyzed",
                           "sent_at": "2026-12-01T17:00:00.000Z", "ended_at": None,
                           "disconnection_reason": "dial_busy", "holds_person": False}],
    "decisions": [{"at": "2026-12-01T16:59:00.000Z", "call_id": "c-1", "attempt_id": "a-1", "kind": "dial_answer",
                   "detail": {"answer": "placed", "cause": "http_201", "resend": False}},
                  {"at": "2026-12-01T17:00:00.000Z", "call_id": "c-1", "attempt_id": None, "kind": "gate",
                   "detail": {"verdict": "wait", "rule": "attempt_gap", "until": "2026-12-01T17:15:00.000Z"}}],
}  # fmt: skip


@pytest.fixture
def api(monkeypatch):
    """The responses of the API by (method, path), and the requests that it received."""
    responses, requests = {}, []

    def request(data_dir, method, path, body=None):
        requests.append((method, path, body))
        return responses[method, path]

    monkeypatch.setattr("ringback.cli.dialing.request", request)
    return responses, requests


def test_pause_prints_its_start_and_the_number_of_live_calls(api):
    responses, requests = api
    responses["POST", "/v1/dialing/pause"] = {
        "paused": True,
        "paused_at": "2026-12-01T17:00:00.000Z",
        "reason": "wrong script",
        "live": 3,
    }
    result = run(cli.app, ["pause", "--reason", "wrong script"])
    assert (result.exit_code, result.stdout) == (0, "paused since 2026-12-01 17:00:00.000 UTC: wrong script\n")
    assert result.stderr == "3 calls in progress go on\n"
    assert requests == [("POST", "/v1/dialing/pause", {"reason": "wrong script"})]


def test_resume_tells_the_pause_that_it_ended(api):
    responses, _ = api
    resumed = {"paused": False, "was_paused_at": "2026-12-01T17:00:00.000Z", "was_reason": "wrong script"}
    for was, said in {
        ("2026-12-01T17:00:00.000Z", "wrong script"): "it was paused since 2026-12-01 17:00:00.000 UTC because "
        "wrong script",
        ("2026-12-01T17:00:00.000Z", None): "it was paused since 2026-12-01 17:00:00.000 UTC, no reason was given",
        (None, None): "it was not paused",
    }.items():
        responses["POST", "/v1/dialing/resume"] = resumed | {"was_paused_at": was[0], "was_reason": was[1]}
        assert run(cli.app, ["resume"]).stdout == f"dialing; {said}\n"
    assert json.loads(run(cli.app, ["resume", "--json"]).stdout) == responses["POST", "/v1/dialing/resume"]


def test_why_explains_in_sentences_by_phone_or_by_contact(api):
    responses, _ = api
    responses["GET", "/v1/why?phone=%2B14155550100"] = responses["GET", "/v1/why?contact_id=a%26b"] = WHY
    assert run(cli.app, ["why", "a&b"]).exit_code == 0
    assert run(cli.app, ["why", "+14155550100"]).stdout.splitlines() == [
        "The next call is possible Wed 2 Dec 09:00 in New York (2026-12-02 14:00:00.000 UTC), because it is outside the"
        " calling hours (outside_calling_hours).",
        "The calling hours are mon-sat 09:00-20:00: closed until Wed 2 Dec 09:00 in New York.",
        "Dialing is on, and 2 calls are live.",
        "Suppressed since 2026-12-01 17:00:00.000 UTC because asked (by phone, from api, suppression s-1).",
        "Open task: the callback of call c-1 is held by an inbound call, due 2026-12-02 01:00:00.000 UTC; then it waits"
        " until Wed 2 Dec 09:00 in New York because it is outside the calling hours (outside_calling_hours).",
        "Attempt 1 of call c-1 was sent at 2026-12-01 17:00:00.000 UTC and is analyzed, dial_busy.",
        "At 2026-12-01 16:59:00.000 UTC Retell's answer to call c-1 was placed (http_201).",
        "At 2026-12-01 17:00:00.000 UTC call c-1 had to wait until 2026-12-01 17:15:00.000 UTC, because the last"
        " attempt was a short time ago (attempt_gap).",
    ]
    assert json.loads(run(cli.app, ["why", "a&b", "--json"]).stdout) == WHY


def test_why_repeats_the_message_of_a_refusal(api):
    responses, _ = api
    detail = {"answer": "refused", "cause": "http_422", "resend": False, "message": "agent\x1b[2J not found"}
    responses["GET", "/v1/why?contact_id=crm-42"] = {**WHY, "decisions": [{**WHY["decisions"][0], "detail": detail}]}
    assert run(cli.app, ["why", "crm-42"]).stdout.splitlines()[-1] == (
        "At 2026-12-01 16:59:00.000 UTC Retell's answer to call c-1 was refused (http_422: "
        r'"agent\u001b[2J not found").'
    )


def test_why_says_what_else_may_decide(api):
    responses, _ = api
    hours = {**WHY["calling_hours"], "time_zones": ["America/Los_Angeles", "America/New_York"]}
    paused = {**WHY["dialing"], "paused": True, "reason": "wrong script"}
    broken = {**WHY["dialing"], "breaker_until": "2026-12-01T17:00:30.000Z"}
    empty = dict.fromkeys(("suppressions", "open_tasks", "attempts_last_24h", "decisions"), ())
    for changed, said in (
        ({"next_eligible_at": None, "because": "paused", "dialing": paused},
         ["No time can be promised for the next call, because all dialing is paused (paused).",
          "Dialing is paused: wrong script."]),
        ({"because": "admitted", "calling_hours": {**hours, "open_now": True}, "dialing": broken},
         ["A call is possible now, because nothing prevents a call (admitted).",
          "The calling hours are mon-sat 09:00-20:00, as in all of America/Los_Angeles, America/New_York: open now.",
          "Retell refuses the account; the next try is at 2026-12-01 17:00:30.000 UTC."]),
        ({"calling_hours": {**hours, "time_zones": [], "opens_at": None}},
         ["The next call is possible Wed 2 Dec 14:00 UTC (2026-12-02 14:00:00.000 UTC), because it is outside the"
          " calling hours (outside_calling_hours).",
          "The calling hours are mon-sat 09:00-20:00: closed, and they never open."]),
    ):  # fmt: skip
        responses["GET", "/v1/why?contact_id=crm-42"] = {**WHY, **empty, **changed}
        lines = run(cli.app, ["why", "crm-42"]).stdout.splitlines()
        assert [line for line in said if line not in lines] == []


def test_why_says_that_nothing_is_stored_about_a_phone(api):
    responses, _ = api
    empty = dict.fromkeys(("contacts", "suppressions", "open_tasks", "attempts_last_24h", "decisions"), ())
    responses["GET", "/v1/why?phone=%2B14155550199"] = {**WHY, **empty}
    last = run(cli.app, ["why", "+14155550199"]).stdout.splitlines()[-1]
    assert last == "Nothing is stored about this phone: no call to it was requested, or its data was erased."


def test_every_rule_of_the_eligibility_check_has_a_sentence():
    source = inspect.getsource(eligibility) + inspect.getsource(contact_snapshot)
    rules = set(re.findall(r'_(?:defer|deny)\("(\w+)"', source)) | {contact_snapshot.NEVER_OPEN, contact_snapshot.DUE}
    assert len(rules) > 10
    assert rules | {contact_snapshot.NOW, *map(str, refusals())} == RULES_IN_WORDS.keys()


def refusals() -> list[FailReason]:
    return [FailReason.COUNTRY_NOT_ALLOWED, FailReason.NUMBER_TYPE_NOT_ALLOWED]


def test_every_decision_has_a_sentence():
    at, call_id = "2026-11-29T10:00:00Z", "call-1"

    def said(kind, **detail):
        return _decision({"at": at, "call_id": call_id, "kind": kind, "detail": detail})

    told = {one: said("eligibility", verdict=one.value, rule="suppressed") for one in EligibilityVerdict}
    because = "because this person is suppressed (suppressed)."
    assert told == {
        EligibilityVerdict.ALLOW: f"At 2026-11-29 10:00:00 UTC call call-1 was allowed to dial, {because}",
        EligibilityVerdict.DEFER: f"At 2026-11-29 10:00:00 UTC call call-1 had to wait, {because}",
        EligibilityVerdict.DENY: f"At 2026-11-29 10:00:00 UTC call call-1 was not allowed to dial, {because}",
    }
    assert said("expired") == "At 2026-11-29 10:00:00 UTC call call-1: expired."
    assert said("cancel_asked", result="cancelled", nothing=None).endswith(
        "call call-1: cancel asked, result cancelled."
    )
