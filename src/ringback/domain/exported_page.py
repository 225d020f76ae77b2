"""A page of exported rows, as the database gives it and a file takes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of an export. Each has a value for each of the names. A page has at least one row."""

    names: Sequence[str]
    rows: Sequence[Sequence[Any]]
