"""ringback export: closed days as files."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ringback.cli.settings import DEFAULT_DATA_DIR, DataDir, database_url, settings_of
from ringback.config import SettingsError
from ringback.domain.analytics_query import midnight
from ringback.domain.operations import EXPORTED_ROWS_KEPT, counted

if TYPE_CHECKING:
    from ringback.adapters.postgres.pool import Pool

Result = TypeVar("Result")
DEFAULT_RANGE = timedelta(days=35)


class Format(StrEnum):
    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"


def export(
    out: Annotated[Path, typer.Option(help="The folder to write to.")],
    format_: Annotated[Format, typer.Option("--format", help="Of the files.")] = Format.PARQUET,
    since: Annotated[str | None, typer.Option("--from", help="The first day. Default: 35 days ago.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="The day after the last. Default: today.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Write closed days as files. Each has the attempts, calls or events of one day.

    Parquet: a day that changed since the last export is written again as its next revision. Needs ringback[lake].
    """
    zone = settings_of(data_dir).report_zone
    today = datetime.now(UTC).astimezone(zone).date()
    first, last = day_of(since, today - DEFAULT_RANGE), day_of(until, today)
    if first >= last or last > today:
        raise typer.BadParameter("--to must be after --from, and not after today: only closed days are exported")
    if format_ is Format.PARQUET and find_spec("duckdb") is None:
        raise SettingsError(["--format: parquet needs the extra ringback[lake]; csv and jsonl do not"])
    days = {kind: _kept_days(kind, first, last, zone, is_asked=since is not None) for kind in EXPORTED_ROWS_KEPT}
    try:
        written = with_database(data_dir, lambda pool: _export(pool, out, format_, days, zone))
    except OSError as error:
        raise SettingsError([f"--out: {out} cannot be written ({error.strerror or type(error).__name__})"]) from None
    why_none = "" if written else ": these days have no rows, or none that changed since the last export"
    typer.echo(f"{counted(written, 'file', 'files')} written{why_none}", err=True)


def day_of(text: str | None, default: date) -> date:
    """Read the day of an option. Raises BadParameter."""
    try:
        return date.fromisoformat(text) if text is not None else default
    except ValueError:
        raise typer.BadParameter("--from and --to are days, for example 2026-12-01") from None


def _kept_days(kind: str, first: date, last: date, zone: tzinfo, *, is_asked: bool) -> list[date]:
    """The days whose rows are all there. Files of earlier days stay as they are; `is_asked`: say so."""
    days = [first + timedelta(days=number) for number in range((last - first).days)]
    kept = EXPORTED_ROWS_KEPT[kind]
    whole = [day for day in days if midnight(day, zone) >= datetime.now(UTC) - kept]
    if is_asked and len(whole) < len(days):
        left = days[-len(whole) - 1]
        typer.echo(f"{kind} up to {left} are left as they are: their rows are deleted after {kept.days} days", err=True)
    return whole


async def _export(pool: "Pool", out: Path, format_: Format, days: Mapping[str, list[date]], zone: tzinfo) -> int:
    """Write the files, print their names, and return how many were written."""
    from ringback.adapters.lake import Lake
    from ringback.adapters.postgres.export_rows import PostgresExportRows
    from ringback.domain.analytics_query import Filter
    from ringback.flows.exports import as_csv, as_json_lines, pages_of

    rows = PostgresExportRows(pool)
    out.mkdir(parents=True, exist_ok=True)
    lake, count = Lake(out), 0
    for kind, days_of_kind in days.items():
        for day in days_of_kind:
            asked = Filter.of_days(day, day + timedelta(days=1), zone)
            pages = pages_of(rows, kind, asked)
            if format_ is Format.PARQUET:
                written = await lake.write(kind, day, as_csv(pages, is_safe=False))
                if written is not None:
                    count += 1
                    typer.echo(f"{written.path}  {written.rows} rows")
                continue
            lines = as_csv(pages, is_safe=False) if format_ is Format.CSV else as_json_lines(pages)
            target = out / kind / f"{day}.{format_}"
            target.parent.mkdir(exist_ok=True)
            await _write(target, lines)
            count += 1
            typer.echo(str(target.relative_to(out)))
    return count


async def _write(target: Path, parts: AsyncIterator[bytes]) -> None:
    """Write the whole file, or leave the one that was there."""
    draft = target.with_name(f".{target.name}")
    try:
        with draft.open("wb") as file:
            async for part in parts:
                file.write(part)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def with_database(
    data_dir: Path, work: "Callable[[Pool], Awaitable[Result]]", *, reads_every_row: bool = True
) -> Result:
    """Run `work` over one connection, without limits of time if it reads every row."""
    import asyncio

    from ringback.adapters.postgres.pool import open_pool
    from ringback.adapters.postgres.schema import require_schema

    url = database_url(data_dir)

    async def run() -> Result:
        pool = await open_pool(url, max_size=1, is_unlimited=reads_every_row)
        try:
            await require_schema(pool)
            return await work(pool)
        finally:
            await pool.close()

    return asyncio.run(run())
