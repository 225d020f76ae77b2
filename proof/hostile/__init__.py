"""Hostile input, forged signatures and canaries: I15, I18 and I19, against the whole system over HTTP."""

import asyncio
import random
import tempfile
from pathlib import Path

from proof.findings import Findings, Say, Size
from proof.hostile import commands, doors, emulated, forged, leaking, openapi, secrecy, webhooks
from proof.hostile.canaries import make_canaries
from proof.hostile.forgeries import Forger
from proof.hostile.scenes import Placed, told
from proof.hostile.victim import Victim
from proof.invariants import Invariant

FORGED_AT_THE_HANDLER = {Size.SMALL: 2_000, Size.FULL: 100_000}
FORGED_AT_EACH_DOOR = {Size.SMALL: 60, Size.FULL: 2_000}


def run(size: Size, seed: int, say: Say) -> Findings:
    """One system takes everything; at full size a second one shows what people see who try it with the emulators."""
    canaries = make_canaries(random.Random(f"{seed}/canaries"))
    with tempfile.TemporaryDirectory(prefix="ringback-hostile-", ignore_cleanup_errors=True) as directory:
        victim = Victim(Path(directory) / "victim", canaries)
        found = Findings("hostile", seed)
        _offline(found, victim, size, say)
        try:
            victim.start()
            found.settings = {name: text for name, text in victim.settings().items() if _is_public(name)}
            openapi.attack(found, victim, size, say)
            openapi.planted(found, victim)
            asyncio.run(_over_http(found, victim, size, say))
            said = commands.while_it_runs(victim) if size is Size.FULL else {}
            if code := victim.stop():
                found.broke(Invariant.I18, f"after all that, up ended with {code}", f"seed {seed}")
            said |= commands.while_it_is_down(victim) if size is Size.FULL else {}
        finally:
            victim.discard()
        secrecy.look_at_logs(found, victim)
        secrecy.search(found, canaries, said)
        secrecy.planted(found, canaries)
        if size is Size.FULL:
            emulated.attack(found, Path(directory) / "emulated", canaries, say)
    return found


def _is_public(name: str) -> bool:
    return not name.endswith(("_KEY", "_SECRET", "_URL"))


def _offline(found: Findings, victim: Victim, size: Size, say: Say) -> None:
    """The handler that the Lambda runs, without a network."""
    nobody = Placed("call", "call_0123456789abcdef0123456789a", {})
    bodies = [told(victim, nobody, event) for event in ("call_started", "call_ended", "call_analyzed")]
    forger = Forger(random.Random(f"{found.seed}/forged"), victim.webhook_key, 1_760_000_000_000, bodies)
    forged.at_the_handler(found, forger, FORGED_AT_THE_HANDLER[size])
    forged.planted(found, forger)
    webhooks.at_the_handler(found, victim.webhook_key, size)
    found.counts["forged_at_the_handler"] = FORGED_AT_THE_HANDLER[size]
    say(f"handler: {FORGED_AT_THE_HANDLER[size]} forged signatures, {len(found.violations)} violations")


async def _over_http(found: Findings, victim: Victim, size: Size, say: Say) -> None:
    await doors.attack(found, victim, size, say)
    await webhooks.attack(found, victim, size, say)
    bodies = [b'{"event":"call_ended","call":{"call_id":"call_%d"}}' % number for number in range(5)]
    forger = Forger(random.Random(f"{found.seed}/doors"), victim.webhook_key, 0, bodies)
    await forged.at_the_doors(found, victim, forger, FORGED_AT_EACH_DOOR[size])
    found.counts["forged_over_http"] = FORGED_AT_EACH_DOOR[size] * len(forged.DOORS)
    await leaking.every_occasion(victim, size)
    await secrecy.look(found, victim)
    found.counts["refusals_searched"] = len(victim.refusals)
    say(f"canaries: {len(victim.refusals)} refusals and every log searched")
