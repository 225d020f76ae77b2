"""Answer questions about the statistics: figures that name their numerator, denominator and rows."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Protocol

from ringback.domain.abt_event import iso
from ringback.domain.analytics_query import Cut, Filter, NotAggregated, check_keys_of_rows, cut, midnight
from ringback.domain.contribution import ATTEMPT_MEASURES, PERSON_MEASURES, REASON_MEASURES
from ringback.domain.figures import DISTRIBUTIONS, figure, percentiles
from ringback.domain.metrics import FULL_COVERAGE, METRICS, Metric, is_of_persons, is_of_reasons
from ringback.ports import Clock

Sums = dict[str, int]
_SAMPLES = (("samples",), ("kind", "bucket"))
#: The keys of each breakdown.
BREAKDOWNS: dict[str, tuple[str, ...]] = {
    "campaign": ("campaign",),
    "agent": ("agent",),
    "agent_version": ("agent", "agent_version"),
    "number": ("from_number",),
    "outcome": ("outcome",),
    "reason": ("reason",),
    "local_hour": ("weekday", "local_hour"),
    "attempt_no": ("attempt_no",),
}
#: More steps are no chart.
MOST_STEPS = 2000


class Statistics(Protocol):
    async def sums(self, cuts: Sequence[Cut]) -> list[list[dict[str, Any]]]:
        """Return the groups of each cut with their sums, all as of one moment. Raises StoreUnavailable."""
        ...

    async def rows(
        self, asked: Filter, measure: str, *, cursor: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return a page of the attempts or calls that a measure counts, and the next cursor."""
        ...


@dataclass(frozen=True, slots=True)
class Analytics:
    """The flow behind the API's and the console's statistics. Its methods raise NotAggregated and StoreUnavailable."""

    statistics: Statistics
    clock: Clock
    report_zone: tzinfo
    rows_url: Callable[[Filter], str]  # the address of the list of rows, to which `&measure=` is added

    async def summary(self, asked: Filter, *, compare: bool) -> dict[str, Any]:
        """Every metric that is counted by the asked keys. Those that are not are named in `not_aggregated`."""
        head = self._head(asked)
        ranges = [asked, asked.previous()] if compare else [asked]
        cuts = [self._cut(each, ATTEMPT_MEASURES) for each in ranges]
        for measures in (PERSON_MEASURES, REASON_MEASURES):
            if self._is_counted(asked, measures):
                cuts += [self._cut(each, measures) for each in ranges]
        has_samples = self._is_counted(asked, *_SAMPLES)
        if has_samples:
            cuts.append(self._cut(asked, *_SAMPLES))
        found = await self.statistics.sums(cuts)
        samples = found.pop() if has_samples else []
        sums: list[Sums] = [
            {name: value for groups in found[number :: len(ranges)] for name, value in groups[0].items()}
            for number in range(len(ranges))
        ]
        talks, attempts = sums[0]["conversation"], sums[0]["attempts"]
        analysed = sums[0]["analysed"] / talks if talks else None
        url = self.rows_url(asked)
        metrics = {
            name: _figure(metric, sums[0], sums[1] if compare else None, url)
            for name, metric in METRICS.items()
            if set(metric.needs) <= sums[0].keys()
        }
        return head | {
            "metrics": metrics,
            "distributions": _distributions(samples) if has_samples else {},
            "not_aggregated": [name for name in METRICS if name not in metrics],
            "coverage": {
                "analysed": analysed,
                "cost_known": sums[0]["cost_known"] / attempts if attempts else None,
                "is_partial": analysed is not None and analysed < FULL_COVERAGE,
            },
        }

    async def series(self, asked: Filter, name: str, step: str, *, compare: bool) -> dict[str, Any]:
        """One metric by hour, day or week; steps without anything are 0.

        A month may have more steps than the month before. They are compared with nothing: `previous` is None.
        """
        head, metric = self._head(asked), METRICS[name]
        ranges = [asked, asked.previous()] if compare else [asked]
        found = await self._groups(ranges, metric, (), step)
        steps = [list(_steps(each, step)) for each in ranges]
        items = []
        for number, (key, since, until) in enumerate(steps[0]):
            before = None
            if compare and number < len(steps[1]):
                before = found[1].get((steps[1][number][0],), _zeros(metric))
            sums = found[0].get((key,), _zeros(metric))
            url = self.rows_url(replace(asked, since=since, until=until))
            past = {"previous": None} if compare else {}
            items.append({"at": iso(since), **past, **_figure(metric, sums, before, url)})
        return head | {"metric": name, "step": step, "items": items}

    async def breakdown(self, asked: Filter, name: str, by: str, limit: int, *, compare: bool) -> dict[str, Any]:
        """One metric by the values of a key, the largest groups first. `others` is how many groups are left out."""
        head, metric, keys = self._head(asked), METRICS[name], BREAKDOWNS[by]
        found, *earlier = await self._groups([asked, asked.previous()] if compare else [asked], metric, keys, None)
        size = metric.denominator or metric.numerator
        ordered = sorted(found.items(), key=lambda group: (-group[1][size], str(group[0])))
        items = []
        for key, sums in ordered[:limit]:
            named = dict(zip(keys, key, strict=True))
            past = earlier[0].get(key, _zeros(metric)) if compare else None
            items.append({"key": named, **_figure(metric, sums, past, self.rows_url(replace(asked, **named)))})
        return head | {"metric": name, "by": by, "items": items, "others": max(0, len(ordered) - limit)}

    async def rows(
        self, asked: Filter, measure: str, *, cursor: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        """A page of the attempts or calls that one of `COUNTED_ROWS` counts, and the next cursor.

        Raises NotAggregated for keys that these rows do not have.
        """
        check_keys_of_rows(asked, measure)
        return await self.statistics.rows(asked, measure, cursor=cursor, limit=limit)

    def _cut(self, asked: Filter, measures: Sequence[str], by: tuple[str, ...] = (), step: str | None = None) -> Cut:
        return cut(asked, measures, self.report_zone, by=by, step=step)

    def _is_counted(self, asked: Filter, measures: Sequence[str], by: tuple[str, ...] = ()) -> bool:
        try:
            self._cut(asked, measures, by)
        except NotAggregated:
            return False
        return True

    async def _groups(
        self, ranges: Sequence[Filter], metric: Metric, by: tuple[str, ...], step: str | None
    ) -> list[dict[tuple[Any, ...], Sums]]:
        """The sums that the metric needs, by group, for each of the ranges. All are as of one moment."""
        kinds: list[Callable[[str], bool]] = [
            is_of_persons,
            is_of_reasons,
            lambda name: not is_of_persons(name) and not is_of_reasons(name),
        ]
        needed = [measures for is_kind in kinds if (measures := tuple(filter(is_kind, metric.needs)))]
        cuts = [self._cut(asked, measures, by, step) for asked in ranges for measures in needed]
        names = (*by, "step") if step else by
        found = await self.statistics.sums(cuts)
        of_ranges = []
        for first in range(0, len(cuts), len(needed)):
            groups: dict[tuple[Any, ...], Sums] = defaultdict(lambda: _zeros(metric))
            for measures, rows in zip(needed, found[first : first + len(needed)], strict=True):
                for row in rows:
                    groups[tuple(row[name] for name in names)] |= {name: row[name] for name in measures}
            of_ranges.append({key: sums for key, sums in groups.items() if any(sums.values())})
        return of_ranges

    def _head(self, asked: Filter) -> dict[str, Any]:
        """`as_of` is the time before the read: everything that was committed by then is counted."""
        zone, since, until = str(asked.zone), iso(asked.since), iso(asked.until)
        return {"as_of": iso(self.clock.now()), "zone": zone, "from": since, "to": until}


def _figure(metric: Metric, sums: Sums, before: Sums | None, url: str) -> dict[str, Any]:
    shown = figure(metric, sums) | {"rows_url": f"{url}&measure={metric.rows}"}
    if metric.denominator is not None:
        shown["denominator_rows_url"] = f"{url}&measure={metric.denominator}"
    if before is not None:
        shown["previous"] = figure(metric, before)["value"]
    return shown


def _zeros(metric: Metric) -> Sums:
    return dict.fromkeys(metric.needs, 0)


def _distributions(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    samples: dict[str, dict[int, int]] = defaultdict(dict)
    for row in rows:
        samples[row["kind"]][row["bucket"]] = row["samples"]
    return {name: percentiles(kind, samples.get(kind, {})) for kind, (name, _) in DISTRIBUTIONS.items()}


def _steps(asked: Filter, step: str) -> Iterator[tuple[Any, datetime, datetime]]:
    """The key of each step in the rollups, its start and its end. Raises NotAggregated for too many."""
    longest = timedelta(hours=MOST_STEPS) if step == "hour" else timedelta(days=MOST_STEPS)
    if asked.until - asked.since > longest:
        raise NotAggregated(f"A series has at most {MOST_STEPS} steps: choose a shorter range or a longer step.")
    if step == "hour":
        start = asked.since
        while start < asked.until:
            yield start.astimezone(UTC), start, start + timedelta(hours=1)
            start += timedelta(hours=1)
        return
    day = asked.since.astimezone(asked.zone).date()
    length = 1 if step == "day" else 7
    first: date = day - timedelta(days=day.weekday() if step == "week" else 0)
    while midnight(first, asked.zone) < asked.until:
        following = first + timedelta(days=length)
        since = max(asked.since, midnight(first, asked.zone))
        yield first, since, min(asked.until, midnight(following, asked.zone))
        first = following
