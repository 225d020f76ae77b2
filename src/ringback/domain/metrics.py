"""The dictionary of metrics: each is a count, or a ratio of two counts that are both shown.

The API, the console and docs/analytics.md all read it from here.
"""

from dataclasses import dataclass
from enum import StrEnum

from ringback.domain.contribution import PERSON_MEASURES, REASON_MEASURES


class Unit(StrEnum):
    COUNT = "count"
    SHARE = "share"  # the numerator is a part of the denominator, so the ratio has an interval
    RATIO = "ratio"
    CENTS = "cents"
    SECONDS = "seconds"


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
        _metric("connect_rate", "answered / attempts", "A person, a voicemail or a menu answered."),
        _metric("human_rate", "human / attempts", "A human answered: no voicemail, menu or screening."),
        _metric("contact_rate", "persons_reached / persons", "The person spoke at least once in one of the attempts."),
        _metric("goal_rate", "persons_goal / persons", "The goal of the call was met."),
        _metric("goal_rate_of_reached", "persons_goal / persons_reached", "The goal was met, of the persons reached."),
        _metric("voicemail_rate", "voicemail / attempts", "A voicemail answered."),
        _metric("message_left_rate", "message_left / voicemail", "A message was left, of the voicemails."),
        _metric(
            "opt_out_rate",
            "persons_opted_out / persons_reached",
            "The person asked not to be called again: Retell says so, or the agent filed it.",
        ),
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
#: Below this share of analysed conversations, what follows from analyses is marked as partial.
FULL_COVERAGE = 0.95


def is_of_persons(measure: str) -> bool:
    return measure in PERSON_MEASURES


def is_of_reasons(measure: str) -> bool:
    return measure in REASON_MEASURES


#: The measures that count rows. The others are sums of money or time.
COUNTED_ROWS = tuple(
    dict.fromkeys(name for metric in METRICS.values() for name in (metric.rows, metric.denominator) if name is not None)
)
