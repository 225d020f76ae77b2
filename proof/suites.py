"""The suites by name, in the order of their run: the quick ones that need no system first."""

from importlib import import_module

from proof.findings import Run

NAMES = ("model", "field", "statistics", "planted", "crashes", "provider", "surroundings", "hostile", "load", "kill")


def suite(name: str) -> Run:
    """Imported only when it is asked for, because some suites import the whole product."""
    run: Run = import_module(f"proof.{name}").run
    return run
