"""The suites by name, in the order of the reports: the quick ones that need no system first."""

from importlib import import_module

from proof.findings import Run

#: The first keep two cores busy. The others wait for faults, leases and deadlines most of the time.
BUSY = ("model", "field", "statistics", "planted", "crashes")
WAITING = ("provider", "surroundings", "hostile", "kill")
#: It measures rates, so nothing runs beside it.
AT_THE_END = ("load",)
NAMES = (*BUSY, *WAITING, *AT_THE_END)


def suite(name: str) -> Run:
    """Imported only when it is asked for, because some suites import the whole product."""
    run: Run = import_module(f"proof.{name}").run
    return run
