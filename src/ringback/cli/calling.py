"""ringback call and ringback trace: over the Voice API of a running system."""

import hashlib
import json
from typing import Annotated, Any

import typer

from ringback.cli.asking import DEFAULT_DATA_DIR, DataDir, ask

#: Of the fictional range: the emulator takes any number as the caller's; with a real account, name one of yours.
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
    """Places a call through the Voice API."""
    body: dict[str, Any] = {
        "contact": {"contact_id": contact or _contact_id_for(phone), "phone": phone},
        "agent_id": agent,
        "from_number": from_number,
        "variables": dict(_pair(text) for text in var or []),
    }
    if not_before is not None:
        body["not_before"] = not_before
    answer = ask(data_dir, "POST", "/v1/calls", body)
    due = f", not before {answer['next_eligible_at']}" if answer["status"] == "scheduled" else ""
    typer.echo(answer["call_id"])
    because = f" ({answer['reason']})" if answer.get("reason") else ""
    typer.echo(f"{answer['status']}{because}{due}; its story: ringback trace {answer['call_id']}", err=True)
    if because:
        raise typer.Exit(1)


def trace(
    call_id: str,
    as_json: Annotated[bool, typer.Option("--json", help="The call and its timeline as JSON.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """A call's whole story: every decision, message, webhook and ABT event, with times."""
    from urllib.parse import quote

    path = f"/v1/calls/{quote(call_id, safe='')}"
    told = ask(data_dir, "GET", path)
    entries = ask(data_dir, "GET", f"{path}/timeline")["entries"]
    if as_json:
        typer.echo(json.dumps({"call": told, "entries": entries}, ensure_ascii=False, indent=2))
        return
    from rich.console import Console

    from ringback.cli.story import attempts_table, headline, timeline_table

    console = Console(highlight=False)
    console.print(headline(told), end="\n\n")
    console.print(timeline_table(told, entries))
    if told["attempts"]:
        console.print()
        console.print(attempts_table(told["attempts"]))


def _contact_id_for(phone: str) -> str:
    """The same person for every call to one number however it is spelled, and no number to be read."""
    from ringback.adapters.number_plan import PhoneNumbersPlan

    spelled = PhoneNumbersPlan().canonical(phone) or phone
    return f"cli-{hashlib.sha256(spelled.encode()).hexdigest()[:12]}"


def _pair(text: str) -> tuple[str, str]:
    name, is_there, value = text.partition("=")
    if not is_there or not name:
        raise typer.BadParameter("a variable is written name=value")
    return name, value
