"""`python -m proof`: run the suites, print a line for each invariant, write evidence/ and the figures of documents."""

import argparse
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence

from proof import evidence, report
from proof.crashes import on_sqs
from proof.evidence import Evidence
from proof.findings import Size
from proof.planted import forced_groups
from proof.suites import NAMES, suite

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


def prove(name: str, size: Size, seed: int) -> Evidence:
    """One suite; that it failed itself is evidence too, and the others still run."""
    began = time.monotonic()

    def say(line: str) -> None:
        sys.stdout.write(f"[{name} {time.monotonic() - began:6.1f} s] {line}\n")
        sys.stdout.flush()

    say(f"begins: size {size}, seed {seed}")
    try:
        found = suite(name)(size, seed, say)
    except Exception as error:  # noqa: BLE001 - the loop's shell: one broken suite must not hide what the others find
        traceback.print_exc()
        return evidence.from_failure(name, size, seed, time.monotonic() - began, error)
    done = evidence.from_findings(found, size, time.monotonic() - began)
    say(f"{'holds' if done.holds else 'BROKEN'}: {', '.join(f'{key} {value}' for key, value in found.counts.items())}")
    return done


def main(arguments: Sequence[str]) -> int:
    asked = read_arguments(arguments)
    # As an exception, so that everything the suites have started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if asked.groups:
        forced_groups.force(asked.groups)
    if asked.queues:
        os.environ[on_sqs.VARIABLE] = asked.queues
    is_whole = not asked.suites
    proved = []
    for name in asked.suites or NAMES:
        proved.append(prove(name, asked.size, asked.seed))
        if asked.write:
            proved[-1].write()
    if asked.write:
        kept = evidence.read()
        README.write_text(report.with_figures(README.read_text(), report.totals(kept)))
        FIGURES.write_text(report.with_figures(FIGURES.read_text(), report.figures(kept)))
    sys.stdout.write("\n".join(report.lines(proved)) + "\n")
    missing = report.failures(proved) + (report.gaps(proved) if is_whole else [])
    if missing:
        sys.stdout.write("\nNOT PROVED\n" + "\n".join(missing) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
