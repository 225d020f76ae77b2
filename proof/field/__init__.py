"""The project's own tests at full size: races, orders of webhooks, stories of calls, properties of time."""

import asyncio
import time
from collections.abc import Iterable

from proof.field.pieces import Piece, pieces
from proof.field.running import TestSaid, Told, run_tests
from proof.findings import Findings, Say, Size

SUITE = "field"
AT_ONCE = 2
#: Each test says under this name how many cases it has tried. One that says nothing is one case.
CASES = "cases"


def run(size: Size, seed: int, say: Say) -> Findings:
    """The races draw their delays from `seed`; properties and stories have seeds of their own, which never change."""
    findings = Findings(SUITE, seed, {"pieces": [piece.name for piece in pieces(size)]})
    turns = asyncio.Semaphore(AT_ONCE)

    async def run_piece(piece: Piece) -> None:
        async with turns:
            began = time.monotonic()
            options = (*piece.options.split(), "--race-seed", str(seed))
            told = await run_tests(piece.nodes, options=options, timeout_s=piece.timeout_s)
        judge(piece, told, seed, findings)
        took_s = time.monotonic() - began
        say(f"{piece.name}: {cases_in(told.calls):,} cases of {len(told.calls)} tests, {took_s:.0f} s")

    async def run_all() -> None:
        async with asyncio.TaskGroup() as group:
            for piece in pieces(size):
                group.create_task(run_piece(piece))

    asyncio.run(run_all())
    return findings


def judge(piece: Piece, told: Told, seed: int, findings: Findings) -> None:
    """A test that failed, was skipped, or was expected to fail is a violation, and so is a run without an end."""
    passed = [one for one in told.calls if one.outcome == "passed"]
    if piece.looks_at:
        findings.tried(*piece.looks_at, cases=cases_in(passed))
    findings.counts[f"{piece.name}, cases"] = cases_in(passed)
    again = f"pytest {piece.options} --race-seed {seed}"
    for one in told.trouble:
        what = f"{one.test} {one.outcome} in its {one.phase}: {one.error.partition(chr(10))[0]}"
        findings.broke(piece.blames, what, f"{again} '{one.test}'")
    if (told.exit_code != 0 and not told.trouble) or not passed:
        what = f"{piece.name}: pytest ended with {told.exit_code}: {told.output[-300:]}"
        findings.broke(piece.blames, what, f"{again} {' '.join(piece.nodes)}")


def cases_in(tests: Iterable[TestSaid]) -> int:
    return sum(int(one.properties.get(CASES, 1)) for one in tests)
