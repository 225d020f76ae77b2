"""ringback keys: who may use the HTTP APIs, and as what."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from ringback.cli.asking import DEFAULT_DATA_DIR, AsJson, DataDir, database_url
from ringback.domain.abt_event import iso
from ringback.domain.access import KeyRecord, Role

if TYPE_CHECKING:
    from ringback.adapters.postgres.api_keys import PostgresApiKeys

#: The processes name the setting's key by this, and end the value before when the setting changes.
RESERVED = "RINGBACK_API_KEY"
Result = TypeVar("Result")

app = typer.Typer(no_args_is_help=True, help="API keys.")


@app.command()
def create(
    name: str,
    role: Annotated[Role, typer.Option(help="What the key may do; docs/operations.md has the table.")] = Role.ADMIN,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Makes an API key and shows it once; the database keeps its hash."""
    from ringback.web.auth import hash_key, make_key

    if name.startswith(RESERVED):
        _end(f"names that begin with {RESERVED} belong to the setting")
    key = make_key()
    if not _with_keys(data_dir, lambda keys: keys.add(name, hash_key(key), datetime.now(UTC), role)):
        _end("there is a key of that name")
    typer.echo(key)


@app.command("list")
def show_all(as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """All of them, revoked ones too: name, role, when it was made, last used and revoked."""
    records = _with_keys(data_dir, lambda keys: keys.all())
    if as_json:
        typer.echo(json.dumps([_told(one) for one in records], ensure_ascii=False, indent=2))
        return
    width = max((len(one.name) for one in records), default=0)
    for one in records:
        used, revoked = iso(one.last_used_at) or "never", iso(one.revoked_at)
        end = f"  revoked {revoked}" if revoked else ""
        typer.echo(f"{one.name:<{width}}  {one.role:<8}  made {iso(one.created_at)}  last used {used}{end}")


@app.command()
def revoke(name: str, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Ends a key for ever. Running processes refuse it after five seconds at most."""
    if not _with_keys(data_dir, lambda keys: keys.revoke(name, datetime.now(UTC))):
        _end("there is no key of that name: see ringback keys list")
    typer.echo("revoked")


def _with_keys(data_dir: Path, work: Callable[["PostgresApiKeys"], Awaitable[Result]]) -> Result:
    return asyncio.run(_work(database_url(data_dir), work))


async def _work(url: str, work: Callable[["PostgresApiKeys"], Awaitable[Result]]) -> Result:
    from ringback.adapters.postgres.api_keys import PostgresApiKeys
    from ringback.adapters.postgres.pool import open_pool

    pool = await open_pool(url, max_size=1)
    try:
        return await work(PostgresApiKeys(pool))
    finally:
        await pool.close()


def _told(one: KeyRecord) -> dict[str, Any]:
    told = asdict(one)
    return told | {name: iso(told[name]) for name in ("created_at", "last_used_at", "revoked_at")}


def _end(problem: str) -> NoReturn:
    typer.echo(problem, err=True)
    raise typer.Exit(1)
