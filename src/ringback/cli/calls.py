"""ringback call and ringback trace: over the Voice API of a running system."""

import hashlib
import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from ringback.cli.client import request
from ringback.cli.settings import DEFAULT_DATA_DIR, DataDir

#: In the fictional range. The emulator accepts any caller id; a real account needs one of its own numbers.
DEFAULT_FROM_NUMBER = "+14155550199"


def call(  # noqa: PLR0913 - each is an option of the command line
    phone: Annotated[str, typer.Argument(help="E.164, for example +14155550100.")],
    agent: Annotated[str, typer.Option(help="Retell's agent id.")],
    var: Annotated[
        list[str] | None, typer.Option(help="A variable for the agent, name=value; may be repeated.")
    ] = None,
    not_before: Annotated[str | None, typer.Option(help="A time with an offset; none means now.")] = None,
    contact: Annotated[str | None, typer.Option(help="The contact's id; made from the number if absent.")] = None,
    from_number: Annotated[str, typer.Option("--from", help="The number that calls.")] = DEFAULT_FROM_NUMBER,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Place a call through the Voice API."""
    body: dict[str, Any] = {
        "contact": {"contact_id": contact or _contact_id_for(phone), "phone": phone},
        "agent_id": agent,
        "from_number": from_number,
        "variables": dict(_pair(text) for text in var or []),
    }
    if not_before is not None:
        body["not_before"] = not_before
    accepted = request(data_dir, "POST", "/v1/calls", body)
    due = f", not before {accepted['next_eligible_at']}" if accepted["status"] == "scheduled" else ""
    typer.echo(accepted["call_id"])
    because = f" ({accepted['reason']})" if accepted.get("reason") else ""
    typer.echo(f"{accepted['status']}{because}{due}; its story: ringback trace {accepted['call_id']}", err=True)
    if because:
        raise typer.Exit(1)


def trace(
    call_id: str,
    as_json: Annotated[bool, typer.Option("--json", help="The call and its timeline as JSON.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print a call's timeline: every decision, message, webhook and ABT event, with times."""
    path = f"/v1/calls/{quote(call_id, safe='')}"
    shown = request(data_dir, "GET", path)
    entries = request(data_dir, "GET", f"{path}/timeline")["entries"]
    if as_json:
        typer.echo(json.dumps({"call": shown, "entries": entries}, ensure_ascii=False, indent=2))
        return
    from rich.console import Console

    from ringback.cli.render import attempts_table, headline, timeline_table

    console = Console(highlight=False)
    console.print(headline(shown), end="\n\n")
    console.print(timeline_table(shown, entries))
    if shown["attempts"]:
        console.print()
        console.print(attempts_table(shown["attempts"]))


def _contact_id_for(phone: str) -> str:
    """Make one contact id for all spellings of a number. The number cannot be read from it."""
    from ringback.adapters.number_plan import PhoneNumbersPlan

    spelled = PhoneNumbersPlan().canonical(phone) or phone
    return f"cli-{hashlib.sha256(spelled.encode()).hexdigest()[:12]}"


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise typer.BadParameter("a variable is written name=value")
    return name, value
