"""ringback dead-letters: list, show and replay the dead letters of the outbox and of both queues."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ringback.cli.settings import DEFAULT_DATA_DIR, AsJson, DataDir, fail, settings_of, start_logs
from ringback.config import SettingsError
from ringback.domain.abt_event import iso
from ringback.domain.errors import Permanent, Retryable, StoreUnavailable

if TYPE_CHECKING:
    from ringback.flows.operator.dead_letters import DeadLetters

Result = TypeVar("Result")

app = typer.Typer(no_args_is_help=True, help="Messages that were given up: outbox, calls and events.")

Name = Annotated[str, typer.Argument(metavar="LETTER", help="As `list` shows it, for example outbox:17.")]


@app.command("list")
def show_all(as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """List all dead letters, a line each."""
    entries = _with_letters(data_dir, lambda letters: letters.list())
    rows = [
        {
            "name": entry.name,
            "dead_at": iso(entry.letter.dead_at),
            "kind": _kind(entry.letter.body),
            "reason": entry.letter.reason,
        }
        for entry in entries
    ]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for row in rows:
        typer.echo(f"{row['name']}  {row['dead_at'] or '-'}  {row['kind']}  {row['reason'] or 'unknown'}")
    typer.echo(f"{len(rows)} dead letters", err=True)


@app.command()
def show(name: Name, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Show one dead letter whole. It may hold names, numbers and transcripts."""
    letter = _with_letters(data_dir, lambda letters: letters.find(name))
    if letter is None:
        fail(f"there is no dead letter {name}")
    typer.echo(f"dead since  {iso(letter.dead_at) or 'unknown'}", err=True)
    typer.echo(f"reason      {letter.reason or 'unknown'}", err=True)
    try:
        typer.echo(json.dumps(json.loads(letter.body), ensure_ascii=False, indent=2))
    except ValueError:
        typer.echo(letter.body)


@app.command()
def replay(
    name: Annotated[str, typer.Argument(metavar="LETTER|SOURCE", help="outbox:17, or all of outbox, calls or events.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Send one dead letter, or all of a source, as if new. Ids and order stay, so no call and no event is repeated."""
    count = _with_letters(data_dir, lambda letters: letters.replay(name))
    typer.echo(f"{count} replayed")
    if not count and ":" in name:
        raise typer.Exit(1)


def _with_letters(data_dir: Path, work: Callable[["DeadLetters"], Awaitable[Result]]) -> Result:
    """Run `work` on the dead letters of the installation. A wrong name ends the command with exit code 1."""
    from ringback.flows.operator.dead_letters import UnknownSource
    from ringback.wiring import open_dependencies

    settings = settings_of(data_dir)
    if settings.database_url is None:
        raise SettingsError([f"RINGBACK_DATABASE_URL: must be set, or {data_dir} be the data of a running system"])

    async def run() -> Result:
        start_logs(settings)
        async with open_dependencies(settings) as deps:
            return await work(deps.dead_letters())

    try:
        return asyncio.run(run())
    except StoreUnavailable:
        raise
    except (UnknownSource, Retryable, Permanent) as error:
        fail(str(error) or type(error).__name__)


def _kind(body: str) -> str:
    """Return the kind of an outbox row or the type of a queue message, else `unreadable`."""
    try:
        fields = json.loads(body)
        kind = fields.get("kind") or fields.get("type")
    except (ValueError, AttributeError):
        kind = None
    return kind if isinstance(kind, str) else "unreadable"
