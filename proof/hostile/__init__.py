"""Hostile input, forged signatures and canaries: I15, I18 and I19, against the whole system over HTTP."""

import asyncio
import random
import tempfile
from pathlib import Path

from proof.findings import Findings, Say, Size
from proof.hostile import endpoints, leaking, openapi, secrecy, signatures, webhooks
from proof.hostile.canaries import make_canaries
from proof.hostile.signatures import Forger
from proof.hostile.target import Placed, Target, told
from proof.invariants import Invariant

FORGED_AT_THE_HANDLER = {Size.SMALL: 2_000, Size.FULL: 100_000}
FORGED_AT_EACH_ENDPOINT = {Size.SMALL: 60, Size.FULL: 2_000}


def run(size: Size, seed: int, say: Say) -> Findings:
    """One system gets everything; at full size a second one has the emulators and console logs."""
    canaries = make_canaries(random.Random(f"{seed}/canaries"))
    with tempfile.TemporaryDirectory(prefix="ringback-hostile-", ignore_cleanup_errors=True) as directory:
        target = Target(Path(directory) / "target", canaries)
        found = Findings("hostile", seed)
        _offline(found, target, size, say)
        try:
            target.start()
            found.settings = {name: text for name, text in target.settings().items() if _is_public(name)}
            openapi.attack(found, target, size, say)
            openapi.planted(found, target)
            asyncio.run(_over_http(found, target, size, say))
            said = secrecy.while_it_runs(target) if size is Size.FULL else {}
            if code := target.stop():
                found.broke(Invariant.I18, f"after all that, up ended with {code}", f"seed {seed}")
            said |= secrecy.while_it_is_down(target) if size is Size.FULL else {}
        finally:
            target.discard()
        secrecy.look_at_logs(found, target)
        secrecy.search(found, canaries, said)
        secrecy.planted(found, canaries)
        if size is Size.FULL:
            secrecy.attack_emulated(found, Path(directory) / "emulated", canaries, say)
    return found


def _is_public(name: str) -> bool:
    return not name.endswith(("_KEY", "_SECRET", "_URL"))


def _offline(found: Findings, target: Target, size: Size, say: Say) -> None:
    """The handler that the Lambda runs, without a network."""
    unknown = Placed("call", "call_0123456789abcdef0123456789a", {})
    bodies = [told(target, unknown, event) for event in ("call_started", "call_ended", "call_analyzed")]
    forger = Forger(random.Random(f"{found.seed}/forged"), target.webhook_key, 1_760_000_000_000, bodies)
    signatures.at_the_handler(found, forger, FORGED_AT_THE_HANDLER[size])
    signatures.planted(found, forger)
    webhooks.at_the_handler(found, target.webhook_key, size)
    found.counts["forged_at_the_handler"] = FORGED_AT_THE_HANDLER[size]
    say(f"handler: {FORGED_AT_THE_HANDLER[size]} forged signatures, {len(found.violations)} violations")


async def _over_http(found: Findings, target: Target, size: Size, say: Say) -> None:
    await endpoints.attack(found, target, size, say)
    await webhooks.attack(found, target, size, say)
    bodies = [b'{"event":"call_ended","call":{"call_id":"call_%d"}}' % number for number in range(5)]
    forger = Forger(random.Random(f"{found.seed}/endpoints"), target.webhook_key, 0, bodies)
    await signatures.at_the_endpoints(found, target, forger, FORGED_AT_EACH_ENDPOINT[size])
    found.counts["forged_over_http"] = FORGED_AT_EACH_ENDPOINT[size] * len(signatures.ENDPOINTS)
    await leaking.every_occasion(target, size)
    await secrecy.look(found, target)
    found.counts["refusals_searched"] = len(target.refusals)
    say(f"canaries: {len(target.refusals)} refusals and every log searched")
