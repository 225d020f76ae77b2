"""Start everything in order, watch over it, and stop it in reverse."""

import asyncio
import json
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from ringback.adapters.postgres.schema import SchemaIsLocked, upgrade
from ringback.config import Settings, process_environment, read_settings
from ringback.domain.errors import StartRefused
from ringback.domain.masked_url import masked_url
from ringback.embedded import EmbeddedPostgresError
from ringback.embedded.data_dir import LOCK_FILE, DataDirectoryInUse, DataDirectoryLock
from ringback.embedded.server import PostgresServer
from ringback.logs import choose_format, configure_logs
from ringback.loops import Loop, rest
from ringback.process import Service, run_loop, run_services, stop_on_signals
from ringback.services import (
    business_api,
    call_processor,
    internal_api,
    scheduler,
    webhook_processor,
    webhook_receiver,
)
from ringback.up.emulators import Emulator, EmulatorDidNotStart
from ringback.up.erasure_key import make_erasure_key
from ringback.up.state import UpState, load_state, new_state, save_state
from ringback.web.server import PortTaken, listen
from ringback.wiring import Dependencies, open_dependencies

_log = structlog.get_logger(__name__)

WATCH_EVERY_S = 0.2
RESTART_PAUSE_S = 1.0
DEFAULT_PORT = 8080
KEY_REVOKED = "the API key of this data directory was revoked: set RINGBACK_API_KEY to another one"
SERVICES = (internal_api, business_api, call_processor, webhook_processor, scheduler, webhook_receiver)


@dataclass(frozen=True, slots=True)
class Plan:
    """What this start is made of; an emulator that is None has a real counterpart. `was_emulated`: what the data
    directory remembers of its last start, None at the first."""

    settings: Settings
    state: UpState
    host: str
    data_dir: Path
    server: PostgresServer | None
    retell: Emulator | None
    engage: Emulator | None
    was_emulated: bool | None

    @property
    def emulators(self) -> list[Emulator]:
        return [emulator for emulator in (self.retell, self.engage) if emulator is not None]

    def ready_line(self) -> dict[str, object]:
        return {
            "ready": True,
            "url": self.state.url,
            "api_key": self.state.api_key,
            "database_url": masked_url(self.settings.database_url or ""),
            "retell_base_url": self.settings.retell_base_url,
            "engage_url": self.settings.engage_url,
        }


def make_plan(data_dir: Path, host: str, port: int, env: Mapping[str, str]) -> Plan:
    """Reads the settings, and starts the embedded PostgreSQL if it is to be used."""
    asked = read_settings(env, emulated="RETELL_BASE_URL" not in env)
    state = load_state(data_dir)
    is_same_database = state is not None and asked.database_url in (None, state.database_url)
    was_emulated = state.emulated if state is not None and is_same_database else None
    if state is None or state.port != port:
        fresh = new_state(host, port)
        state = fresh if state is None else replace(state, url=fresh.url, port=fresh.port)
    state = replace(state, url=f"http://{host}:{state.port}", api_key=asked.api_key or state.api_key)
    server = None
    if asked.database_url is None:
        server = PostgresServer(data_dir)
        state = replace(state, database_url=server.start())
    else:
        state = replace(state, database_url=asked.database_url)
    retell = None if asked.retell_base_url else _retell(data_dir, state, asked)
    engage = None if asked.engage_url else _engage(data_dir, state)
    settings = replace(
        asked,
        database_url=state.database_url,
        api_key=state.api_key,
        retell_base_url=retell.url if retell else asked.retell_base_url,
        retell_api_key=(state.retell_api_key if retell else asked.retell_api_key),
        retell_webhook_key=((state.retell_webhook_key,) if retell else asked.retell_webhook_key),
        engage_url=engage.url if engage else asked.engage_url,
        engage_secret=(state.engage_secret if engage else asked.engage_secret),
        erasure_key=asked.erasure_key or make_erasure_key(data_dir),
    )
    return Plan(settings, state, host, data_dir, server, retell, engage, was_emulated)


def _retell(data_dir: Path, state: UpState, settings: Settings) -> Emulator:
    return Emulator(
        "retell",
        state.retell_port,
        data_dir / "retell",
        state.api_key,
        {
            "RETELL_API_KEY": state.retell_api_key,
            "RETELL_WEBHOOK_KEY": state.retell_webhook_key,
            "RINGBACK_EMULATOR_SPEED": f"{settings.emulator_speed:g}",
        },
        [
            *("--webhook-url", f"{state.own_url}/retell/webhook"),
            *("--functions-url", f"{state.own_url}/v1/retell/functions"),
            *("--inbound-url", f"{state.own_url}/v1/retell/inbound"),
            *("--owner-file", str(data_dir / LOCK_FILE)),
        ],
    )


def _engage(data_dir: Path, state: UpState) -> Emulator:
    secret = {"RINGBACK_ENGAGE_SECRET": state.engage_secret}
    owner = ["--owner-file", str(data_dir / LOCK_FILE)]
    return Emulator("engage", state.engage_port, data_dir / "engage", state.api_key, secret, owner)


async def run_plan(plan: Plan, bound: socket.socket, stop: asyncio.Event, ready: asyncio.Event) -> None:
    """Until `stop`; sets `ready` once everything answers. Leaves nothing running. Raises StartRefused, and then
    nothing was changed in a database that belongs to the other side."""
    async with open_dependencies(plan.settings) as deps:
        border = deps.border(plan.was_emulated)
        emulated = True if plan.retell is not None else await border.side()
        await border.compare(emulated)
        state = replace(plan.state, emulated=emulated)
        save_state(plan.data_dir, state)
        try:
            await asyncio.gather(*(emulator.start() for emulator in plan.emulators))
            assert plan.settings.database_url is not None, "a plan has a database"
            await upgrade(plan.settings.database_url, instance=plan.settings.instance)
            await border.settle(emulated)
            if not await deps.put_api_key():
                raise StartRefused(KEY_REVOKED)
            await deps.check_erasure_key()
            if plan.server is not None:
                # The database is this system's own, so no process of an earlier version needs the hashes as they were.
                await deps.hashing.renew_stored(deps.pool)
            await deps.provider.warm_up()
            await _serve(plan, deps, bound, stop, ready)
        finally:
            await asyncio.gather(*(emulator.stop() for emulator in plan.emulators))


async def _serve(
    plan: Plan, deps: Dependencies, bound: socket.socket, stop: asyncio.Event, ready: asyncio.Event
) -> None:
    services: list[Service] = [module.build_service(deps) for module in SERVICES]
    watch = asyncio.create_task(_watch(plan, stop, deps.loops.named("watch", "children")))
    try:
        await run_services(deps, services, bound, stop, ready)
    finally:
        # Also when a service failed: what is stopped now must not be started again.
        stop.set()
        await watch


async def _watch(plan: Plan, stop: asyncio.Event, loop: Loop) -> None:
    """What dies without having been told to is started again, and again if that fails."""

    async def one_pass() -> None:
        try:
            await _restart_the_dead(plan)
        except (EmbeddedPostgresError, EmulatorDidNotStart, OSError) as error:
            _log.error("restart.failed", error=type(error).__name__, action="trying again")
            await rest(RESTART_PAUSE_S, stop)
        await rest(WATCH_EVERY_S, stop)

    await loop.run(one_pass, stop)


async def _restart_the_dead(plan: Plan) -> None:
    if plan.server is not None and not plan.server.is_alive():
        _log.error("postgres.died", action="starting it again")
        # On the main thread, blocking: the kernel ties the server's life to the thread that started it.
        plan.server.start()
    for emulator in plan.emulators:
        if emulator.is_dead():
            _log.error("emulator.died", emulator=emulator.kind, action="starting it again")
            await emulator.start()


def run_up(data_dir: Path, host: str, port: int | None, as_json: bool) -> None:
    """`ringback up`. Ends the process: 0 after a clean stop, 2 if the start is refused."""
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    env = process_environment()
    settings = read_settings(env, emulated="RETELL_BASE_URL" not in env)
    configure_logs(choose_format(settings.log_format, sys.stderr), sys.stderr)
    try:
        with DataDirectoryLock(data_dir):
            state = load_state(data_dir)
            last = state.port if state is not None else DEFAULT_PORT if port is None else 0
            bound = listen(host, port or last)
            plan = make_plan(data_dir, host, bound.getsockname()[1], env)
            try:
                run_loop(_run_until_signal(plan, bound, as_json))
            finally:
                if plan.server is not None:
                    plan.server.stop()
    except (DataDirectoryInUse, PortTaken, StartRefused, SchemaIsLocked) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


async def _run_until_signal(plan: Plan, bound: socket.socket, as_json: bool) -> None:
    stop, ready = asyncio.Event(), asyncio.Event()
    stop_on_signals(stop)
    running = asyncio.create_task(run_plan(plan, bound, stop, ready))
    announced = asyncio.create_task(ready.wait())
    await asyncio.wait([running, announced], return_when=asyncio.FIRST_COMPLETED)
    if announced.done():
        sys.stdout.write((json.dumps(plan.ready_line()) if as_json else banner(plan)) + "\n")
        sys.stdout.flush()
    else:
        announced.cancel()
    await running


def banner(plan: Plan) -> str:
    settings = plan.settings
    lines = [
        "",
        f"  Ringback is up at {plan.state.url}   (docs: {plan.state.url}/docs)",
        "",
        f"  API key      {plan.state.api_key}",
        f"  Retell       {settings.retell_base_url or 'the real one'}{'   (emulated)' if plan.retell else ''}",
        f"  Engage       {masked_url(settings.engage_url or '')}{'   (emulated)' if plan.engage else ''}",
        f"  data         {plan.data_dir}",
        f"  calling hours {settings.calling_hours}{_hours_note(settings)}",
        "",
        "  next: ringback call +14155550100 --agent agent_demo",
        "",
    ]
    return "\n".join(lines)


def _hours_note(settings: Settings) -> str:
    is_default = "RINGBACK_CALLING_HOURS" not in settings.given
    return (
        "   (nobody real is called; with a real Retell: mon-sat 09:00-20:00)"
        if settings.emulated and is_default
        else ""
    )
