"""`python -m proof`: run the suites, print a line for each invariant, write evidence/ and the figures of documents."""

import argparse
import os
import sys
import time
from collections.abc import Sequence

from proof import evidence, report
from proof.crashes import on_sqs
from proof.findings import Size
from proof.planted import forced_groups
from proof.suite_runs import Order, all_suites, end_orderly, in_turn
from proof.suites import NAMES

SEED = 20261122
README = evidence.ROOT / "README.md"
FIGURES = evidence.ROOT / "docs" / "proof.md"


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m proof", description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="suite", help=f"of {', '.join(NAMES)}; all if none is named")
    parser.add_argument("--size", type=Size, choices=list(Size), default=Size.FULL, help="small or full (full)")
    parser.add_argument("--seed", type=int, default=SEED, help=f"what everything random is drawn from ({SEED})")
    parser.add_argument("--write", action="store_true", help="write evidence/, and the documents' figures from it")
    parser.add_argument("--groups", choices=forced_groups.CHOICES, help="put each unit of work into a group, or none")
    parser.add_argument("--queues", choices=on_sqs.CHOICES, help="put both queues of the crashes on an SQS server")
    asked = parser.parse_args(arguments)
    if asked.write and (asked.groups or asked.queues):
        parser.error("--write keeps evidence of the usual groups and queues: leave out --groups and --queues")
    if unknown := sorted(set(asked.suites) - set(NAMES)):
        parser.error(f"no such suite: {', '.join(unknown)} (there are {', '.join(NAMES)})")
    return asked


def main(arguments: Sequence[str]) -> int:
    asked = read_arguments(arguments)
    end_orderly()
    if asked.groups:
        forced_groups.force(asked.groups)
    if asked.queues:
        os.environ[on_sqs.VARIABLE] = asked.queues
    began = time.monotonic()
    order = Order(asked.size, asked.seed, keeps=asked.write)
    proved = in_turn(asked.suites, order) if asked.suites else all_suites(order)
    if asked.write:
        kept = evidence.read()
        README.write_text(report.with_figures(README.read_text(), report.totals(kept)))
        FIGURES.write_text(report.with_figures(FIGURES.read_text(), report.figures(kept)))
    sys.stdout.write("\n".join(report.lines(proved)) + "\n")
    sys.stdout.write(f"{', '.join(one.suite for one in proved)}: {(time.monotonic() - began) / 60:.1f} minutes\n")
    missing = report.failures(proved) + ([] if asked.suites else report.gaps(proved))
    if missing:
        sys.stdout.write("\nNOT PROVED\n" + "\n".join(missing) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
