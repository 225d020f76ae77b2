"""Any events of calls in any order, folds and counting in between: no cell ever differs (invariant I27)."""

import random

import pytest

from tests.flows.event_processing.test_any_story import Story

from .conftest import CountingStack

#: At the least; with `--trials`, as many as those. Each is a call with this many steps.
STORIES, STEPS = 12, 14


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        stories = max(STORIES, metafunc.config.getoption("--trials"))
        metafunc.parametrize("seed", range(0, stories, 4))


@pytest.mark.matrix
async def test_rollups_and_deltas_equal_the_rows_after_every_step(stack: CountingStack, seed: int) -> None:
    rng = random.Random(seed)
    stories = [Story(CountingStack(stack.pool, type(stack.clock)()), seed + number) for number in range(4)]
    for story in stories:
        await story.begin()
    for _ in range(STEPS):
        for story in stories:
            await story.step()
        if rng.random() < 0.5:
            await stack.rows.fold(rng.choice([1, 3, 1000]))
        assert await stack.rows.check() == [], f"seed {seed}: {[story.steps for story in stories]}"
    for story in stories:
        await story.end()
    assert await stack.rows.check() == [], f"seed {seed}: {[story.steps for story in stories]}"
    assert await stack.rows.count_uncounted(1000) == 0, "a row was left to the scheduler"
