"""What the commands share: their options, and how a running system is asked."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from ringback.config import Settings, SettingsError, process_environment, read_access, read_settings

DEFAULT_DATA_DIR = Path(".ringback")
UP_FILE = "up.json"

DataDir = Annotated[Path, typer.Option(help="Where a running `ringback up` keeps its data.")]
Host = Annotated[str, typer.Option(help="Address to listen on.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


def ask(data_dir: Path, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """The parsed answer; a problem is shown with all its errors and ends the command with exit code 1."""
    import urllib.error
    import urllib.request

    access = read_access(process_environment(), data_dir / UP_FILE)
    headers = {"Authorization": f"Bearer {access.api_key}", "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(access.url + path, content, headers, method=method)
    # An internal API is not reached through a proxy, whatever the environment says.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        _show_problem(error.code, error.read())
    except (OSError, ValueError) as error:
        typer.echo(f"no usable answer from {access.url}: {type(error).__name__}", err=True)
    raise typer.Exit(1)


def _show_problem(status: int, body: bytes) -> None:
    try:
        problem = json.loads(body)
        lines = [f"{status}: {problem['detail']}"]
        lines += [f"  {error['pointer']}: {error['message']}" for error in problem["errors"]]
    except (ValueError, KeyError, TypeError):
        lines = [f"{status}"]
    typer.echo("\n".join(lines), err=True)


def database_url(data_dir: Path) -> str:
    url = read_settings(process_environment(), emulated=False).database_url
    if url is None and (data_dir / UP_FILE).exists():
        url = json.loads((data_dir / UP_FILE).read_text()).get("database_url")
    if url is None:
        raise SettingsError([f"RINGBACK_DATABASE_URL: must be set, or {data_dir} be the data of a running system"])
    return url


def settings_of(data_dir: Path) -> Settings:
    """The settings as the processes would read them; what is not set is taken from a running `ringback up`."""
    from ringback.up.erasure_key import read_erasure_key
    from ringback.up.state import load_state

    env = process_environment()
    settings = read_settings(env, emulated=False)
    state = load_state(data_dir)
    if settings.database_url is not None or state is None:
        return settings
    # That installation, whole: its own keys belong to its own emulators.
    settings = read_settings(env, emulated="RETELL_BASE_URL" not in env)
    host = state.url.rpartition(":")[0]
    running: dict[str, Any] = {"database_url": state.database_url, "api_key": settings.api_key or state.api_key}
    running["erasure_key"] = settings.erasure_key or read_erasure_key(data_dir)
    if settings.retell_base_url is None:
        running |= {
            "retell_base_url": f"{host}:{state.retell_port}",
            "retell_api_key": state.retell_api_key,
            "retell_webhook_key": (state.retell_webhook_key,),
        }
    if settings.engage_url is None:
        running |= {"engage_url": f"{host}:{state.engage_port}", "engage_secret": state.engage_secret}
    return replace(settings, **running)


def start_logs(settings: Settings) -> None:
    """To stderr: stdout is for what was asked."""
    from ringback.logs import choose_format, configure_logs

    configure_logs(choose_format(settings.log_format, sys.stderr), sys.stderr)
