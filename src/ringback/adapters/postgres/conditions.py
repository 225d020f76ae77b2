"""Build the conditions of a list from what was asked for."""

from collections.abc import Mapping
from typing import Any


def conditions_of(asked: Mapping[str, object], *, joined_by: str = "AND", first: int = 1) -> tuple[str, list[Any]]:
    """Build the SQL for the conditions with a value, and their values. Parameters are numbered from `first`."""
    values = [value for value in asked.values() if value is not None]
    texts = [text for text, value in asked.items() if value is not None]
    return " ".join(f"{joined_by} {text}${number}" for number, text in enumerate(texts, first)), values
