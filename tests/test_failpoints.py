"""Failpoints do nothing unless they are armed."""

from collections.abc import Iterator

import pytest

from ringback.failpoints import Failpoint, arm, reach


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    arm(None)


def test_a_point_does_nothing_unless_it_is_armed():
    reach(Failpoint.CLAIM_COMMITTED)


def test_an_armed_action_is_called_at_every_point_that_is_reached():
    reached: list[Failpoint] = []
    arm(reached.append)
    reach(Failpoint.CLAIM_WRITTEN)
    reach(Failpoint.CLAIM_COMMITTED)
    arm(None)
    reach(Failpoint.DIAL_SENDING)
    assert reached == [Failpoint.CLAIM_WRITTEN, Failpoint.CLAIM_COMMITTED]
