"""The command line. Every command imports what it needs when it runs, so that `ringback --help` answers at once."""

import asyncio
import base64
import hashlib
import importlib
import json
import secrets
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ringback.config import Settings, SettingsError, describe, process_environment, read_access, read_settings

DEFAULT_DATA_DIR = Path(".ringback")
UP_FILE = "up.json"
#: Of the fictional range: the emulator takes any number as the caller's; with a real account, name one of yours.
DEFAULT_FROM_NUMBER = "+14155550199"

Process = Literal[
    "internal-api", "business-api", "call-processor", "webhook-processor", "scheduler", "webhook-receiver"
]
DataDir = Annotated[Path, typer.Option(help="Where a running `ringback up` keeps its data.")]
Host = Annotated[str, typer.Option(help="Address to listen on.")]

app = typer.Typer(
    name="ringback",
    help="Outbound AI voice calls through Retell, and the truth about what became of every one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # its tracebacks print local variables, which hold keys and phone numbers
)
keys_app = typer.Typer(no_args_is_help=True, help="API keys.")
db_app = typer.Typer(no_args_is_help=True, help="The database.")
app.add_typer(keys_app, name="keys")
app.add_typer(db_app, name="db")


def main() -> None:
    try:
        app()
    except SettingsError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        sys.exit(2)


@app.command()
def up(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    host: Host = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Port of every API; the last one's, or 8080.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON on stdout once it is ready.")] = False,
) -> None:
    """The whole system on this machine, until Ctrl-C."""
    from ringback.up.system import run_up

    run_up(data_dir, host, port, as_json)


@app.command()
def demo() -> None:
    """A handful of real calls through every part, with a live timeline."""
    from ringback.up.demo import run_demo

    run_demo()


@app.command()
def serve(process: Process, host: Host = "127.0.0.1", port: int = 8080) -> None:
    """One process, for production."""
    settings = read_settings(process_environment(), emulated=False)
    only_sends = process == "webhook-receiver" and settings.event_queue.startswith("http")
    if settings.database_url is None and not only_sends:
        raise SettingsError(["RINGBACK_DATABASE_URL: must be set to serve a process"])
    _start_logs(settings)
    service = importlib.import_module(f"ringback.services.{process.replace('-', '_')}")
    service.run(settings, host, port)


@app.command()
def emulate(
    what: Literal["retell", "engage"],
    host: Host = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="8090 for Retell, 8091 for Engage.")] = None,
    state: Annotated[Path | None, typer.Option(help="Where its ledger lies.")] = None,
    webhook_url: Annotated[str | None, typer.Option(help="Where Retell's webhooks go.")] = None,
    functions_url: Annotated[str | None, typer.Option(help="Where the agent's tools are; their names follow.")] = None,
) -> None:
    """An emulator in its own process. Keys that the environment does not give are made and shown."""
    from ringback.emulator.engage import run_engage
    from ringback.emulator.retell import run_retell
    from ringback.emulator.settings import EngageEmulatorSettings, RetellEmulatorSettings

    settings = read_settings(process_environment(), emulated=True)
    state_dir = state or DEFAULT_DATA_DIR / what
    state_dir.mkdir(parents=True, exist_ok=True)
    if what == "engage":
        secret = settings.engage_secret or _made("RINGBACK_ENGAGE_SECRET", _new_signing_secret())
        run_engage(EngageEmulatorSettings(state_dir=state_dir, secret=secret), host, port or 8091)
        return
    webhook_keys = settings.retell_webhook_key or (_made("RETELL_WEBHOOK_KEY", f"key_{secrets.token_hex(14)}"),)
    api_key = settings.retell_api_key or _made("RETELL_API_KEY", f"key_{secrets.token_hex(14)}")
    emulated = RetellEmulatorSettings(
        state_dir=state_dir,
        api_key=api_key,
        webhook_key=webhook_keys[0],
        webhook_url=webhook_url,
        functions_url=functions_url,
        speed=settings.emulator_speed,
    )
    run_retell(emulated, host, port or 8090)


@app.command()
def call(
    phone: Annotated[str, typer.Argument(help="E.164, for example +14155550100.")],
    agent: Annotated[str, typer.Option(help="Retell's agent id.")],
    var: Annotated[
        list[str] | None, typer.Option(help="A variable for the agent, name=value; may be repeated.")
    ] = None,
    not_before: Annotated[str | None, typer.Option(help="A time with an offset; none means now.")] = None,
    contact: Annotated[str | None, typer.Option(help="The contact's id; made from the number if absent.")] = None,
    from_number: Annotated[str, typer.Option("--from", help="The number that calls.")] = DEFAULT_FROM_NUMBER,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Places a call through the Voice API."""
    body: dict[str, Any] = {
        "contact": {"contact_id": contact or _contact_id_for(phone), "phone": phone},
        "agent_id": agent,
        "from_number": from_number,
        "variables": dict(_pair(text) for text in var or []),
    }
    if not_before is not None:
        body["not_before"] = not_before
    answer = _ask(data_dir, "POST", "/v1/calls", body)
    due = f", not before {answer['next_eligible_at']}" if answer["status"] == "scheduled" else ""
    typer.echo(answer["call_id"])
    typer.echo(f"{answer['status']}{due}; its story: ringback trace {answer['call_id']}", err=True)


@app.command()
def trace(
    call_id: str,
    as_json: Annotated[bool, typer.Option("--json", help="The call and its timeline as JSON.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """A call's whole story: every decision, message, webhook and ABT event, with times."""
    from urllib.parse import quote

    path = f"/v1/calls/{quote(call_id, safe='')}"
    told = _ask(data_dir, "GET", path)
    entries = _ask(data_dir, "GET", f"{path}/timeline")["entries"]
    if as_json:
        typer.echo(json.dumps({"call": told, "entries": entries}, ensure_ascii=False, indent=2))
        return
    from rich.console import Console

    console = Console(highlight=False)
    console.print(_headline(told), end="\n\n")
    console.print(_timeline(told, entries))
    if told["attempts"]:
        console.print()
        console.print(_attempts(told["attempts"]))


@keys_app.command("create")
def create_key(name: str, data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Makes an API key and shows it once; the database keeps its hash."""
    from ringback.web.auth import hash_key, make_key

    key = make_key()
    if not asyncio.run(_store_key(_database_url(data_dir), name, hash_key(key))):
        typer.echo("there is a key of that name", err=True)
        raise typer.Exit(1)
    typer.echo(key)


@db_app.command("upgrade")
def upgrade_database(data_dir: DataDir = DEFAULT_DATA_DIR) -> None:
    """Brings the database to the newest schema."""
    from ringback.adapters.postgres.schema import upgrade

    settings = read_settings(process_environment(), emulated=False)
    was_behind = asyncio.run(upgrade(_database_url(data_dir), instance=settings.instance))
    typer.echo("upgraded" if was_behind else "up to date already")


@app.command()
def doctor() -> None:
    """The settings as the processes would read them, secrets masked."""
    from rich.console import Console
    from rich.table import Table

    table = Table("setting", "value", "from", box=None, pad_edge=False)
    for row in describe(read_settings(process_environment(), emulated=False)):
        table.add_row(*row)
    Console(highlight=False, markup=False).print(table)


def _start_logs(settings: Settings) -> None:
    from ringback.logs import choose_format, configure_logs

    configure_logs(choose_format(settings.log_format, sys.stderr), sys.stderr)


def _made(name: str, value: str) -> str:
    typer.echo(f"{name}={value}", err=True)
    return value


def _new_signing_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()


def _contact_id_for(phone: str) -> str:
    """The same person for every call to one number, and no number to be read."""
    return f"cli-{hashlib.sha256(phone.encode()).hexdigest()[:12]}"


def _pair(text: str) -> tuple[str, str]:
    name, is_there, value = text.partition("=")
    if not is_there or not name:
        raise typer.BadParameter("a variable is written name=value")
    return name, value


def _database_url(data_dir: Path) -> str:
    url = read_settings(process_environment(), emulated=False).database_url
    if url is None and (data_dir / UP_FILE).exists():
        url = json.loads((data_dir / UP_FILE).read_text()).get("database_url")
    if url is None:
        raise SettingsError([f"RINGBACK_DATABASE_URL: must be set, or {data_dir} be the data of a running system"])
    return url


async def _store_key(database_url: str, name: str, key_hash: str) -> bool:
    from ringback.adapters.postgres.api_keys import PostgresApiKeys
    from ringback.adapters.postgres.pool import open_pool

    pool = await open_pool(database_url, max_size=1)
    try:
        return await PostgresApiKeys(pool).add(name, key_hash, datetime.now(UTC))
    finally:
        await pool.close()


def _ask(data_dir: Path, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """The parsed answer; a problem is shown with all its errors and ends the command with exit code 1."""
    import urllib.error
    import urllib.request

    access = read_access(process_environment(), data_dir / UP_FILE)
    headers = {"Authorization": f"Bearer {access.api_key}", "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(access.url + path, content, headers, method=method)
    # An internal API is not reached through a proxy, whatever the environment says.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        _show_problem(error.code, error.read())
    except (OSError, ValueError) as error:
        typer.echo(f"no usable answer from {access.url}: {type(error).__name__}", err=True)
    raise typer.Exit(1)


def _show_problem(status: int, body: bytes) -> None:
    try:
        problem = json.loads(body)
        lines = [f"{status}: {problem['detail']}"]
        lines += [f"  {error['pointer']}: {error['message']}" for error in problem["errors"]]
    except (ValueError, KeyError, TypeError):
        lines = [f"{status}"]
    typer.echo("\n".join(lines), err=True)


_COLOURS = {
    "call_accepted": "bold",
    "call_message": "blue",
    "task_created": "blue",
    "provider_event": "cyan",
    "attempt_placed": "cyan",
    "attempt_connected": "cyan",
    "attempt_ended": "cyan",
    "abt_event": "green",
    "voice_ai_call_failed": "red",
    "action": "magenta",
    "disposition": "magenta",
    "suppression_added": "red",
}
#: Shown in words of their own, or of no use to a reader.
_NOT_LISTED = frozenset({"at", "kind", "detail", "attempt_id", "event_id", "message_id", "number"})
_TIMES = frozenset({"due_at", "delivered_at", "dead_at", "expires_at", "until", "next_check_at"})


_DECIDED = frozenset({"verdict", "rule", "answer", "cause"})


def _headline(told: dict[str, Any]) -> Any:
    from rich.text import Text

    colour = {"completed": "green", "failed": "red", "abandoned": "red", "unknown": "red"}.get(told["status"], "yellow")
    line = Text.assemble(
        ("call ", "dim"), (told["call_id"], "bold"), "  ", (told["status"], f"bold {colour}"), ("  contact ", "dim")
    )
    line.append(told["contact_id"])
    if told["next_eligible_at"]:
        line.append("  next at ", "dim").append(_moment(told["next_eligible_at"]))
    return line


def _timeline(told: dict[str, Any], entries: list[dict[str, Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    numbers = {attempt["attempt_id"]: attempt["number"] for attempt in told["attempts"]}
    began = next((entry["at"] for entry in entries if entry["kind"] == "call_accepted"), None)
    table = Table("UTC", "since", "", "what", "", box=None, pad_edge=False, header_style="dim", show_edge=False)
    table.columns[1].justify = "right"
    for entry in entries:
        number = numbers.get(entry.get("attempt_id"))
        table.add_row(
            Text(_moment(entry["at"]), "dim"),
            Text(_since(began, entry["at"]), "dim"),
            Text(f"#{number}" if number else "", "dim"),
            Text(_what(entry), _COLOURS.get(_what(entry)) or _COLOURS.get(entry["kind"], "yellow")),
            Text(_facts(entry)),
        )
    return table


def _attempts(attempts: list[dict[str, Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    shown = ("number", "state", "dial", "party", "end", "disconnection_reason", "duration_ms", "cost_cents")
    table = Table("attempt", *shown[1:], "provider_call_id", box=None, pad_edge=False, header_style="dim")
    for attempt in attempts:
        values = (attempt[name] for name in (*shown, "provider_call_id"))
        table.add_row(*(Text("" if value is None else str(value)) for value in values))
    return table


def _what(entry: dict[str, Any]) -> str:
    return str(entry.get("type") or entry["kind"])


def _facts(entry: dict[str, Any]) -> str:
    """What else an entry says, as key=value; a decision's detail counts as the entry's own."""
    facts = {name: value for name, value in entry.items() if name not in _NOT_LISTED and name != "type"}
    detail = entry.get("detail")
    facts.update(detail if isinstance(detail, dict) else {})
    if facts.get("tries") == 1:
        del facts["tries"]
    # What was decided comes before what it was decided on; the sort keeps the order of all others.
    ordered = sorted(facts.items(), key=lambda fact: fact[0] not in _DECIDED)
    return "  ".join(f"{name}={_word(name, value)}" for name, value in ordered if value is not None)


def _word(name: str, value: Any) -> str:
    if name in _TIMES and isinstance(value, str):
        return _moment(value)
    if name == "task_id":
        return f"…{value[-8:]}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _moment(text: str) -> str:
    """2026-12-01T17:00:00.123Z as 12-01 17:00:00.123."""
    return text[5:].replace("T", " ").removesuffix("Z")


def _since(began: str | None, at: str) -> str:
    if began is None:
        return ""
    seconds = (datetime.fromisoformat(at) - datetime.fromisoformat(began)).total_seconds()
    if abs(seconds) < 60:
        return f"{seconds:+.3f} s"
    minutes, left = divmod(abs(round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{'-' if seconds < 0 else '+'}{hours}:{minutes:02}:{left:02}"


if __name__ == "__main__":
    main()
