"""I19: no canary is in a log, a metric, an error, a stored reason or the output of a command, in any spelling."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest import mock

import structlog

from proof.findings import Findings, Say
from proof.hostile.canaries import Canaries, leaks
from proof.hostile.target import Target, api
from proof.invariants import Invariant
from ringback import logs
from tests.stories.running_system import RunningSystem, clean_environment, new_call

#: The reasons of failures that are kept for the operator.
_REASONS = """
SELECT 'queue_messages.dead_reason' AS place, dead_reason AS text FROM queue_messages WHERE dead_reason IS NOT NULL
UNION SELECT 'outbox.last_error', last_error FROM outbox WHERE last_error IS NOT NULL
UNION SELECT 'installation.breaker_reason', breaker_reason FROM installation WHERE breaker_reason IS NOT NULL
"""
#: Decisions are shown to systems and may name what they gave; a phone number is in none.
_DECISIONS = "SELECT kind, detail::text AS text FROM gate_decisions"


async def look(found: Findings, target: Target) -> None:
    """Searches everything that a running system shows, and the reasons that it keeps."""
    shown = {
        path: (await api(target, "GET", path)).text for path in ("/metrics", "/readyz", "/healthz", "/openapi.json")
    }
    shown["refusals over HTTP"] = "\n".join(target.refusals)
    for row in await target.query(_REASONS):
        shown[row["place"]] = shown.get(row["place"], "") + f"{row['text']}\n"
    search(found, target.canaries, shown)
    decisions = "\n".join(row["text"] for row in await target.query(_DECISIONS))
    search(found, replace(target.canaries, words={}, secrets={}), {"decisions": decisions})


def look_at_logs(found: Findings, target: Target) -> None:
    search(found, target.canaries, target.logs())


def search(found: Findings, canaries: Canaries, texts: Mapping[str, str]) -> None:
    """One violation for each canary and place, with the line."""
    spellings = canaries.spellings()
    for place, text in texts.items():
        found.tried(Invariant.I19, cases=text.count("\n") + 1)
        told = set()
        for canary, line in leaks(text, spellings):
            if canary not in told:
                told.add(canary)
                found.broke(Invariant.I19, f"the canary {canary} is in {place}", f"seed {found.seed}: {line[:400]}")


def planted(found: Findings, canaries: Canaries) -> None:
    """A log that quotes what errors say must not go unnoticed, in whatever spelling."""
    root = logging.getLogger()
    before, level, stream = root.handlers[:], root.level, io.StringIO()
    with mock.patch.object(logs, "format_traceback", lambda exc_info: repr(exc_info[1])):
        logs.configure_logs("json", stream)
        try:
            raise LookupError(f"Failing row contains ({canaries.words['first_name']})")
        except LookupError:
            structlog.get_logger("planted").error("planted", exc_info=sys.exc_info())
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()
    with found.planting("a log line quotes an exception's text", Invariant.I19) as seen:
        search(seen, canaries, {"log": stream.getvalue()})


WITHIN_S = 120.0
#: Settings that are refused, each with a secret or a number in it.
WRONG = {
    "RINGBACK_ENGAGE_SECRET": "whsec {engage}",
    "RINGBACK_API_KEY": "{api} é",
    "RETELL_WEBHOOK_KEY": "{webhook}, {webhook} {webhook}",
    "RINGBACK_DATABASE_URL": "mysql://u:{database}@h/d",
    "RINGBACK_ENGAGE_URL": "ftp://u:{database}@h",
    "RINGBACK_CALL_QUEUE": "sqs://{retell}@h d",
    "RINGBACK_MAX_LIVE_CALLS": "{retell}",
}


def while_it_runs(target: Target) -> dict[str, str]:
    """The output of each command, by its name; blocks."""
    phone = target.canaries.phones["answered"]
    env = {**target.settings(), "RINGBACK_URL": target.url, "RINGBACK_DATABASE_URL": target.database_url}
    asked: dict[str, Sequence[str]] = {
        "doctor": ("doctor", "--agent", "agent_sales"),
        "dead-letters": ("dead-letters", "list"),
        "call": ("call", f"{phone}x", "--agent", "a"),
        "call without a key": ("call", phone, "--agent", target.canaries.words["first_name"]),
        "why unknown": ("why", f"unknown-{phone[1:]}x"),
    }
    wrong_key = {**env, "RINGBACK_API_KEY": target.canaries.secrets["retell"]}
    return _all(target, {name: (words, wrong_key if "without" in name else env) for name, words in asked.items()})


def while_it_is_down(target: Target) -> dict[str, str]:
    """An unavailable database, and wrong settings."""
    env = {**target.settings(), "RINGBACK_DATABASE_URL": target.database_url, "RINGBACK_URL": target.url}
    remote = f"postgresql://ringback:{target.canaries.secrets['database']}@127.0.0.1:9/ringback"
    asked: dict[str, tuple[Sequence[str], Mapping[str, str]]] = {
        "doctor, all unavailable": (("doctor",), env),
        "serve, database unavailable": (("serve", "scheduler", "--port", "0"), env),
        "serve, another database unavailable": (
            ("serve", "scheduler", "--port", "0"),
            env | {"RINGBACK_DATABASE_URL": remote},
        ),
        "db upgrade": (("db", "upgrade"), env | {"RINGBACK_DATABASE_URL": remote}),
        "why, all unavailable": (("why", target.canaries.phones["answered"]), env),
    }
    for name, text in WRONG.items():
        wrong = {name: text.format(**target.canaries.secrets)}
        asked[f"wrong {name}"] = (("doctor",), env | wrong)
    return _all(target, asked)


def _all(target: Target, asked: Mapping[str, tuple[Sequence[str], Mapping[str, str]]]) -> dict[str, str]:
    with ThreadPoolExecutor(2) as two:
        said = two.map(lambda each: _run(target, *each), asked.values())
        return {f"ringback {name}": text for name, text in zip(asked, said, strict=True)}


def _run(target: Target, words: Sequence[str], env: Mapping[str, str]) -> str:
    command = [sys.executable, "-m", "ringback.cli", *words]
    try:
        done = subprocess.run(
            command,
            env=clean_environment(env),
            cwd=target.home,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return f"{late.stdout!r} {late.stderr!r}"
    return f"{done.stdout}\n{done.stderr}"


#: A curious operator's `sitecustomize.py`: the root logger logs everything, and no later setting changes that.
ALL_RECORDS = """
import logging
logging.RootLogger.setLevel = lambda self, level: logging.Logger.setLevel(self, logging.DEBUG)
"""
SCENARIOS = ("00", "03", "07", "08", "11", "14", "18", "22")


def attack_emulated(found: Findings, home: Path, canaries: Canaries, say: Say) -> None:
    """A call of every kind, then all logs of all processes."""
    home.mkdir(parents=True)
    (home / "sitecustomize.py").write_text(ALL_RECORDS)
    settings = {"RINGBACK_LOG_FORMAT": "console", "RINGBACK_EMULATOR_SPEED": "40", "PYTHONPATH": str(home)}
    system = RunningSystem(home / "up", settings)
    phones = {digits: f"+1415555{int(digits) + 100:04d}" for digits in SCENARIOS}
    try:
        system.start()
        api = system.client
        placed = []
        for phone in phones.values():
            body = new_call(phone, variables={"first_name": canaries.words["first_name"]})
            body["contact"]["contact_id"] = f"crm-{phone[-4:]}"
            placed.append(api.place(body))
        for call_id in placed:
            api.wait_for(call_id, lambda call: call["final"] or call["tasks"][-1]["kind"] == "callback", 60)
        state = json.loads((system.home / "data" / "up.json").read_text())
        code = system.stop()
    finally:
        system.discard()
    if code:
        found.broke(Invariant.I18, f"up with its emulators ended with {code}", f"seed {found.seed}")
    names = ("api_key", "retell_api_key", "retell_webhook_key", "engage_secret")
    secrets = {name: state[name] for name in names}
    logs = {str(path.relative_to(home)): path.read_text(errors="replace") for path in home.rglob("*.log")}
    search(found, replace(canaries, phones=phones, secrets=secrets), logs)
    say(
        f"emulated: {len(placed)} calls, {sum(text.count(chr(10)) for text in logs.values())} lines of {len(logs)} logs"
    )
