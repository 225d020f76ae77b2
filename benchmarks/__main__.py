"""`python -m benchmarks`: measure, print the table, and write docs/benchmarks.md if asked."""

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path as File

from benchmarks import actions, analytics
from benchmarks.actions import ActionResults, run_actions
from benchmarks.analytics import AnalyticsResults, run_analytics
from benchmarks.child import ROOT, BenchmarkFailed
from benchmarks.filled import measure_filled
from benchmarks.ground import Ground, open_ground
from benchmarks.paths import PATHS, Path
from benchmarks.report import Machine, render
from benchmarks.results import PathResult
from benchmarks.running import Plan, run_paths

REPORT = ROOT / "docs" / "benchmarks.md"


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    names = [*(path.name for path in PATHS), actions.NAME, analytics.NAME]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="path", help=f"of {', '.join(names)}; all if none is named")
    parser.add_argument("--seconds", type=float, default=3.0, help="load of one turn (3)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side (3)")
    parser.add_argument("--limit", type=float, default=165.0, help="seconds after which no further round begins (165)")
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--write", action="store_true", help=f"also write {REPORT.relative_to(ROOT)}")
    parser.add_argument(
        "--profile", type=File, metavar="DIR", help="cProfile of the product; its rates mean nothing then"
    )
    parser.add_argument(
        "--attempts", type=int, default=analytics.ATTEMPTS, help=f"of the statistics ({analytics.ATTEMPTS})"
    )
    parser.add_argument(
        "--filled", type=int, metavar="CALLS", help="only the statements, over tables with this many calls"
    )
    asked = parser.parse_args(arguments)
    if unknown := sorted(set(asked.names) - set(names)):
        parser.error(f"no such path: {', '.join(unknown)} (there are {', '.join(names)})")
    return asked


def chosen(names: Sequence[str]) -> list[Path]:
    return [path for path in PATHS if not names or path.name in names]


@dataclass(frozen=True, slots=True)
class Measured:
    """`actions` and `analytics` are None if other paths were asked for."""

    paths: list[PathResult]
    actions: ActionResults | None
    analytics: AnalyticsResults | None
    machine: Machine


async def measure(ground: Ground, names: Sequence[str], plan: Plan, attempts: int) -> Measured:
    began = time.monotonic()
    await ground.prepare()
    of_actions = await run_actions(ground, plan) if not names or actions.NAME in names else None
    is_asked = not names or analytics.NAME in names
    of_analytics = await run_analytics(ground, attempts, plan.seed) if is_asked else None
    left = replace(plan, limit_s=plan.limit_s - (time.monotonic() - began))
    of_paths = await run_paths(ground, chosen(names), left)
    return Measured(of_paths, of_actions, of_analytics, Machine(await ground.version()))


def main(arguments: Sequence[str]) -> int:
    asked = read_arguments(arguments)
    plan = Plan(asked.seconds, max(1, asked.rounds), asked.limit, asked.seed, asked.profile)
    # As an exception, so that everything the run has started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    try:
        with open_ground() as ground:
            if asked.filled is not None:
                sys.stdout.write(asyncio.run(measure_filled(ground, asked.filled)))
                return 0
            measured = asyncio.run(measure(ground, asked.names, plan, asked.attempts))
    except BenchmarkFailed as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    text = render(measured.paths, measured.machine, plan, time.monotonic() - began)
    if measured.actions is not None:
        text += "\n" + measured.actions.render()
    if measured.analytics is not None:
        text += "\n" + measured.analytics.render()
    sys.stdout.write(text)
    if asked.write:
        REPORT.parent.mkdir(exist_ok=True)
        REPORT.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
