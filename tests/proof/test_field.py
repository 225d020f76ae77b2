"""The project's tests as evidence: what they tried is counted by themselves, and nothing but passing is good enough."""

import pytest

from proof.field import cases_in, judge, run
from proof.field.pieces import Piece, pieces
from proof.field.running import TestSaid, Told
from proof.findings import Findings, Size
from proof.invariants import Invariant as Inv

PIECE = Piece("a piece", (Inv.I7, Inv.I11), Inv.I7, "test_x.py", "--trials 9")


def said(outcome: str = "passed", phase: str = "call", **properties: object) -> TestSaid:
    return TestSaid("tests/test_x.py::test_x", phase, outcome, "AssertionError: no\nmore", False, properties)


def judged(told: Told) -> Findings:
    findings = Findings("field", 5)
    judge(PIECE, told, 5, findings)
    return findings


def test_a_test_counts_as_many_cases_as_it_says_or_one():
    assert cases_in([said(cases=222), said(cases="24"), said()]) == 247


def test_what_passed_is_counted_for_each_invariant_it_looks_at():
    told = Told(0, "", (said(phase="setup"), said(cases=222), said(phase="teardown"), said(cases=8)), "")
    findings = judged(told)
    assert (findings.cases, findings.violations) == ({Inv.I7: 230, Inv.I11: 230}, [])
    assert findings.holds


@pytest.mark.parametrize("outcome", ["failed", "skipped", "xfailed"])
@pytest.mark.parametrize("phase", ["setup", "call", "teardown"])
def test_what_did_not_pass_is_a_violation_that_says_how_to_see_it_again(outcome, phase):
    findings = judged(Told(1, "", (said(cases=3), said(outcome, phase, cases=9)), ""))
    (violation,) = findings.violations
    assert violation.invariant is Inv.I7
    assert violation.what == f"tests/test_x.py::test_x {outcome} in its {phase}: AssertionError: no"
    assert violation.reproduce == "pytest --trials 9 --race-seed 5 'tests/test_x.py::test_x'"
    assert findings.cases[Inv.I7] == 3


@pytest.mark.parametrize("exit_code", [None, 0, 2, 4, 5])
def test_a_run_in_which_nothing_was_tried_is_a_violation(exit_code):
    assert not judged(Told(exit_code, "", (), "no tests ran")).holds


def test_a_run_that_ended_badly_is_a_violation_though_every_test_passed():
    assert not judged(Told(3, "", (said(),), "internal error")).holds


def test_the_small_size_runs_and_counts():
    lines: list[str] = []
    findings = run(Size.SMALL, 5, lines.append)
    assert findings.holds, findings.violations
    assert findings.cases[Inv.I10] >= 45
    assert {piece.name for piece in pieces(Size.SMALL)} == {line.partition(":")[0] for line in lines}
