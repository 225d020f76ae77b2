"""Play one case again, as a finding names it: `python -m proof.crashes KILLS SEED MODE [ACTS]`.

KILLS is POINT or POINT:HIT, several of them (one life after the other) joined by commas, or `none`.
MODE is `remembers`, `forgetful` or `grouped`; ACTS are joined by `+` and are all of them if none is given.
"""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from proof.crashes import on_sqs
from proof.crashes.acts import ACTS
from proof.crashes.campaign import Campaign, open_testbeds
from proof.crashes.cases import Case, Mode
from proof.findings import Findings
from ringback.failpoints import Failpoint
from tests.postgresql import server_without_fsync


def read_case(arguments: Sequence[str]) -> Case:
    """Raises ValueError for arguments that name no case."""
    if len(arguments) < 3:
        raise ValueError("KILLS, SEED and MODE are required")
    points, seed, mode, *acts = arguments
    if mode.upper() not in Mode.__members__:
        raise ValueError(f"no such mode: {mode} (there are {', '.join(Mode.__members__).lower()})")
    kills = []
    for name in points.split(",") if points != "none" else ():
        point, _, hit = name.partition(":")
        kills.append((Failpoint(point), int(hit or 1)))
    chosen = tuple(acts[0].split("+")) if acts else tuple(ACTS)
    if unknown := set(chosen) - set(ACTS):
        raise ValueError(f"no such act: {', '.join(sorted(unknown))} (there are {', '.join(ACTS)})")
    return Case(int(seed), Mode[mode.upper()], chosen, tuple(kills))


async def play_again(url: str, home: Path, case: Case, sqs: str | None) -> Findings:
    findings = Findings("crashes", case.seed)
    async with open_testbeds(url, home, 1, sqs=sqs) as free:
        played = await Campaign(free, findings, _say).try_case(case)
    fired = "fired" if played.all_kills_fired else "did not all fire"
    kills = f"{len(played.killed)} of {len(case.kills)} kills {fired}"
    _say(f"{len(findings.violations)} violations; {kills}; logs in {home}")
    return findings


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


def main(arguments: Sequence[str]) -> int:
    try:
        case = read_case(arguments)
    except ValueError as problem:
        sys.stderr.write(f"{problem}\n{__doc__}")
        return 2
    home = Path(tempfile.mkdtemp(prefix="ringback-crash-"))
    with server_without_fsync(home / "postgres") as url, on_sqs.server_if_asked(home) as sqs:
        findings = asyncio.run(play_again(url, home, case, sqs))
    if not findings.violations:
        shutil.rmtree(home)
    return 1 if findings.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
