"""The stack that dials."""

from tests.flows.call_processing.conftest import stack

__all__ = ["stack"]
