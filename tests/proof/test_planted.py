"""Planted bugs: there is one for each invariant, each can still be planted, and being caught means just that."""

import ast
import asyncio
import sys
from collections import Counter
from pathlib import Path

import pytest

import ringback
from proof.evidence import ROOT
from proof.field.running import SOURCE, TestSaid, Told, _run
from proof.field.witness import _breaks_a_rule
from proof.findings import Size
from proof.invariants import Invariant as Inv
from proof.planted import run, trial
from proof.planted.bug import TextPatch
from proof.planted.catalogue import BUGS, aimed_at
from proof.planted.races import TESTS as RACES
from proof.planted.races import planted_by
from proof.planted.suite import QUICKEST, RETRIAL_TIMEOUT_S, try_all
from proof.planted.target import PACKAGE, CodeMoved
from proof.planted.trial import TRIAL_TIMEOUT_S, ControlFailed, Court, Judgement, Verdict, judge
from ringback.domain.attempt import AttemptState, ForbiddenTransition, check_transition
from ringback.domain.call import Call, CallStatus, close

COPY = Path("/copies/1")
OURS = str(COPY / "ringback/__init__.py")
OF_THE_DIAL_PROTOCOL = (Inv.I2, Inv.I3, Inv.I4, Inv.I5, Inv.I6, Inv.I10, Inv.I14)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_each_can_be_planted(bug):
    if isinstance(bug, TextPatch):
        compile(bug.planted_in(SOURCE / PACKAGE), bug.file, "exec")
    else:
        assert all(wrong != target.value for target, wrong in bug.replacements())


def test_text_that_has_moved_is_said_so(tmp_path):
    (tmp_path / "file.py").write_text("twice twice")
    for old in ("twice", "never"):
        bug = TextPatch("b", (Inv.I1,), "Because.", ("test_cli.py",), "file.py", old, "new")
        with pytest.raises(CodeMoved, match=r"b: file.py has this [02] times"):
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


def test_caught_is_an_assertion_of_a_test_about_the_product_with_the_bug():
    told = Told(1, OURS, (said("", outcome="passed"), said("AssertionError: rang twice\nlong")), "", ("b",))
    verdict = judge(told, COPY, ["b"])
    assert str(verdict) == "caught: tests/test_x.py::test_x: AssertionError: rang twice"
    assert verdict.is_caught


def test_not_caught_is_a_run_in_which_every_test_passed_and_each_is_named():
    told = Told(0, OURS, (said("", outcome="passed"),), "1 passed")
    verdict = judge(told, COPY, [])
    assert str(verdict) == "not caught: every test passed: tests/test_x.py::test_x"
    assert not verdict.is_caught


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        pytest.param(Told(None, OURS, (), "TAIL"), "pytest did not end in time", id="no end"),
        pytest.param(Told(2, OURS, (), "TAIL"), "pytest ended with 2", id="nothing was collected"),
        pytest.param(Told(0, OURS, (), "TAIL"), "pytest ended with 0", id="nothing was run"),
        pytest.param(
            Told(0, OURS, (said("", outcome="skipped"),), "TAIL"), "pytest ended with 0", id="a test was skipped"
        ),
        pytest.param(
            Told(1, OURS, (said("NameError: x", is_rule=False),), "TAIL"),
            "tests/test_x.py::test_x fell over in its call: NameError: x",
            id="a test fell over",
        ),
        pytest.param(
            Told(1, OURS, (said("E", phase="setup", is_rule=False),), "TAIL"),
            "tests/test_x.py::test_x fell over in its setup: E",
            id="a fixture fell over",
        ),
        pytest.param(
            Told(1, ringback.__file__, (said("AssertionError"),), "TAIL"), "another package", id="another package"
        ),
        pytest.param(Told(1, OURS, (said("AssertionError"),), "TAIL", ("b",)), "another package", id="another bug"),
        pytest.param(Told(1, "", (), "TAIL"), "another package was tested: none", id="nothing was told"),
    ],
)
def test_anything_else_is_not_judged_and_says_what_happened(told, reason):
    verdict = judge(told, COPY, [])
    assert verdict.judgement is Judgement.NOT_JUDGED
    assert not verdict.is_caught
    assert verdict.how.startswith(reason) and verdict.how.endswith(": TAIL")


class Courtroom:
    """A court with prepared verdicts. `beside` counts the trials that ran at the same time as each one."""

    def __init__(self, verdicts: dict[str, list[Judgement]]) -> None:
        self.verdicts = verdicts
        self.running = 0
        self.timeouts_s: list[float] = []
        self.beside: dict[str, list[int]] = {name: [] for name in verdicts}

    async def control(self, nodes) -> None:
        assert nodes

    async def try_bug(self, bug, timeout_s) -> Verdict:
        self.running += 1
        self.timeouts_s.append(timeout_s)
        await asyncio.sleep(0.01)
        self.beside[bug.name].append(self.running - 1)
        await asyncio.sleep(0.01)
        self.running -= 1
        return Verdict(self.verdicts[bug.name].pop(0), "told")


async def test_a_bug_that_was_not_judged_is_tried_once_more_alone():
    first, second, third = BUGS[:3]
    caught, missed, unclear = Judgement.CAUGHT, Judgement.NOT_CAUGHT, Judgement.NOT_JUDGED
    court = Courtroom({first.name: [unclear, caught], second.name: [unclear, unclear], third.name: [missed, caught]})
    verdicts = await try_all(BUGS[:3], court, [].append)
    assert [verdicts[bug.name].judgement for bug in BUGS[:3]] == [caught, unclear, missed]
    assert [court.beside[bug.name][1:] for bug in BUGS[:3]] == [[0], [0], []]
    assert court.timeouts_s == [TRIAL_TIMEOUT_S] * 3 + [RETRIAL_TIMEOUT_S] * 2


@pytest.mark.parametrize(
    ("first", "repeated"),
    [
        pytest.param(
            Told(1, OURS, (said("Unavailable", is_rule=False),), "TAIL"), ["tests/test_x.py::test_x"], id="one"
        ),
        pytest.param(Told(None, OURS, (), "TAIL"), ["tests/test_w.py", "tests/test_x.py"], id="no end"),
    ],
)
async def test_the_control_runs_once_more_what_did_not_pass(monkeypatch, first, repeated):
    passed = Told(0, OURS, (said("", outcome="passed"),), "")
    prepared, asked = [first, passed, first, first], []

    async def run_prepared(nodes, **_):
        asked.append(list(nodes))
        return prepared.pop(0)

    monkeypatch.setattr(trial, "run_tests", run_prepared)
    nodes = ["tests/test_x.py", "tests/test_w.py", "tests/test_x.py"]
    await Court(COPY).control(nodes)
    assert asked == [["tests/test_w.py", "tests/test_x.py"], repeated]
    with pytest.raises(ControlFailed, match="TAIL"):
        await Court(COPY).control(nodes)


async def test_a_run_without_an_end_keeps_what_it_printed(tmp_path):
    with (tmp_path / "output").open("wb") as output:
        assert await _run(("sh", "-c", "echo so far; exec sleep 60"), {}, output, 2.0) is None
    assert (tmp_path / "output").read_text() == "so far\n"


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
