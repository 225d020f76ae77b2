"""The model and the product take the same ways: rows and events are compared after every step."""

import pytest

from proof.model.bugs import BY_NAME
from proof.model.conformance import sampled, take
from proof.model.replay import Different, way_of
from proof.model.state import Bounds
from ringback.domain.attempt import DialAnswerKind

pytestmark = pytest.mark.matrix

SEED = 20261122
WAYS = sampled(SEED, 2)


@pytest.mark.parametrize(("bounds", "way"), WAYS, ids=[f"{bounds.name} {n}" for n, (bounds, _) in enumerate(WAYS)])
async def test_the_product_does_what_the_model_says(bounds, way, pool):
    await take(way, bounds, pool)


async def test_a_product_that_does_something_else_is_noticed(pool):
    """Here it is the model that has the bug, which makes the same difference."""
    bounds = Bounds("one call", wishes=0)
    last = [("rings, answer lost", 1), ("record", 1, DialAnswerKind.AMBIGUOUS)]
    labels = [("release", 0, 0), ("deliver", 0, 0), ("look at lease", 1), ("send", 1), *last]
    await take(way_of(bounds, labels), bounds, pool)
    with pytest.raises(Different, match=r"the model says .'state': 'waiting'.* the product .'state': 'unknown'"):
        await take(way_of(bounds, labels, BY_NAME["UnclearWaits"]()), bounds, pool)
