"""What the command line says of a system with secrets: while it runs, when it cannot, and when a setting is wrong."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from proof.hostile.victim import Victim
from tests.stories.running_system import clean_environment

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


def while_it_runs(victim: Victim) -> dict[str, str]:
    """The output of each command, by its name; blocks."""
    phone = victim.canaries.phones["answered"]
    env = {**victim.settings(), "RINGBACK_URL": victim.url, "RINGBACK_DATABASE_URL": victim.database_url}
    asked: dict[str, Sequence[str]] = {
        "doctor": ("doctor", "--agent", "agent_sales"),
        "dead-letters": ("dead-letters", "list"),
        "call": ("call", f"{phone}x", "--agent", "a"),
        "call without a key": ("call", phone, "--agent", victim.canaries.words["first_name"]),
        "why nobody": ("why", f"nobody-{phone[1:]}x"),
    }
    wrong_key = {**env, "RINGBACK_API_KEY": victim.canaries.secrets["retell"]}
    return _all(victim, {name: (words, wrong_key if "without" in name else env) for name, words in asked.items()})


def while_it_is_down(victim: Victim) -> dict[str, str]:
    """A database that is away, and settings that nobody can use."""
    env = {**victim.settings(), "RINGBACK_DATABASE_URL": victim.database_url, "RINGBACK_URL": victim.url}
    remote = f"postgresql://ringback:{victim.canaries.secrets['database']}@127.0.0.1:9/ringback"
    asked: dict[str, tuple[Sequence[str], Mapping[str, str]]] = {
        "doctor, all away": (("doctor",), env),
        "serve, database away": (("serve", "scheduler", "--port", "0"), env),
        "serve, another database away": (
            ("serve", "scheduler", "--port", "0"),
            env | {"RINGBACK_DATABASE_URL": remote},
        ),
        "db upgrade": (("db", "upgrade"), env | {"RINGBACK_DATABASE_URL": remote}),
        "why, all away": (("why", victim.canaries.phones["answered"]), env),
    }
    for name, text in WRONG.items():
        wrong = {name: text.format(**victim.canaries.secrets)}
        asked[f"wrong {name}"] = (("doctor",), env | wrong)
    return _all(victim, asked)


def _all(victim: Victim, asked: Mapping[str, tuple[Sequence[str], Mapping[str, str]]]) -> dict[str, str]:
    with ThreadPoolExecutor(2) as two:
        said = two.map(lambda each: _run(victim, *each), asked.values())
        return {f"ringback {name}": text for name, text in zip(asked, said, strict=True)}


def _run(victim: Victim, words: Sequence[str], env: Mapping[str, str]) -> str:
    command = [sys.executable, "-m", "ringback.cli", *words]
    try:
        done = subprocess.run(
            command,
            env=clean_environment(env),
            cwd=victim.home,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return f"{late.stdout!r} {late.stderr!r}"
    return f"{done.stdout}\n{done.stderr}"
