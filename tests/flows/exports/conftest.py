"""The stack and the API of the statistics."""

from tests.flows.analytics.conftest import api, application, database_url, stack

__all__ = ["api", "application", "database_url", "stack"]
