"""Sums become figures: a value with its parts and its interval, and percentiles of bucketed samples."""

import math
from collections.abc import Mapping
from typing import Any

from ringback.domain.log_buckets import value_of
from ringback.domain.metrics import Metric, Unit

#: The size of a unit: sums are of thousandths of cents and of seconds.
_PER_UNIT = {Unit.CENTS: 1000, Unit.SECONDS: 1000}
#: Percentiles: the kind, and what one of its values is divided by to be in the unit of its name.
DISTRIBUTIONS = {
    "talk": ("talk_s", 1000),
    "latency": ("latency_ms", 1),
    "cost": ("cost_cents", 1000),
    "answer": ("answer_s", 1000),
}
PERCENTILES = (50, 90, 99)


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share by Wilson, which also holds for few trials and for 0 or all successes."""
    z = 1.959963984540054
    share, square = successes / trials, z * z
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    half = z / (1 + square / trials) * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    return max(0.0, centre - half), min(1.0, centre + half)


def figure(metric: Metric, sums: Mapping[str, int]) -> dict[str, Any]:
    """The metric's value with numerator, denominator, interval and the number of its rows.

    The value is null where the denominator is 0. Money and time are in the metric's unit.
    """
    scale = _PER_UNIT.get(metric.unit, 1)
    whole = sums[metric.numerator]
    numerator = whole if scale == 1 else whole / scale
    denominator = sums[metric.denominator] if metric.denominator is not None else None
    value: float | None = numerator
    if denominator is not None:
        value = numerator / denominator if denominator else None
    has_interval = metric.unit is Unit.SHARE and denominator
    return {
        "value": value,
        "numerator": numerator,
        "denominator": denominator,
        "interval": list(wilson(whole, denominator)) if has_interval and denominator and whole <= denominator else None,
        "rows": sums[metric.rows],
    }


def percentiles(kind: str, samples: Mapping[int, int]) -> dict[str, Any]:
    """The percentiles of bucketed samples, each at most 9 % from the exact one."""
    _, divisor = DISTRIBUTIONS[kind]
    total = sum(samples.values())
    found: dict[str, Any] = {"samples": total}
    for percent in PERCENTILES:
        rank, seen, value = max(1, math.ceil(total * percent / 100)), 0, None
        for bucket, count in sorted(samples.items()):
            seen += count
            if count > 0 and seen >= rank:
                value = value_of(bucket) / divisor
                break
        found[f"p{percent}"] = value
    return found
