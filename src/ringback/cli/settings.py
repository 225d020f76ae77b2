"""The options that commands share, and the settings of the installation that they work on."""

import json
import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from ringback.config import Settings, SettingsError, process_environment, read_settings
from ringback.domain.audit import Actor, Via
from ringback.up.state import UP_FILE

DEFAULT_DATA_DIR = Path(".ringback")
MAX_PORT = 65535

DataDir = Annotated[Path, typer.Option(help="Where a running `ringback up` keeps its data.")]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=MAX_PORT, help="Port to listen on.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


def database_url(data_dir: Path) -> str:
    """Return the setting, else the database of a running `ringback up`. Raises SettingsError."""
    url = read_settings(process_environment(), emulated=False).database_url
    if url is None and (data_dir / UP_FILE).exists():
        url = json.loads((data_dir / UP_FILE).read_text()).get("database_url")
    if url is None:
        raise SettingsError([f"RINGBACK_DATABASE_URL: must be set, or {data_dir} be the data of a running system"])
    return url


def settings_of(data_dir: Path) -> Settings:
    """Read the settings as the processes do. A running `ringback up` supplies the settings that are not set."""
    from ringback.up.state import load_state, read_erasure_key

    env = process_environment()
    settings = read_settings(env, emulated=False)
    state = load_state(data_dir)
    if settings.database_url is not None or state is None:
        return settings
    # Without a database of its own this command works on the installation of `up`: its keys are for its emulators.
    settings = read_settings(env, emulated="RETELL_BASE_URL" not in env)
    # The emulators listen on loopback alone, whatever the address of `up`.
    running: dict[str, Any] = {"database_url": state.database_url, "api_key": settings.api_key or state.api_key}
    running["erasure_key"] = settings.erasure_key or read_erasure_key(data_dir)
    if settings.retell_base_url is None:
        running |= {
            "retell_base_url": f"http://127.0.0.1:{state.retell_port}",
            "retell_api_key": state.retell_api_key,
            "retell_webhook_key": (state.retell_webhook_key,),
        }
    if settings.engage_url is None:
        running |= {"engage_url": f"http://127.0.0.1:{state.engage_port}", "engage_secret": state.engage_secret}
    return replace(settings, **running)


def data_dir_option(data_dir: Path) -> str:
    """Return the option that another command needs for this data directory, with a space before it, or nothing."""
    is_default = data_dir.resolve() == DEFAULT_DATA_DIR.resolve()
    return "" if is_default else f" --data-dir {shlex.quote(str(data_dir))}"


def this_user() -> Actor:
    """The user of this machine, as the author of what a command writes. A user without an account has a number."""
    import getpass

    try:
        return Actor(Via.COMMAND_LINE, getpass.getuser())
    except (KeyError, OSError):
        return Actor(Via.COMMAND_LINE, f"uid {os.getuid()}")


def start_logs(settings: Settings) -> None:
    """Write logs to stderr, because stdout has the output of the command."""
    from ringback.logs import choose_format, configure_logs

    configure_logs(choose_format(settings.log_format, sys.stderr), sys.stderr)


def fail(problem: str) -> NoReturn:
    """Print the problem and end the command with exit code 1."""
    typer.echo(problem, err=True)
    raise typer.Exit(1)
