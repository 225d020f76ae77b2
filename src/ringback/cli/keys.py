"""ringback keys: create, list and revoke the keys of the HTTP APIs."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ringback.cli.export import with_database
from ringback.cli.output import print_json, print_table
from ringback.cli.settings import DEFAULT_DATA_DIR, AsJson, DataDir, fail, this_user
from ringback.domain.abt_event import iso
from ringback.domain.access import RESERVED_NAMES, Role

if TYPE_CHECKING:
    from ringback.adapters.postgres.api_keys import PostgresApiKeys

Result = TypeVar("Result")

app = typer.Typer(no_args_is_help=True, help="API keys.")


@app.command()
def create(
    name: str,
    role: Annotated[Role, typer.Option(help="What the key may do; docs/operations.md has the table.")] = Role.ADMIN,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Create an API key and show it once. The database keeps only its hash."""
    from ringback.flows.operator.api_keys import create_key
    from ringback.web.auth import hash_key, make_key

    if name.startswith(RESERVED_NAMES):
        fail(f"choose another name: those that begin with {RESERVED_NAMES} are reserved for the key of that setting")
    key, actor = make_key(), this_user()
    if not _with_keys(data_dir, lambda keys: create_key(keys, datetime.now(UTC), name, hash_key(key), role, actor)):
        fail("there is a key of that name, or there was: see ringback keys list, and choose another name")
    if as_json:
        print_json({"name": name, "role": role, "key": key})
    else:
        typer.echo(key)


@app.command("list")
def show_all(as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """List all keys, revoked ones too. A row has the name, the role, and when it was made, last used and revoked."""
    records = _with_keys(data_dir, lambda keys: keys.all())
    times = ("created_at", "last_used_at", "revoked_at")
    rows = [asdict(record) | {name: iso(getattr(record, name)) for name in times} for record in records]
    if as_json:
        print_json(rows)
        return
    if rows:
        header = ("name", "role", *times)
        print_table([[row["name"], row["role"], *(row[name] or "never" for name in times)] for row in rows], header)


@app.command()
def revoke(name: str, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Revoke a key for good. Running processes refuse it within five seconds."""
    from ringback.flows.operator.api_keys import revoke_key

    if not _with_keys(data_dir, lambda keys: revoke_key(keys, datetime.now(UTC), name, this_user())):
        fail("there is no key of that name: see ringback keys list")
    typer.echo("revoked")


def _with_keys(data_dir: Path, work: Callable[["PostgresApiKeys"], Awaitable[Result]]) -> Result:
    from ringback.adapters.postgres.api_keys import PostgresApiKeys

    return with_database(data_dir, lambda pool: work(PostgresApiKeys(pool)), reads_every_row=False)
