"""Closed days as Parquet: read back by DuckDB, described by a manifest, written again after a correction."""

import hashlib
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb

from ringback.adapters.lake import SCHEMAS, Lake, ddl
from ringback.adapters.postgres.export_rows import PostgresExportRows
from ringback.domain.analytics_query import Filter, midnight
from ringback.flows.exports import KINDS, as_csv, pages_of
from tests.flows.event_processing import recordings as r
from tests.flows.rollups.conftest import ZONE, CountingStack

DAY = date(2026, 12, 1)
ASKED = Filter(since=midnight(DAY, ZONE), until=midnight(DAY + timedelta(days=1), ZONE), zone=ZONE)


async def write(stack: CountingStack, folder: Path) -> list[str]:
    rows, lake = PostgresExportRows(stack.pool), Lake(folder)
    written = [await lake.write(kind, DAY, as_csv(pages_of(rows, kind, ASKED), is_safe=False)) for kind in KINDS]
    return [one.path for one in written if one is not None]


def read(folder: Path, kind: str) -> list[dict[str, Any]]:
    rows = duckdb.sql(f"SELECT * FROM read_parquet('{folder}/{kind}/*/*.parquet', hive_partitioning = true)")
    return [dict(zip(rows.columns, row, strict=True)) for row in rows.fetchall()]


async def test_a_closed_day_is_written_once_and_again_after_a_correction(stack: CountingStack, tmp_path: Path) -> None:
    talk = await stack.talk()
    await stack.play(talk, r.PARTIAL)
    assert await write(stack, tmp_path) == [
        f"{kind}/day=2026-12-01/{kind}-2026-12-01-r1.parquet" for kind in ("attempts", "calls", "events")
    ]
    (attempt,) = read(tmp_path, "attempts")
    assert (attempt["outcome"], attempt["duration_ms"], attempt["cost_cents"]) == ("partially_completed", 83000, 14.5)
    assert (attempt["phone"], attempt["goal_met"], str(attempt["day"])) == (stack.phone(), False, "2026-12-01")
    assert str(attempt["started_at"]) == "2026-12-01 17:00:06.500000"
    assert await write(stack, tmp_path) == [], "nothing changed"

    await stack.play(talk, r.connected("agent_hangup", r.analysis(True)), "call_analyzed")
    assert "attempts/day=2026-12-01/attempts-2026-12-01-r2.parquet" in await write(stack, tmp_path)
    assert [row["goal_met"] for row in read(tmp_path, "attempts")] == [True]
    assert len(read(tmp_path, "events")) == 4


async def test_a_revision_that_a_killed_export_left_behind_is_deleted(stack: CountingStack, tmp_path: Path) -> None:
    await stack.play(await stack.talk(), r.COMPLETED)
    await write(stack, tmp_path)
    listed = tmp_path / "attempts/day=2026-12-01/attempts-2026-12-01-r1.parquet"
    listed.with_name("attempts-2026-12-01-r2.parquet").write_bytes(listed.read_bytes())
    assert len(read(tmp_path, "attempts")) == 2, "an engine counts both files"
    assert await write(stack, tmp_path) == []
    assert [file.name for file in listed.parent.iterdir()] == [listed.name]


async def test_the_manifest_names_rows_hash_and_schema_of_each_file(stack: CountingStack, tmp_path: Path) -> None:
    await stack.play(await stack.talk(), r.COMPLETED)
    await write(stack, tmp_path)
    files = json.loads((tmp_path / "manifest.json").read_text())["files"]
    assert [(one["kind"], one["rows"]) for one in files] == [("attempts", 1), ("calls", 1), ("events", 3)]
    for one in files:
        assert hashlib.sha256((tmp_path / one["path"]).read_bytes()).hexdigest() == one["sha256"]
        assert one["schema"] == SCHEMAS[one["kind"]]
        assert read(tmp_path, one["kind"])[0].keys() - {"day"} == one["schema"].keys()


def test_the_tables_of_other_engines_have_every_column() -> None:
    tables = ddl("s3://bucket/ringback")
    for schema in SCHEMAS.values():
        assert all(tables.count(f"`{name}`") >= 2 for name in schema)
