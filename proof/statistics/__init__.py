"""The statistics (I27): stories of calls beside folds, at full size, and every bug that is planted against them."""

import asyncio
import tempfile
from pathlib import Path

from proof.field import judge
from proof.field.pieces import Piece
from proof.field.running import SOURCE, run_tests
from proof.findings import Findings, Say, Size
from proof.invariants import Invariant
from proof.planted.catalogue import BUGS
from proof.planted.suite import try_all
from proof.planted.trial import Court, copy_package
from tests.postgresql import server_without_fsync

SUITE = "statistics"
I27 = Invariant.I27
PLANTED = tuple(bug for bug in BUGS if I27 in bug.aims)

_STORIES = Piece("statistics beside any story", (I27,), I27, "flows/rollups/test_any_story.py", "--trials 200")
_OTHERS = Piece(
    "statistics beside other writers",
    (I27,),
    I27,
    "flows/rollups/test_fold_races.py flows/rollups/test_other_writers.py flows/rollups/test_counting.py",
)


def run(size: Size, seed: int, say: Say) -> Findings:
    """At the small size the races alone, and one bug."""
    pieces, bugs = ((_STORIES, _OTHERS), PLANTED) if size is Size.FULL else ((_OTHERS,), PLANTED[:1])
    findings = Findings(SUITE, seed, {"pieces": [piece.name for piece in pieces], "bugs": len(bugs)})
    for piece in pieces:
        told = asyncio.run(run_tests(piece.nodes, options=piece.options.split(), timeout_s=piece.timeout_s))
        judge(piece, told, seed, findings)
        say(f"{piece.name}: {len(told.calls)} tests")
    with tempfile.TemporaryDirectory(prefix="unplanted-") as folder:
        source = copy_package(SOURCE, Path(folder))
        with server_without_fsync(Path(folder) / "postgres") as url:
            verdicts = asyncio.run(try_all(bugs, Court(source, url), say))
    for bug in bugs:
        findings.plant(bug.name, verdicts[bug.name].is_caught, *bug.aims, how=str(verdicts[bug.name]))
    return findings
