"""`python -m tests.tour [--small]`: do the tasks of Ringback's users, and print what is true. Exit code 1: not all."""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.stories.running_system import Json, RunningSystem, new_call

from . import conversation_designer, deploying_engineer, engage_developer, operator
from .tour import Tour, report, walk_all

TASKS = {
    "A backend developer at Engage": engage_developer.TASKS,
    "A conversation designer": conversation_designer.TASKS,
    "An operator at night": operator.TASKS,
    "An engineer who deploys": deploying_engineer.TASKS,
}
#: A talk of 20 s takes half a second.
SETTINGS = {"RINGBACK_EMULATOR_SPEED": "40"}
TRIES = 5
SET_UPS = "tests/cli/test_wrong_set_ups.py"


def main(*, is_small: bool) -> bool:
    """Walk on a system of its own. Returns whether every statement was true."""
    with tempfile.TemporaryDirectory(prefix="ringback-tour-", ignore_cleanup_errors=True) as home:
        system = RunningSystem(Path(home), SETTINGS)
        try:
            sys.stdout.write("$ ringback up --json\n")
            system.start()
            tour = Tour(system, sys.stdout)
            walk_all(tour, TASKS, is_small=is_small)
            times = {} if is_small else _times(tour)
            stopped = system.stop()
            tour.says("The system stops cleanly.", is_true=stopped == 0, found=stopped)
            return report(tour, times, {} if is_small else _try_set_ups(tour))
        finally:
            system.discard()


def _times(tour: Tour) -> dict[str, list[float]]:
    """The times of an explanation, in seconds, and those of a program without a line on the same machine."""
    tour.write("\nThe time of an explanation")
    tour.client.place(new_call("+12135550103"))
    empty_s, why_s = [], []
    for _ in range(TRIES):
        began_s = time.monotonic()
        subprocess.run([sys.executable, "-c", ""], check=True)
        empty_s.append(time.monotonic() - began_s)
        why_s.append(tour.run("why", "+12135550103").took_s)
    return {"ringback why (goal: 0.4 s)": why_s, "an empty Python program": empty_s}


def _try_set_ups(tour: Tour) -> Json:
    """Let the test of the wrong set-ups try each. One is right if it is one sentence without a traceback."""
    words = [sys.executable, "-m", "pytest", "-q", "-n", "0", SET_UPS, "-k", "a_wrong_set_up"]
    ended = subprocess.run(words, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", ended.stdout)}
    right, tried = counts.get("passed", 0), sum(counts.values())
    tour.write(f"\n  $ pytest {SET_UPS}")
    tour.says("Every wrong set-up is one sentence.", is_true=0 < right == tried, found=ended.stdout[-2000:])
    return {"right": right, "tried": tried}


if __name__ == "__main__":
    sys.exit(0 if main(is_small="--small" in sys.argv[1:]) else 1)
