"""ringback dead-letters: list, show and replay the dead letters of the outbox and of both queues."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ringback.cli.output import print_json, print_table, visible
from ringback.cli.settings import DEFAULT_DATA_DIR, AsJson, DataDir, fail, settings_of, start_logs, this_user
from ringback.config import SettingsError
from ringback.domain.abt_event import iso
from ringback.domain.errors import Permanent, Retryable, StoreUnavailable
from ringback.domain.operations import counted

if TYPE_CHECKING:
    from ringback.flows.operator.dead_letters import DeadLetters

Result = TypeVar("Result")

COLUMNS = ("name", "dead_at", "kind", "event", "call", "tries", "reason")
WHAT_FOLLOWS = (
    "A running Ringback sends it within seconds. If it is refused again, it is a dead letter again: "
    "look with ringback dead-letters list, and at its call with ringback trace CALL_ID."
)

app = typer.Typer(no_args_is_help=True, help="Messages that were given up: outbox, calls and events.")

Name = Annotated[str, typer.Argument(metavar="LETTER", help="As `list` shows it, for example outbox:17.")]


@app.command("list")
def show_all(as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """List all dead letters, a line each."""
    entries = _with_letters(data_dir, lambda letters: letters.list())
    rows = [
        {"name": entry.name, "dead_at": iso(entry.letter.dead_at), "reason": entry.letter.reason}
        | _facts(entry.letter.body)
        for entry in entries
    ]
    if as_json:
        print_json(rows)
        return
    if rows:
        print_table([[visible(row[name] or "-") for name in COLUMNS] for row in rows], COLUMNS)
    typer.echo(counted(len(rows), "dead letter", "dead letters"), err=True)


@app.command()
def show(name: Name, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Show one dead letter whole. It may hold names, numbers and transcripts."""
    letter = _with_letters(data_dir, lambda letters: letters.find(name))
    if letter is None:
        fail(f"there is no dead letter {name}: see ringback dead-letters list")
    typer.echo(f"dead since  {iso(letter.dead_at) or 'unknown'}", err=True)
    typer.echo(f"reason      {letter.reason or 'unknown'}", err=True)
    try:
        typer.echo(json.dumps(json.loads(letter.body), ensure_ascii=False, indent=2))
    except ValueError:
        typer.echo(letter.body)


@app.command()
def replay(
    name: Annotated[str, typer.Argument(metavar="LETTER|SOURCE", help="outbox:17, or all of outbox, calls or events.")],
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Send one dead letter, or all of a source, as if new. Ids and order stay, so no call and no event is repeated."""
    count = _with_letters(data_dir, lambda letters: letters.replay(name, this_user()))
    if as_json:
        print_json({"replayed": count})
    else:
        typer.echo(f"{count} replayed")
    if count:
        typer.echo(WHAT_FOLLOWS, err=True)
    elif ":" in name:
        fail(f"there is no dead letter {name}: see ringback dead-letters list")


def _with_letters(data_dir: Path, work: Callable[["DeadLetters"], Awaitable[Result]]) -> Result:
    """Run `work` on the dead letters of the installation. A wrong name ends the command with exit code 1."""
    import asyncio

    from ringback.flows.operator.dead_letters import UnknownSource
    from ringback.wiring import open_dependencies

    settings = settings_of(data_dir)
    if settings.database_url is None:
        raise SettingsError([f"RINGBACK_DATABASE_URL: must be set, or {data_dir} be the data of a running system"])

    async def run() -> Result:
        start_logs(settings)
        async with open_dependencies(settings) as deps:
            await deps.check_schema()
            return await work(deps.dead_letters())

    try:
        return asyncio.run(run())
    except StoreUnavailable:
        raise
    except (UnknownSource, Retryable, Permanent) as error:
        fail(str(error) or type(error).__name__)


def _facts(body: str) -> dict[str, Any]:
    """Return the kind, event, call and tries of a letter. Each is None where the body does not tell it."""
    facts: dict[str, Any] = dict.fromkeys(("kind", "event", "call", "tries"))
    try:
        fields = json.loads(body)
        kind = fields.get("kind") or fields.get("type")
    except (ValueError, AttributeError):
        return facts | {"kind": "unreadable"}
    facts |= {"kind": kind if isinstance(kind, str) else "unreadable", "tries": fields.get("tries")}
    try:
        webhook = json.loads(fields["body"])
    except (KeyError, TypeError, ValueError):
        webhook = None
    if not isinstance(webhook, dict):
        webhook = fields  # a message without its body tells of the webhook itself
    payload = fields.get("payload")
    event = payload.get("type") if isinstance(payload, dict) else webhook.get("event")
    call = webhook.get("call")
    provider_call_id = call.get("call_id") if isinstance(call, dict) else fields.get("provider_call_id")
    return facts | {"event": event, "call": fields.get("call_id") or provider_call_id}
