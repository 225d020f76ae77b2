"""The races plant bugs of their own, in memory: locks and checks taken away, each of which must show as a lost race."""

import re
from pathlib import Path

from proof.field.running import run_tests
from proof.findings import Findings, Say
from proof.invariants import Invariant

TESTS = "tests/races/test_planted_bugs.py"
TIMEOUT_S = 300.0
#: What a stop is called that moves or takes away a planned task; the others are stops of the person or of everything.
_OF_TASKS = frozenset({"delete_scheduled_task", "reschedule_call", "update_timezone"})
_NAME = re.compile(r"::test_(?P<without>\w+?)_the_same_trials_find_violations\[(?P<race>\w+)\]$")


def planted_by(test: str) -> tuple[str, tuple[Invariant, ...]]:
    """The bug that a test of the races plants, and what it aims at."""
    name = _NAME.search(test)
    assert name is not None, f"the races' tests are called otherwise: {test}"
    aims = (Invariant.I10, Invariant.I17) if name["race"] in _OF_TASKS else (Invariant.I10,)
    return f"race_{name['race']}_{name['without']}", aims


async def plant_races(findings: Findings, source: Path, say: Say) -> None:
    """A test that passes has caught its bug. The races take many connections, so they have a server of their own."""
    told = await run_tests([TESTS], package_folder=source, timeout_s=TIMEOUT_S)
    for one in told.calls:
        bug, aims = planted_by(one.test)
        findings.plant(bug, one.outcome == "passed", *aims)
    say(f"races: {len(told.calls)} bugs, pytest ended with {told.exit_code}")
    if told.exit_code != 0:
        findings.plant("races_as_a_whole", False, Invariant.I10)
