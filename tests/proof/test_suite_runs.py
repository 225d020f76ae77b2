"""Suites that run beside each other in two processes."""

import os

import pytest

from proof.findings import Size
from proof.suite_runs import Order, all_suites
from tests.loopback import PORTS

ORDER = Order(Size.SMALL, 20261122, keeps=False)


@pytest.fixture(autouse=True)
def ports_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PORTS, os.environ.get(PORTS, "10000-19999"))


@pytest.mark.matrix
def test_each_suite_has_its_evidence_whichever_process_ran_it() -> None:
    proved = all_suites(ORDER, busy=["statistics"], waiting=["provider"], at_the_end=["statistics"])
    assert [one.suite for one in proved] == ["statistics", "provider", "statistics"]
    assert [one.holds for one in proved] == [True, True, True]
    assert proved[0].cases == proved[2].cases


def test_a_suite_that_fails_itself_is_evidence_of_it_in_either_process() -> None:
    proved = all_suites(ORDER, busy=["no_such_suite"], waiting=["nor_this", "nor_that"], at_the_end=[])
    assert [one.error for one in proved] == [
        "ModuleNotFoundError: No module named 'proof.no_such_suite'",
        "ModuleNotFoundError: No module named 'proof.nor_this'",
        "ModuleNotFoundError: No module named 'proof.nor_that'",
    ]
    assert not any(one.holds for one in proved)
