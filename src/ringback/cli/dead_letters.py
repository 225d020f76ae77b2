"""ringback dead-letters: what was given up in the outbox and in both queues, and how it is sent on its way again."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from ringback.cli.asking import DEFAULT_DATA_DIR, AsJson, DataDir, settings_of, start_logs
from ringback.config import Settings, SettingsError
from ringback.domain.abt_event import iso
from ringback.domain.errors import Permanent, Retryable, StoreUnavailable

if TYPE_CHECKING:
    from ringback.flows.operator.dead_letters import DeadLetterEntry, DeadLetters

Result = TypeVar("Result")

app = typer.Typer(no_args_is_help=True, help="Messages that were given up: outbox, calls and events.")

Name = Annotated[str, typer.Argument(metavar="LETTER", help="As `list` shows it, for example outbox:17.")]


@app.command("list")
def show_all(as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """All of them, a line each."""
    found = _with_letters(data_dir, lambda letters: letters.list())
    if as_json:
        typer.echo(json.dumps([_told(one) for one in found], ensure_ascii=False, indent=2))
        return
    for one in found:
        letter = one.letter
        typer.echo(f"{one.name}  {iso(letter.dead_at) or '-'}  {_kind(letter.body)}  {letter.reason or 'unknown'}")
    typer.echo(f"{len(found)} dead letters", err=True)


@app.command()
def show(name: Name, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """One of them, whole. It may hold what people said and who they are."""
    letter = _with_letters(data_dir, lambda letters: letters.find(name))
    if letter is None:
        _end(f"there is no dead letter {name}")
    typer.echo(f"dead since  {iso(letter.dead_at) or 'unknown'}", err=True)
    typer.echo(f"reason      {letter.reason or 'unknown'}", err=True)
    typer.echo(_pretty(letter.body))


@app.command()
def replay(
    name: Annotated[str, typer.Argument(metavar="LETTER|PLACE", help="outbox:17, or all of outbox, calls or events.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Sends one, or all of a place, as if new: ids and order stay, and nobody is called or told twice by it."""
    count = _with_letters(data_dir, lambda letters: letters.replay(name))
    typer.echo(f"{count} replayed")
    if not count and ":" in name:
        raise typer.Exit(1)


def _with_letters(data_dir: Any, work: Callable[["DeadLetters"], Awaitable[Result]]) -> Result:
    from ringback.flows.operator.dead_letters import UnknownSource

    settings = settings_of(data_dir)
    if settings.database_url is None:
        raise SettingsError([f"RINGBACK_DATABASE_URL: must be set, or {data_dir} be the data of a running system"])
    try:
        return asyncio.run(_work(settings, work))
    except StoreUnavailable:
        raise
    except (UnknownSource, Retryable, Permanent) as error:
        _end(str(error) or type(error).__name__)


async def _work(settings: Settings, work: Callable[["DeadLetters"], Awaitable[Result]]) -> Result:
    from ringback.wiring import open_dependencies

    start_logs(settings)
    async with open_dependencies(settings) as deps:
        return await work(deps.dead_letters())


def _told(one: "DeadLetterEntry") -> dict[str, Any]:
    letter = one.letter
    return {"name": one.name, "dead_at": iso(letter.dead_at), "kind": _kind(letter.body), "reason": letter.reason}


def _kind(body: str) -> str:
    """What kind of message it was meant to be; a queue's message names its type."""
    try:
        fields = json.loads(body)
        kind = fields.get("kind") or fields.get("type")
    except (ValueError, AttributeError):
        kind = None
    return kind if isinstance(kind, str) else "unreadable"


def _pretty(body: str) -> str:
    try:
        return json.dumps(json.loads(body), ensure_ascii=False, indent=2)
    except ValueError:
        return body


def _end(problem: str) -> NoReturn:
    typer.echo(problem, err=True)
    raise typer.Exit(1)
