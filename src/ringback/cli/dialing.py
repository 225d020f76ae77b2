"""ringback pause, resume and why: over the API of a running system."""

import json
from typing import Annotated
from urllib.parse import urlencode

import typer

from ringback.cli.client import request
from ringback.cli.render import explanation_lines
from ringback.cli.settings import DEFAULT_DATA_DIR, AsJson, DataDir


def pause(
    reason: Annotated[str | None, typer.Option(help="Shown by doctor, why and /readyz.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Stop all dialing. Once this returns, no further call is placed."""
    state = request(data_dir, "POST", "/v1/dialing/pause", {"reason": reason} if reason else {})
    because = f": {state['reason']}" if state["reason"] else ""
    typer.echo(f"paused since {state['paused_at']}{because}")
    if state["live"]:
        typer.echo(f"{state['live']} calls are ringing or talking and go on", err=True)


def resume(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Resume dialing."""
    request(data_dir, "POST", "/v1/dialing/resume")
    typer.echo("dialing")


def why(
    person: Annotated[str, typer.Argument(metavar="PHONE|CONTACT_ID", help="A phone begins with +.")],
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Explain why this person was, or was not, called, and when the next call is allowed."""
    query = urlencode({"phone" if person.startswith("+") else "contact_id": person})
    explanation = request(data_dir, "GET", f"/v1/why?{query}")
    if as_json:
        typer.echo(json.dumps(explanation, ensure_ascii=False, indent=2))
        return
    typer.echo("\n".join(explanation_lines(explanation)))
