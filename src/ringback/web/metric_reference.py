"""The reference of the statistics in Markdown: `python -m ringback.web.metric_reference docs/analytics.md`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from ringback.domain.analytics_query import GRAINS, PARAMETERS, parameters_of
from ringback.domain.figures import DISTRIBUTIONS, PERCENTILES
from ringback.domain.metrics import METRICS, Metric
from ringback.flows.analytics import BREAKDOWNS
from ringback.flows.exports import KINDS

_TEXT = """\
# Analytics

Made from the code by `python -m ringback.web.metric_reference docs/analytics.md`; a test compares.

Every number is exact as of the last commit, also after corrections that come days later. Each names its numerator and
its denominator, and links to the list of exactly the rows that it counts.

| endpoint | answers |
|---|---|
| `GET /v1/analytics/summary` | every metric of a range; `compare=previous` adds the value of the range before |
| `GET /v1/analytics/series` | one `metric` by `step`: hour, day or week |
| `GET /v1/analytics/breakdown` | one `metric` `by` {breakdowns} |
| `GET /v1/analytics/rows` | the attempts or calls that a `measure` counts |
| `GET /v1/exports/{{{kinds}}}.{{csv,jsonl}}` | all rows of a range, streamed |

`from` and `to` are days or times; `to` is not included. `zone` is the zone of days, by default `RINGBACK_REPORT_ZONE`.
An unknown version or an absent campaign is chosen with `none`.

```json
{{"value": 0.667, "numerator": 2, "denominator": 3, "interval": [0.208, 0.939], "rows": 2, "rows_url": "/v1/…"}}
```

`interval` is the 95 % interval by Wilson. `value` is null where the denominator is 0. `rows` is how many rows the list
has; for money and time that is not the numerator. A list of rows is in order of time; of `persons_goal` and
`persons_opted_out` in order of days, of `denied` in order of acceptance. Retention deletes old calls: their numbers
stay, their rows do not.

## Metrics

A person is a call, counted on the day of its first attempt. A number of attempts and a number of persons are never
mixed, except in the three ratios that say so by their name.

| metric | is | unit | means |
|---|---|---|---|
{metrics}

`coverage` of a summary says what part of the conversations was analysed. Below 95 % it is marked `is_partial`: goals
and sentiments then lack what is still to come. Unknown costs count as nothing; `cost_known_share` says how many.

Distributions ({distributions}) have {percentiles}. They come from buckets that grow by a fifth: a value is at most 9 %
from the exact one.

## What is counted together

A question is answered from one of these tables, never by a scan. Any other combination is a 422 with the code
`not_aggregated`, which names what is possible.

| table | keys | range |
|---|---|---|
{grains}

The zone of `hour` may be any one whose offset is in whole hours. The other tables know the report zone only.

## Exports

`GET /v1/exports/…` streams the rows of a range in a stable order. It refuses any parameter that is not here. An
event has the agent, the number and the campaign of its call. An export that breaks off has no last chunk of HTTP: a
client reports an error (`curl` exits with 18), and what it has is not the whole file.

| export | is chosen by |
|---|---|
{choices}

## Check, rebuild, export

- `ringback analytics check` recomputes every number from its rows and lists the cells that differ. `--from` and `--to`
  choose days of the report zone. `--to` is the day after the last; without one of them that end is open. The numbers by
  the contacts' clock are then checked for the whole months of these days, with their rows. `ringback doctor` checks the
  last hours.
- `ringback analytics rebuild` counts every row anew and corrects the cells while calls go on. It is needed after a
  change of `RINGBACK_REPORT_ZONE`: restart every process with the new zone first.
- `ringback export --format parquet --out DIR` writes closed days as Parquet for Athena, ClickHouse, DuckDB or Spark. It
  needs `pip install 'ringback[lake]'`. A day that changed is written again as its next revision. `manifest.json` has
  the rows, the sha256 and the schema of each file. `ringback analytics ddl` prints the tables.
- In a CSV, `safe_for_spreadsheets=true` puts a quote before text that a spreadsheet would run, phone numbers included.

After an upgrade from a version without statistics, the scheduler counts the existing calls in batches. Until it is
done, reports lack some of them.
"""
_RANGES = {"hour": "whole hours", "local": "whole months by the contact's clock"}


def reference() -> str:
    """The whole document."""
    grains = [
        f"| {name} | {_named([PARAMETERS.get(key, key) for key in sorted(keys)])} | {_RANGES.get(name, 'whole days')} |"
        for name, keys in GRAINS.items()
    ]
    return _TEXT.format(
        breakdowns=", ".join(BREAKDOWNS),
        kinds=",".join(KINDS),
        metrics="\n".join(_row(metric) for metric in METRICS.values()),
        distributions=_named([name for name, _ in DISTRIBUTIONS.values()]),
        percentiles=_named([f"p{percent}" for percent in PERCENTILES]),
        grains="\n".join(grains),
        choices="\n".join(f"| {kind} | {_named(parameters_of(keys))} |" for kind, keys in KINDS.items()),
    )


def _named(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _row(metric: Metric) -> str:
    ratio = f"`{metric.numerator}`" + (f" ÷ `{metric.denominator}`" if metric.denominator else "")
    return f"| `{metric.name}` | {ratio} | {metric.unit} | {metric.meaning} |"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference())
