"""ringback analytics: check and rebuild the statistics, and the tables over exported files."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ringback.cli.export import day_of, with_database
from ringback.cli.output import print_json, print_table
from ringback.cli.settings import DEFAULT_DATA_DIR, AsJson, DataDir, settings_of, this_user
from ringback.domain.analytics_query import DAY_AFTER_LAST, FIRST_DAY
from ringback.domain.audit import AuditAction, AuditEntry
from ringback.domain.operations import counted

if TYPE_CHECKING:
    from ringback.adapters.postgres.rollup_rows import Difference, PostgresRollupRows

Result = TypeVar("Result")
app = typer.Typer(no_args_is_help=True, help="The statistics.")


@app.command()
def check(
    since: Annotated[str | None, typer.Option("--from", help="The first day. Default: all days.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="The day after the last.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Recompute every number from its rows. Lists the cells that differ, and exits with 1 if there are any.

    Days are those of RINGBACK_REPORT_ZONE. Numbers by the contacts' clock are checked for the whole months of the days.
    """
    days = None
    if since is not None or until is not None:
        days = day_of(since, FIRST_DAY), day_of(until, DAY_AFTER_LAST)
        if days[0] >= days[1]:
            raise typer.BadParameter("--to must be after --from: it is the day after the last one")
        if days[0] < FIRST_DAY or days[1] > DAY_AFTER_LAST:
            raise typer.BadParameter(f"--from and --to must be from {FIRST_DAY} to {DAY_AFTER_LAST}")
    _show(_with_rollups(data_dir, lambda rollups: rollups.check(days)), as_json, "no cell differs")


@app.command()
def rebuild(as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Count every row anew and correct the cells. Days are those of RINGBACK_REPORT_ZONE. Calls go on meanwhile."""
    entry = AuditEntry(datetime.now(UTC), this_user(), AuditAction.STATISTICS_REBUILT)
    corrected = _with_rollups(data_dir, lambda rollups: rollups.rebuild(entry))
    if as_json:
        print_json([asdict(one) for one in corrected])
    else:
        typer.echo(f"counted anew; {counted(len(corrected), 'cell was', 'cells were')} corrected")


@app.command()
def ddl(location: Annotated[str, typer.Option(help="Where the files are.")] = "s3://BUCKET/ringback") -> None:
    """Print the tables of Athena and ClickHouse. They read the files of ringback export."""
    from ringback.adapters.lake import ddl as tables

    typer.echo(tables(location.rstrip("/")), nl=False)


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
    return with_database(data_dir, lambda pool: work(PostgresRollupRows(pool, zone)))
