"""Planted bugs: changes that a good engineer might make, each put into a copy of the package, and each to be caught."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from proof.field.running import SOURCE
from proof.findings import Findings, Say, Size
from proof.planted.bug import PlantedBug
from proof.planted.catalogue import BUGS
from proof.planted.races import plant_races
from proof.planted.trial import Court, Verdict, copy_package
from tests.postgresql import server_in_haste

SUITE = "planted"
AT_ONCE = 2
#: Pure rules: their tests need no database.
QUICKEST = ("retry_at_the_very_expiry", "every_leading_zero_is_a_trunk_zero")


def run(size: Size, seed: int, say: Say) -> Findings:
    """Nothing here is random. Raises CodeMoved, and ControlFailed if the tests do not pass without a bug."""
    bugs = BUGS if size is Size.FULL else tuple(bug for bug in BUGS if bug.name in QUICKEST)
    findings = Findings(SUITE, seed, {"bugs": len(bugs), "at_once": AT_ONCE})
    with tempfile.TemporaryDirectory(prefix="unplanted-") as folder:
        # One state of the package for all of them, whatever is edited meanwhile.
        source = copy_package(SOURCE, Path(folder))
        if size is Size.SMALL:
            verdicts = asyncio.run(try_all(bugs, Court(source), say))
        else:
            with server_in_haste(Path(folder) / "postgres") as url:
                verdicts = asyncio.run(try_all(bugs, Court(source, url), say))
                asyncio.run(plant_races(findings, source, say))
    for bug in bugs:
        findings.plant(bug.name, verdicts[bug.name].caught, *bug.aims)
    findings.counts = {"bugs": len(findings.planted), "caught": sum(findings.planted.values())}
    return findings


async def try_all(bugs: Sequence[PlantedBug], court: Court, say: Say) -> dict[str, Verdict]:
    await court.control([node for bug in bugs for node in bug.nodes])
    say(f"the tests of {len(bugs)} bugs pass without them")
    turns = asyncio.Semaphore(AT_ONCE)

    async def try_one(bug: PlantedBug) -> Verdict:
        async with turns:
            verdict = await court.try_bug(bug)
        say(f"{'caught' if verdict.caught else 'NOT CAUGHT'} {bug.name}: {verdict.how}")
        return verdict

    async with asyncio.TaskGroup() as group:
        tasks = {bug.name: group.create_task(try_one(bug)) for bug in bugs}
    return {name: task.result() for name, task in tasks.items()}
