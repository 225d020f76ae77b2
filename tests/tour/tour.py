"""A tour of a running system: tasks of its users, what each command prints, and whether that is true."""

import json
import re
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from tests.stories.running_system import Answer, Json, RunningSystem, SystemClient, ask, clean_environment

#: Of a long output the report shows the beginning. The statements are about all of it.
MOST_LINES = 12
#: The width of a narrow terminal. Output to a pipe must not care.
NARROW = "20"
#: A line that continues the one before it is indented by four spaces. A line that was cut ends with dots.
BROKEN = re.compile(r" {4}\S|.*(…|\.\.\.$)")


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    stdout: str
    stderr: str
    code: int
    took_s: float

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()

    @property
    def body(self) -> Any:
        return json.loads(self.stdout)


@dataclass
class Tour:
    """Runs commands and requests, prints them with what they answer, and keeps the statements that are false."""

    system: RunningSystem
    out: TextIO
    statements: int = 0
    false: list[str] = field(default_factory=list)
    piped_lines: list[str] = field(default_factory=list)

    @property
    def client(self) -> SystemClient:
        return self.system.client

    def run(self, *words: str, env: Mapping[str, str] | None = None, has_data_dir: bool = True, shown: str = "") -> Ran:
        """Run `ringback` in a pipe, on a terminal that would be narrow. The report has the lines that match `shown`."""
        own = ["--data-dir", str(self.system.home / "data")] if has_data_dir else []
        began_s = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-m", "ringback.cli", *words, *own],
            env={**clean_environment(env or {}), "COLUMNS": NARROW},
            cwd=self.system.home,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        ran = Ran(ended.stdout, ended.stderr, ended.returncode, time.monotonic() - began_s)
        self.write(f"  $ ringback {shlex.join(words)}")
        # Lines on stderr that begin with a brace are the log.
        notes = [line for line in ran.stderr.splitlines() if not line.startswith("{")]
        self.show([line for line in [*ran.lines, *notes] if re.search(shown, line)])
        if "--json" not in words and not ran.stdout.startswith(("[", "{")):
            self.piped_lines += ran.lines
        return ran

    def request(
        self, method: str, path: str, body: Any = None, key: str | None = None, api_key: str | None = None
    ) -> Answer:
        """Send a request to the API, with an Idempotency-Key if there is one, as another client if its key is given."""
        headers = {"Authorization": f"Bearer {api_key or self.client.api_key}"}
        answer = ask(method, self.client.url + path, body, headers | ({"Idempotency-Key": key} if key else {}))
        said = f" {json.dumps(body)}" if body is not None else ""
        self.write(f"  > {method} {path}{said}{f'  (Idempotency-Key: {key})' if key else ''}")
        self.show([f"{answer.status} {json.dumps(answer.body)}"])
        return answer

    def says(self, statement: str, *, is_true: bool, found: object = "") -> None:
        """Print a statement about what was seen, and whether it is true. `found` is printed if it is not."""
        self.statements += 1
        self.write(f"  {'true ' if is_true else 'FALSE'}  {statement}")
        if not is_true:
            self.false.append(statement)
            self.write(f"         found: {found}")

    def write(self, line: str) -> None:
        self.out.write(f"{line}\n")
        self.out.flush()

    def show(self, lines: Sequence[str]) -> None:
        for line in lines[:MOST_LINES]:
            self.write(f"    {line}")
        if len(lines) > MOST_LINES:
            self.write(f"    (and {len(lines) - MOST_LINES} lines more)")


@dataclass(frozen=True)
class Task:
    """A task of a user. The title is the first line of the docstring of `walk`. `is_long`: not in the small size."""

    walk: Callable[[Tour], None]
    is_long: bool = False

    @property
    def title(self) -> str:
        return (self.walk.__doc__ or "").partition("\n")[0]


def walk_all(tour: Tour, tasks: Mapping[str, Sequence[Task]], *, is_small: bool) -> None:
    """Do the tasks of each user. A task that cannot be done is a false statement, and the next one follows."""
    for user, own in tasks.items():
        tour.write(f"\n{user}")
        for task in own:
            if is_small and task.is_long:
                continue
            tour.write(f"\n  {task.title}")
            try:
                task.walk(tour)
            except Exception as error:  # noqa: BLE001 - whatever ends a task is a result of the tour
                tour.says(f"The task can be done: {task.title}", is_true=False, found=repr(error)[:500])


def report(tour: Tour, times: Mapping[str, Sequence[float]], set_ups: Json) -> bool:
    """Print the measures and the result. Returns whether every statement was true.

    `times` has the seconds of each try. They are printed and not judged, because they depend on the machine.
    """
    broken = [line for line in tour.piped_lines if BROKEN.match(line)]
    whole = len(tour.piped_lines) - len(broken)
    tour.write("\nMeasures")
    for what, each_s in times.items():
        each = ", ".join(f"{one:.2f}" for one in each_s)
        tour.write(f"  {what}: {statistics.median(each_s):.2f} s, the median of {each}")
    if set_ups:
        tour.write(f"  {set_ups['right']} of {set_ups['tried']} wrong set-ups end with one sentence and exit code 2")
    tour.write(f"  {whole} of {len(tour.piped_lines)} lines in a pipe are whole")
    tour.says("Every line in a pipe is whole.", is_true=not broken, found=broken[:3])
    true = tour.statements - len(tour.false)
    tour.write(f"\n{true} of {tour.statements} statements are true.")
    for statement in tour.false:
        tour.write(f"  FALSE  {statement}")
    return not tour.false
