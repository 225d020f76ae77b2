"""Planted bugs: there is one for each invariant, each can still be planted, and being caught means just that."""

import ast
import sys
from collections import Counter
from pathlib import Path

import pytest

import ringback
from proof.evidence import ROOT
from proof.field.running import SOURCE, TestSaid, Told
from proof.field.witness import _breaks_a_rule
from proof.findings import Size
from proof.invariants import Invariant as Inv
from proof.planted import QUICKEST, run
from proof.planted.bug import CodeMoved, PlantedBug
from proof.planted.catalogue import BUGS, aimed_at
from proof.planted.races import TESTS as RACES
from proof.planted.races import planted_by
from proof.planted.trial import PACKAGE, judge
from ringback.domain.attempt import AttemptState, ForbiddenTransition, check_transition
from ringback.domain.call import Call, CallStatus, close

COPY = Path("/copies/1")
OURS = str(COPY / "ringback/__init__.py")
OF_THE_DIAL_PROTOCOL = (Inv.I2, Inv.I3, Inv.I4, Inv.I5, Inv.I6, Inv.I10, Inv.I14)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_each_can_be_planted_and_python_still_reads_it(bug):
    compile(bug.planted_in(SOURCE / PACKAGE), bug.file, "exec")


def test_code_that_has_moved_is_said_so(tmp_path):
    (tmp_path / "file.py").write_text("twice twice")
    for old in ("twice", "never"):
        bug = PlantedBug("b", (Inv.I1,), "file.py", old, "new", "Because.", ("test_cli.py",))
        with pytest.raises(CodeMoved, match="the code has moved: b"):
            bug.planted_in(tmp_path)


def test_each_invariant_has_one_and_those_of_the_dial_protocol_have_three():
    assert [invariant for invariant in Inv if not aimed_at(invariant)] == []
    assert [invariant for invariant in OF_THE_DIAL_PROTOCOL if len(aimed_at(invariant)) < 3] == []
    assert [name for name, count in Counter(bug.name for bug in BUGS).items() if count > 1] == []


def test_the_tests_they_name_are_there():
    named = {node for bug in BUGS for node in bug.nodes} | {RACES}
    missing = []
    for node in named:
        path, _, test = node.partition("::")
        functions = {each.name for each in ast.walk(ast.parse((ROOT / path).read_text())) if hasattr(each, "name")}
        if test and test.rpartition("::")[2].partition("[")[0] not in functions:
            missing.append(node)
    assert missing == []


def test_what_the_races_plant_is_named_and_aimed():
    test = f"{RACES}::test_without_the_lock_the_same_trials_find_violations"
    assert planted_by(f"{test}[pause]") == ("race_pause_without_the_lock", (Inv.I10,))
    assert planted_by(f"{test}[reschedule_call]") == ("race_reschedule_call_without_the_lock", (Inv.I10, Inv.I17))


def said(error: str, *, phase: str = "call", is_rule: bool = True, outcome: str = "failed") -> TestSaid:
    return TestSaid("tests/test_x.py::test_x", phase, outcome, error, is_rule, {})


def test_caught_is_an_assertion_of_a_test_about_the_copy():
    told = Told(1, OURS, (said("", outcome="passed"), said("AssertionError: rang twice\nlong")), "")
    assert (judge(told, COPY).caught, judge(told, COPY).how) == (
        True,
        "tests/test_x.py::test_x: AssertionError: rang twice",
    )


@pytest.mark.parametrize(
    "told",
    [
        pytest.param(Told(0, OURS, (said("", outcome="passed"),), ""), id="every test passed"),
        pytest.param(Told(None, OURS, (), "no end"), id="no end"),
        pytest.param(Told(2, OURS, (), "ImportError"), id="nothing was collected"),
        pytest.param(Told(1, OURS, (said("NameError: x", is_rule=False),), ""), id="a test fell over"),
        pytest.param(Told(1, OURS, (said("E", phase="setup", is_rule=False),), ""), id="a fixture fell over"),
        pytest.param(Told(1, ringback.__file__, (said("AssertionError"),), ""), id="another package"),
        pytest.param(Told(1, "", (), ""), id="nothing was told"),
    ],
)
def test_anything_else_is_not(told):
    assert not judge(told, COPY).caught


def raised_by(act) -> BaseException:
    with pytest.raises((Exception, pytest.fail.Exception)) as caught:
        act()
    return caught.value


def close_twice() -> None:
    call = Call("c", "crm", "+14155550100", "a", "+14155550199", {}, {}, None, None, None, False)
    close(call, CallStatus.FAILED, "e1")
    close(call, CallStatus.FAILED, "e2")


def demand_one() -> None:
    (_one,) = [1, 2]


def demand_two() -> None:
    assert sys.argv == "two"


def demand_an_error() -> None:
    with pytest.raises(ValueError):
        pass


def in_a_group() -> None:
    raise ExceptionGroup("tasks", [ValueError(), raised_by(demand_two)])


def test_a_rule_is_broken_by_what_a_test_says_and_not_by_what_the_product_says():
    for act in (demand_one, demand_two, demand_an_error, in_a_group):
        assert _breaks_a_rule(raised_by(act)), act.__name__
    own = raised_by(close_twice)
    assert isinstance(own, AssertionError) and not _breaks_a_rule(own)
    forbidden = raised_by(lambda: check_transition(AttemptState.PLACED, AttemptState.WAITING))
    assert isinstance(forbidden, ForbiddenTransition) and not _breaks_a_rule(forbidden)


def test_the_quickest_ones_are_caught():
    lines: list[str] = []
    findings = run(Size.SMALL, 1, lines.append)
    assert findings.planted == dict.fromkeys(sorted(QUICKEST, key=[bug.name for bug in BUGS].index), True), lines
    assert findings.holds
