"""ringback analytics: check and rebuild the statistics; ringback export: closed days as files."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ringback.cli.output import print_json, print_table
from ringback.cli.settings import DEFAULT_DATA_DIR, AsJson, DataDir, database_url, fail, settings_of

if TYPE_CHECKING:
    from ringback.adapters.postgres.pool import Pool
    from ringback.adapters.postgres.rollup_rows import Difference, PostgresRollupRows

Result = TypeVar("Result")
app = typer.Typer(no_args_is_help=True, help="The statistics.")


class Format(StrEnum):
    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"


@app.command()
def check(as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Recompute every number from its rows, and list the cells that differ. Exits with 1 if there are any."""
    _show(_with_rollups(data_dir, lambda rollups: rollups.check()), as_json, "no cell differs")


@app.command()
def rebuild(as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Count every row anew, in the days of RINGBACK_REPORT_ZONE, and correct the cells. Calls go on meanwhile."""
    corrected = _with_rollups(data_dir, lambda rollups: rollups.rebuild())
    if as_json:
        print_json([asdict(one) for one in corrected])
    else:
        typer.echo(f"counted anew; {len(corrected)} cells were corrected")


@app.command()
def ddl(location: Annotated[str, typer.Option(help="Where the files are.")] = "s3://BUCKET/ringback") -> None:
    """Print the tables of Athena and ClickHouse over the files of ringback export."""
    from ringback.adapters.lake import ddl as tables

    typer.echo(tables(location.rstrip("/")), nl=False)


def export(
    out: Annotated[Path, typer.Option(help="The folder to write to.")],
    format_: Annotated[Format, typer.Option("--format", help="Of the files.")] = Format.PARQUET,
    since: Annotated[str | None, typer.Option("--from", help="The first day. Default: 35 days ago.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="The day after the last. Default: today.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Write attempts, calls and events of closed days, a file for each day.

    Parquet: a day that changed since the last export is written again as its next revision. Needs ringback[lake].
    """
    zone = settings_of(data_dir).report_zone
    today = datetime.now(UTC).astimezone(zone).date()
    first, last = _day(since, today - timedelta(days=35)), _day(until, today)
    if first >= last or last > today:
        fail("--to: must lie after --from, and not after today, because only closed days are exported")
    days = [first + timedelta(days=number) for number in range((last - first).days)]
    _with_pool(data_dir, lambda pool: _export(pool, out, format_, days, zone))


def _day(text: str | None, default: date) -> date:
    try:
        return date.fromisoformat(text) if text is not None else default
    except ValueError:
        fail("a day is written as 2026-12-01")


async def _export(pool: "Pool", out: Path, format_: Format, days: list[date], zone: tzinfo) -> None:
    from ringback.adapters.lake import Lake
    from ringback.adapters.postgres.export_rows import PostgresExportRows
    from ringback.domain.analytics_query import Filter, midnight
    from ringback.flows.exports import KINDS, as_csv, as_json_lines, pages_of

    rows = PostgresExportRows(pool)
    out.mkdir(parents=True, exist_ok=True)
    lake = Lake(out)
    for kind in KINDS:
        for day in days:
            asked = Filter(since=midnight(day, zone), until=midnight(day + timedelta(days=1), zone), zone=zone)
            pages = pages_of(rows, kind, asked)
            if format_ is Format.PARQUET:
                written = await lake.write(kind, day, as_csv(pages, is_safe=False))
                if written is not None:
                    typer.echo(f"{written.path}  {written.rows} rows")
                continue
            lines = as_csv(pages, is_safe=False) if format_ is Format.CSV else as_json_lines(pages)
            target = out / kind / f"{day}.{format_}"
            target.parent.mkdir(exist_ok=True)
            with target.open("wb") as file:
                async for part in lines:
                    file.write(part)
            typer.echo(str(target.relative_to(out)))


def _show(found: "list[Difference]", as_json: bool, nothing: str) -> None:
    if as_json:
        print_json([asdict(one) for one in found])
    elif found:
        rows = [
            [
                one.table,
                " ".join(f"{name}={value}" for name, value in one.key.items()),
                " ".join(f"{name} {value:+d}" for name, value in one.missing.items()),
            ]
            for one in found
        ]
        print_table(rows, ("table", "cell or row", "missing"))
    else:
        typer.echo(nothing)
    if found:
        raise typer.Exit(1)


def _with_rollups(data_dir: Path, work: "Callable[[PostgresRollupRows], Awaitable[Result]]") -> Result:
    from ringback.adapters.postgres.rollup_rows import PostgresRollupRows

    zone = settings_of(data_dir).report_zone
    return _with_pool(data_dir, lambda pool: work(PostgresRollupRows(pool, zone)))


def _with_pool(data_dir: Path, work: "Callable[[Pool], Awaitable[Result]]") -> Result:
    """Run `work` over a connection without limits of time, because it reads every row."""
    import asyncio

    from ringback.adapters.postgres.pool import open_pool
    from ringback.adapters.postgres.schema import require_schema

    url = database_url(data_dir)

    async def run() -> Result:
        pool = await open_pool(url, max_size=1, is_unlimited=True)
        try:
            await require_schema(pool)
            return await work(pool)
        finally:
            await pool.close()

    return asyncio.run(run())
