"""A pytest plugin that writes down what became of each test, so that a run can be judged from outside of it."""

import json
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from proof.planted.bug import INSTALLED

ROOT = Path(__file__).parents[2]
#: Where the rules stand. An assertion anywhere else is the product's own, and says only that it broke.
RULES = (ROOT / "tests", ROOT / "proof")


class Witness:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.reports: list[dict[str, Any]] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        error = call.excinfo.value if call.excinfo is not None and report.failed else None
        self.reports.append(
            {
                "test": report.nodeid,
                "phase": report.when,
                "outcome": "xfailed" if hasattr(report, "wasxfail") else report.outcome,
                "error": _named(error),
                "is_rule": call.when == "call" and error is not None and _breaks_a_rule(error),
                "properties": dict(item.user_properties),
            }
        )
        return report

    def pytest_sessionfinish(self) -> None:
        import ringback

        seen = {"package": str(ringback.__file__), "installed": INSTALLED, "reports": self.reports}
        self.path.write_text(json.dumps(seen, default=str))


def _named(error: BaseException | None) -> str:
    return "" if error is None else f"{type(error).__name__}: {error}"[:600]


def _breaks_a_rule(error: BaseException) -> bool:
    """Whether a test said that a rule does not hold, and the test did not merely fall over."""
    return any(_is_a_rules_own(leaf) for leaf in _leaves(error))


def _is_a_rules_own(error: BaseException) -> bool:
    if isinstance(error, pytest.fail.Exception):
        return True
    # `(attempt,) = attempts` is how a test says that there is exactly one.
    is_unpacking = isinstance(error, ValueError) and "values to unpack" in str(error)
    if not (isinstance(error, AssertionError) or is_unpacking) or error.__traceback__ is None:
        return False
    last = error.__traceback__
    while last.tb_next is not None:
        last = last.tb_next
    raised_in = Path(last.tb_frame.f_code.co_filename)
    return any(raised_in.is_relative_to(folder) for folder in RULES)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--witness", type=Path, required=True, help="the JSON file to write")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Witness(config.getoption("--witness")))
