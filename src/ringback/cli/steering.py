"""ringback pause, resume and why: over the API of a running system."""

import json
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from ringback.cli.asking import DEFAULT_DATA_DIR, AsJson, DataDir, ask


def pause(
    reason: Annotated[str | None, typer.Option(help="Shown by doctor, why and /readyz.")] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Stops all dialing; once this returns, nobody more is called."""
    state = ask(data_dir, "POST", "/v1/dialing/pause", {"reason": reason} if reason else {})
    because = f": {state['reason']}" if state["reason"] else ""
    typer.echo(f"paused since {state['paused_at']}{because}")
    if state["live"]:
        typer.echo(f"{state['live']} calls are ringing or talking and go on", err=True)


def resume(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Lets dialing go on."""
    ask(data_dir, "POST", "/v1/dialing/resume")
    typer.echo("dialing")


def why(
    who: Annotated[str, typer.Argument(metavar="PHONE|CONTACT_ID", help="A phone begins with +.")],
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Why this person was, or was not, called, and when they may be called next."""
    query = urlencode({"phone" if who.startswith("+") else "contact_id": who})
    told = ask(data_dir, "GET", f"/v1/why?{query}")
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    typer.echo("\n".join(explained(told)))


def explained(told: dict[str, Any]) -> list[str]:
    """The explanation line by line."""
    return [
        f"next call    {_next(told)}",
        f"hours        {_hours(told['calling_hours'])}",
        f"dialing      {_dialing(told['dialing'])}",
        *_listed("suppressed", told["suppressions"], ("suppression_id", "created_at", "source", "reason")),
        *(f"open task    {_task(task)}" for task in told["open_tasks"]),
        *_listed("attempt", told["attempts_last_24h"], ("sent_at", "call_id", "state", "disconnection_reason")),
        *(f"decision     {_decision(decision)}" for decision in told["decisions"]),
    ]


def _next(told: dict[str, Any]) -> str:
    when = told["next_eligible_at"] or "no time can be promised"
    return f"{when}  because {told['because']}"


def _hours(hours: dict[str, Any]) -> str:
    zones = ", ".join(hours["time_zones"]) or "unknown zone"
    state = "open now" if hours["open_now"] else f"closed until {hours['opens_at'] or 'nobody knows when'}"
    return f"{state}  ({hours['policy']} in {zones})"


def _dialing(dialing: dict[str, Any]) -> str:
    if dialing["paused"]:
        return f"paused: {dialing['reason'] or 'no reason given'}"
    if dialing["breaker_until"]:
        return f"Retell refuses the account; next try {dialing['breaker_until']}"
    return f"on, {dialing['live']} calls live"


def _task(task: dict[str, Any]) -> str:
    waits = "".join(f"  then {wait['rule']} until {wait['until']}" for wait in task["waits"])
    held = " (held)" if task["held"] else ""
    return f"{task['kind']} of call {task['call_id']}  {task['status']}{held}  due {task['due_at']}{waits}"


def _decision(decision: dict[str, Any]) -> str:
    facts = decision["detail"].items()
    inputs = "  ".join(f"{name}={json.dumps(value)}" for name, value in facts if value is not None)
    return f"{decision['at']}  call {decision['call_id']}  {decision['kind']}  {inputs}"


def _listed(title: str, items: list[dict[str, Any]], names: tuple[str, ...]) -> list[str]:
    return [f"{title:<13}" + "  ".join(str(item[name]) for name in names if item[name] is not None) for item in items]
