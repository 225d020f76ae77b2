"""The export of ten million attempts as Parquet, by the command that a user runs."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from benchmarks.analytics import fill_attempts
from benchmarks.child import ROOT, BenchmarkFailed
from benchmarks.dashboards import DAYS
from benchmarks.ground import Ground
from benchmarks.report import table
from benchmarks.results import Section
from benchmarks.running import Plan
from ringback.adapters.postgres.pool import open_pool
from ringback.adapters.postgres.rollup_rows import PostgresRollupRows

NAME = "lake"
#: Attempts for each one that the product has counted. The copies were dialed some milliseconds later.
COPIES = 100
ATTEMPTS = 10_000_000
_EXPLANATION = """\
`ringback export --format parquet` writes the days of the attempts and of their calls. A hundredth of the attempts was
counted by the product, the others are copies of those.
"""


async def run_lake(ground: Ground, plan: Plan) -> Section:
    # Only closed days are exported.
    last = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    url = await ground.new_database(NAME)
    owner = await asyncpg.connect(url)
    pool = await open_pool(url, max_size=1, is_unlimited=True)
    try:
        await fill_attempts(owner, ATTEMPTS * plan.filled_calls // 10**6 // COPIES, last, plan.seed)
        while await PostgresRollupRows(pool, UTC).count_uncounted(500):
            pass
        await copy_attempts(owner)
    finally:
        pool.terminate()
        await owner.close()
    with tempfile.TemporaryDirectory(dir=ground.directory) as folder:
        took_s, peak_mb, rows = await asyncio.to_thread(export, url, folder, last)
    lines = [
        (f"{rows:,} attempts as Parquet, s", f"{took_s:.1f}"),
        ("most memory of the command, MB", f"{peak_mb:.0f}"),
    ]
    figures = {"lake.rows": rows, "lake.s": took_s, "lake.mb": peak_mb}
    return Section("Parquet", f"{table(lines, ('what', ''), 1)}\n\n{_EXPLANATION}", figures)


async def copy_attempts(owner: Any) -> None:
    """Add the copies, without the indexes that no export reads."""
    kept = "attempts_sent"
    indexes = "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'attempts'::regclass"
    await owner.execute("SET session_replication_role = replica")
    for record in await owner.fetch(_KEYS):
        await owner.execute(f"ALTER TABLE attempts DROP CONSTRAINT {record[0]} CASCADE")
    for record in await owner.fetch(f"{indexes} AND indexrelid <> '{kept}'::regclass"):
        await owner.execute(f"DROP INDEX {record[0]}")
    names = [row[0] for row in await owner.fetch(_COLUMNS)]
    changed = {
        "attempt_id": "overlay(attempt_id placing lpad($1::bigint::text, 4, '0') from 20)",
        "sent_at": "sent_at + $1::bigint * interval '1 millisecond'",
    }
    select = ", ".join(changed.get(name, f'"{name}"') for name in names)
    into = ", ".join(f'"{name}"' for name in names)
    await owner.execute("CREATE TEMP TABLE counted AS SELECT * FROM attempts")
    for copy in range(1, COPIES):
        await owner.execute(f"INSERT INTO attempts ({into}) SELECT {select} FROM counted", copy, timeout=600)
    await owner.execute("DROP TABLE counted")
    await owner.execute("VACUUM ANALYZE attempts", timeout=600)


_KEYS = "SELECT conname FROM pg_constraint WHERE conrelid = 'attempts'::regclass AND contype IN ('p', 'u')"
_COLUMNS = """
SELECT attname FROM pg_attribute
WHERE attrelid = 'attempts'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""


def export(url: str, folder: str, last: datetime) -> tuple[float, float, int]:
    """Run the command. Returns its seconds, the megabytes that it had at most, and the rows of attempts."""
    days = f"--from={last - timedelta(days=DAYS + 1):%Y-%m-%d} --to={last:%Y-%m-%d}".split()
    command = [sys.executable, "-m", "ringback.cli", "export", "--format=parquet", f"--out={folder}/out", *days]
    env = {"PATH": os.defpath, "PYTHONPATH": str(ROOT / "src"), "RINGBACK_DATABASE_URL": url}
    began = time.perf_counter()
    with open(f"{folder}/log", "wb") as log:
        process = subprocess.Popen([*command, f"--data-dir={folder}/data"], env=env, stdout=subprocess.PIPE, stderr=log)
        assert process.stdout is not None
        said = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise BenchmarkFailed(f"the export ended with {status}")
    rows = sum(int(line.split()[1]) for line in said.splitlines() if line.startswith("attempts/"))
    return time.perf_counter() - began, usage.ru_maxrss / 1000, rows
