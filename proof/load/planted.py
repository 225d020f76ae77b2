"""Losses made by hand after everything has settled: the oracle has to notice each."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import asyncpg

from benchmarks.seeding import ids_of
from proof.findings import Findings
from proof.invariants import Invariant
from proof.load import oracle
from proof.load.answers import Answered
from proof.load.ground import Ground
from proof.load.requests import BARRED, LATER, WEBHOOK
from proof.load.world import World, look


def plant(findings: Findings, ground: Ground, answers: Sequence[Answered], world: World) -> None:
    """Deletes an accepted call and an accepted webhook from the database, and takes an event from Engage's ledger."""
    call_id = next(answer.call_id for answer in answers if answer.kind == LATER and answer.accepted)
    webhook = next(answer for answer in answers if answer.kind == WEBHOOK and answer.accepted)
    event, call = ground.requests.subject(webhook.number)
    asyncio.run(_lose(ground.database_url, call_id or "", ids_of(call).provider_call_id, event))
    untold = next((one.call_id for one in answers if one.kind == BARRED and one.accepted), None) or ""
    bereft = look(ground.database_url, ground.system.client)
    bereft = replace(bereft, deliveries={**bereft.deliveries, untold: []}, rings=world.rings + world.rings)
    noticed = Findings(findings.suite, findings.seed)
    oracle.judge(noticed, "planted", bereft, answers, ground.requests)
    # What was already broken before is no sign that the planted loss was seen.
    already = {violation.invariant for violation in findings.violations}
    seen = {violation.invariant for violation in noticed.violations} - already
    bugs = {
        "an accepted call is gone": Invariant.I1,
        "an accepted webhook is gone": Invariant.I12,
        "an event never reached Engage": Invariant.I14,
    }
    for bug, invariant in bugs.items():
        findings.plant(f"load: {bug}", invariant in seen, invariant)
    if world.rings:
        findings.plant("load: every phone rang twice", Invariant.I2 in seen, Invariant.I2)


async def _lose(database_url: str, call_id: str, provider_call_id: str, event: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("DELETE FROM tasks WHERE call_id = $1", call_id)
        await connection.execute("DELETE FROM calls WHERE call_id = $1", call_id)
        await connection.execute(
            "DELETE FROM provider_events WHERE provider_call_id = $1 AND event = $2", provider_call_id, event
        )
    finally:
        await connection.close()
