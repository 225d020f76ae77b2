"""ringback pause, resume and why, against recorded responses of the API."""

import json

import pytest
from typer.testing import CliRunner

from ringback import cli

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
    "decisions": [{"at": "2026-12-01T17:00:00.000Z", "call_id": "c-1", "attempt_id": None, "kind": "gate",
                   "detail": {"verdict": "wait", "rule": "attempt_gap", "until": None}}],
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
    responses["POST", "/v1/dialing/pause"] = {"paused": True, "paused_at": "T", "reason": "wrong script", "live": 3}
    result = run(cli.app, ["pause", "--reason", "wrong script"])
    assert (result.exit_code, result.stdout) == (0, "paused since T: wrong script\n")
    assert result.stderr == "3 calls are ringing or talking and go on\n"
    assert requests == [("POST", "/v1/dialing/pause", {"reason": "wrong script"})]


def test_resume_prints_that_dialing_is_on(api):
    responses, _ = api
    responses["POST", "/v1/dialing/resume"] = {"paused": False}
    assert run(cli.app, ["resume"]).stdout == "dialing\n"


def test_why_explains_line_by_line_by_phone_or_by_contact(api):
    responses, _ = api
    responses["GET", "/v1/why?phone=%2B14155550100"] = responses["GET", "/v1/why?contact_id=a%26b"] = WHY
    assert run(cli.app, ["why", "a&b"]).exit_code == 0
    assert run(cli.app, ["why", "+14155550100"]).stdout.splitlines() == [
        "next call    2026-12-02T14:00:00.000Z  because outside_calling_hours",
        "hours        closed until 2026-12-02T14:00:00.000Z  (mon-sat 09:00-20:00 in America/New_York)",
        "dialing      on, 2 calls live",
        "suppressed   s-1  2026-12-01T17:00:00.000Z  api  asked",
        "open task    callback of call c-1  held (held)  due 2026-12-02T01:00:00.000Z"
        "  then outside_calling_hours until 2026-12-02T14:00:00.000Z",
        "attempt      2026-12-01T17:00:00.000Z  c-1  analyzed  dial_busy",
        'decision     2026-12-01T17:00:00.000Z  call c-1  gate  verdict="wait"  rule="attempt_gap"',
    ]
    assert json.loads(run(cli.app, ["why", "a&b", "--json"]).stdout) == WHY
