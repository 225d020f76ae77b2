"""How many examples a property is tried with, from which seed, and how many it was tried with in the end."""

import functools
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, seed, settings

FULL = "full"
#: Hypothesis' profiles and the factor of each: as part of the proof, and for as long as it takes.
DEEPER = {"proof": 10, FULL: 60}
#: Every run tries the same examples; another `--hypothesis-seed` has no part in it, so raise this for new ones.
SEED = 1

#: By the test's name: how often its body has run.
tried: Counter[str] = Counter()


def is_full() -> bool:
    return settings.get_current_profile_name() == FULL


def factor() -> int:
    return DEEPER.get(settings.get_current_profile_name(), 1)


def checked(examples: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Tries a property with that many examples, times the profile's factor."""
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]
    count = examples * factor()
    deep = settings(max_examples=count, database=None, print_blob=True, suppress_health_check=quiet)

    def prepare(test: Any) -> Callable[..., Any]:
        # Where Hypothesis keeps what it calls for each example, for those who wrap it (its docs: "details").
        test.hypothesis.inner_test = _counted(test.hypothesis.inner_test)
        return seed(SEED)(deep(test))

    return prepare


def _counted(test: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(test)
    def counted(*given: Any, **named: Any) -> Any:
        tried[test.__name__] += 1
        return test(*given, **named)

    return counted
