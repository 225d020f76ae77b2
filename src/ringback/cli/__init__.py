"""The command line. A command imports heavy modules when it runs, so `ringback --help` is fast."""

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from ringback.cli import (
    analytics,
    audit,
    calls,
    conformance,
    dead_letters,
    dialing,
    doctor,
    export,
    installation,
    keys,
    retell,
    running,
)
from ringback.config import SettingsError
from ringback.domain.errors import ErasureKeyMissing, Retryable, StartRefused, StoreUnavailable

app = typer.Typer(
    name="ringback",
    help="Outbound AI voice calls through Retell, with the true outcome of every one.",
    no_args_is_help=True,
    rich_markup_mode=None,  # the formatted help takes a fifth of a second to import, and cuts words
    pretty_exceptions_enable=False,  # its tracebacks print local variables, which hold keys and phone numbers
)
COMMANDS: tuple[Callable[..., None], ...] = (
    running.up,
    running.demo,
    running.serve,
    running.emulate,
    calls.call,
    calls.calls,
    calls.trace,
    dialing.why,
    dialing.pause,
    dialing.resume,
    doctor.doctor,
    installation.catalog,
    installation.erase,
    conformance.conformance,
    export.export,
)
for command in COMMANDS:
    app.command()(command)
db_app = typer.Typer(no_args_is_help=True, help="The database.")
db_app.command("upgrade")(installation.upgrade_database)
db_app.command("rekey")(installation.rekey_database)
app.add_typer(keys.app, name="keys")
app.add_typer(db_app, name="db")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(analytics.app, name="analytics")
app.add_typer(audit.app, name="audit")
app.add_typer(retell.app, name="retell")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"ringback {version('ringback')}")
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Outbound AI voice calls through Retell, with the true outcome of every one."""


def main() -> None:
    """Run a command. A wrong setting, a refused start or an unavailable dependency ends it with exit code 2."""
    try:
        app()
    except SettingsError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        sys.exit(2)
    except (StartRefused, ErasureKeyMissing) as error:
        typer.echo(str(error), err=True)
        sys.exit(2)
    except StoreUnavailable as error:
        typer.echo(f"the database of RINGBACK_DATABASE_URL cannot be used: {error}", err=True)
        sys.exit(2)
    except Retryable as error:
        typer.echo(str(error), err=True)
        sys.exit(2)
