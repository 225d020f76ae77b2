"""The model at its small size: every reachable situation is good, and every planted bug has a way to what it breaks."""

import pytest

from proof.findings import Size
from proof.invariants import Invariant
from proof.model import run
from proof.model.bugs import BY_NAME
from proof.model.rules import Rules
from proof.model.search import Search
from proof.model.state import Bounds
from proof.model.suite import FULL
from ringback.domain.attempt import TRANSITIONS


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def findings(told):
    return run(Size.SMALL, 1, told.append)


def test_every_reachable_situation_is_good_and_can_come_to_rest(findings):
    assert findings.violations == []
    assert findings.holds


def test_every_edge_of_the_products_table_is_walked(findings):
    assert findings.counts["edges_walked"] == sum(len(targets) for targets in TRANSITIONS.values())


def test_every_planted_bug_is_caught_by_the_invariant_it_aims_at(findings):
    assert len(findings.planted) >= 20
    assert all(findings.planted.values())


def test_the_shortest_way_to_a_planted_bug_is_told(findings, told):
    (line,) = [line for line in told if line.startswith("UnclearWaits")]
    assert "a second ring of one attempt, after 11 steps: release 0 0; deliver 0 0;" in line


def test_without_its_bug_the_same_search_finds_nothing():
    bounds = Bounds("both", faults=1, wishes=0, talks=False)
    assert Search(bounds, BY_NAME["UnclearWaits"](), aim=Invariant.I2).run().found
    assert Search(bounds, BY_NAME["NoFence"](), aim=Invariant.I7).run().found
    assert Search(bounds, Rules()).run().found == []


def test_a_search_that_does_not_end_is_no_proof():
    searched = Search(Bounds("short", faults=1, wishes=0, most_states=100), Rules()).run()
    assert not searched.is_whole


def test_the_full_size_has_every_fault_and_every_wish():
    wishes = frozenset().union(*(bounds.wished for bounds in FULL if bounds.wishes))
    assert wishes == Bounds("all").wished
    assert max(bounds.faults for bounds in FULL) >= 3
    assert {bounds.calls for bounds in FULL} == {1, 2}
