"""The suite of hostile input at its small size: it holds, and it would notice."""

import json
import random
from base64 import b64encode
from urllib.parse import quote

import pytest

from proof.findings import Findings, Size
from proof.harness.http import Reply, Request
from proof.hostile import run
from proof.hostile.canaries import leaks, make_canaries
from proof.hostile.target import judge
from proof.invariants import Invariant

SEED = 20261122
PROBLEM = {"content-type": "application/problem+json"}


@pytest.mark.matrix
def test_nothing_hostile_is_accepted_crashes_or_makes_the_system_talk():
    found = run(Size.SMALL, SEED, lambda line: None)
    assert [(one.what, one.reproduce) for one in found.violations] == []
    assert found.holds
    assert found.cases[Invariant.I15] >= 2_000
    assert found.cases[Invariant.I18] >= 500
    assert found.cases[Invariant.I19] >= 500
    assert len(found.planted) == 4


def judged(status: int, body: bytes, headers=PROBLEM, statuses=()) -> int:
    found = Findings("judge", SEED)
    judge(found, Invariant.I18, Request("a case", "POST", "/v1/calls"), Reply(status, headers, body), statuses)
    return len(found.violations)


def test_a_5xx_a_missing_answer_and_a_refusal_that_is_no_problem_are_violations():
    good = b'{"status": 422, "code": "invalid_request", "errors": []}'
    assert judged(422, good) == 0
    assert judged(500, good) == judged(0, b"") == judged(422, b"no") == judged(401, good) == 1
    assert judged(422, good, {"content-type": "application/json"}) == 1
    assert judged(422, good, statuses={401}) == 1


def test_a_canary_is_found_in_any_spelling():
    canaries = make_canaries(random.Random(SEED))
    phone, name = canaries.phones["answered"], canaries.words["first_name"]
    national = phone[2:]
    spellings = canaries.spellings()
    for text in (
        phone,
        f"?phone=%2B{phone[1:]}",
        f"{national[:3]}-{national[3:6]}-{national[6:]}",
        f"({national[:3]}) {national[3:6]}-{national[6:]}",
        b64encode(f"to={phone}&x".encode()).decode(),
        name.upper(),
        json.dumps(name),
        quote(name),
        f"Basic {b64encode(('u:' + canaries.secrets['database']).encode()).decode()}",
    ):
        assert list(leaks(f"before\n{text}\nafter", spellings)), text
    assert not list(leaks("2026-12-01T17:00:00.000Z 01a20491-7446-7438-8476-b9da1cc0a52a", spellings))
