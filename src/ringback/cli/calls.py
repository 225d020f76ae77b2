"""ringback call, calls and trace: over the Voice API of a running system."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from ringback.cli.client import request
from ringback.cli.output import Cell, print_json, print_row, print_table
from ringback.cli.render import CALLS_HEADER, attempt_rows, call_row, headline, timeline_rows
from ringback.cli.settings import DEFAULT_DATA_DIR, AsJson, DataDir, data_dir_option
from ringback.cli.tree import tree_rows
from ringback.domain.abt_event import iso
from ringback.domain.call import CallStatus
from ringback.domain.instant import NotAnInstant, read_instant
from ringback.domain.operations import counted
from ringback.tracing import of_call

#: In the fictional range. The emulator accepts any caller id; a real account needs one of its own numbers.
DEFAULT_FROM_NUMBER = "+14155550199"
#: The largest page of the API.
PAGE = 200
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def call(  # noqa: PLR0913 - each is an option of the command line
    phone: Annotated[str, typer.Argument(help="E.164, for example +14155550100.")],
    agent: Annotated[str, typer.Option(help="Retell's agent id.")],
    var: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A variable for the agent; may be repeated.")
    ] = None,
    not_before: Annotated[str | None, typer.Option(help="A time with an offset; none means now.")] = None,
    contact: Annotated[str | None, typer.Option(help="The contact's id; made from the number if absent.")] = None,
    from_number: Annotated[str, typer.Option("--from", help="The number that calls.")] = DEFAULT_FROM_NUMBER,
    retry: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OUTCOME=SECONDS",
            help="no_answer, busy or voicemail, and the seconds to the next dials: busy=600,3600; may be repeated.",
        ),
    ] = None,
    max_attempts: Annotated[
        int | None, typer.Option(help="The most dials; one more than there are delays if absent.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Place a call through the Voice API."""
    if not contact:
        from ringback.adapters.number_plan import PhoneNumbersPlan

        # One contact id for all spellings of a number. The number cannot be read from it.
        spelled = PhoneNumbersPlan().canonical(phone) or phone
        contact = f"cli-{hashlib.sha256(spelled.encode()).hexdigest()[:12]}"
    variables = {}
    for text in var or []:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise typer.BadParameter("a variable is written name=value")
        variables[name] = value
    body: dict[str, Any] = {
        "contact": {"contact_id": contact, "phone": phone},
        "agent_id": agent,
        "from_number": from_number,
        "variables": variables,
    }
    if not_before is not None:
        body["not_before"] = not_before
    if retry or max_attempts is not None:
        body["retry"] = _retry(retry or [], max_attempts)
    accepted = request(data_dir, "POST", "/v1/calls", body)
    due = f", not before {accepted['next_eligible_at']}" if accepted["status"] == "scheduled" else ""
    if as_json:
        print_json(accepted)
    else:
        typer.echo(accepted["call_id"])
    because = f" ({accepted['reason']})" if accepted.get("reason") else ""
    story = f"ringback trace {accepted['call_id']}{data_dir_option(data_dir)}"
    typer.echo(f"{accepted['status']}{because}{due}; its story: {story}", err=True)
    if because:
        raise typer.Exit(1)


def calls(  # noqa: PLR0913 - each is an option of the command line
    phone: Annotated[str | None, typer.Option(help="Of this number, in E.164.")] = None,
    contact: Annotated[str | None, typer.Option(help="Of this contact.")] = None,
    status: Annotated[CallStatus | None, typer.Option(help="With this status.")] = None,
    since: Annotated[str | None, typer.Option(help="Accepted since then: 90s, 30m, 1h, 2d, or a time.")] = None,
    stuck: Annotated[
        bool, typer.Option("--stuck", help="Late by five minutes or more, or with an unknown outcome.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the newest first.")] = 50,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """List calls, a row each with its reason. The newest come first."""
    now = datetime.now(UTC)
    asked = {
        "phone": phone,
        "contact_id": contact,
        "status": status and str(status),
        "since": since and iso(moment_of(since, now)),
        "stuck": "true" if stuck else None,
    }
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = {**asked, "limit": str(min(PAGE, limit - len(items))), "cursor": cursor}
        query = urlencode({name: value for name, value in page.items() if value is not None})
        answer = request(data_dir, "GET", f"/v1/calls?{query}")
        items += answer["items"]
        cursor = answer["next_cursor"]
        if cursor is None or len(items) >= limit:
            break
    if as_json:
        print_json(items)
    elif items:
        print_table([call_row(item, now) for item in items], CALLS_HEADER)
    more = "; there are more, see --limit" if cursor is not None else ""
    typer.echo(f"{counted(len(items), 'call', 'calls')}{more}", err=True)


def trace(
    call_id: str,
    tree: Annotated[
        bool, typer.Option("--tree", help="As a tree of tasks and attempts, with processes and the trace id.")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Print the timeline of a call. It has every decision, message, webhook and ABT event, with times in UTC."""
    path = f"/v1/calls/{quote(call_id, safe='')}"
    shown = request(data_dir, "GET", path)
    entries = request(data_dir, "GET", f"{path}/timeline")["entries"]
    if as_json:
        print_json({"call": shown, "entries": entries})
        return
    if tree:
        ids = [Cell(f"trace {of_call(shown['call_id']).trace_id}")]
        for row in [[*headline(shown), *ids], *tree_rows(shown, entries)]:
            print_row(row)
        return
    for row in [headline(shown), [], *timeline_rows(shown, entries), [], *attempt_rows(shown["attempts"])]:
        print_row(row)


def moment_of(text: str, now: datetime) -> datetime:
    """Read `1h` as an hour before now, and any other text as an instant."""
    if match := re.fullmatch(r"([0-9]{1,6})([smhd])", text):
        return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
    try:
        return read_instant(text)
    except NotAnInstant:
        raise typer.BadParameter("--since is 90s, 30m, 1h, 2d, or a time such as 2026-12-01T17:00:00Z") from None


def _retry(rules: list[str], max_attempts: int | None) -> dict[str, Any]:
    """The retry policy of the request. Without rules it is the API's own for so many attempts."""
    delays: dict[str, list[int]] = {}
    for rule in rules:
        outcome, _, seconds = rule.partition("=")
        if outcome in delays:
            raise typer.BadParameter(f"--retry names {outcome} twice: list its delays in one, {outcome}=600,3600")
        if not outcome or not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", seconds):
            raise typer.BadParameter("--retry is an outcome and seconds, for example no_answer=3600,14400")
        delays[outcome] = [int(each) for each in seconds.split(",")]
    if max_attempts is None:
        max_attempts = 1 + sum(map(len, delays.values()))
    return {"max_attempts": max_attempts} | ({"rules": delays} if delays else {})
