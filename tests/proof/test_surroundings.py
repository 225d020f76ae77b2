"""The suite of the surroundings at its small size: nothing is broken, and each planted bug is caught."""

from pathlib import Path

import pytest

from proof.findings import Findings, Size
from proof.harness.databases import Databases
from proof.harness.oracle import ANY, Expected, Observed
from proof.surroundings import run_in_process
from proof.surroundings.judging import judge_calls, judge_posts
from proof.surroundings.load import Posted

SEED = 20261201


@pytest.mark.matrix
def test_the_scenarios_hold_and_their_planted_bugs_are_caught(server_url: str, template_database: str, tmp_path: Path):
    found = Findings("surroundings", SEED)
    run_in_process(Databases(server_url, template_database, tmp_path), found, Size.SMALL, lambda _: None)
    assert found.violations == []
    assert len(found.planted) == 6
    assert [bug for bug, caught in found.planted.items() if not caught] == []
    assert {"I1", "I2", "I8", "I9", "I10", "I12", "I14", "I16"} <= {str(tried.value) for tried in found.cases}


def told(*events: tuple[str, int, dict]) -> list[dict]:
    return [
        {
            "id": f"e{sequence}",
            "signature_ok": True,
            "event": {
                "id": f"e{sequence}",
                "subject": "c",
                "type": f"voice_ai_call_{kind}",
                "data": {"sequence": sequence, **data},
            },
        }
        for kind, sequence, data in events
    ]


def wrong(deliveries: list[dict]) -> list[str]:
    found = Findings("surroundings", 1)
    calls = [{"call_id": "c", "status": "completed", "final": True}]
    judge_calls(found, Observed([], deliveries, calls, []), {"c": ANY}, "here")
    return [violation.what for violation in found.violations]


INITIATED, END = ("initiated", 1, {"attempt_id": "a"}), {"attempt_id": "a", "is_final": True}


def test_the_oracle_of_events_sees_what_is_lost_doubled_altered_or_out_of_order():
    assert wrong(told(INITIATED, ("completed", 2, END))) == []
    assert wrong(told(INITIATED, INITIATED, ("completed", 2, END))) == []
    assert wrong(told(("failed", 1, {**END, "attempted": False}))) == []
    assert wrong(told(INITIATED, ("completed", 3, END))) == ["call c: the sequence of its events is [1, 3]"]
    assert wrong(told(INITIATED)) == ["call c: Engage received no final event"]
    assert wrong(told(("completed", 1, END))) == ["call c: attempt a ended before it was initiated"]
    assert "call c: attempt a was initiated 2 times" in wrong(told(INITIATED, ("initiated", 2, {"attempt_id": "a"})))
    altered = told(INITIATED, ("initiated", 1, {"attempt_id": "b"}), ("completed", 2, END))
    assert wrong(altered) == ["call c: event e1 came again with another content"]


def ring(provider_call_id: str) -> dict:
    return {
        "provider_call_id": provider_call_id,
        "metadata": {"ringback_call_id": "c", "ringback_attempt_id": "a"},
    }


def test_the_oracles_of_rings_ends_and_answers_see_theirs():
    found = Findings("surroundings", 1)
    attempts = [{"call_id": "c", "attempt_id": "a", "state": "dialing", "provider_call_id": "one"}]
    calls = [{"call_id": "c", "status": "ongoing", "final": False}]
    seen = Observed([ring("one"), ring("two")], [], calls, attempts)
    judge_calls(found, seen, {"c": Expected(rings=range(2))}, "here")
    assert {(str(one.invariant.value), one.what) for one in found.violations} >= {
        ("I1", "call c: not final, but ongoing"),
        ("I2", "call c: attempt a rang 2 times"),
        ("I2", "call c: rang 2 times"),
        ("I6", "call c: two rang, but its attempt is bound to one"),
        ("I6", "call c: attempt a is still dialing"),
        ("I1", "call c: Engage received no final event"),
    }


def test_the_oracle_of_answers_sees_what_is_lost_odd_or_late():
    found = Findings("surroundings", 1)
    posted = [Posted("lost", 204, 0.1), Posted("kept", 204, 0.1), Posted("odd", 404, 0.1), Posted("late", 503, 900.0)]
    judge_posts(found, posted, {"kept"}, "here")
    assert [(str(one.invariant.value), one.what) for one in found.violations] == [
        ("I12", "lost was answered 204 and is not in the queue"),
        ("I12", "odd was answered 404"),
        ("I12", "late was answered after 900.0 s"),
    ]
