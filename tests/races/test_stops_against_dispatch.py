"""An acknowledged stop is followed by no claim, in every interleaving of stop and dispatch."""

import pytest

from .stops import RACES
from .trial import run_race


@pytest.mark.parametrize("race", RACES, ids=lambda race: race.name)
async def test_nothing_is_claimed_after_the_stop_was_acknowledged(race, stack, trials, seed, record_property):
    tally = await run_race(race, stack, trials=trials, seed=seed)
    record_property("race", str(tally))
    record_property("cases", tally.answers.total())
    assert tally.violations == [], str(tally)
    assert tally.clashes == 0, str(tally)
    assert tally.both_sides_won, f"nothing was raced: {tally}"
