"""The whole system in one process: start everything in order, restart what dies, stop in reverse order."""

import asyncio
import json
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from ringback.adapters.postgres.schema import upgrade
from ringback.config import Settings, SettingsError, process_environment, read_settings
from ringback.domain.errors import StartRefused
from ringback.domain.operations import masked_url
from ringback.embedded import EmbeddedPostgresError
from ringback.embedded.data_dir import LOCK_FILE, DataDirectoryLock
from ringback.embedded.server import PostgresServer
from ringback.flows.border import Border
from ringback.logs import choose_format, configure_logs
from ringback.loops import Loop, rest
from ringback.process import Service, run_loop, run_services, stop_on_signals
from ringback.services import business_api, call_processor, internal_api, scheduler, webhook_processor, webhook_receiver
from ringback.up.emulators import Emulator, EmulatorDidNotStart
from ringback.up.state import UpState, load_state, make_directory, make_erasure_key, new_state, save_state
from ringback.web.server import listen
from ringback.wiring import Dependencies, open_dependencies, traces

_log = structlog.get_logger(__name__)

WATCH_EVERY_S = 0.2
RESTART_PAUSE_S = 1.0
DEFAULT_PORT = 8080
KEY_REVOKED = "the API key of this data directory was revoked: set RINGBACK_API_KEY to another one"
SERVICES = (internal_api, business_api, call_processor, webhook_processor, scheduler, webhook_receiver)


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts of one start. Without an emulator the real service is used.

    `was_emulated` is the kind of the last start of this data directory on the same database, None at the first.
    """

    settings: Settings
    state: UpState
    host: str
    data_dir: Path
    server: PostgresServer | None
    retell: Emulator | None
    engage: Emulator | None
    was_emulated: bool | None
    console_link: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def console_url(self) -> str | None:
        """The address that signs in to the console once, or None without a console."""
        return f"{self.state.own_url}/console/login?link={self.console_link}" if self.settings.console == "on" else None

    @property
    def emulators(self) -> list[Emulator]:
        """The emulators of this start."""
        return [emulator for emulator in (self.retell, self.engage) if emulator is not None]

    def ready_line(self) -> dict[str, object]:
        return {
            "ready": True,
            "url": self.state.url,
            "api_key": self.state.api_key,
            "console_url": self.console_url,
            "database_url": masked_url(self.settings.database_url or ""),
            "retell_base_url": self.settings.retell_base_url,
            "engage_url": self.settings.engage_url,
        }


def make_plan(data_dir: Path, host: str, port: int, env: Mapping[str, str]) -> Plan:
    """Read the settings, and start the embedded PostgreSQL if no other database is set."""
    given = read_settings(env, emulated="RETELL_BASE_URL" not in env)
    state = load_state(data_dir)
    is_same_database = state is not None and given.database_url in (None, state.database_url)
    was_emulated = state.emulated if state is not None and is_same_database else None
    if state is None or state.port != port:
        fresh = new_state(host, port)
        state = fresh if state is None else replace(state, url=fresh.url, port=fresh.port)
    state = replace(state, url=f"http://{host}:{state.port}", api_key=given.api_key or state.api_key)
    server = None
    if given.database_url is None:
        server = PostgresServer(data_dir)
        state = replace(state, database_url=server.start())
    else:
        state = replace(state, database_url=given.database_url)
    retell = engage = None
    owner = ("--owner-file", str(data_dir / LOCK_FILE))
    if not given.retell_base_url:
        environment = {
            "RETELL_API_KEY": state.retell_api_key,
            "RETELL_WEBHOOK_KEY": state.retell_webhook_key,
            "RINGBACK_EMULATOR_SPEED": f"{given.emulator_speed:g}",
        }
        options = [
            *("--webhook-url", f"{state.own_url}/retell/webhook"),
            *("--functions-url", f"{state.own_url}/v1/retell/functions"),
            *("--inbound-url", f"{state.own_url}/v1/retell/inbound"),
            *owner,
        ]
        retell = Emulator("retell", state.retell_port, data_dir / "retell", state.api_key, environment, options)
    if not given.engage_url:
        secret = {"RINGBACK_ENGAGE_SECRET": state.engage_secret}
        engage = Emulator("engage", state.engage_port, data_dir / "engage", state.api_key, secret, owner)
    settings = replace(
        given,
        database_url=state.database_url,
        api_key=state.api_key,
        retell_base_url=retell.url if retell else given.retell_base_url,
        retell_api_key=(state.retell_api_key if retell else given.retell_api_key),
        retell_webhook_key=((state.retell_webhook_key,) if retell else given.retell_webhook_key),
        engage_url=engage.url if engage else given.engage_url,
        engage_secret=(state.engage_secret if engage else given.engage_secret),
        erasure_key=given.erasure_key or make_erasure_key(data_dir),
    )
    return Plan(settings, state, host, data_dir, server, retell, engage, was_emulated)


async def run_plan(plan: Plan, bound: socket.socket, stop: asyncio.Event, ready: asyncio.Event) -> None:
    """Run everything until `stop`. Set `ready` once HTTP responds. End every process that it started.

    Raises StartRefused if the database belongs to the other side, emulated or real. It is then unchanged.
    """
    async with open_dependencies(plan.settings) as deps:
        _log.info("process.started", service="up", port=bound.getsockname()[1])
        border = deps.border(plan.was_emulated)
        emulated = True if plan.retell is not None else await border.side()
        await border.compare(emulated)
        state = replace(plan.state, emulated=emulated)
        save_state(plan.data_dir, state)
        try:
            await asyncio.gather(*(emulator.start() for emulator in plan.emulators))
            await prepare_database(plan, deps, border, emulated)
            if plan.console_url is not None:
                await deps.console().sessions.add_link(plan.console_link, plan.state.api_key)
            await deps.check_erasure_key()
            if plan.server is not None:
                # No process of an earlier version uses this database, so the old hashes are not needed.
                await deps.hashing.renew_stored(deps.pool)
            await deps.provider.warm_up()
            services: list[Service] = [module.build_service(deps) for module in SERVICES]
            watch = asyncio.create_task(_watch(plan, stop, deps.loops.named("watch", "children")))
            try:
                with traces(deps.settings.traces_url, "up"):
                    await run_services(deps, services, bound, stop, ready)
            finally:
                # After a failed service too: the watch must not restart a process that is stopped now.
                stop.set()
                await watch
        finally:
            await asyncio.gather(*(emulator.stop() for emulator in plan.emulators))


async def prepare_database(plan: Plan, deps: Dependencies, border: Border, emulated: bool) -> None:
    """Upgrade and mark the database, and register the API key. Raises StartRefused."""
    assert plan.settings.database_url is not None, "a plan has a database"
    await upgrade(plan.settings.database_url, instance=plan.settings.instance)
    await border.check_and_mark(emulated)
    if not await deps.put_api_key():
        raise StartRefused(KEY_REVOKED)


async def _watch(plan: Plan, stop: asyncio.Event, loop: Loop) -> None:
    """Restart a PostgreSQL or an emulator that dies, and try again if the restart fails."""

    async def one_pass() -> None:
        try:
            if plan.server is not None and not plan.server.is_alive():
                _log.error("postgres.died", action="starting it again")
                # On the main thread, blocking: the kernel ties the server's life to the thread that started it.
                plan.server.start()
            for emulator in plan.emulators:
                if emulator.is_dead():
                    _log.error("emulator.died", emulator=emulator.kind, action="starting it again")
                    await emulator.start()
        except (EmbeddedPostgresError, EmulatorDidNotStart, OSError) as error:
            _log.error("restart.failed", error=type(error).__name__, action="trying again")
            await rest(RESTART_PAUSE_S, stop)
        await rest(WATCH_EVERY_S, stop)

    await loop.run(one_pass, stop)


def run_up(data_dir: Path, host: str, port: int | None, as_json: bool, data_dir_option: str) -> None:
    """Run `ringback up` until a signal. Raises SettingsError and StartRefused.

    `data_dir_option` ends the command that the banner proposes.
    """
    data_dir = data_dir.resolve()
    make_directory(data_dir)
    env = process_environment()
    settings = read_settings(env, emulated="RETELL_BASE_URL" not in env)
    if settings.retell_base_url is not None and settings.retell_api_key is None:
        raise SettingsError(["RETELL_API_KEY: must be set with RETELL_BASE_URL, because every call is placed with it"])
    configure_logs(choose_format(settings.log_format, sys.stderr), sys.stderr)
    with DataDirectoryLock(data_dir):
        state = load_state(data_dir)
        last = state.port if state is not None else DEFAULT_PORT if port is None else 0
        bound = listen(host, port or last)
        plan = make_plan(data_dir, host, bound.getsockname()[1], env)
        try:
            run_loop(run_until_signal(plan, bound, data_dir_option, as_json=as_json))
        finally:
            if plan.server is not None:
                plan.server.stop()


async def run_until_signal(plan: Plan, bound: socket.socket, data_dir_option: str, *, as_json: bool) -> None:
    """Run the plan, and print what it serves once it is ready."""
    stop, ready = asyncio.Event(), asyncio.Event()
    stop_on_signals(stop)
    running = asyncio.create_task(run_plan(plan, bound, stop, ready))
    is_ready = asyncio.create_task(ready.wait())
    await asyncio.wait([running, is_ready], return_when=asyncio.FIRST_COMPLETED)
    if is_ready.done():
        sys.stdout.write((json.dumps(plan.ready_line()) if as_json else banner(plan, data_dir_option)) + "\n")
        sys.stdout.flush()
    else:
        is_ready.cancel()
    await running


def banner(plan: Plan, data_dir_option: str) -> str:
    """Format the text that `up` prints once it is ready."""
    settings = plan.settings
    # A real agent has another id, and the number is fictional.
    following = "call +14155550100 --agent agent_demo" if plan.retell else "doctor"
    hours_note = ""
    if settings.emulated and "RINGBACK_CALLING_HOURS" not in settings.given:
        hours_note = "   (no real phone is called; with a real Retell: mon-sat 09:00-20:00)"
    lines = [
        "",
        f"  Ringback is up at {plan.state.url}   (docs: {plan.state.url}/docs)",
        "",
        f"  console      {plan.console_url or 'off'}   (signs in once, within an hour)",
        f"  API key      {plan.state.api_key}",
        f"  Retell       {settings.retell_base_url or 'the real one'}{'   (emulated)' if plan.retell else ''}",
        f"  Engage       {masked_url(settings.engage_url or '')}{'   (emulated)' if plan.engage else ''}",
        f"  data         {plan.data_dir}",
        f"  calling hours {settings.calling_hours}{hours_note}",
        "",
        f"  next: ringback {following}{data_dir_option}",
        "",
    ]
    return "\n".join(lines)
