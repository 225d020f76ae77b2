"""ringback pause, resume and why: over the API of a running system."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import typer

from ringback.cli.client import request
from ringback.cli.output import print_json, print_sentences, visible
from ringback.cli.render import short_time
from ringback.cli.settings import DEFAULT_DATA_DIR, AsJson, DataDir
from ringback.domain.operations import counted
from ringback.domain.rules_in_words import RULES_IN_WORDS


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
    typer.echo(f"paused since {short_time(state['paused_at'])} UTC{because}")
    if state["live"]:
        typer.echo(counted(state["live"], "call in progress goes on", "calls in progress go on"), err=True)


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
    """Explain why a person was called, or was not. Says when the next call is allowed."""
    query = urlencode({"phone" if person.startswith("+") else "contact_id": person})
    explanation = request(data_dir, "GET", f"/v1/why?{query}")
    if as_json:
        print_json(explanation)
        return
    print_sentences(explanation_sentences(explanation))


def explanation_sentences(explanation: dict[str, Any]) -> list[str]:
    """Explain line by line: the next call, the hours, dialing, then each suppression, task, attempt and decision."""
    zones = explanation["calling_hours"]["time_zones"]
    sentences = [_next_call(explanation, zones), _hours(explanation["calling_hours"])]
    dialing = explanation["dialing"]
    if dialing["paused"]:
        sentences.append(f"Dialing is paused: {visible(dialing['reason'] or 'no reason was given')}.")
    elif dialing["breaker_until"]:
        retry_at = short_time(dialing["breaker_until"])
        sentences.append(f"Retell refuses the account; the next try is at {retry_at} UTC.")
    else:
        sentences.append(f"Dialing is on, and {counted(dialing['live'], 'call is', 'calls are')} live.")
    for one in explanation["suppressions"]:
        matches = " and ".join(one["matches"]) or "hash"
        since = f"Suppressed since {short_time(one['created_at'])} UTC because {visible(one['reason'])}"
        sentences.append(f"{since} (by {matches}, from {one['source']}, suppression {one['suppression_id']}).")
    for task in explanation["open_tasks"]:
        held = " by an inbound call" if task["held"] else ""
        waits = "".join(
            f"; then it waits until {local_time(wait['until'], zones)} because {_because(wait['rule'])}"
            for wait in task["waits"]
        )
        due = f"{short_time(task['due_at'])} UTC"
        task_of_call = f"the {task['kind']} of call {task['call_id']}"
        sentences.append(f"Open task: {task_of_call} is {task['status']}{held}, due {due}{waits}.")
    for attempt in explanation["attempts_last_24h"]:
        sent = f"sent at {short_time(attempt['sent_at'])} UTC" if attempt["sent_at"] else "not sent"
        ended = f", {attempt['disconnection_reason']}" if attempt["disconnection_reason"] else ""
        attempt_of_call = f"Attempt {attempt['number']} of call {attempt['call_id']}"
        sentences.append(f"{attempt_of_call} was {sent} and is {attempt['state']}{ended}.")
    sentences += map(_decision, explanation["decisions"])
    if not any(explanation[known] for known in ("contacts", "suppressions", "open_tasks", "decisions")):
        sentences.append("Nothing is stored about this phone: no call to it was requested, or its data was erased.")
    return sentences


def _next_call(explanation: dict[str, Any], zones: Sequence[str]) -> str:
    at, rule = explanation["next_eligible_at"], explanation["because"]
    because = f"because {_because(rule)}"
    if at is None:
        return f"No time can be promised for the next call, {because}."
    if rule == "admitted":
        return f"A call is possible now, because {_because(rule)}."
    return f"The next call is possible {local_time(at, zones)} ({short_time(at)} UTC), {because}."


_VERDICTS = {"admit": "was allowed to dial", "wait": "had to wait", "end": "was not allowed to dial"}


def _decision(decision: dict[str, Any]) -> str:
    """Say the decision and its reason. `ringback trace` has the inputs."""
    detail, at = decision["detail"], f"At {short_time(decision['at'])} UTC"
    call = f"call {decision['call_id']}"
    if decision["kind"] == "dial_answer":
        message = f": {visible(detail['message'])}" if "message" in detail else ""
        return f"{at} Retell's answer to {call} was {detail['answer']} ({detail['cause']}{message})."
    what = _VERDICTS.get(detail.get("verdict", ""))
    if what is None:
        known = ", ".join(f"{name} {visible(value)}" for name, value in detail.items() if value is not None)
        return f"{at} {call}: {decision['kind'].replace('_', ' ')}{known and ', '}{known}."
    until = f" until {short_time(detail['until'])} UTC" if detail.get("until") else ""
    return f"{at} {call} {what}{until}, because {_because(detail['rule'])}."


def _because(rule: str) -> str:
    return f"{RULES_IN_WORDS[rule]} ({rule})" if rule in RULES_IN_WORDS else rule


def local_time(at: str, zones: Sequence[str]) -> str:
    """Format an instant as the clock of the person shows it, for example `Mon 30 Nov 10:00 in New York`."""
    moment = datetime.fromisoformat(at)
    if not zones:
        return f"{moment:%a %-d %b %H:%M} UTC"
    local = moment.astimezone(ZoneInfo(zones[0]))
    return f"{local:%a %-d %b %H:%M} in {zones[0].rpartition('/')[2].replace('_', ' ')}"


def _hours(hours: dict[str, Any]) -> str:
    zones = hours["time_zones"]
    guessed = f", as in all of {', '.join(zones)}" if len(zones) > 1 else ""
    policy = f"The calling hours are {hours['policy']}{guessed}"
    if hours["open_now"]:
        return f"{policy}: open now."
    if hours["opens_at"] is None:
        return f"{policy}: closed, and they never open."
    return f"{policy}: closed until {local_time(hours['opens_at'], zones)}."
