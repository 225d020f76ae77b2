"""Three depths: of every test run, of the proof (`--hypothesis-profile proof`), and `--hypothesis-profile full`."""

from collections.abc import Generator

import pytest
from hypothesis import settings

from .depth import DEEPER, SEED, factor, tried

for profile in DEEPER:
    settings.register_profile(profile, print_blob=True)


def pytest_report_header():
    return f"properties: {factor()} x the examples, seed {SEED}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    name = item.name.partition("[")[0]
    before = tried[name]
    yield
    item.user_properties.append(("cases", max(tried[name] - before, 1)))
