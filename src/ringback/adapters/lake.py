"""Closed days as Parquet files for other engines: Hive partitions, zstd, and a manifest with a hash of each file."""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

MANIFEST = "manifest.json"
#: Of DuckDB. Times are in UTC.
SCHEMAS: dict[str, dict[str, str]] = {
    "attempts": {
        **dict.fromkeys(("attempt_id", "call_id", "contact_id", "phone", "from_number", "agent_id"), "VARCHAR"),
        "agent_version": "BIGINT",
        "number": "BIGINT",
        **dict.fromkeys(("provider_call_id", "outcome", "reason", "dial", "party", "end"), "VARCHAR"),
        "disconnection_reason": "VARCHAR",
        **dict.fromkeys(("sent_at", "placed_at", "started_at", "ended_at"), "TIMESTAMP"),
        "duration_ms": "BIGINT",
        "cost_cents": "DOUBLE",
        "sentiment": "VARCHAR",
        **dict.fromkeys(("successful", "conversation", "goal_met", "opt_out"), "BOOLEAN"),
    },
    "calls": {
        **dict.fromkeys(("call_id", "contact_id", "phone", "from_number", "agent_id", "status", "reason"), "VARCHAR"),
        "final": "BOOLEAN",
        **dict.fromkeys(("accepted_at", "expires_at"), "TIMESTAMP"),
        **dict.fromkeys(("attempts_made", "reschedules"), "BIGINT"),
    },
    "events": {
        **dict.fromkeys(("event_id", "type", "call_id"), "VARCHAR"),
        **dict.fromkeys(("created_at", "delivered_at"), "TIMESTAMP"),
        "data": "VARCHAR",
    },
}
_ATHENA = {"VARCHAR": "string", "BIGINT": "bigint", "DOUBLE": "double", "BOOLEAN": "boolean", "TIMESTAMP": "timestamp"}
_CLICKHOUSE = {
    "VARCHAR": "Nullable(String)",
    "BIGINT": "Nullable(Int64)",
    "DOUBLE": "Nullable(Float64)",
    "BOOLEAN": "Nullable(Bool)",
    "TIMESTAMP": "Nullable(DateTime64(3, 'UTC'))",
}


@dataclass(frozen=True, slots=True)
class LakeFile:
    """A file of the manifest. `content` is the hash of the rows as CSV, so that a changed day is found."""

    kind: str
    day: str
    revision: int
    path: str
    rows: int
    sha256: str
    content: str
    schema: Mapping[str, str]


class Lake:
    """A folder of Parquet files. A day whose rows changed is written again, as its next revision."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        listed = json.loads((folder / MANIFEST).read_text()) if (folder / MANIFEST).exists() else {"files": []}
        self._files = {(one["kind"], one["day"]): LakeFile(**one) for one in listed["files"]}

    async def write(self, kind: str, day: date, rows_as_csv: AsyncIterator[bytes]) -> LakeFile | None:
        """Write a day. Returns None if it is as it was, or has no rows and never had any.

        All rows of the day must be there: a smaller day replaces a larger one.
        """
        folder, before = self._folder / kind / f"day={day}", self._files.get((kind, str(day)))
        folder.mkdir(parents=True, exist_ok=True)
        self._delete_unlisted(folder, before)
        spool, draft, content = folder / ".rows.csv", folder / ".rows.parquet", hashlib.sha256()
        try:
            with spool.open("wb") as file:
                async for part in rows_as_csv:
                    content.update(part)
                    file.write(part)
            if content.hexdigest() == (before.content if before is not None else hashlib.sha256().hexdigest()):
                return None
            revision = 1 if before is None else before.revision + 1
            target = folder / f"{kind}-{day}-r{revision}.parquet"
            rows = _to_parquet(spool, draft, SCHEMAS[kind])
            draft.replace(target)
        finally:
            spool.unlink(missing_ok=True)
            draft.unlink(missing_ok=True)
        path, sha256 = str(target.relative_to(self._folder)), hashlib.sha256(target.read_bytes()).hexdigest()
        written = LakeFile(kind, str(day), revision, path, rows, sha256, content.hexdigest(), SCHEMAS[kind])
        self._files[kind, str(day)] = written
        self._write_manifest()
        if before is not None:
            # An engine reads every file of the folder, so the last revision stands alone.
            (self._folder / before.path).unlink(missing_ok=True)
        return written

    def _delete_unlisted(self, folder: Path, listed: LakeFile | None) -> None:
        """Delete the revisions that an export left behind when it was killed. Engines would count their rows twice."""
        for file in folder.glob("*.parquet"):
            if listed is None or file != self._folder / listed.path:
                file.unlink()

    def _write_manifest(self) -> None:
        files = [asdict(self._files[key]) for key in sorted(self._files)]
        draft = self._folder / f"{MANIFEST}.new"
        draft.write_text(json.dumps({"files": files}, indent=1) + "\n")
        draft.replace(self._folder / MANIFEST)


def _to_parquet(rows: Path, target: Path, schema: Mapping[str, str]) -> int:
    import duckdb

    with duckdb.connect(config={"memory_limit": "200MB", "threads": 2}) as database:
        # An empty file has no header, and is a table without rows.
        if rows.stat().st_size == 0:
            named = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in schema.items())
            source = f"SELECT {named} WHERE false"
        else:
            typed = ", ".join(f"'{name}': '{kind}'" for name, kind in schema.items())
            source = f"SELECT * FROM read_csv({_quoted(rows)}, header = true, columns = {{{typed}}})"
        copied = database.execute(f"COPY ({source}) TO {_quoted(target)} (FORMAT parquet, COMPRESSION zstd)").fetchone()
    return int(copied[0]) if copied else 0


def _quoted(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def ddl(location: str) -> str:
    """The tables over the files: for Athena, and for ClickHouse."""
    parts = []
    for kind, schema in SCHEMAS.items():
        columns = ",\n".join(f"  `{name}` {_ATHENA[type_]}" for name, type_ in schema.items())
        parts.append(
            f"-- Athena\nCREATE EXTERNAL TABLE ringback_{kind} (\n{columns}\n)\nPARTITIONED BY (`day` date)\n"
            f"STORED AS PARQUET\nLOCATION '{location}/{kind}/'\n"
            "TBLPROPERTIES ('projection.enabled' = 'true', 'projection.day.type' = 'date', "
            "'projection.day.format' = 'yyyy-MM-dd', 'projection.day.range' = '2026-01-01,NOW');"
        )
    for kind, schema in SCHEMAS.items():
        columns = ",\n".join(f"  `{name}` {_CLICKHOUSE[type_]}" for name, type_ in schema.items())
        parts.append(
            f"-- ClickHouse\nCREATE TABLE ringback_{kind} (\n{columns},\n  `day` Date\n)\n"
            f"ENGINE = S3('{location}/{kind}/day=*/*.parquet', 'Parquet')\nSETTINGS use_hive_partitioning = 1;"
        )
    return "\n\n".join(parts) + "\n"
