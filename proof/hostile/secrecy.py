"""I19: whatever happened, none of the canaries stands in a log, a metric, an error or a reason kept."""

import io
import logging
import sys
from collections.abc import Mapping
from dataclasses import replace

import structlog

from proof.findings import Findings
from proof.hostile.canaries import Canaries, leaks
from proof.hostile.scenes import api
from proof.hostile.victim import Victim
from proof.invariants import Invariant
from ringback import logs

#: Why something failed, as it is kept for the operator.
_REASONS = """
SELECT 'queue_messages.dead_reason' AS place, dead_reason AS text FROM queue_messages WHERE dead_reason IS NOT NULL
UNION SELECT 'outbox.last_error', last_error FROM outbox WHERE last_error IS NOT NULL
UNION SELECT 'installation.breaker_reason', breaker_reason FROM installation WHERE breaker_reason IS NOT NULL
"""
#: Decisions are shown to systems and may name what they gave; a phone number is in none.
_DECISIONS = "SELECT kind, detail::text AS text FROM gate_decisions"


async def look(found: Findings, victim: Victim) -> None:
    """At everything that a running system shows, and at what it kept."""
    shown = {
        path: (await api(victim, "GET", path)).text for path in ("/metrics", "/readyz", "/healthz", "/openapi.json")
    }
    shown["refusals over HTTP"] = "\n".join(victim.refusals)
    for row in await victim.query(_REASONS):
        shown[row["place"]] = shown.get(row["place"], "") + f"{row['text']}\n"
    search(found, victim.canaries, shown)
    decisions = "\n".join(row["text"] for row in await victim.query(_DECISIONS))
    search(found, replace(victim.canaries, words={}, secrets={}), {"decisions": decisions})


def look_at_logs(found: Findings, victim: Victim) -> None:
    search(found, victim.canaries, victim.logs())


def search(found: Findings, canaries: Canaries, texts: Mapping[str, str]) -> None:
    """One violation for each canary and place, with the line."""
    spellings = canaries.spellings()
    for place, text in texts.items():
        found.tried(Invariant.I19, cases=text.count("\n") + 1)
        told = set()
        for whose, line in leaks(text, spellings):
            if whose not in told:
                told.add(whose)
                found.broke(Invariant.I19, f"the canary {whose} is in {place}", f"seed {found.seed}: {line[:400]}")


def planted(found: Findings, canaries: Canaries) -> None:
    """A log that quotes what errors say must not go unnoticed, in whatever spelling."""
    root = logging.getLogger()
    before, level, careful = root.handlers[:], root.level, logs.places
    stream = io.StringIO()
    try:
        vars(logs)["places"] = lambda exc_info: repr(exc_info[1])
        logs.configure_logs("json", stream)
        try:
            raise LookupError(f"Failing row contains ({canaries.words['first_name']})")
        except LookupError:
            structlog.get_logger("planted").error("planted", exc_info=sys.exc_info())
    finally:
        vars(logs)["places"] = careful
        root.handlers[:] = before
        root.setLevel(level)
        structlog.reset_defaults()
    seen = Findings("planted", found.seed)
    search(seen, canaries, {"log": stream.getvalue()})
    found.plant("a log line quotes an exception's text", bool(seen.violations), Invariant.I19)
