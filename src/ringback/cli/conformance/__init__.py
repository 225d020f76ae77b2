"""ringback conformance: play golden streams of events and writes against a receiver, and say which rules it breaks."""

import json
import sys
import uuid
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from ringback.cli.settings import AsJson
from ringback.config import SettingsError, process_environment, read_settings

if TYPE_CHECKING:
    from ringback.cli.conformance.examination import Verdict

#: Of the problems of one rule, which are often the same.
MOST_SHOWN = 3


def conformance(
    url: Annotated[str, typer.Argument(help="As RINGBACK_ENGAGE_URL: the events go to URL/abt-events.")],
    secret: Annotated[str | None, typer.Option(help="whsec_…; RINGBACK_ENGAGE_SECRET if absent.")] = None,
    events_only: Annotated[bool, typer.Option("--events-only", help="Send no writes to the CRM.")] = False,
    contact_url: Annotated[
        str | None,
        typer.Option(
            help="A page that shows a contact's fields and notes, with {contact_id}: are writes applied once?"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Examine a receiver of ABT events and CRM writes. It gets made-up calls, so name one of a test system.

    The exit code is 1 if the receiver breaks a rule.
    """
    env = {"RINGBACK_ENGAGE_SECRET": secret} if secret else process_environment()
    known_secret = read_settings(env, emulated=False).engage_secret
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise SettingsError(["URL: must begin with http:// or https:// and have a host"])
    if contact_url is not None and ("{contact_id}" not in contact_url or events_only):
        raise SettingsError(["--contact-url: must have {contact_id} in it, and cannot be used with --events-only"])
    if not known_secret:
        raise SettingsError(
            ["RINGBACK_ENGAGE_SECRET: must be set, or --secret be given, because every event is signed"]
        )
    import asyncio

    report = asyncio.run(_examine(url, known_secret, not events_only, contact_url))
    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        typer.echo("\n".join(_lines(report)))
    if not report["conforms"]:
        sys.exit(1)


async def _examine(url: str, secret: str, has_writes: bool, contact_url: str | None) -> dict[str, Any]:
    import aiohttp
    from standardwebhooks import Webhook

    from ringback.cli.conformance.examination import Examination
    from ringback.cli.conformance.receiver import Receiver
    from ringback.cli.conformance.rules import NOT_OBSERVABLE, NOT_OBSERVABLE_WRITES, examine
    from ringback.web.event_reference import read_examples

    async with aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(), headers={"User-Agent": "ringback"}
    ) as session:
        receiver = Receiver(url, Webhook(secret), session)
        run = uuid.uuid4().hex[:12]
        verdicts = await examine(Examination(receiver, read_examples(), run, has_writes, contact_url))
    is_unseen = has_writes and contact_url is None
    return {
        "conforms": all(verdict.problems == [] for verdict in verdicts),
        "requests": receiver.requests,
        "repeated": receiver.repeats,
        "slowest_ms": round(receiver.slowest_s * 1000),
        "rules": [_as_json(verdict) for verdict in verdicts],
        "not_observable": [*NOT_OBSERVABLE, NOT_OBSERVABLE_WRITES] if is_unseen else list(NOT_OBSERVABLE),
    }


def _as_json(verdict: "Verdict") -> dict[str, Any]:
    rule, problems = verdict.rule, verdict.problems
    kept = None if problems is None else not problems
    return {"rule": rule.name, "title": rule.title, "kept": kept, "problems": problems or [], "advice": rule.advice}


def _lines(report: dict[str, Any]) -> list[str]:
    marks = {True: "ok", False: "BROKEN", None: "unknown"}
    lines = []
    for rule in report["rules"]:
        lines.append(f"{marks[rule['kept']]:<8}{rule['title']}")
        problems = rule["problems"]
        more = [f"and {len(problems) - MOST_SHOWN} more like these."] if len(problems) > MOST_SHOWN else []
        lines += [f"        {problem}" for problem in problems[:MOST_SHOWN] + more]
        lines += [f"        {rule['advice']}"] if problems else []
    lines += ["", f"{report['requests']} requests, the slowest answer after {report['slowest_ms']} ms."]
    if report["repeated"]:
        lines.append(f"{report['repeated']} of them repeated a delivery that had failed for the moment.")
    lines += ["", "Not visible from outside, so test it in the receiver:"]
    return lines + [f"- {fact}" for fact in report["not_observable"]]
