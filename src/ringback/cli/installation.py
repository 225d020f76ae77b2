"""The commands for an installation: its schema, its catalogue, its settings, its people, its agent's functions."""

import asyncio
import json
from typing import TYPE_CHECKING, Annotated

import typer

from ringback.cli.settings import DEFAULT_DATA_DIR, DataDir, database_url, fail, settings_of, start_logs
from ringback.config import Settings, SettingsError, describe, process_environment, read_settings, read_url

if TYPE_CHECKING:
    from ringback.domain.contact import Erased
    from ringback.flows.operator.diagnostics import Check

FUNCTIONS_PATH = "/v1/retell/functions"

retell_app = typer.Typer(no_args_is_help=True, help="What is to be set up at Retell.")


def upgrade_database(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Upgrade the database to the newest schema."""
    from ringback.adapters.postgres.schema import SchemaIsLocked, upgrade

    settings = read_settings(process_environment(), emulated=False)
    try:
        was_old = asyncio.run(upgrade(database_url(data_dir), instance=settings.instance))
    except SchemaIsLocked as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    typer.echo("upgraded" if was_old else "up to date already")


def rekey_database(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Rehash the hashes of erased people under the newest RINGBACK_ERASURE_KEY."""
    from ringback.adapters.postgres.person_hash import Hashing
    from ringback.adapters.postgres.pool import open_pool
    from ringback.domain.errors import ErasureKeyMissing

    settings, url = settings_of(data_dir), database_url(data_dir)

    async def rekey() -> bool:
        pool = await open_pool(url, max_size=1)
        try:
            return await Hashing(settings.erasure_key).renew_stored(pool)
        finally:
            await pool.close()

    try:
        has_hashes = asyncio.run(rekey())
    except ErasureKeyMissing as error:
        raise SettingsError([str(error)]) from None
    typer.echo("every hash is under the newest key" if has_hashes else "there is no hash of an erased person")


def catalog() -> None:
    """Print the catalogue in force as TOML: dispositions, writable fields, custom events."""
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
    """Erase a person: rows, transcripts, pending messages. A suppression stays in force as a keyed hash."""
    from ringback.adapters.number_plan import PhoneNumbersPlan
    from ringback.domain.contact import StillInProgress
    from ringback.domain.errors import Retryable, StoreUnavailable

    number = PhoneNumbersPlan().canonical(phone)
    if number is None:
        fail("A phone number is + and 7 to 15 digits, without spaces (E.164), as many as its country has.")
    try:
        erased = asyncio.run(_erase(settings_of(data_dir), number, reason))
    except StoreUnavailable:
        raise
    except (StillInProgress, Retryable) as error:
        fail(str(error) or type(error).__name__)
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


def doctor(
    agent: Annotated[str | None, typer.Option(help="Also check where this Retell agent sends its webhooks.")] = None,
    webhook_url: Annotated[str | None, typer.Option(help="Where they should go.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Check settings, database, clock, queues, Retell's keys and dead letters. The exit code is 1 if one is wrong."""
    settings = settings_of(data_dir)
    show_settings(settings)

    async def run() -> "list[Check]":
        from ringback.flows.operator.diagnostics import diagnose
        from ringback.wiring import open_diagnostic_targets

        async with open_diagnostic_targets(settings) as targets:
            return await diagnose(targets, agent, webhook_url)

    checks = asyncio.run(run())
    for check in checks:
        mark = "WRONG" if check.wrong else "ok"
        advice = f"; {check.advice}" if check.advice else ""
        typer.echo(f"{mark:<6} {check.subject:<19} {check.said}{advice}")
    if any(check.wrong for check in checks):
        raise typer.Exit(1)


def show_settings(settings: Settings) -> None:
    """Print every setting with its origin, secrets masked."""
    same_key = settings.retell_webhook_key == (settings.retell_api_key,)
    for name, value, origin in describe(settings):
        of_up = origin == "not set" or (origin == "RETELL_API_KEY" and not same_key)
        shown_origin = "a running ringback up" if value and of_up else origin
        typer.echo(f"{name:<34}{value}{'  ' * bool(value)}({shown_origin})")
    typer.echo()


@retell_app.callback()
def retell() -> None:
    """Show what is to be set up at Retell."""


@retell_app.command()
def tools(
    url: Annotated[str | None, typer.Option(help="Where Retell reaches Ringback; RINGBACK_URL if absent.")] = None,
    args_at_root: Annotated[bool, typer.Option(help='For agents that send "args only".')] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print the custom functions as JSON, ready to paste into an agent's tools."""
    from ringback.domain.catalog import CatalogError
    from ringback.wiring import tool_definitions

    known_url = url or read_url(process_environment())
    if known_url is None:
        raise SettingsError(["RINGBACK_URL: must be set, or --url be given: where Retell reaches this installation"])
    functions_url = known_url.rstrip("/") + FUNCTIONS_PATH
    try:
        definitions = tool_definitions(settings_of(data_dir), functions_url, args_at_root=args_at_root)
    except (CatalogError, OSError) as error:
        raise SettingsError([f"RINGBACK_CATALOG: {error}"]) from None
    typer.echo(json.dumps(definitions, ensure_ascii=False, indent=2))
