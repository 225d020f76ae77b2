"""How many examples a property is tried with, and from which seed."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, seed, settings

FULL = "full"
FULL_FACTOR = 60
#: Every run tries the same examples; another `--hypothesis-seed` has no part in it, so raise this for new ones.
SEED = 1


def is_full() -> bool:
    return settings.get_current_profile_name() == FULL


def checked(examples: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Tries a property with that many examples, with sixty times as many under the full profile."""
    count = examples * (FULL_FACTOR if is_full() else 1)
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]
    tried = settings(max_examples=count, deadline=None, database=None, print_blob=True, suppress_health_check=quiet)
    return lambda test: seed(SEED)(tried(test))
