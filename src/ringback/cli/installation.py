"""The commands for an installation: its schema, its catalogue, its people."""

import tomllib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from ringback.cli.output import print_json
from ringback.cli.settings import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    database_url,
    fail,
    settings_of,
    start_logs,
    this_user,
)
from ringback.config import Settings, SettingsError, process_environment, read_settings
from ringback.domain.audit import AuditAction, AuditEntry

if TYPE_CHECKING:
    from ringback.domain.contact import Erased


def upgrade_database(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Upgrade the database to the newest schema."""
    import asyncio

    from ringback.adapters.postgres.schema import upgrade

    settings = read_settings(process_environment(), emulated=False)
    was_old = asyncio.run(upgrade(database_url(data_dir), instance=settings.instance))
    typer.echo("upgraded" if was_old else "up to date already")


def rekey_database(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Hash erased people under the newest erasure key. It is the first one of RINGBACK_ERASURE_KEY."""
    import asyncio

    from ringback.adapters.postgres.person_hash import Hashing
    from ringback.adapters.postgres.pool import open_pool
    from ringback.domain.errors import ErasureKeyMissing

    settings, url = settings_of(data_dir), database_url(data_dir)
    entry = AuditEntry(datetime.now(UTC), this_user(), AuditAction.HASHES_RENEWED)

    async def rekey() -> bool:
        pool = await open_pool(url, max_size=1)
        try:
            return await Hashing(settings.erasure_key).renew_stored(pool, entry)
        finally:
            await pool.close()

    try:
        has_hashes = asyncio.run(rekey())
    except ErasureKeyMissing as error:
        raise SettingsError([str(error)]) from None
    typer.echo("every hash is under the newest key" if has_hashes else "there is no hash of an erased person")


def catalog(as_json: AsJson = False) -> None:
    """Print the catalogue in force as TOML. It has dispositions, writable fields and custom events."""
    from ringback.domain.catalog import catalog_toml
    from ringback.wiring import read_catalog

    toml = catalog_toml(read_catalog(read_settings(process_environment(), emulated=False)))
    if as_json:
        print_json(tomllib.loads(toml))
    else:
        typer.echo(toml, nl=False)


def erase(
    phone: Annotated[str, typer.Argument(help="E.164, for example +14155550100.")],
    reason: Annotated[str, typer.Option(help="Kept with the calls; do not name the person in it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, for scripts.")] = False,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Erase a person. Rows, transcripts and pending messages; shows the counts and asks before.

    A suppression stays in force as a keyed hash.
    """
    import asyncio

    from ringback.adapters.number_plan import PhoneNumbersPlan
    from ringback.domain.contact import StillInProgress
    from ringback.domain.errors import Retryable, StoreUnavailable

    number = PhoneNumbersPlan().canonical(phone)
    if number is None:
        fail("A phone number is + and 7 to 15 digits, without spaces (E.164), as many as its country has.")
    try:
        erased = asyncio.run(_erase(settings_of(data_dir), number, reason, may_ask=not yes))
    except StoreUnavailable:
        raise
    except (StillInProgress, Retryable) as error:
        fail(str(error) or type(error).__name__)
    if as_json:
        print_json({"rows": erased.rows, "provider_call_ids": erased.provider_call_ids})
        return
    typer.echo("erased" if any(erased.rows.values()) else "nothing about this number was stored", err=True)
    for kind, count in erased.rows.items():
        typer.echo(f"{kind.replace('_', ' '):<22}{count}")
    if erased.provider_call_ids:
        typer.echo("Retell still holds these calls; delete them there as well:", err=True)
        typer.echo("\n".join(erased.provider_call_ids), err=True)


async def _erase(settings: Settings, phone: str, reason: str, *, may_ask: bool) -> "Erased":
    from ringback.adapters.postgres.erasure import PostgresEraser
    from ringback.flows.operator.erasure import erase_person
    from ringback.wiring import open_dependencies

    if settings.database_url is None:
        raise SettingsError(["RINGBACK_DATABASE_URL: must be set, or the data directory of a running system be named"])
    if not settings.erasure_key:
        raise SettingsError(["RINGBACK_ERASURE_KEY: must be set, here and for every process, to erase a person"])
    start_logs(settings)
    async with open_dependencies(settings) as deps:
        await deps.check_schema()
        await deps.check_erasure_key()
        eraser = PostgresEraser(deps.pool, deps.hashing)
        if may_ask:
            for kind, count in (await eraser.preview(phone)).items():
                typer.echo(f"{kind.replace('_', ' '):<22}{count}", err=True)
            typer.echo(
                "Planned calls end now. Suppressions stay in force as hashes. Nothing can be restored.", err=True
            )
            if not typer.confirm("Erase this person?", err=True):
                fail("nothing was erased")
        return await erase_person(deps.store, eraser, deps.clock, phone, reason, this_user())
