"""The report: what was measured, on what, and how, as Markdown that also reads well in a terminal."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path as File

import psutil

from benchmarks.results import PathResult, SideResult
from benchmarks.running import PROVIDER_LATENCY_S
from benchmarks.turns import CONNECTIONS

_LIBRARIES = ("asyncpg", "uvicorn", "uvloop", "fastapi", "retell-sdk", "aiohttp")
_HEADER = (
    "path",
    "side",
    "per second",
    "product is",
    "p50 ms",
    "p99 ms",
    "CPU s/1,000 process",
    "CPU s/1,000 server",
    "resident MB",
    "queue calls each",
    "commits each",
    "WAL KB each",
)
EXPLANATION = f"""\
Each path runs on several sides, turn and turn about: the product's own process; its floor, which is the same libraries
and rows with no product around them, written in groups (`benchmarks/floors/`); and what others would use for the same
work (`benchmarks/peers/`). Each side has processes and a database of its own on one embedded PostgreSQL, fsync on,
started for the run. Every figure is a median over the rounds. "Product is" has the product's rate as a multiple of that
side's, the median of the rounds' ratios. CPU is what one thousand requests or messages cost, in the processes of the
side and in PostgreSQL or the broker. WAL is what PostgreSQL writes for one, with what the queue writes. Commits are the
numbers that PostgreSQL gave to transactions that wrote. A savepoint that writes gets one too, so a group of units of
the product counts as two.

- `accept`: POST /v1/calls over {CONNECTIONS} keep-alive connections, each call new and with an idempotency key, due in
  300 days; `accept_now`: the same, due at once. No processor runs, so all but the first ten wait as
  rows; the floor sends each through the outbox.
  Floor: a Starlette handler, one statement for the calls that arrived together. FastAPI + aiobotocore: a Pydantic model
  and one send to SQS, no database.
- `place`: the call processor, up to 200 in flight, against a provider that responds after
  {PROVIDER_LATENCY_S * 1000:.0f} ms. The latency is from claim to answer. Floor: the same bytes through the provider's
  SDK, a connection for each as the product has, claims and answers written in groups of up to 32. The others are one
  process each, with 200 threads (Celery, Dramatiq) or 200 tasks (Taskiq, PgQueuer), the typed call of the same SDK over
  kept connections, the whole request in the message. PgQueuer writes one row for each answer, the others write nothing.
  Their broker is Valkey without persistence.
- `receive`: POST /retell/webhook, signed bodies of 20 KB, over {CONNECTIONS} connections. Floor: a bare ASGI function,
  HMAC, sends in tens. FastAPI: HMAC and one committed row for each.
- `apply`: the webhook processor, three webhooks of 20 KB for each placed call. Floor: received in tens, one statement
  for the events that arrived together, deleted in tens. The other: received from SQS in tens, a transaction of four
  statements for each, each deleted by itself. Without statistics: the product, but its units of work count nothing.
- `deliver`: the relay of the scheduler, one request to Engage for each event. Floor: 50
  requests in flight, a hundred rows in one statement.

SQS is a stub in memory (`benchmarks/sqs_stub.py`), faster than any real queue. Clients, stubs and PostgreSQL share the
machine with the process that is measured. All programs run on uvloop, except Celery and Dramatiq, which run threads.
"""


def machine_line(postgres: str) -> str:
    memory_gb = psutil.virtual_memory().total / 2**30
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    host = f"{psutil.cpu_count()} cores ({_processor()}), {memory_gb:.0f} GB, {platform.system()} {platform.machine()}"
    return f"{host}; Python {platform.python_version()}, PostgreSQL {postgres}, {libraries}"


def _processor() -> str:
    try:
        lines = File("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def table_of_paths(results: Sequence[PathResult]) -> str:
    return table([row for result in results for row in _rows(result)], _HEADER)


def _rows(result: PathResult) -> list[tuple[str, ...]]:
    ratios = {name: f"{ratio:.2f} ×" for name, ratio in result.ratios().items()}
    titles = [f"`{result.name}`: {result.title}", *[""] * len(ratios)]
    return [
        (title, name, *_cells(side, ratios.get(name, "")))
        for title, (name, side) in zip(titles, result.sides.items(), strict=True)
    ]


def _cells(side: SideResult, ratio: str) -> tuple[str, ...]:
    return (
        f"{side.rate:,.0f}",
        ratio,
        number(side.p50_ms, 1),
        number(side.p99_ms, 1),
        number(side.process_cpu_s_per_1000),
        number(side.servers_cpu_s_per_1000),
        f"{side.resident_bytes / 2**20:.0f}",
        number(side.queue_calls_each),
        number(side.commits_each),
        number(side.wal_bytes_each / 1000, 1) if side.commits_each is not None else "",
    )


def number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def table(rows: Sequence[tuple[str, ...]], header: tuple[str, ...], texts: int = 2) -> str:
    """A Markdown table, columns padded, `texts` of text on the left and then numbers to the right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    rule = ["-" * width if column < texts else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    lines = [rule if row is None else _padded(row, widths, texts) for row in (header, None, *rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _padded(row: Sequence[str], widths: Sequence[int], texts: int) -> list[str]:
    cells = zip(row, widths, strict=True)
    return [f"{cell:<{width}}" if column < texts else f"{cell:>{width}}" for column, (cell, width) in enumerate(cells)]
