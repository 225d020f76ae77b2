"""Try every planted bug: its tests first without it, then with it. One that could not be judged is tried once more."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from proof.field.running import SOURCE
from proof.findings import Findings, Say, Size
from proof.invariants import Invariant
from proof.planted.bug import PlantedBug
from proof.planted.catalogue import BUGS
from proof.planted.races import plant_races
from proof.planted.trial import TRIAL_TIMEOUT_S, Court, Judgement, Verdict, copy_package
from tests.postgresql import server_without_fsync

SUITE = "planted"
AT_ONCE = 2
#: For the second trial of a bug that could not be judged.
RETRIAL_TIMEOUT_S = 1800.0
#: Pure rules: their tests need no database.
QUICKEST = ("retry_at_the_very_expiry", "every_leading_zero_is_a_trunk_zero")


def run(size: Size, seed: int, say: Say) -> Findings:
    """Nothing here is random. Raises CodeMoved, and ControlFailed if the tests do not pass without a bug."""
    # Those against the statistics belong to the suite of the statistics.
    others = tuple(bug for bug in BUGS if Invariant.I27 not in bug.aims)
    bugs = others if size is Size.FULL else tuple(bug for bug in BUGS if bug.name in QUICKEST)
    findings = Findings(SUITE, seed, {"bugs": len(bugs), "at_once": AT_ONCE})
    with tempfile.TemporaryDirectory(prefix="unplanted-") as folder:
        # One state of the package for all of them, whatever is edited meanwhile.
        source = copy_package(SOURCE, Path(folder))
        if size is Size.SMALL:
            verdicts = asyncio.run(try_all(bugs, Court(source), say))
        else:
            with server_without_fsync(Path(folder) / "postgres") as url:
                verdicts = asyncio.run(try_all(bugs, Court(source, url), say))
                asyncio.run(plant_races(findings, source, say))
    for bug in bugs:
        verdict = verdicts[bug.name]
        findings.plant(bug.name, verdict.is_caught, *bug.aims, how=str(verdict))
    findings.counts = {"bugs": len(findings.planted), "caught": sum(findings.planted.values())}
    return findings


async def try_all(bugs: Sequence[PlantedBug], court: Court, say: Say) -> dict[str, Verdict]:
    await court.control([node for bug in bugs for node in bug.nodes])
    say(f"the tests of {len(bugs)} bugs pass without them")
    turns = asyncio.Semaphore(AT_ONCE)
    verdicts: dict[str, Verdict] = {}

    async def try_one(bug: PlantedBug, timeout_s: float = TRIAL_TIMEOUT_S) -> None:
        async with turns:
            verdicts[bug.name] = await court.try_bug(bug, timeout_s)
        say(f"{bug.name}: {verdicts[bug.name]}")

    async with asyncio.TaskGroup() as group:
        for bug in bugs:
            group.create_task(try_one(bug))
    # Other work on the machine can keep a test from its end. Now each has time, and the suite's share of the machine.
    for bug in [bug for bug in bugs if verdicts[bug.name].judgement is Judgement.NOT_JUDGED]:
        await try_one(bug, RETRIAL_TIMEOUT_S)
    return verdicts
