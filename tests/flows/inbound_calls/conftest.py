"""The stack of the business operations."""

from tests.flows.business_operations.conftest import stack

__all__ = ["stack"]
