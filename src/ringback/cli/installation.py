"""The commands about the installation itself: its schema, API keys, catalogue, and the people in it."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from ringback.cli.asking import DEFAULT_DATA_DIR, DataDir, database_url, settings_of, start_logs
from ringback.config import Settings, SettingsError, process_environment, read_settings

if TYPE_CHECKING:
    from ringback.domain.erasure import Erased


def create_key(name: str, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Makes an API key and shows it once; the database keeps its hash."""
    from ringback.web.auth import hash_key, make_key

    key = make_key()
    if not asyncio.run(_store_key(database_url(data_dir), name, hash_key(key))):
        typer.echo("there is a key of that name", err=True)
        raise typer.Exit(1)
    typer.echo(key)


def upgrade_database(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Brings the database to the newest schema."""
    from ringback.adapters.postgres.schema import upgrade

    settings = read_settings(process_environment(), emulated=False)
    was_behind = asyncio.run(upgrade(database_url(data_dir), instance=settings.instance))
    typer.echo("upgraded" if was_behind else "up to date already")


async def _store_key(database_url: str, name: str, key_hash: str) -> bool:
    from ringback.adapters.postgres.api_keys import PostgresApiKeys
    from ringback.adapters.postgres.pool import open_pool

    pool = await open_pool(database_url, max_size=1)
    try:
        return await PostgresApiKeys(pool).add(name, key_hash, datetime.now(UTC))
    finally:
        await pool.close()


def catalog() -> None:
    """Prints the catalogue in force as TOML: dispositions, writable fields, custom events."""
    from ringback.domain.catalog import CatalogError, catalog_toml
    from ringback.wiring import read_catalog

    settings = read_settings(process_environment(), emulated=False)
    try:
        typer.echo(catalog_toml(read_catalog(settings)), nl=False)
    except (CatalogError, OSError) as error:
        raise SettingsError([f"RINGBACK_CATALOG: {error}"]) from None


def erase(
    phone: Annotated[str, typer.Argument(help="E.164, for example +14155550100.")],
    reason: Annotated[str, typer.Option(help="Kept with the calls; do not name the person in it.")],
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Erases a person: rows, transcripts, pending messages. A suppression goes on working, as a keyed hash."""
    from ringback.adapters.number_plan import PhoneNumbersPlan
    from ringback.domain.erasure import StillUnderWay
    from ringback.domain.errors import Retryable

    number = PhoneNumbersPlan().canonical(phone)
    if number is None:
        typer.echo(
            "A phone number is + and 7 to 15 digits, without spaces (E.164), as many as its country has.", err=True
        )
        raise typer.Exit(1)
    try:
        erased = asyncio.run(_erase(settings_of(data_dir), number, reason))
    except (StillUnderWay, Retryable) as error:
        typer.echo(str(error) or type(error).__name__, err=True)
        raise typer.Exit(1) from None
    for kind, count in erased.rows.items():
        typer.echo(f"{kind:<22}{count}")
    if erased.provider_call_ids:
        typer.echo("Retell still holds these calls; delete them there as well:", err=True)
        typer.echo("\n".join(erased.provider_call_ids), err=True)


async def _erase(settings: Settings, phone: str, reason: str) -> "Erased":
    from ringback.wiring import open_parts

    if settings.database_url is None:
        raise SettingsError(["RINGBACK_DATABASE_URL: must be set, or the data directory of a running system be named"])
    start_logs(settings)
    async with open_parts(settings) as parts:
        return await parts.erase_person(phone, reason)
