"""ringback doctor: check an installation, with the settings of the running system where there is one."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ringback.cli.client import send
from ringback.cli.output import print_json, print_sentences
from ringback.cli.settings import DEFAULT_DATA_DIR, AsJson, DataDir, settings_of
from ringback.config import Settings, SettingsError, describe, process_environment, read_access, read_settings
from ringback.domain.operations import MASK
from ringback.up.state import UP_FILE

if TYPE_CHECKING:
    from ringback.flows.operator.diagnostics import Check

#: Name to (value, origin). Secrets are masked.
Shown = Mapping[str, tuple[str, str]]
#: Read by the commands, and by each process of its own for its own log. A difference means nothing.
_OWN = frozenset({"RINGBACK_API_KEY", "RINGBACK_LOG_FORMAT"})


def doctor(
    agent: Annotated[str | None, typer.Option(help="Also check where this Retell agent sends its webhooks.")] = None,
    webhook_url: Annotated[str | None, typer.Option(help="Where they should go.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Check an installation and its settings. Clock, database, queues, dead letters, Retell's keys and Engage.

    Where a Ringback runs, its settings count. The exit code is 1 if something is wrong; a warning is not.
    """
    import asyncio

    from ringback.flows.operator.diagnostics import warn

    running, checks = _ask_running(data_dir)
    settings = _without_unused_emulators(settings_of(data_dir), running)
    here = {name: (value, origin) for name, value, origin in describe(settings)}
    missing = frozenset(name for name, (value, _) in running.items() if value and not here.get(name, ("", ""))[0])
    checks += [
        warn(name, f"is {value} in this shell, and {running[name][0] or 'not set'} in the running system, which counts")
        for name, (value, origin) in here.items()
        if origin == "environment" and name in running and name not in _OWN
        if value not in (MASK, running[name][0])
    ]
    checks += asyncio.run(_diagnose(settings, missing, agent, webhook_url))
    shown = running or here
    if as_json:
        items = [{"name": name, "value": value, "origin": origin} for name, (value, origin) in shown.items()]
        marked = [
            {"mark": _mark(check), "subject": check.subject, "said": check.said, "advice": check.advice}
            for check in checks
        ]
        print_json({"settings": items, "checks": marked})
    else:
        show_settings(shown, missing)
        typer.echo()
        for check in checks:
            advice = f"; {check.advice}" if check.advice else ""
            print_sentences([f"{_mark(check):<6} {check.subject:<19} {check.said}{advice}"])
    if any(check.wrong for check in checks):
        raise typer.Exit(1)


def _ask_running(data_dir: Path) -> "tuple[Shown, list[Check]]":
    """Return the settings of the running system, none if they cannot be had, and what was found about it."""
    from ringback.flows.operator.diagnostics import warn

    subject = "running system"
    try:
        access = read_access(process_environment(), data_dir / UP_FILE)
    except SettingsError:
        said = f"ringback up is not running on {data_dir}, and RINGBACK_URL is not set: the settings are of this shell"
        return {}, [warn(subject, said)]
    key = {"Authorization": f"Bearer {access.api_key}"}
    try:
        status, body = send(access.url, "GET", "/v1/settings", None, key)
        _, ready = send(access.url, "GET", "/readyz", None, {})
        checks = [_readiness(subject, access.url, ready)]
    except SettingsError as error:
        said = f"{error}; the settings are of this shell"
        is_of_up = not process_environment().get("RINGBACK_URL")
        return {}, [warn(subject, f"ringback up is not running: {said}" if is_of_up else said)]
    if status == 200:
        return {item["name"]: (item["value"], item["origin"]) for item in body["items"]}, checks
    said = f"{access.url} does not tell its settings ({status}); those of this shell are shown"
    return {}, [*checks, warn(subject, said, "use a key of the role operator or admin")]


def _without_unused_emulators(settings: Settings, running: Shown) -> Settings:
    """Replace an emulator by what the running system uses. The file of `up` has the emulators' addresses anyway.

    The secret of Engage stays, because the doctor delivers nothing. A masked address is not known here.
    """
    here = read_settings(process_environment(), emulated=False)
    used = {name: None if MASK in value else value or None for name, (value, _) in running.items()}
    engage_url, retell_base_url = used.get("RINGBACK_ENGAGE_URL"), used.get("RETELL_BASE_URL")
    if used and here.engage_url is None and settings.engage_url not in (None, engage_url):
        settings = replace(settings, engage_url=engage_url)
    if used and here.retell_base_url is None and settings.retell_base_url not in (None, retell_base_url):
        settings = replace(
            settings,
            retell_base_url=retell_base_url,
            retell_api_key=here.retell_api_key,
            retell_webhook_key=here.retell_webhook_key,
        )
    return settings


def _readiness(subject: str, url: str, body: Any) -> "Check":
    from ringback.flows.operator.diagnostics import Check

    found: dict[str, Any] = body.get("checks", {}) if isinstance(body, dict) else {}
    failing = [f"{name}: {one['detail']}" for name, one in found.items() if not one["ok"]]
    if failing:
        return Check(subject, f"{url} is not ready; {', '.join(failing)}", "see docs/operations.md", wrong=True)
    return Check(subject, f"{url} is ready")


async def _diagnose(
    settings: Settings, missing: frozenset[str], agent: str | None, webhook_url: str | None
) -> "list[Check]":
    from ringback.flows.operator.diagnostics import diagnose
    from ringback.wiring.diagnosis import open_diagnostic_targets

    async with open_diagnostic_targets(settings, missing) as targets:
        return await diagnose(targets, agent, webhook_url)


def show_settings(shown: Shown, missing: frozenset[str] = frozenset()) -> None:
    """Print every setting with its origin, secrets masked."""
    for name, (value, origin) in shown.items():
        here = ", not known here" if name in missing else ""
        print_sentences([f"{name:<34}{value}{'  ' * bool(value)}({origin}{here})"])


def _mark(check: "Check") -> str:
    return "WRONG" if check.wrong else "warn" if check.warning else "ok"
