"""Reads of several units in one statement."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import asyncpg

from ringback.adapters.postgres.pool import Connection, encode_json

_TYPES = {datetime: "timestamptz", list: "text[]", int: "bigint"}


@dataclass(frozen=True, slots=True)
class Question:
    """One execution of a statement. `encoded` are the values as a JSON object, for the form for several executions."""

    statement: str
    values: Sequence[object]
    encoded: str

    @property
    def types(self) -> tuple[str, ...]:
        return tuple(_TYPES.get(type(value), "text") for value in self.values)


def question(statement: str, values: Sequence[object]) -> Question | None:
    """Return None if PostgreSQL would refuse the values: that must not fail the questions of others."""
    encoded = encode_json({f"p{number}": value for number, value in enumerate(values, 1)})
    if "\\u0000" in encoded:
        return None
    return Question(statement, values, encoded)


@cache
def for_several(statement: str, types: tuple[str, ...]) -> str:
    """Return the statement that is executed for each of the given values, which are a JSON array.

    OFFSET keeps the subquery by itself, so it is planned with the same indexes as the statement alone. As a join, the
    planner may read the whole table.
    """
    names = [f"p{number}" for number in range(1, len(types) + 1)]
    typed = ", ".join(f"{name} {type_}" for name, type_ in zip(names, types, strict=True))
    each = re.sub(r"\$(\d+)", r"asked.p\1", statement) + " OFFSET 0"
    given = f"ROWS FROM (json_to_recordset($1::text::json) AS ({typed})) WITH ORDINALITY"
    return f"SELECT position, answer.* FROM {given} AS asked ({', '.join(names)}, position), LATERAL ({each}) AS answer"


async def ask_together(connection: Connection, questions: Sequence[Question]) -> list[asyncpg.Record | None]:
    """Return the first row for each question, in their order. Each statement is executed once."""
    alike: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    for place, one in enumerate(questions):
        alike.setdefault((one.statement, one.types), []).append(place)
    answers: dict[int, asyncpg.Record | None] = {}
    for (statement, types), places in alike.items():
        if len(places) == 1:
            (place,) = places
            answers[place] = await connection.fetchrow(statement, *questions[place].values)
            continue
        given = ",".join(questions[place].encoded for place in places)
        for record in await connection.fetch(for_several(statement, types), f"[{given}]"):
            answers.setdefault(places[record["position"] - 1], record)
    return [answers.get(place) for place in range(len(questions))]
