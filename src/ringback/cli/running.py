"""The commands that run until a signal: up, demo, serve, emulate."""

import base64
import importlib
import secrets
from pathlib import Path
from typing import Annotated, Literal

import typer

from ringback.cli.settings import DEFAULT_DATA_DIR, MAX_PORT, DataDir, Host, Port, data_dir_option, start_logs
from ringback.config import SettingsError, process_environment, read_settings

Process = Literal[
    "internal-api", "business-api", "call-processor", "webhook-processor", "scheduler", "webhook-receiver", "console"
]
EMULATOR_PORTS = {"retell": 8090, "engage": 8091}
#: The processes that place calls and look them up.
ASKS_RETELL = ("call-processor", "scheduler")


def up(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    host: Host = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=0, max=MAX_PORT, help="Port of every API; the last one's, or 8080.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON on stdout once it is ready.")] = False,
) -> None:
    """Run the whole system on this machine, until Ctrl-C."""
    from ringback.up.stack import run_up

    run_up(data_dir, host, port, as_json, data_dir_option(data_dir))


def demo(
    big: Annotated[bool, typer.Option("--big", help="Play a week of calls instead, and keep its console.")] = False,
    calls: Annotated[int, typer.Option(min=1, max=20_000, help="How many calls the week has.")] = 3000,
    seed: Annotated[int, typer.Option(help="What the week is drawn from.")] = 1,
    exits: Annotated[bool, typer.Option("--exit", help="End after the week, without a console.")] = False,
) -> None:
    """Place eight calls through every part, with a live timeline."""
    if big:
        from ringback.up.played_week.command import run_played_week

        run_played_week(calls, seed, keep=not exits)
        return
    from ringback.up.demo import run_demo

    run_demo()


def serve(process: Process, host: Host = "127.0.0.1", port: Port = 8080) -> None:
    """Run one process, for production."""
    settings = read_settings(process_environment(), emulated=False)
    needs_queue_alone = process == "webhook-receiver" and settings.event_queue.startswith("http")
    if settings.database_url is None and not needs_queue_alone:
        raise SettingsError(["RINGBACK_DATABASE_URL: must be set to serve a process"])
    if process in ASKS_RETELL and settings.retell_api_key is None:
        raise SettingsError([f"RETELL_API_KEY: must be set to serve the {process}"])
    if process == "webhook-receiver" and not settings.retell_webhook_key:
        raise SettingsError([f"RETELL_WEBHOOK_KEY: must be set to serve the {process}"])
    if process == "console" and settings.console == "off":
        raise SettingsError(["RINGBACK_CONSOLE: must be on to serve the console"])
    start_logs(settings)
    service = importlib.import_module(f"ringback.services.{process.replace('-', '_')}")
    from ringback.wiring import traces

    with traces(settings.traces_url, process):
        service.run(settings, host, port)


def emulate(  # noqa: PLR0913 - each is an option of the command line
    what: Literal["retell", "engage"],
    port: Annotated[int | None, typer.Option(min=1, max=MAX_PORT, help="8090 for Retell, 8091 for Engage.")] = None,
    state: Annotated[Path | None, typer.Option(help="The directory of its ledger.")] = None,
    webhook_url: Annotated[str | None, typer.Option(help="Where Retell's webhooks go.")] = None,
    functions_url: Annotated[
        str | None, typer.Option(help="Where the agent's tools are; a tool's name is added.")
    ] = None,
    inbound_url: Annotated[str | None, typer.Option(help="The webhook for inbound calls.")] = None,
    owner_file: Annotated[
        Path | None, typer.Option(help="Names the process after which the emulator ends, with some minutes' delay.")
    ] = None,
) -> None:
    """Run an emulator in its own process, on loopback. Keys that are not set are made and printed.

    Its control paths accept RINGBACK_API_KEY, or without that setting the emulator's own key.
    """
    from ringback.up.state import make_directory
    from ringback.web.server import listen
    from ringback_emulator.engage import run_engage
    from ringback_emulator.retell import run_retell
    from ringback_emulator.settings import EngageEmulatorSettings, RetellEmulatorSettings

    settings = read_settings(process_environment(), emulated=True)
    state_dir = state or DEFAULT_DATA_DIR / what
    make_directory(state_dir)
    port = port or EMULATOR_PORTS[what]
    # The emulator knows no errors of Ringback's, so a port in use is found here.
    listen("127.0.0.1", port).close()
    if what == "engage":
        secret = settings.engage_secret or _print_new(
            "RINGBACK_ENGAGE_SECRET", "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
        )
        engage = EngageEmulatorSettings(
            state_dir=state_dir, secret=secret, control_key=settings.api_key or secret, owner_file=owner_file
        )
        run_engage(engage, port)
        return
    webhook_keys = settings.retell_webhook_key or (_print_new("RETELL_WEBHOOK_KEY", f"key_{secrets.token_hex(14)}"),)
    api_key = settings.retell_api_key or _print_new("RETELL_API_KEY", f"key_{secrets.token_hex(14)}")
    emulated = RetellEmulatorSettings(
        state_dir=state_dir,
        api_key=api_key,
        webhook_key=webhook_keys[0],
        control_key=settings.api_key or api_key,
        owner_file=owner_file,
        webhook_url=webhook_url,
        functions_url=functions_url,
        inbound_url=inbound_url,
        speed=settings.emulator_speed,
        # An account that accepts every call that may be placed.
        concurrency_limit=max(1000, settings.max_live_calls),
    )
    run_retell(emulated, port)


def _print_new(name: str, value: str) -> str:
    typer.echo(f"{name}={value}", err=True)
    return value
