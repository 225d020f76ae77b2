"""The stack and the API of the statistics."""

from tests.flows.analytics.conftest import api, database_url, stack

__all__ = ["api", "database_url", "stack"]
