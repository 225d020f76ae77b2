"""The two depths: as part of every test run, and `pytest tests/properties --hypothesis-profile full`."""

from hypothesis import settings

from .depth import FULL, FULL_FACTOR, SEED, is_full

settings.register_profile(FULL, print_blob=True)


def pytest_report_header():
    return f"properties: {FULL_FACTOR if is_full() else 1} x the examples, seed {SEED}"
