"""The size budget: files and functions that a newcomer reads in one go."""

import math
import re
import statistics
import subprocess
import sys
from pathlib import Path

import typer

from ringback.cli import app

from .measures import once_used_private_functions
from .tree import EMULATOR, PRODUCT, ROOT, functions, line_count, our_files, python_files, shown

SOURCE_FILES = python_files(PRODUCT, EMULATOR)
ALL_FILES = python_files(PRODUCT, EMULATOR, ROOT / "tests", ROOT / "benchmarks", ROOT / "proof")
#: Words that say nothing about what is inside.
EMPTY_WORDS = {"util", "utils", "helper", "helpers", "common", "misc", "base", "manager"}


def too_long(limit: int) -> list[str]:
    return [f"{shown(path)}: {line_count(path)} lines" for path in ALL_FILES if line_count(path) > limit]


def test_the_median_file_has_at_most_110_lines():
    assert statistics.median(map(line_count, SOURCE_FILES)) <= 110


def test_no_file_has_more_than_400_lines():
    assert too_long(400) == []


def test_a_service_has_at_most_120_lines():
    services = python_files(PRODUCT / "services")
    assert [f"{shown(path)}: {line_count(path)}" for path in services if line_count(path) > 120] == []


def test_no_function_has_more_than_60_lines_and_nineteen_of_twenty_at_most_40():
    found = [(one.lines, one.name, shown(path)) for path in SOURCE_FILES for one in functions(path.read_text())]
    assert [one for one in found if one[0] > 60] == []
    assert sorted(lines for lines, _, _ in found)[math.floor(len(found) * 0.95)] <= 40


def command_names(application: typer.Typer) -> set[str]:
    """Functions of the command line: each of their arguments is an option that a person types."""
    groups = [group.typer_instance for group in application.registered_groups if group.typer_instance]
    own = {command.callback.__name__ for command in application.registered_commands if command.callback}
    return own.union(*map(command_names, groups))


def test_no_function_takes_more_than_six_arguments():
    found = [(shown(path), one) for path in SOURCE_FILES for one in functions(path.read_text())]
    many = {(path, one.name) for path, one in found if one.arguments > 6}
    commands = command_names(app)
    assert {(path, name) for path, name in many if not ("/cli" in path and name in commands)} == set()


def test_at_most_15_percent_of_the_functions_are_private_and_used_once():
    """Such a function only names lines, unless they are many. It is inlined where the caller then reads better."""
    counted = [once_used_private_functions(path.read_text()) for path in SOURCE_FILES]
    once, all_of_them = map(sum, zip(*counted, strict=True))
    assert once <= all_of_them * 0.15, f"{once} of {all_of_them}; inline some of the short ones"


def test_no_function_is_more_complex_than_10():
    """McCabe's number, as the linter counts it, without the exceptions that its configuration may grow."""
    ruff = [str(Path(sys.executable).with_name("ruff")), "check", "--isolated", "--no-cache", "--select", "C901"]
    limit = ["--config", "lint.mccabe.max-complexity = 10", "--output-format", "concise"]
    told = subprocess.run([*ruff, *limit, str(PRODUCT), str(EMULATOR)], capture_output=True, text=True, check=False)
    assert (told.stdout.strip(), told.returncode) == ("All checks passed!", 0)


def test_no_file_folder_or_class_has_an_empty_name():
    names = {shown(path) for path in our_files() if EMPTY_WORDS & set(re.split(r"[^a-z]+", shown(path).lower()))}
    classes = {
        f"{shown(path)}: {name}"
        for path in SOURCE_FILES
        for name in re.findall(r"^class (\w+)", path.read_text(), re.MULTILINE)
        if re.search(r"^_?Base(?=[A-Z]|$)|Manager$|Helper$|^I[A-Z][a-z]", name)
    }
    assert (names, classes) == (set(), set())


def test_every_module_begins_with_what_it_is_for():
    silent = [shown(path) for path in SOURCE_FILES if not path.read_text().lstrip().startswith('"""')]
    # Alembic runs these two kinds as scripts; the SQL file beside a version says what it is for.
    assert [name for name in silent if "/migrations/" not in name] == []


def test_the_measures_see_what_they_are_asked_about():
    source = "class A:\n    @decorated\n    def f(self, a, *, b):\n        x = 1\n        return x\n"
    assert [(one.name, one.lines, one.arguments) for one in functions(source)] == [("f", 3, 2)]
