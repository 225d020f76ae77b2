"""SQL gets its lists of states from the domain's sets, in a form that matches the partial indexes."""

import re
from enum import StrEnum

from ringback.adapters.postgres.rows import literals
from ringback.domain.attempt import NEVER_RANG, POSSIBLY_RINGING, AttemptState
from ringback.domain.call import OPEN_TASK, CallStatus, TaskKind, TaskStatus
from tests.structure.tree import PRODUCT, python_files, shown

#: Two or more of one enumeration in a row, as a list in SQL has them.
_WORDS = [sorted(str(value) for value in kind) for kind in (AttemptState, TaskStatus, CallStatus, TaskKind)]
_LISTS = [re.compile(rf"'(?:{'|'.join(words)})'(?:\s*,\s*'(?:{'|'.join(words)})')+") for words in _WORDS]
_MIGRATIONS = "adapters/postgres/migrations/"


def lists_by_hand(text: str) -> list[str]:
    return sorted({found for pattern in _LISTS for found in pattern.findall(text)})


def test_no_statement_of_the_product_spells_a_list_of_states():
    paths = [*python_files(PRODUCT), *sorted(PRODUCT.rglob("*.sql"))]
    current = [path for path in paths if _MIGRATIONS not in str(path)]
    assert {shown(path): found for path in current if (found := lists_by_hand(path.read_text()))} == {}


def test_a_list_by_hand_is_found():
    assert lists_by_hand("state IN ('dialing', 'unknown')") == ["'dialing', 'unknown'"]
    assert lists_by_hand("status NOT IN ('failed',\n 'expired')") == ["'failed',\n 'expired'"]
    assert lists_by_hand("state = 'dialing' AND status = 'pending'") == []


def test_literals_are_in_the_order_of_the_enumeration():
    assert literals(NEVER_RANG) == "('waiting', 'rejected')"
    assert literals(POSSIBLY_RINGING) == "('dialing', 'unknown', 'placed', 'ongoing')"


def test_one_value_is_a_list_too():
    class Colour(StrEnum):
        RED = "red"
        BLUE = "blue"

    assert literals({Colour.BLUE}) == "('blue')"


async def test_an_open_task_is_found_by_its_partial_index(pool):
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        asked = f"EXPLAIN SELECT 1 FROM tasks WHERE call_id = 'c' AND status IN {literals(OPEN_TASK)}"
        plan = "\n".join(row[0] for row in await connection.fetch(asked))
    assert "tasks_one_open" in plan
