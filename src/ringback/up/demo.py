"""`ringback demo`: eight calls through every part, shown as they happen, then checked against two ledgers."""

import asyncio
import socket
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import aiohttp
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ringback.config import process_environment
from ringback.embedded.data_dir import DataDirectoryLock
from ringback.logs import configure_logs
from ringback.process import run_loop
from ringback.up.stack import Plan, make_plan, run_plan
from ringback.web.server import listen

POLL_S = 0.1
#: Twice the time of the slowest case at the emulator's usual speed.
GIVE_UP_AFTER_S = 60.0
#: The wait after the last expected event, in which a superfluous event would arrive.
QUIET_S = 0.5

#: Wider than any line.
PIPED_WIDTH = 400

#: Prefixes of settings that would change the demonstration.
NOT_FOR_THE_DEMO = ("RINGBACK_", "RETELL_", "AWS_")

#: In the fictional range. The last two digits choose what the emulated person does.
PHONE_PREFIX = "+141555501"

_COLOURS = {"completed": "green", "left_voicemail": "green", "rescheduled": "yellow", "partially_completed": "yellow"}


@dataclass(frozen=True, slots=True)
class Case:
    """One call with its expected outcome. `events` are the types of its ABT events without their common prefix."""

    name: str
    story: str
    digits: str
    events: tuple[str, ...]
    status: str
    rings: int = 1
    retry: dict[str, Any] | None = None

    @property
    def phone(self) -> str:
        return PHONE_PREFIX + self.digits

    def body(self) -> dict[str, Any]:
        """Return the request of Engage."""
        contact = {"contact_id": f"demo-{self.name.lower()}", "phone": self.phone, "time_zone": "America/Los_Angeles"}
        body: dict[str, Any] = {
            "contact": contact,
            "agent_id": "agent_demo",
            "from_number": "+14155550199",
            "variables": {"first_name": self.name},
        }
        return body if self.retry is None else {**body, "retry": self.retry}


CASES = (
    Case("Ada", "answers, goal met", "00", ("initiated", "started", "completed"), "completed"),
    Case("Ben", "voicemail, message left", "03", ("initiated", "started", "left_voicemail"), "left_voicemail"),
    Case(
        "Cleo",
        "busy, tried again once",
        "02",
        ("initiated", "failed", "initiated", "failed"),
        "failed",
        rings=2,
        retry={"max_attempts": 2, "delay_s": [2], "on": ["busy"]},
    ),
    Case("Dan", "does not answer", "01", ("initiated", "failed"), "failed"),
    Case("Eve", "call me tomorrow at 3pm", "07", ("initiated", "started", "rescheduled"), "scheduled"),
    Case(
        "Finn",
        "never call me again",
        "08",
        ("initiated", "started", "partially_completed"),
        "partially_completed",
    ),
    Case("Gus", "every webhook is lost", "09", ("initiated", "started", "completed"), "completed"),
    Case("Hana", "create says 500, but rang", "11", ("initiated", "started", "completed"), "completed"),
)


@dataclass(slots=True)
class _Progress:
    """The observed course of one case."""

    case: Case
    call_id: str
    status: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    rings: int = 0

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(_short(event) for event in self.events)

    @property
    def is_as_expected(self) -> bool:
        expected = self.case
        return (self.types, self.status, self.rings) == (expected.events, expected.status, expected.rings)


def run_demo() -> None:
    """Run `ringback demo`. The exit code is 0 only if every call ended as expected."""
    console = make_console(sys.stdout)
    env = {name: value for name, value in process_environment().items() if not name.startswith(NOT_FOR_THE_DEMO)}
    with tempfile.TemporaryDirectory(prefix="ringback-demo-", ignore_cleanup_errors=True) as directory:
        data_dir = Path(directory) / "data"
        data_dir.mkdir()
        with (data_dir / "ringback.log").open("w") as log, DataDirectoryLock(data_dir):
            configure_logs("json", log)
            console.print("\n[bold]Ringback[/bold]  starting PostgreSQL, two emulators and every service …")
            bound = listen("127.0.0.1", 0)
            plan = make_plan(data_dir, "127.0.0.1", bound.getsockname()[1], env)
            try:
                is_as_expected = run_loop(_demonstrate(plan, bound, console))
            finally:
                if plan.server is not None:
                    plan.server.stop()
    sys.exit(0 if is_as_expected else 1)


def make_console(stream: TextIO) -> Console:
    """A terminal wraps long lines, and a pipe gets them whole."""
    return Console(file=stream, highlight=False, width=None if stream.isatty() else PIPED_WIDTH)


async def _demonstrate(plan: Plan, bound: socket.socket, console: Console) -> bool:
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(run_plan(plan, bound, stop, ready))
    try:
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {plan.state.api_key}"}) as session:
            calls = await _follow_cases(plan, session, console)
    finally:
        stop.set()
        await asyncio.wait([running])
    console.print(_outcome_table(calls))
    wrong = [one.case.name for one in calls if not one.is_as_expected]
    if wrong:
        console.print(f"[bold red]Not as expected: {', '.join(wrong)}.[/bold red]")
    else:
        console.print(f"[green]All {len(calls)} calls ended as they should.[/green]")
        console.print("No attempt rang twice, and Engage received every event once.")
    console.print("Next: [bold]make up[/bold] keeps it running; then [bold].venv/bin/ringback call --help[/bold].\n")
    return not wrong


async def _follow_cases(plan: Plan, session: aiohttp.ClientSession, console: Console) -> list[_Progress]:
    """Place every case and print what happens, until all are as expected or the time is over."""
    clock = asyncio.get_running_loop().time
    began = clock()
    calls = []
    console.print(f"[dim]  seconds  name   what{'':19}from[/dim]")
    for case in CASES:
        async with session.post(f"{plan.state.url}/v1/calls", json=case.body()) as answer:
            answer.raise_for_status()
            calls.append(_Progress(case, (await answer.json())["call_id"]))
        line = _line(clock() - began, case, Text("call accepted", "bold"), "Voice API", case.story)
        console.print(line, soft_wrap=True)
    seen = {"rings": 0, "events": 0}
    quiet_since = None
    while clock() - began < GIVE_UP_AFTER_S:
        for case, what, source, detail in await _new_entries(plan, session, calls, seen):
            line = _line(clock() - began, case, what, source, detail)
            console.print(line, soft_wrap=True)
            quiet_since = None
        if all(one.is_as_expected for one in calls):
            quiet_since = quiet_since or clock()
            if clock() - quiet_since > QUIET_S:
                break
        await asyncio.sleep(POLL_S)
    return calls


async def _new_entries(
    plan: Plan, session: aiohttp.ClientSession, calls: list[_Progress], seen: dict[str, int]
) -> list[tuple[Case, Text, str, str]]:
    """Return the new entries of both ledgers, sorted by time. The emulators' own processes keep the ledgers."""
    by_call = {one.call_id: one for one in calls}
    settings = plan.settings
    news: list[tuple[str, tuple[Case, Text, str, str]]] = []
    rings = await _items(session, f"{settings.retell_base_url}/emulator/retell/rings")
    for ring in rings[seen["rings"] :]:
        one = by_call[ring["metadata"]["ringback_call_id"]]
        one.rings += 1
        again = "" if one.rings == 1 else f"attempt {one.rings}"
        news.append((ring["rang_at"], (one.case, Text("the phone rings", "cyan"), "Retell", again)))
    events = await _items(session, f"{settings.engage_url}/emulator/engage/events")
    for item in events[seen["events"] :]:
        one = by_call[item["event"]["subject"]]
        if item["id"] not in {event["id"] for event in one.events}:
            one.events.append(item["event"])
            short = _short(item["event"])
            text = Text(short, _COLOURS.get(short, "red" if short == "failed" else "blue"))
            if not item["signature_ok"]:
                text.append(" (bad signature)", "bold red")
            facts = _detail(item["event"]["data"])
            news.append((item["received_at"], (one.case, text, "ABT event", facts)))
    seen["rings"], seen["events"] = len(rings), len(events)
    for one in calls:
        async with session.get(f"{plan.state.url}/v1/calls/{one.call_id}") as answer:
            one.status = (await answer.json())["status"]
    return [entry for _, entry in sorted(news, key=lambda dated: dated[0])]


async def _items(session: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    async with session.get(url) as answer:
        items: list[dict[str, Any]] = (await answer.json())["items"]
        return items


def _short(event: dict[str, Any]) -> str:
    return str(event["type"]).removeprefix("voice_ai_call_")


def _detail(data: dict[str, Any]) -> str:
    facts = []
    if data.get("reason"):
        facts.append(str(data["reason"]))
    if data.get("next_attempt_at"):
        facts.append("will be tried again")
    if data.get("local_time"):
        facts.append(f"due {data['local_time'].replace('T', ' ')}")
    if data.get("duration_ms") is not None:
        facts.append(f"{data['duration_ms'] / 1000:.1f} s")
    if data.get("is_final"):
        facts.append("final")
    return ", ".join(facts)


def _line(seconds: float, case: Case, what: Text, source: str, detail: str) -> Text:
    line = Text(f"  {seconds:7.2f}  ", "dim")
    line.append(f"{case.name:<6} ", "bold")
    line.append_text(what)
    line.append(" " * max(1, 23 - len(what.plain)))
    return line.append(f"{source:<9}", "dim").append(f"  {detail}", "dim")


def _outcome_table(calls: list[_Progress]) -> Table:
    table = Table(
        title="\nThe outcome of every call", title_justify="left", title_style="bold", box=None, pad_edge=False
    )
    for name in ("", "name", "the story", "status", "rang", "ABT events, in order"):
        table.add_column(name, overflow="fold")
    for one in calls:
        mark = Text("ok", "green") if one.is_as_expected else Text("WRONG", "bold red")
        table.add_row(mark, one.case.name, one.case.story, one.status, f"{one.rings}x", " > ".join(one.types))
    counts = Counter(kind for one in calls for kind in one.types)
    total = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    table.caption, table.caption_justify, table.caption_style = total, "left", "dim"
    return table
