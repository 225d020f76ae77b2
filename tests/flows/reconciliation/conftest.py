"""The stack that dials."""

from tests.flows.call_processing.conftest import pool, shared_database, stack

__all__ = ["pool", "shared_database", "stack"]
