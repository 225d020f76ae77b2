"""Runs the suite: a database server of its own, and one system after the other on it."""

import asyncio
import io
import signal
import sys
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from proof.findings import Findings, Say, Size
from proof.provider.account import refused_for_an_hour
from proof.provider.planted import prove_that_bugs_are_seen
from proof.provider.trial import CREATE_TIMEOUT_S, EMULATOR_SPEED, LOOKUPS_S, open_trial, play
from ringback.adapters.postgres.schema import upgrade
from ringback.logs import configure_logs
from tests.postgresql import EMULATED, execute, named, server_in_haste

NAME = "provider"
INSTANCE = "proof-provider"


def run(size: Size, seed: int, say: Say) -> Findings:
    """Leaves nothing running and nothing on the disk."""
    configure_logs("json", io.StringIO())  # tens of thousands of lines, of which the oracle reads none
    with tempfile.TemporaryDirectory(prefix="proof-provider-") as folder, server_in_haste(Path(folder) / "data") as url:
        return _run_until_told(prove(url, Path(folder), size, seed, say))


def _run_until_told(work: Coroutine[Any, Any, Findings]) -> Findings:
    """SIGTERM cancels, because an exception out of a signal handler would leave the threads of the product's HTTP
    server behind, and the process would not end."""

    async def told() -> Findings:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    before = signal.getsignal(signal.SIGTERM)
    try:
        return asyncio.run(told())
    except asyncio.CancelledError:
        sys.exit(143)
    finally:
        signal.signal(signal.SIGTERM, before)


async def prove(server_url: str, home: Path, size: Size, seed: int, say: Say) -> Findings:
    """On a PostgreSQL that is there already; `home` is a directory for the emulators."""
    findings = Findings(NAME, seed, settings(size))
    modes = (True, False) if size is Size.FULL else (True,)
    for remembers in modes:
        name = f"provider_{'on' if remembers else 'off'}"
        url = await fresh_database(server_url, name)
        async with open_trial(url, home / name, size, remembers, seed) as trial:
            await refused_for_an_hour(trial, findings)
            await play(trial, findings, say)
            await prove_that_bugs_are_seen(trial, findings)
    return findings


def settings(size: Size) -> dict[str, object]:
    return {
        "create_timeout_s": CREATE_TIMEOUT_S[size],
        "unknown_lookups_s": LOOKUPS_S,
        "emulator_speed": EMULATOR_SPEED,
    }


async def fresh_database(server_url: str, name: str) -> str:
    """The URL of a new, migrated database on that server."""
    url = named(server_url, name)
    await execute(server_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}")
    await upgrade(url, instance=INSTANCE)
    # Before the world answers: a first start would wait for it.
    await execute(url, EMULATED)
    return url
