"""The commands about the installation itself: its schema, its catalogue, and the people in it."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from ringback.cli.asking import DEFAULT_DATA_DIR, DataDir, database_url, settings_of, start_logs
from ringback.config import Settings, SettingsError, process_environment, read_settings

if TYPE_CHECKING:
    from ringback.domain.erasure import Erased


def upgrade_database(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Brings the database to the newest schema."""
    from ringback.adapters.postgres.schema import SchemaIsLocked, upgrade

    settings = read_settings(process_environment(), emulated=False)
    try:
        was_behind = asyncio.run(upgrade(database_url(data_dir), instance=settings.instance))
    except SchemaIsLocked as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    typer.echo("upgraded" if was_behind else "up to date already")


def rekey_database(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Puts the hashes of erased people under the newest RINGBACK_ERASURE_KEY."""
    from ringback.domain.errors import ErasureKeyMissing

    try:
        was_any = asyncio.run(_rekey(settings_of(data_dir), database_url(data_dir)))
    except ErasureKeyMissing as error:
        raise SettingsError([str(error)]) from None
    typer.echo("every hash is under the newest key" if was_any else "nobody was erased whose hash would be kept")


async def _rekey(settings: Settings, database_url: str) -> bool:
    from ringback.adapters.postgres.person_hash import Hashing
    from ringback.adapters.postgres.pool import open_pool

    pool = await open_pool(database_url, max_size=1)
    try:
        return await Hashing(settings.erasure_key).renew_stored(pool)
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
    from ringback.domain.errors import Retryable, StoreUnavailable

    number = PhoneNumbersPlan().canonical(phone)
    if number is None:
        typer.echo(
            "A phone number is + and 7 to 15 digits, without spaces (E.164), as many as its country has.", err=True
        )
        raise typer.Exit(1)
    try:
        erased = asyncio.run(_erase(settings_of(data_dir), number, reason))
    except StoreUnavailable:
        raise
    except (StillUnderWay, Retryable) as error:
        typer.echo(str(error) or type(error).__name__, err=True)
        raise typer.Exit(1) from None
    for kind, count in erased.rows.items():
        typer.echo(f"{kind:<22}{count}")
    if erased.provider_call_ids:
        typer.echo("Retell still holds these calls; delete them there as well:", err=True)
        typer.echo("\n".join(erased.provider_call_ids), err=True)


async def _erase(settings: Settings, phone: str, reason: str) -> "Erased":
    from ringback.adapters.postgres.erasure import PostgresEraser
    from ringback.flows.operator.erasure import erase_person
    from ringback.wiring import open_dependencies

    if settings.database_url is None:
        raise SettingsError(["RINGBACK_DATABASE_URL: must be set, or the data directory of a running system be named"])
    if not settings.erasure_key:
        raise SettingsError(["RINGBACK_ERASURE_KEY: must be set, here and for every process, to erase a person"])
    start_logs(settings)
    async with open_dependencies(settings) as deps:
        await deps.check_erasure_key()
        return await erase_person(deps.store, PostgresEraser(deps.pool, deps.hashing), deps.clock, phone, reason)
