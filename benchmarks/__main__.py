"""`python -m benchmarks`: measure, print the tables, and write docs/benchmarks.md if asked."""

import argparse
import asyncio
import json
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path as File

import psutil

from benchmarks import actions, analytics, audit, backlog, burst, commands, console, lake, latency
from benchmarks.child import ROOT, BenchmarkFailed
from benchmarks.goals import goals_table
from benchmarks.ground import Ground, open_ground
from benchmarks.paths import PATHS
from benchmarks.report import EXPLANATION, machine_line, table_of_paths
from benchmarks.results import Figures, PathResult, Section
from benchmarks.running import Plan, run_paths

REPORT = ROOT / "docs" / "benchmarks.md"
FIGURES = ROOT / "docs" / "benchmarks.json"

#: The measurements beside the paths, by name.
SECTIONS: dict[str, Callable[[Ground, Plan], Awaitable[Section]]] = {
    actions.NAME: actions.run_actions,
    burst.NAME: burst.run_burst,
    latency.NAME: latency.run_latency,
    commands.NAME: commands.run_commands,
    backlog.NAME: backlog.run_filled,
    analytics.NAME: analytics.run_analytics,
    audit.NAME: audit.run_audit,
    lake.NAME: lake.run_lake,
    console.NAME: console.run_console,
}
#: It fills ten million attempts, so it is measured only if it is named.
ONLY_BY_NAME = frozenset({lake.NAME})
_BUSY = "- **The machine had other work: latencies and rates are too slow, and ratios are less certain.**"
NAMES = (*(path.name for path in PATHS), *SECTIONS)
QUICK = Plan(seconds=1.0, rounds=1, limit_s=0.0, seed=20261122, filled_calls=20_000)


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="name",
        help=f"of {', '.join(NAMES)}; without one, all but {', '.join(ONLY_BY_NAME)}",
    )
    parser.add_argument("--quick", action="store_true", help="small sizes and one round: shows that everything runs")
    parser.add_argument("--seconds", type=float, help="load of one turn (3)")
    parser.add_argument("--rounds", type=int, help="turns of each side (3)")
    parser.add_argument("--limit", type=float, help="seconds after which the paths begin no further round (300)")
    parser.add_argument("--filled", type=int, metavar="CALLS", help="calls in the filled tables (1,000,000)")
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--without-peers", action="store_true", help="leave out what needs .venv-peers")
    parser.add_argument("--write", action="store_true", help=f"also write {REPORT.relative_to(ROOT)}")
    parser.add_argument("--goals", action="store_true", help="measure nothing: the goals by the figures of --write")
    parser.add_argument(
        "--profile", type=File, metavar="DIR", help="cProfile of the product; its rates mean nothing then"
    )
    asked = parser.parse_args(arguments)
    if unknown := sorted(set(asked.names) - set(NAMES)):
        parser.error(f"no such name: {', '.join(unknown)} (there are {', '.join(NAMES)})")
    return asked


def plan_of(asked: argparse.Namespace) -> Plan:
    base = QUICK if asked.quick else Plan(seconds=3.0, rounds=3, limit_s=300.0, seed=asked.seed)
    return Plan(
        base.seconds if asked.seconds is None else asked.seconds,
        base.rounds if asked.rounds is None else max(1, asked.rounds),
        base.limit_s if asked.limit is None else asked.limit,
        asked.seed,
        asked.profile,
        not asked.without_peers,
        base.filled_calls if asked.filled is None else asked.filled,
    )


@dataclass(frozen=True, slots=True)
class Measured:
    paths: Sequence[PathResult]
    sections: Sequence[Section]
    failed: Sequence[str]
    postgres: str
    took_s: float
    loads: tuple[float, float]

    def figures(self) -> Figures:
        found: Figures = {"machine.cores": psutil.cpu_count() or 1}
        for path in self.paths:
            found |= path.figures()
        for section in self.sections:
            found |= section.figures
        return found

    def render(self, plan: Plan) -> str:
        """The goals first, because they say what the other tables are for."""
        rounds = ", ".join(f"{path.name} {path.rounds}" for path in self.paths) or "none"
        start, end = self.loads
        lines = [
            "# Benchmarks",
            "",
            "Written by `make bench`; do not edit.",
            "",
            f"- Machine: {machine_line(self.postgres)}",
            f"- Load average: {start:.1f} at the start, {end:.1f} at the end; the run itself makes 2 to 4",
            *([_BUSY] if start > 1 or end > 5 else []),
            *([f"- **Failed, and not measured: {', '.join(self.failed)}.**"] if self.failed else []),
            f"- Run: seed {plan.seed}, {plan.seconds:g} s a turn; rounds: {rounds}; {self.took_s:.0f} s in all",
            "",
            "## The goals",
            "",
            goals_table(self.figures()),
        ]
        if self.paths:
            lines += ["## The paths", "", table_of_paths(self.paths), "", EXPLANATION]
        for section in self.sections:
            lines += [f"## {section.title}", "", section.text]
        return "\n".join(lines)


async def measure(ground: Ground, names: Sequence[str], plan: Plan) -> Measured:
    began, load = time.monotonic(), psutil.getloadavg()[0]
    await ground.prepare()
    paths = await run_paths(ground, [path for path in PATHS if not names or path.name in names], plan)
    sections, failed = [], []
    for name, run in SECTIONS.items():
        if name not in (names or SECTIONS.keys() - ONLY_BY_NAME):
            continue
        try:
            sections.append(await run(ground, plan))
        except Exception:  # noqa: BLE001 - what the others have measured is reported
            failed.append(name)
            traceback.print_exc()
        sys.stderr.write(f"{name}: {'failed' if name in failed else 'done'} after {time.monotonic() - began:.0f} s\n")
    loads = load, psutil.getloadavg()[0]
    return Measured(paths, sections, failed, await ground.version(), time.monotonic() - began, loads)


def main(arguments: Sequence[str]) -> int:
    asked = read_arguments(arguments)
    if asked.goals:
        sys.stdout.write(goals_table(json.loads(FIGURES.read_text())))
        return 0
    plan = plan_of(asked)
    # As an exception, so that everything the run has started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with open_ground() as ground:
            measured = asyncio.run(measure(ground, asked.names, plan))
    except BenchmarkFailed as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    text = measured.render(plan)
    sys.stdout.write(text)
    if asked.write:
        REPORT.write_text(text)
        FIGURES.write_text(json.dumps(measured.figures(), indent=1, sort_keys=True) + "\n")
    return 1 if measured.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
