"""Adapters to the dependencies: the only code that knows their protocols."""
