"""Run `ringback demo --big`: play the week, print what it made, and keep the console."""

import asyncio
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import aiohttp
from rich.console import Console
from rich.table import Table

from ringback.config import Settings, process_environment
from ringback.domain.analytics_query import Filter
from ringback.embedded.data_dir import DataDirectoryLock
from ringback.logs import configure_logs
from ringback.process import application, run_loop
from ringback.services import business_api, internal_api, webhook_receiver
from ringback.up.demo import NOT_FOR_THE_DEMO, make_console
from ringback.up.played_week.people import People
from ringback.up.played_week.playing import PlayedClock, Player, unix_ms
from ringback.up.played_week.requests import acts_of_week
from ringback.up.stack import Plan, make_plan, prepare_database, run_until_signal
from ringback.web.server import listen, serve_http
from ringback.wiring import Dependencies, open_dependencies
from ringback_emulator.emulated_time import MovedTime
from ringback_emulator.retell import create_app
from ringback_emulator.settings import RetellEmulatorSettings

#: The limits of production. Emulated time has the length of real time, also after the week.
SETTINGS = {
    "RINGBACK_CALLING_HOURS": "mon-sat 09:00-20:00",
    "RINGBACK_ATTEMPTS_PER_DAY": "3",
    "RINGBACK_ATTEMPT_GAP_S": "900",
    "RINGBACK_UNKNOWN_LOOKUPS_S": "5,30,120,600,1800,4200",
    "RINGBACK_SILENCE_DEADLINE_S": "180",
    "RINGBACK_NOT_CONNECTED_DEADLINE_S": "20",
    "RINGBACK_ANALYSIS_DEADLINE_S": "300",
    "RINGBACK_ANALYSIS_GIVE_UP_S": "86400",
    "RINGBACK_MAX_CALL_S": "3600",
    "RINGBACK_EMULATOR_SPEED": "1",
}
SERVICES = (internal_api, business_api, webhook_receiver)


@dataclass(frozen=True, slots=True)
class Week:
    """So many requests for calls, drawn from the seed, in the time before `until`."""

    calls: int
    seed: int
    until: datetime
    lasts: timedelta = timedelta(days=7)

    @property
    def since(self) -> datetime:
        return self.until - self.lasts

    def days(self) -> Filter:
        """Every day of the week, as a question to the statistics."""
        return Filter.of_days(self.since.date(), self.until.date() + timedelta(days=1), UTC)


def run_played_week(calls: int, seed: int, *, keep: bool) -> None:
    """Play a week of so many calls. With `keep` the console then runs until a signal.

    The exit code is 0 only if every number of the statistics is that of its rows.
    """
    console = make_console(sys.stdout)
    env = {name: value for name, value in process_environment().items() if not name.startswith(NOT_FOR_THE_DEMO)}
    week = Week(calls, seed, datetime.now(UTC).replace(microsecond=0))
    with tempfile.TemporaryDirectory(prefix="ringback-week-", ignore_cleanup_errors=True) as directory:
        data_dir = Path(directory) / "data"
        data_dir.mkdir()
        with (data_dir / "ringback.log").open("w") as log, DataDirectoryLock(data_dir):
            configure_logs("json", log)
            bound = listen("127.0.0.1", 0)
            plan = make_plan(data_dir, "127.0.0.1", bound.getsockname()[1], env | SETTINGS)
            try:
                is_exact = run_loop(_play_and_keep(plan, bound, week, console, data_dir if keep else None))
            finally:
                if plan.server is not None:
                    plan.server.stop()
    sys.exit(0 if is_exact else 1)


async def _play_and_keep(plan: Plan, bound: socket.socket, week: Week, console: Console, kept_at: Path | None) -> bool:
    began_s = time.monotonic()
    console.print(f"\n[bold]Ringback[/bold]  plays a week of {week.calls} emulated calls, seed {week.seed} …")
    assert plan.retell is not None and plan.engage is not None, "the demonstration has both emulators"
    await plan.engage.start()
    try:
        is_exact = await play_week(plan, bound, week, console)
        console.print(f"\nThis took {time.monotonic() - began_s:.0f} s. No real phone was called.")
        if kept_at is not None:
            first, last = week.since.date(), week.until.date() + timedelta(days=1)
            console.print("The console has its numbers; after the link below, its charts are at")
            console.print(f"  {plan.state.own_url}/console/analytics?from={first}&to={last}&step=day")
            await run_until_signal(plan, bound, f" --data-dir {kept_at}", as_json=False)
    finally:
        await plan.engage.stop()
    return is_exact


async def play_week(plan: Plan, bound: socket.socket, week: Week, console: Console) -> bool:
    """Play the week into the plan's database. Returns whether its statistics are those of its rows."""
    played, people = MovedTime(unix_ms(week.since)), People(week.seed)
    async with _systems(plan, bound, played, people) as player:
        deps = player.deps

        async def show_day(day: date) -> None:
            wanted = Filter.of_days(day, day + timedelta(days=1), UTC)
            metrics = (await deps.analytics().summary(wanted, compare=False))["metrics"]
            attempts, human, goals = (metrics[name]["value"] for name in ("attempts", "human_rate", "goal_rate"))
            shares = "" if human is None else f"   {human:5.0%} human   {goals or 0:5.0%} of persons with the goal met"
            console.print(f"  {day:%a %d %b}   {attempts:5} attempts{shares}")

        acts = acts_of_week(people, week.since, week.until, week.calls, week.seed)
        await player.play(acts, week.until, show_day)
        await show_day(week.until.date())
        await _show_outcomes(deps, week, console)
        differing = await deps.rollups().differing_cells()
    console.print(f"Statistics beside their rows: {differing or 'no'} cells differ.")
    return not differing


@asynccontextmanager
async def _systems(plan: Plan, bound: socket.socket, played: MovedTime, people: People) -> AsyncIterator[Player]:
    """Serve the product's APIs and the emulated Retell in played time, on the plan's ports."""
    emulated = create_app(
        RetellEmulatorSettings(
            state_dir=plan.data_dir / "retell",
            api_key=plan.state.retell_api_key,
            webhook_key=plan.state.retell_webhook_key,
            control_key=plan.state.api_key,
            webhook_url=f"{plan.state.own_url}/retell/webhook",
            functions_url=f"{plan.state.own_url}/v1/retell/functions",
            inbound_url=f"{plan.state.own_url}/v1/retell/inbound",
            speed=1.0,
            time=played,
            behaviour_of=people.behaviour,
        )
    )
    stop, ready = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as serving:
        serving.create_task(serve_http(emulated, listen("127.0.0.1", plan.state.retell_port), stop, ready))
        await ready.wait()
        try:
            async with open_dependencies(_without_synchronous_commit(plan.settings), PlayedClock(played)) as deps:
                await prepare_database(plan, deps, deps.border(), True)
                await deps.provider.warm_up()
                app = application(deps, [module.build_service(deps) for module in SERVICES])
                is_served = asyncio.Event()
                # The plan's own socket stays open for the services that run after the week.
                serving.create_task(serve_http(app, bound.dup(), stop, is_served, deps.metrics))
                await is_served.wait()
                headers = {"Authorization": f"Bearer {plan.state.api_key}"}
                async with aiohttp.ClientSession(headers=headers) as session:
                    yield Player(deps, played, emulated.state.simulator, session, plan.state.own_url)
        finally:
            stop.set()


def _without_synchronous_commit(settings: Settings) -> Settings:
    """Do not wait for the disk at each commit: a week that was interrupted is played anew."""
    url = settings.database_url or ""
    return replace(settings, database_url=f"{url}{'&' if '?' in url else '?'}synchronous_commit=off")


async def _show_outcomes(deps: Dependencies, week: Week, console: Console) -> None:
    table = Table(title="\nWhat became of it", title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("")
    table.add_column("number", justify="right")
    for title, metric, key in (
        ("attempts:", "attempts", "outcome"),
        ("failed because:", "failures", "reason"),
        ("calls that ended without an attempt's outcome:", "denials", "reason"),
    ):
        found = await deps.analytics().breakdown(week.days(), metric, key, 50, compare=False)
        for item in found["items"]:
            table.add_row(f"{title} {str(item['key'][key]).replace('_', ' ')}", str(item["value"]))
    table.add_row("messages that were given up", str(len(await deps.dead_letters().list(1000))))
    console.print(table)
