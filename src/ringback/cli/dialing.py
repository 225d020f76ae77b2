"""ringback pause, resume and why: over the API of a running system."""

from typing import Annotated
from urllib.parse import urlencode

import typer

from ringback.cli.client import request
from ringback.cli.explanation import explanation_sentences
from ringback.cli.output import print_json, print_sentences, visible
from ringback.cli.render import short_time
from ringback.cli.settings import DEFAULT_DATA_DIR, AsJson, DataDir


def pause(
    reason: Annotated[str | None, typer.Option(help="Shown by doctor, why and resume.")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Stop all dialing. Once this returns, no further call is placed."""
    state = request(data_dir, "POST", "/v1/dialing/pause", {"reason": reason} if reason else {})
    if as_json:
        print_json(state)
        return
    because = f": {visible(state['reason'])}" if state["reason"] else ""
    typer.echo(f"paused since {state['paused_at']}{because}")
    if state["live"]:
        typer.echo(f"{state['live']} calls are ringing or talking and go on", err=True)


def resume(as_json: AsJson = False, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Resume dialing. Says since when and why it was paused."""
    state = request(data_dir, "POST", "/v1/dialing/resume")
    if as_json:
        print_json(state)
        return
    if state["was_paused_at"] is None:
        typer.echo("dialing; it was not paused")
        return
    because = f" because {visible(state['was_reason'])}" if state["was_reason"] else ", no reason was given"
    typer.echo(f"dialing; it was paused since {short_time(state['was_paused_at'])} UTC{because}")


def why(
    person: Annotated[str, typer.Argument(metavar="PHONE|CONTACT_ID", help="A phone begins with +.")],
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Explain why this person was, or was not, called, and when the next call is allowed."""
    query = urlencode({"phone" if person.startswith("+") else "contact_id": person})
    explanation = request(data_dir, "GET", f"/v1/why?{query}")
    if as_json:
        print_json(explanation)
        return
    print_sentences(explanation_sentences(explanation))
