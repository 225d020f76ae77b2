"""Several reads of one unit of work in one statement, which repositories then need not make."""

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import asyncpg

from ringback.adapters.postgres.tracked_rows import renumbered

#: A statement that changes nothing, and its values.
Asked = tuple[str, tuple[Any, ...]]
#: A row by the names of its columns.
Answer = asyncpg.Record | dict[str, Any]
_FOUND = "found ahead"


@lru_cache(64)
def together(asked: tuple[tuple[str, int], ...]) -> str:
    """Return one statement for these, each with the number of its values. Its one row has the first row of each.

    OFFSET keeps each subquery by itself, so it is planned with the same indexes as the statement alone.
    """
    joined, before = [], 0
    for place, (statement, count) in enumerate(asked):
        each = f'SELECT true AS "{_FOUND}", answer.* FROM ({renumbered(statement, before)} OFFSET 0) AS answer LIMIT 1'
        joined.append(f"LEFT JOIN LATERAL ({each}) AS a{place} ON true")
        before += count
    columns = ", ".join(f"a{place}.*" for place in range(len(asked)))
    return f"SELECT {columns} FROM (SELECT) AS once {' '.join(joined)}"


def answers_of(record: asyncpg.Record) -> list[dict[str, Any] | None]:
    """Return the rows of which the record consists, in the order of their statements. None: there was no row."""
    answers: list[dict[str, Any] | None] = []
    answer: dict[str, Any] = {}
    for name, value in zip(record.keys(), record.values(), strict=True):
        if name != _FOUND:
            answer[name] = value
            continue
        answer = {}
        answers.append(answer if value else None)
    return answers


def statement_of(asked: Sequence[Asked]) -> Asked:
    """Return the one statement for all of these, and its values."""
    text = together(tuple((statement, len(values)) for statement, values in asked))
    return text, tuple(value for _, values in asked for value in values)


@cache
def tables_of(statement: str) -> frozenset[str]:
    """Return the names after the words that precede a table's. Some of them are functions or subqueries."""
    return frozenset(re.findall(r"\b(?:FROM|JOIN|INTO|UPDATE) (\w+)", statement))
