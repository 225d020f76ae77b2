"""The dictionary of metrics: each is a count, or a ratio of two counts that are both shown.

The API, the console and docs/analytics.md all read it from here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ringback.domain.contribution import PERSON_MEASURES, REASON_MEASURES, value_of


class Unit(StrEnum):
    COUNT = "count"
    SHARE = "share"  # the numerator is a part of the denominator, so the ratio has an interval
    RATIO = "ratio"
    CENTS = "cents"
    SECONDS = "seconds"


#: What a unit is made of: sums are of thousandths of cents and of seconds.
_PER_UNIT = {Unit.CENTS: 1000, Unit.SECONDS: 1000}


@dataclass(frozen=True, slots=True)
class Metric:
    """`rows` is the measure whose rows are the numerator's: itself, unless the numerator is a sum of money or time."""

    name: str
    numerator: str
    denominator: str | None
    unit: Unit
    meaning: str
    rows: str

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(filter(None, (self.numerator, self.denominator, self.rows))))


def _metric(
    name: str, ratio: str, meaning: str, unit: Unit | None = None, *, rows: str | None = None
) -> tuple[str, Metric]:
    numerator, _, denominator = ratio.partition(" / ")
    known = unit or (Unit.SHARE if denominator else Unit.COUNT)
    return name, Metric(name, numerator, denominator or None, known, meaning, rows or numerator)


_U = Unit
METRICS: dict[str, Metric] = dict(
    (
        _metric("attempts", "attempts", "Dials that Retell accepted, or whose outcome stayed unknown."),
        _metric("persons", "persons", "Calls with at least one such attempt, on the day of the first."),
        _metric("connect_rate", "answered / attempts", "Somebody or something answered."),
        _metric("human_rate", "human / attempts", "A human answered: no voicemail, menu or screening."),
        _metric("contact_rate", "persons_reached / persons", "The person spoke at least once in one of the attempts."),
        _metric("goal_rate", "persons_goal / persons", "The goal of the call was met."),
        _metric("goal_rate_of_reached", "persons_goal / persons_reached", "The goal was met, of the persons reached."),
        _metric("voicemail_rate", "voicemail / attempts", "A voicemail answered."),
        _metric("message_left_rate", "message_left / voicemail", "A message was left, of the voicemails."),
        _metric("opt_out_rate", "persons_opted_out / persons_reached", "The person asked not to be called again."),
        _metric("transfer_rate", "transferred / answered", "The call was transferred."),
        _metric("callback_rate", "callback / attempts", "A callback was asked for or planned during the attempt."),
        _metric("attempts_per_contact", "attempts / persons_reached", "Dials for each person reached.", _U.RATIO),
        _metric("cost", "cost_millicents", "The sum of the known costs.", _U.CENTS, rows="cost_known"),
        _metric("cost_per_attempt", "cost_millicents / attempts", "Of known costs.", _U.CENTS, rows="cost_known"),
        _metric(
            "cost_per_contact", "cost_millicents / persons_reached", "Of known costs.", _U.CENTS, rows="cost_known"
        ),
        _metric("cost_per_goal", "cost_millicents / persons_goal", "Of known costs.", _U.CENTS, rows="cost_known"),
        _metric("cost_known_share", "cost_known / attempts", "The cost is known. The other costs count as nothing."),
        _metric("talk_time", "talk_ms / answered", "The mean length of an answered call.", _U.SECONDS, rows="answered"),
        _metric("unknown_share", "unknown / attempts", "The outcome stayed unknown. It should be next to nothing."),
        _metric("analysis_coverage", "analysed / conversation", "An analysis came. Below 95 %, goals are partial."),
        _metric("positive_share", "sentiment_positive / analysed", "The person sounded positive."),
        _metric("negative_share", "sentiment_negative / analysed", "The person sounded negative."),
        _metric("failures", "failed", "Attempts without a conversation or message. Break them down by reason."),
        _metric("denials", "denied", "Calls that ended without an attempt's verdict, on the day of their acceptance."),
    )
)
#: Percentiles: the kind, and what one of its values is divided by to be in the unit of its name.
DISTRIBUTIONS = {
    "talk": ("talk_s", 1000),
    "latency": ("latency_ms", 1),
    "cost": ("cost_cents", 1000),
    "answer": ("answer_s", 1000),
}
PERCENTILES = (50, 90, 99)
#: Below this share of analysed conversations, what follows from analyses is marked as partial.
FULL_COVERAGE = 0.95


def is_of_persons(measure: str) -> bool:
    return measure in PERSON_MEASURES


def is_of_reasons(measure: str) -> bool:
    return measure in REASON_MEASURES


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
