"""The retry policy of a call in its row, which this version and the one before it read."""

import pytest

from ringback.adapters.postgres.rows import retry_from_row, retry_to_row
from ringback.domain.call import RetryPolicy

POLICIES = {
    "none": RetryPolicy(),
    "delays": RetryPolicy(3, (600, 3600), frozenset({"busy"})),
    "rules": RetryPolicy(4, rules={"no_answer": (3600, 14400), "busy": (600,), "voicemail": (86400,)}),
    "voicemail alone": RetryPolicy(4, rules={"voicemail": (86400,)}),
}


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_is_the_same_after_its_row(name):
    assert retry_from_row(retry_to_row(POLICIES[name])) == POLICIES[name]


@pytest.mark.parametrize(
    ("name", "delay_s", "on"),
    [("rules", [14400], ["busy", "no_answer"]), ("voicemail alone", [0], [])],
)
def test_the_version_before_never_dials_sooner_than_the_rules_say(name, delay_s, on):
    """It reads these three members alone, and knows no retry after a voicemail."""
    row = retry_to_row(POLICIES[name])
    assert (row["max_attempts"], row["delay_s"], row["on"]) == (4, delay_s, on)
