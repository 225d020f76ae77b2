"""The target of a planted bug: found or named as moved, replaced wherever the product has it, edited by its syntax."""

import asyncio
import re
import subprocess
import sys
from importlib import import_module

import pytest

from proof.evidence import ROOT
from proof.invariants import Invariant
from proof.planted import bug as bug_module
from proof.planted.bug import START, Replacement, TextPatch, bugs_of, planted, read_edits
from proof.planted.target import CodeMoved, Target

PRODUCT = '''
import contextlib
import functools

TABLE = {1: "one"}
STATEMENT = """
SELECT a
FROM t WHERE a AND a
"""

def twice(number: int) -> int:
    # A comment.
    doubled = (number
               + number)
    return doubled

async def later(number):
    return number

@functools.lru_cache
def remembered(number):
    return number

def repeated():
    forget(); forget()

def only():
    forget()

class Crate:
    rooms = 3

    def size(self, factor):
        if factor:
            return self.rooms * factor
        else:
            return 0

    @property
    def is_large(self):
        return self.rooms > 9

    @staticmethod
    def name():
        return "crate"

    @classmethod
    def of(cls):
        return cls.__name__

    @contextlib.contextmanager
    def opened(self):
        yield "open"

class Tower(Crate):
    def size(self, factor):
        return super().size(factor) + 1
'''


@pytest.fixture
def product(tmp_path, monkeypatch):
    """A module `sample`, and one that has imported names of it."""
    (tmp_path / "sample.py").write_text(PRODUCT)
    (tmp_path / "user.py").write_text("from sample import twice as double, TABLE\nONE = 'one'\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("sample", "user"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    module, user = import_module("sample"), import_module("user")
    monkeypatch.setitem(sys.modules, "ringback.user", user)
    monkeypatch.setattr(bug_module, "INSTALLED", [])
    yield module
    for name in ("sample", "user"):
        sys.modules.pop(name, None)


def plant(path: str, bug) -> None:
    target = Target.find(path)
    target.replace(target.stand_in(bug))


def edit(path: str, old: str, new: str) -> None:
    target = Target.find(path)
    target.replace(target.edited(old, new))


@pytest.mark.parametrize("path", ["samples:twice", "sample:thrice", "sample:Crate.door", "sample:Hut.size"])
def test_a_target_that_has_moved_is_named(product, path):
    with pytest.raises(CodeMoved, match=path):
        Target.find(path)


def test_a_function_is_replaced_wherever_it_was_imported(product):
    plant("sample:twice", one_more)
    assert product.twice(2) == 5
    assert sys.modules["ringback.user"].double(2) == 5


def test_each_kind_of_function_stays_of_its_kind(product):
    async def one_more_later(right, number):
        return await right(number) + 1

    plant("sample:later", one_more_later)
    plant("sample:remembered", one_more)
    plant("sample:Crate.size", lambda right, crate, factor: right(crate, factor) + crate.rooms)
    plant("sample:Crate.is_large", lambda right, crate: not right(crate))
    plant("sample:Crate.name", lambda right: right() + "!")
    plant("sample:Crate.of", lambda right, cls: right(cls) + "?")
    crate = product.Crate()
    assert asyncio.iscoroutinefunction(product.later) and asyncio.run(product.later(1)) == 2
    assert (product.remembered(1), crate.size(2), crate.is_large) == (2, 9, True)
    assert (crate.name(), crate.of()) == ("crate!", "Crate?")


def test_a_value_is_replaced_by_what_the_bug_makes_of_it(product):
    plant("sample:TABLE", lambda right: {**right, 2: "two"})
    assert product.TABLE == sys.modules["ringback.user"].TABLE == {1: "one", 2: "two"}
    with pytest.raises(CodeMoved, match="sample:TABLE"):
        Target.find("sample:TABLE").stand_in(dict)


def test_an_edit_replaces_statements_or_an_expression_whatever_their_layout(product):
    edit("sample:twice", "doubled = number + number\nreturn doubled", "return number * 3")
    edit("sample:Crate.size", "self.rooms   * factor", "self.rooms - factor")
    edit("sample:Crate.opened", 'yield "open"', 'yield "closed"')
    edit("sample:Crate.is_large", "self.rooms > 9", "self.rooms > 2")
    assert (product.twice(2), sys.modules["ringback.user"].double(2)) == (6, 6)
    crate = product.Crate()
    with crate.opened() as state:
        assert (crate.size(1), state, crate.is_large) == (2, "closed", True)


def test_an_edit_finds_the_branches_of_a_statement(product):
    edit("sample:Crate.size", "return 0", "return 1")
    edit("sample:only", "forget()", "")
    assert (product.Crate().size(0), product.only()) == (1, None)


def test_an_edited_method_has_its_super_class(product):
    edit("sample:Tower.size", "super().size(factor) + 1", "super().size(factor) + 2")
    assert product.Tower().size(1) == 5


def test_an_edit_of_a_text_does_not_look_at_its_lines(product):
    edit("sample:STATEMENT", "a FROM t", "b FROM t")
    assert product.STATEMENT == "\nSELECT b FROM t WHERE a AND a\n"


@pytest.mark.parametrize(
    ("path", "old", "times"),
    [
        ("sample:twice", "return number", 0),
        ("sample:repeated", "forget()", 2),
        ("sample:STATEMENT", "SELECT b", 0),
        ("sample:STATEMENT", "a", 3),
    ],
)
def test_an_edit_of_what_is_not_there_exactly_once_is_refused(product, path, old, times):
    with pytest.raises(CodeMoved, match=f"{path} has this {times} times: "):
        Target.find(path).edited(old, "")


def test_an_edit_of_a_value_is_refused(product):
    with pytest.raises(CodeMoved, match="sample:TABLE"):
        Target.find("sample:TABLE").edited('"one"', '"two"')


EDITS = """\
# Bugs of a sample.

# The comment of one.
never_forgets: I1 I2. Memory is cheap.
in sample:repeated
- forget()
by test_cli.py::test_a test_cli.py::test_b
by test_up.py

of_a_file: Who reads it?
in web/file.py
-     old
- older
+     new
by test_cli.py
"""


def test_an_edit_is_read_from_its_paragraph():
    edit, patch = read_edits(EDITS, "edits/sample")
    assert (edit.name, edit.aims, edit.why) == ("never_forgets", (Invariant.I1, Invariant.I2), "Memory is cheap.")
    assert edit.tests == ("test_cli.py::test_a", "test_cli.py::test_b", "test_up.py")
    assert edit.targets == ("ringback.sample:repeated",)
    assert (patch.aims, patch.why) == ((), "Who reads it?")
    assert isinstance(patch, TextPatch) and (patch.file, patch.old, patch.new) == (
        "web/file.py",
        "    old\nolder",
        "    new",
    )


@pytest.mark.parametrize(
    ("right", "wrong", "problem"),
    [
        ("in sample", "of sample", "no line of an edit: of sample:repeated"),
        ("never_forgets: ", "", "no edit: "),
        ("- forget()\n", "", "no edit: "),
    ],
)
def test_a_paragraph_that_is_no_edit_is_refused(right, wrong, problem):
    with pytest.raises(ValueError, match=re.escape(problem)):
        list(read_edits(EDITS.replace(right, wrong), "edits/sample"))


def test_a_bug_whose_code_has_moved_names_itself_and_its_target(product, monkeypatch):
    monkeypatch.setattr(bug_module, "PACKAGE", "ringback.sample")
    monkeypatch.setitem(sys.modules, "ringback.sample.sample", product)
    moved, _ = read_edits(EDITS.replace("forget()", "gone()"), "edits/sample")
    lost = planted("sample:thrice", "I1", "test_cli.py")(one_more)
    for bug, message in (
        (moved, "never_forgets: ringback.sample.sample:repeated has this 0 times: gone()"),
        (lost, "one_more: sample:thrice: KeyError"),
    ):
        with pytest.raises(CodeMoved, match=re.escape(message)):
            bug.install()


def test_a_bug_may_replace_several_functions(product):
    planted(("sample:twice", "sample:remembered"), "I1", "test_cli.py")(one_more).install()
    assert (product.twice(2), product.remembered(2)) == (5, 3)


def one_more(right, number):
    return right(number) + 1


def run_python(code: str, bug: Replacement, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": f"{START}:{ROOT}", **bug.environment(), **changes}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(params=["proof.planted.bugs_claiming:retry_at_the_very_expiry", "edits/claiming:released_while_paused"])
def bug(request) -> Replacement:
    module, _, name = request.param.partition(":")
    found = bugs_of(module)[name]
    assert isinstance(found, Replacement)
    assert found.aims == (Invariant.I10,)
    return found


#: Whether the process has the bug, of each kind.
ASK = """
from ringback.adapters.postgres.tasks import RELEASE_DUE
from ringback.domain.outcome import next_attempt_at
print(hasattr(next_attempt_at, "__wrapped__") or "paused_at" not in RELEASE_DUE)
"""


def test_a_process_and_those_that_it_starts_have_the_bug_of_their_environment(bug):
    assert run_python(ASK, bug).stdout == "True\n"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ASK!r}])"
    assert run_python(child, bug).stdout == "True\n"


def test_a_process_of_another_python_has_no_bug(bug):
    assert run_python(ASK, bug, PLANTED_BUG_PYTHON="/elsewhere").stdout == "False\n"


def test_a_process_whose_bug_cannot_be_planted_does_not_run(bug):
    done = run_python("print('ran')", bug, PLANTED_BUG="proof.planted.bugs_claiming:no_such_bug")
    assert done.returncode != 0
    assert done.stdout == ""
    assert "the bug is not planted: KeyError" in done.stderr
