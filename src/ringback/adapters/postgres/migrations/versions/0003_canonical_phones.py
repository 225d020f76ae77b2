"""Stored numbers get their canonical form, so that a suppression covers every spelling."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from ringback.adapters.number_plan import PhoneNumbersPlan

revision = "0003"
down_revision = "0002"

TABLES = ("suppressions", "contacts", "calls", "inbound_calls", "attempts")
# A number of this shape has no other form, and nearly all have it. The others are read in steps along the index.
_OTHERS = """
SELECT DISTINCT phone FROM {table}
WHERE phone > :after AND phone !~ '^[+]1[2-9][0-9]{{2}}[2-9][0-9]{{6}}$' ORDER BY phone LIMIT :step
"""
_STEP = 10_000
_RESPELL = "UPDATE {table} SET phone = :canonical WHERE phone = :stored"
# Two live attempts to one person, each under its own spelling: one keeps it until it has ended, for only one attempt
# may hold a phone.
_UNLESS_HELD = """
AND NOT (holds_person AND EXISTS (SELECT FROM attempts AS other WHERE other.phone = :canonical AND other.holds_person))
"""


def upgrade() -> None:
    bind, numbers = op.get_bind(), PhoneNumbersPlan()
    # Found first and then written: the rows stay locked until the end of the migration.
    found = [(table, stored, numbers.canonical(stored)) for table in TABLES for stored in _stored(bind, table)]
    for table, stored, canonical in found:
        if canonical not in (None, stored):
            statement = _RESPELL.format(table=table) + (_UNLESS_HELD if table == "attempts" else "")
            bind.execute(sa.text(statement), {"stored": stored, "canonical": canonical})


def _stored(bind: Any, table: str) -> Iterator[str]:
    after = ""
    while step := list(bind.execute(sa.text(_OTHERS.format(table=table)), {"after": after, "step": _STEP}).scalars()):
        yield from step
        after = step[-1]
