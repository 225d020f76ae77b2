"""Choose the rollup that answers a question about the statistics. A question that none can answer is refused."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from ringback.domain.contribution import LAST_NUMBER
from ringback.domain.metrics import is_of_persons, is_of_reasons

#: The keys of each rollup, besides its time.
GRAINS: dict[str, frozenset[str]] = {
    "day": frozenset({"campaign", "agent", "agent_version", "attempt_no", "outcome"}),
    "number": frozenset({"from_number", "outcome"}),
    "hour": frozenset({"direction", "outcome"}),
    "local": frozenset({"campaign", "weekday", "local_hour", "attempt_no", "outcome"}),
    "person": frozenset({"campaign", "agent", "agent_version"}),
    "reason": frozenset({"campaign", "reason"}),
    "hist": frozenset({"campaign", "agent", "kind", "bucket"}),
}
#: The first one has as many cells a day whatever the number of agents.
_OF_ATTEMPTS = ("hour", "day", "number", "local")
#: The range of days that can be asked for. Date arithmetic overflows at the first and the last year that Python knows.
FIRST_DAY, DAY_AFTER_LAST = date(2000, 1, 1), date(2200, 1, 1)
#: Stands for an empty value in an address.
NONE = "none"
#: The parameter of each key in the API.
PARAMETERS = {"campaign": "campaign_id", "agent": "agent_id", "event_type": "type"}


def parameters_of(keys: Iterable[str]) -> list[str]:
    """Return the parameters of these keys in the order of the alphabet."""
    return sorted(PARAMETERS.get(key, key) for key in keys)


@dataclass(frozen=True, slots=True)
class NotAggregated(Exception):
    """No rollup has these keys together. `possible` says what may be combined instead."""

    detail: str
    possible: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """The asked range (its end excluded) and the asked keys; None is every value. `zone` defines days."""

    since: datetime
    until: datetime
    zone: tzinfo
    campaign: str | None = None
    agent: str | None = None
    agent_version: str | None = None
    from_number: str | None = None
    direction: str | None = None
    attempt_no: int | None = None
    outcome: str | None = None
    reason: str | None = None
    weekday: int | None = None
    local_hour: int | None = None
    call_id: str | None = None  # this and the rest: of exported events alone
    contact_id: str | None = None
    event_type: str | None = None

    @property
    def keys(self) -> dict[str, Any]:
        """The keys with a value. Every attempt is outbound, so that direction is no condition."""
        asked = {each.name: getattr(self, each.name) for each in fields(self)[3:]}
        if asked["direction"] == "outbound":
            asked["direction"] = None
        if asked["attempt_no"] is not None:
            asked["attempt_no"] = min(asked["attempt_no"], LAST_NUMBER)
        return {name: value for name, value in asked.items() if value is not None}

    @classmethod
    def of_days(cls, first: date, following: date, zone: tzinfo) -> "Filter":
        """The days from `first` on, before `following`."""
        return cls(since=midnight(first, zone), until=midnight(following, zone), zone=zone)

    def previous(self) -> "Filter":
        """The range of the same length just before: in months or in days of the zone where it is whole ones."""
        days = days_of(self.since, self.until, self.zone)
        if days is None:
            return _replaced(self, self.since - (self.until - self.since), self.since)
        first, following = days
        if first.day == following.day == 1:
            before = month_of(first, _months(first) - _months(following))
            return _replaced(self, midnight(before, self.zone), self.since)
        return _replaced(self, midnight(first - (following - first), self.zone), self.since)


def _replaced(asked: Filter, since: datetime, until: datetime) -> Filter:
    named = {each.name: getattr(asked, each.name) for each in fields(asked)}
    return Filter(**named | {"since": since, "until": until})


def _months(day: date) -> int:
    return day.year * 12 + day.month - 1


def midnight(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def month_of(day: date, later: int = 0) -> date:
    """The first day of the month of `day`, or of as many months later."""
    months = _months(day) + later
    return date(months // 12, months % 12 + 1, 1)


def days_of(since: datetime, until: datetime, zone: tzinfo) -> tuple[date, date] | None:
    """The first day and the day after the last one, if the range is of whole days."""
    first, last = since.astimezone(zone).date(), until.astimezone(zone).date()
    is_whole = midnight(first, zone) == since and midnight(last, zone) == until
    return (first, last) if is_whole else None


@dataclass(frozen=True, slots=True)
class Cut:
    """A question that one rollup answers: its range in the rollup's own time, its conditions and groups.

    `step` groups by hour, day or week; `zone` is set where days are made of hours.
    """

    grain: str
    since: datetime | date
    until: datetime | date
    where: Mapping[str, Any]
    by: tuple[str, ...] = ()
    step: str | None = None
    zone: str | None = None
    measures: tuple[str, ...] = field(default=())


def cut(
    asked: Filter, measures: Iterable[str], report_zone: tzinfo, *, by: tuple[str, ...] = (), step: str | None = None
) -> Cut:
    """Find the rollup for these measures, which are of one kind. Raises NotAggregated."""
    wanted = tuple(measures)
    where, keys = asked.keys, asked.keys.keys() | set(by)
    names = _grains_of(wanted)
    fitting = [name for name in names if keys <= GRAINS[name]]
    if not fitting:
        possible = tuple(" + ".join(parameters_of(GRAINS[name])) for name in names)
        told = ", ".join(parameters_of(keys))
        raise NotAggregated(f"{told}: these are not counted together for this metric.", possible)
    for name in fitting:
        bounds = _bounds(name, asked, report_zone, step)
        if bounds is not None:
            is_made_of_hours = name == "hour" and step in ("day", "week")
            zone = str(asked.zone) if is_made_of_hours else None
            return Cut(name, *bounds, where, by, step, zone, wanted)
    raise NotAggregated(
        "These keys are counted by whole "
        + ", or by whole ".join(sorted({_TIMES[name] for name in fitting}))
        + ": choose from, to, step and zone accordingly.",
        tuple(sorted(_TIMES[name] for name in fitting)),
    )


def check_keys_of_rows(asked: Filter, measure: str) -> None:
    """Raise NotAggregated for keys that the rows of this measure do not have. An attempt has all of them."""
    grain = "person" if is_of_persons(measure) else "reason" if measure == "denied" else None
    if grain is not None and (others := asked.keys.keys() - GRAINS[grain]):
        told, possible = ", ".join(parameters_of(others)), " + ".join(parameters_of(GRAINS[grain]))
        raise NotAggregated(f"{told}: this cannot choose among the rows of {measure}.", (possible,))


_TIMES = {
    "hour": "hours in UTC",
    "day": "days of the report zone",
    "number": "days of the report zone",
    "person": "days of the report zone",
    "reason": "days of the report zone",
    "hist": "days of the report zone",
    "local": "months of the report zone, without a step",
}


def _grains_of(measures: tuple[str, ...]) -> tuple[str, ...]:
    if all(map(is_of_persons, measures)):
        return ("person",)
    if all(map(is_of_reasons, measures)):
        return ("reason",)
    return ("hist",) if measures == ("samples",) else _OF_ATTEMPTS


def _bounds(
    grain: str, asked: Filter, report_zone: tzinfo, step: str | None
) -> tuple[datetime | date, datetime | date] | None:
    """The range in the rollup's own time, or None if the rollup's cells do not fit it."""
    if grain == "hour":
        is_whole = not any(
            moment.astimezone(UTC).minute or moment.second or moment.microsecond
            for moment in (asked.since, asked.until)
        )
        is_half = any(
            (moment.astimezone(asked.zone).utcoffset() or timedelta()) % timedelta(hours=1)
            for moment in (asked.since, asked.until)
        )
        return (asked.since, asked.until) if is_whole and not (is_half and step) else None
    if step == "hour" or str(asked.zone) != str(report_zone):
        return None
    days = days_of(asked.since, asked.until, report_zone)
    if days is None or (grain == "local" and (step is not None or any(day.day != 1 for day in days))):
        return None
    return days
