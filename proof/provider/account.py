"""The account is refused for an hour and then taken again; the hour is leaped through, from one try to the next."""

import asyncio
import time
from dataclasses import replace
from itertools import cycle

from proof.findings import Findings
from proof.invariants import Invariant
from proof.provider.acts import Plan
from proof.provider.fates import answered
from proof.provider.trial import HOUR_S, Trial
from ringback.domain.eligibility import PROBE_S

REFUSALS = (401, 402, 403, 404)
CALLS = 4
_TRY_WITHIN_S = 120.0


async def refused_for_an_hour(trial: Trial, findings: Findings) -> None:
    """Nothing may ring, nothing be burnt and Engage be told nothing; afterwards each call is placed once."""
    house, drafts = trial.house, trial.drafts
    statuses = cycle(REFUSALS)
    house.proxy.account_refusal = next(statuses)
    # How often the account is tried is the breaker's affair; what is sent must always be the same.
    fate = replace(answered("00"), creates=frozenset(range(1, 100)))
    cases = [drafts.case("account", "refused for an hour", Plan(), fate) for _ in range(CALLS)]
    await trial.place(cases)
    tries = 0
    ends_at = house.clock.ahead_s + HOUR_S
    while house.clock.ahead_s < ends_at:
        tries = await _tried_again(trial, tries)
        house.proxy.account_refusal = next(statuses)
        house.clock.leap(max(await _breaker_s(trial), 1.0) + 0.1)
    for ring in await house.rings():
        findings.broke(Invariant.I2, "a refused account rang a phone", f"{trial.mode}: {ring['provider_call_id']}")
    for delivery in await house.deliveries():
        what = f"Engage was told {delivery['type']} of a call that only waits"
        findings.broke(Invariant.I14, what, f"seed {findings.seed}, {trial.mode}, account refused")
    house.proxy.account_refusal = None
    house.clock.leap(-house.clock.ahead_s - PROBE_S)
    async with asyncio.timeout(_TRY_WITHIN_S):
        while not await house.rings():
            await asyncio.sleep(0.05)
    house.clock.leap(PROBE_S)  # so long do the others wait for the one that tries
    await trial.until_attempts(cases, "analyzed")
    findings.counts[f"{trial.mode.replace(' ', '_')}_requests_while_the_account_was_refused_an_hour"] = tries


async def _tried_again(trial: Trial, before: int) -> int:
    """The number of requests so far, once there is one more, the breaker is set and nobody is on the way."""
    give_up_at = time.monotonic() + _TRY_WITHIN_S
    while time.monotonic() < give_up_at:
        tries = len(trial.house.proxy.log_of_creates())
        dialing = await trial.house.rows("SELECT 1 FROM attempts WHERE state = 'dialing'")
        if tries > before and not dialing and await _breaker_s(trial) > 0:
            return tries
        await asyncio.sleep(0.03)
    raise AssertionError(f"the refused account was not tried again within {_TRY_WITHIN_S:g} s")


async def _breaker_s(trial: Trial) -> float:
    """Seconds of the product's clock until the breaker lets one call try."""
    (row,) = await trial.house.rows("SELECT breaker_until FROM installation")
    until = row["breaker_until"]
    return 0.0 if until is None else float((until - trial.house.clock.now()).total_seconds())
