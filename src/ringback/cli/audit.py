"""ringback audit: what people and keys changed, and whether the record of it is whole."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ringback.cli.calls import moment_of
from ringback.cli.export import with_database
from ringback.cli.output import print_json, print_table, visible
from ringback.cli.render import short_time
from ringback.cli.settings import DEFAULT_DATA_DIR, AsJson, DataDir, fail
from ringback.domain.audit import AuditAction, AuditFilter
from ringback.domain.operations import counted

if TYPE_CHECKING:
    from ringback.adapters.postgres.audit import PostgresAudit

COLUMNS = ("row", "at (UTC)", "by", "action", "object", "detail")
Result = TypeVar("Result")

app = typer.Typer(no_args_is_help=True, help="What people and keys changed.")


@app.command("list")
def show_all(  # noqa: PLR0913 - each is an option of the command line
    actor: Annotated[str | None, typer.Option(help="Only by this author, for example api:crm or cli:ada.")] = None,
    action: Annotated[AuditAction | None, typer.Option(help="Only this action.")] = None,
    about: Annotated[str | None, typer.Option("--object", help="Only about this, for example call:ID.")] = None,
    since: Annotated[str | None, typer.Option(help="Written since then: 90s, 30m, 1h, 2d, or a time.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 50,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """List the rows of the audit log, a line each. The newest come first."""
    begin = moment_of(since, datetime.now(UTC)) if since is not None else None
    wanted = AuditFilter(actor=actor, action=action, object=about, since=begin)
    items, more = _with_audit(data_dir, lambda audit: audit.page(wanted, limit))
    if as_json:
        print_json(items)
    elif items:
        rows = [
            [
                str(item["sequence"]),
                short_time(item["at"]),
                visible(item["actor"]),
                item["action"],
                visible(item["object"] or "-"),
                " ".join(f"{name}={visible(value)}" for name, value in item["detail"].items()) or "-",
            ]
            for item in items
        ]
        print_table(rows, COLUMNS)
    others = "; there are more, see --limit" if more is not None else ""
    typer.echo(f"{counted(len(items), 'row', 'rows')}{others}", err=True)


@app.command()
def verify(as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Check that no row was changed, deleted or inserted. Names the row that breaks the chain, and exits with 1."""
    check, fault = _with_audit(data_dir, lambda audit: audit.verify())
    if as_json:
        print_json({"rows": check.rows, "last_sequence": check.sequence, "last_hash": check.hash, "fault": fault})
    if fault is not None:
        fail(f"the chain breaks: {fault}")
    if not as_json:
        rows = counted(check.rows, "row is", "rows are")
        typer.echo(f"{rows} whole; the last is {check.sequence}, hash {check.hash}")


def _with_audit(data_dir: Path, work: "Callable[[PostgresAudit], Awaitable[Result]]") -> Result:
    from ringback.adapters.postgres.audit import PostgresAudit

    return with_database(data_dir, lambda pool: work(PostgresAudit(pool)))
