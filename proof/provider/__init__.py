"""The faults of a provider, through a proxy that loses, cuts, delays, refuses and repeats; only ledgers are asked."""

import asyncio
import io
import signal
import sys
import tempfile
from collections.abc import Coroutine
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

from proof.findings import Findings, Say, Size
from proof.harness.databases import migrated
from proof.harness.waiting import until
from proof.invariants import Invariant
from proof.provider.acts import Plan
from proof.provider.outcomes import answered
from proof.provider.planted import prove_that_bugs_are_seen
from proof.provider.trial import CREATE_TIMEOUT_S, EMULATOR_SPEED, HOUR_S, LOOKUPS_S, Trial, open_trial, play
from ringback.domain.eligibility import PROBE_S
from ringback.logs import configure_logs
from tests.postgresql import server_without_fsync

REFUSALS = (401, 402, 403, 404)
REFUSED_CALLS = 4
_TRY_WITHIN_S = 300.0


def run(size: Size, seed: int, say: Say) -> Findings:
    """Leaves nothing running and nothing on the disk."""
    configure_logs("json", io.StringIO())  # tens of thousands of lines, of which the oracle reads none
    with (
        tempfile.TemporaryDirectory(prefix="proof-provider-") as folder,
        server_without_fsync(Path(folder) / "data") as url,
    ):
        return _run_until_told(prove(url, Path(folder), size, seed, say))


def _run_until_told(work: Coroutine[Any, Any, Findings]) -> Findings:
    """SIGTERM cancels. An exception out of a signal handler would leave the threads of the product's HTTP server
    running, and the process would not end."""

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
    settings = {
        "create_timeout_s": CREATE_TIMEOUT_S[size],
        "unknown_lookups_s": LOOKUPS_S,
        "emulator_speed": EMULATOR_SPEED,
    }
    findings = Findings("provider", seed, settings)
    for remembers in (True, False) if size is Size.FULL else (True,):
        name = f"provider_{'on' if remembers else 'off'}"
        # Migrated before the emulators answer: a first start would wait for them.
        url = await migrated(server_url, name)
        async with open_trial(url, home / name, size, remembers, seed) as trial:
            await refused_for_an_hour(trial, findings)
            await play(trial, findings, say)
            await prove_that_bugs_are_seen(trial, findings)
    return findings


async def refused_for_an_hour(trial: Trial, findings: Findings) -> None:
    """The account is refused, and the hour leaped through from one try to the next. No phone may ring, no attempt be
    used up, no event reach Engage. Afterwards each call is placed once."""
    system, drafts = trial.system, trial.drafts
    statuses = cycle(REFUSALS)
    system.proxy.account_refusal = next(statuses)
    # The breaker decides how often the account is tried; the request must always be the same.
    outcome = replace(answered("00"), creates=frozenset(range(1, 100)))
    cases = [drafts.case("account", "refused for an hour", Plan(), outcome) for _ in range(REFUSED_CALLS)]
    await trial.place(cases)
    tries = 0
    ends_at = system.clock.ahead_s + HOUR_S
    while system.clock.ahead_s < ends_at:
        tries = await _tried_again(trial, tries)
        system.proxy.account_refusal = next(statuses)
        system.clock.leap(max(await _breaker_s(trial), 1.0) + 0.1)
    for ring in await system.rings():
        findings.broke(Invariant.I2, "a refused account rang a phone", f"{trial.mode}: {ring['provider_call_id']}")
    for delivery in await system.deliveries():
        what = f"Engage received {delivery['type']} of a call that only waits"
        findings.broke(Invariant.I14, what, f"seed {findings.seed}, {trial.mode}, account refused")
    system.proxy.account_refusal = None
    system.clock.leap(-system.clock.ahead_s - PROBE_S)
    await until(system.rings, "a call rings again", _TRY_WITHIN_S)
    system.clock.leap(PROBE_S)  # the others wait so long for the one that tries
    await trial.until_attempts(cases, "analyzed")
    findings.counts[f"{trial.mode.replace(' ', '_')}_requests_while_the_account_was_refused_an_hour"] = tries


async def _tried_again(trial: Trial, before: int) -> int:
    """The number of requests so far, once there is one more, the breaker is set and no dial is in progress."""

    async def tries() -> int | None:
        made = len(trial.system.proxy.log_of_creates())
        dialing = await trial.system.rows("SELECT 1 FROM attempts WHERE state = 'dialing'")
        return made if made > before and not dialing and await _breaker_s(trial) > 0 else None

    return await until(tries, "the refused account is tried again", _TRY_WITHIN_S)


async def _breaker_s(trial: Trial) -> float:
    """Seconds of the product's clock until the breaker lets one call try."""
    (row,) = await trial.system.rows("SELECT breaker_until FROM installation")
    until = row["breaker_until"]
    return 0.0 if until is None else float((until - trial.system.clock.now()).total_seconds())
