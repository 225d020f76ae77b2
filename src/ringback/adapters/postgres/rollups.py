"""The rollups: which table has which keys and measures, how deltas are folded, and the deltas of a unit of work."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from ringback.adapters.postgres.tracked_rows import Statement, Write
from ringback.domain.contribution import ATTEMPT_MEASURES, BUCKETS, MEASURES, PERSON_MEASURES, REASON_MEASURES, Row

DELTA_KEYS = (
    "kind",
    "hour",
    "day",
    "direction",
    "campaign",
    "agent",
    "agent_version",
    "from_number",
    "attempt_no",
    "outcome",
    "reason",
    "month",
    "weekday",
    "local_hour",
    *BUCKETS.values(),
)
#: The named keys as a column list, and every measure with 0 for what a row does not name.
DELTA_COLUMNS = ", ".join((*DELTA_KEYS, "purged", *MEASURES))
_BUCKETS = ", ".join(f"('{kind}', {column})" for kind, column in BUCKETS.items())


def delta_values(row: str, *, sign: str = "", purged: str = "false") -> str:
    """The select list that turns a record `row` into the columns of a delta. `sign` is empty or a minus."""
    keys = ", ".join(f"{row}.{key}" for key in DELTA_KEYS)
    measures = ", ".join(f"{sign}coalesce({row}.{name}, 0) AS {name}" for name in MEASURES)
    return f"{keys}, {purged} AS purged, {measures}"


INSERT_DELTAS = f"""
INSERT INTO rollup_deltas ({DELTA_COLUMNS})
SELECT {delta_values("row")}
FROM unnest($1::jsonb[]) AS given (delta), jsonb_populate_record(NULL::rollup_deltas, given.delta) AS row
"""
COUNT_AGAIN = "UPDATE calls SET recount = true WHERE call_id = ANY ($1::text[])"


@dataclass(frozen=True, slots=True)
class Grain:
    """One rollup table. `condition` selects the deltas that it has, `more` joins what a delta has several of."""

    table: str
    keys: tuple[str, ...]
    measures: tuple[str, ...] = ATTEMPT_MEASURES
    condition: str = "kind = 'attempt'"
    more: str = ""
    values: dict[str, str] = field(default_factory=dict)  # the SQL of a key or measure, where it is not the column

    def select(self, source: str, keys: Sequence[str] | None = None) -> str:
        """Sum deltas of `source` by the keys of this table, or by fewer."""
        names = self.keys if keys is None else tuple(keys)
        columns = [f"{self.values.get(key, key)} AS {key}" for key in names]
        columns += [f"sum({self.values.get(name, name)})::bigint AS {name}" for name in self.measures]
        grouped = f" GROUP BY {', '.join(str(n) for n in range(1, len(names) + 1))}" if names else ""
        return f"SELECT {', '.join(columns)} FROM {source} AS deltas {self.more} WHERE {self.condition}{grouped}"

    def rows(self, source: str, keys: Collection[str], measures: Sequence[str]) -> str:
        """Select these keys and measures of the deltas of `source`, each delta by itself."""
        columns = ", ".join(f"{self.values.get(name, name)} AS {name}" for name in (*sorted(keys), *measures))
        return f"SELECT {columns} FROM {source} AS deltas {self.more} WHERE {self.condition}"

    def add(self, select: str) -> str:
        """Add the rows of `select` (keys, purged, measures) to this table."""
        keys, names = (*self.keys, "purged"), ", ".join((*self.keys, "purged", *self.measures))
        sums = ", ".join(f"{name} = {self.table}.{name} + excluded.{name}" for name in self.measures)
        return f"""
            INSERT INTO {self.table} ({names}) {select}
            ON CONFLICT ({", ".join(keys)}) DO UPDATE SET {sums}"""


HOUR = Grain("rollup_hour", ("hour", "direction", "outcome"), condition="kind = 'attempt' AND hour IS NOT NULL")
DAY = Grain("rollup_day", ("day", "campaign", "agent", "agent_version", "attempt_no", "outcome"))
NUMBER = Grain("rollup_number", ("day", "from_number", "outcome"))
LOCAL = Grain(
    "rollup_local",
    ("month", "campaign", "weekday", "local_hour", "attempt_no", "outcome"),
    condition="kind = 'attempt' AND month IS NOT NULL",
)
HIST = Grain(
    "rollup_hist",
    ("day", "campaign", "agent", "kind", "bucket"),
    ("samples",),
    condition="deltas.kind = 'attempt' AND sample.bucket IS NOT NULL",
    more=f"CROSS JOIN LATERAL (VALUES {_BUCKETS}) AS sample (kind, bucket)",
    values={"kind": "sample.kind", "bucket": "sample.bucket", "samples": "attempts"},
)
REASON = Grain("rollup_reason", ("day", "campaign", "reason"), REASON_MEASURES, condition="reason IS NOT NULL")
PERSON = Grain(
    "rollup_person",
    ("day", "campaign", "agent", "agent_version"),
    PERSON_MEASURES,
    condition="kind = 'call' AND reason IS NULL",
)
GRAINS = (HOUR, DAY, NUMBER, LOCAL, HIST, REASON, PERSON)

#: One fold at a time: two would wait for each other's cells. A rebuild takes the same lock.
TRY_FOLD_LOCK = "SELECT pg_try_advisory_xact_lock(hashtextextended('ringback-fold', 0))"
_FOLDS = ", ".join(
    f"fold{number} AS ({grain.add(grain.select('taken', (*grain.keys, 'purged')))})"
    for number, grain in enumerate(GRAINS)
)
FOLD = f"""
WITH taken AS (
    DELETE FROM rollup_deltas WHERE ctid = ANY (ARRAY(SELECT ctid FROM rollup_deltas LIMIT $1)) RETURNING *),
{_FOLDS}
SELECT count(*) FROM taken
"""


class PostgresDeltas:
    """The deltas of a unit of work. They are collected, and written before the commit."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._calls: list[str] = []

    def add(self, rows: Sequence[Row]) -> None:
        self._rows += rows

    def count_again(self, call_id: str) -> None:
        """Leave the call to the scheduler: this unit does not hold its lock."""
        self._calls.append(call_id)

    def take_writes(self) -> list[Write]:
        rows, calls, self._rows, self._calls = self._rows, self._calls, [], []
        writes = [Write(Statement(INSERT_DELTAS), [(row,) for row in rows])] if rows else []
        return writes + ([Write(Statement(COUNT_AGAIN), [(call_id,) for call_id in calls])] if calls else [])
