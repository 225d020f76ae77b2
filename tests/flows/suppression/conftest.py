"""The stack that plays recorded calls."""

from tests.flows.event_processing.conftest import database_url, make_line, stack

__all__ = ["database_url", "make_line", "stack"]
