"""ringback doctor: the settings, and whether what they point to works."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from ringback.cli.asking import DEFAULT_DATA_DIR, DataDir, settings_of
from ringback.config import Settings, describe

if TYPE_CHECKING:
    from ringback.flows.operator.diagnostics import Check


def doctor(
    agent: Annotated[str | None, typer.Option(help="Also look where this Retell agent sends its webhooks.")] = None,
    webhook_url: Annotated[str | None, typer.Option(help="Where they should go.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Looks at settings, database, clock, queues, Retell's keys and dead letters; ends with 1 if something is wrong."""
    settings = settings_of(data_dir)
    _show_settings(settings)
    findings = asyncio.run(_diagnose(settings, agent, webhook_url))
    for finding in findings:
        typer.echo(line(finding))
    if any(finding.wrong for finding in findings):
        raise typer.Exit(1)


async def _diagnose(settings: Settings, agent_id: str | None, webhook_url: str | None) -> list["Check"]:
    from ringback.flows.operator.diagnostics import diagnose
    from ringback.wiring import open_diagnostic_targets

    async with open_diagnostic_targets(settings) as around:
        return await diagnose(around, agent_id, webhook_url)


def line(finding: "Check") -> str:
    mark = "WRONG" if finding.wrong else "ok"
    advice = f"; {finding.advice}" if finding.advice else ""
    return f"{mark:<6} {finding.subject:<19} {finding.said}{advice}"


def _show_settings(settings: Settings) -> None:
    same_key = settings.retell_webhook_key == (settings.retell_api_key,)
    for name, value, origin in describe(settings):
        of_up = origin == "not set" or (origin == "RETELL_API_KEY" and not same_key)
        known = "a running ringback up" if value and of_up else origin
        typer.echo(f"{name:<34}{value}{'  ' * bool(value)}({known})")
    typer.echo()
