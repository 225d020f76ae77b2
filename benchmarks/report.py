"""The report: what was measured, on what, and how, as Markdown that also reads well in a terminal."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path as File

import psutil

from benchmarks.results import PathResult, SideResult
from benchmarks.running import PROVIDER_LATENCY_S, Plan
from benchmarks.turns import CONNECTIONS

_LIBRARIES = ("asyncpg", "uvicorn", "uvloop", "fastapi", "retell-sdk", "aiohttp")
_HEADER = (
    "path",
    "side",
    "per second",
    "of floor",
    "p50 ms",
    "p99 ms",
    "CPU s/1,000 process",
    "CPU s/1,000 PostgreSQL",
    "resident MB",
    "queue calls each",
    "commits each",
)
_EXPLANATION = f"""\
Each path runs twice, turn and turn about: as the product's own process, and as its floor, which is the same libraries,
rows and queue calls with no product around them (`benchmarks/floors/`). Both have a process and a database of their own
on one embedded PostgreSQL, fsync on, started for the run. Every figure is a median over the rounds; "of floor" is the
median of the rounds' ratios. CPU is what one thousand requests or messages cost, in the process and in PostgreSQL.

- `accept`: POST /v1/calls over {CONNECTIONS} keep-alive connections, each call new and with an idempotency key, due in
  300 days; `accept_now`: the same, due at once, so that each also leaves through the outbox into the call queue.
  Floor: a Starlette handler, one statement for the calls that arrived together.
- `place`: the call processor, 200 in flight, against a provider that answers after
  {PROVIDER_LATENCY_S * 1000:.0f} ms. The latency is from claim to answer. Floor: the same bytes through the
  SDK, claims and answers written in groups.
- `receive`: POST /retell/webhook, signed bodies of 20 KB, over {CONNECTIONS} connections. Floor: a bare ASGI function,
  HMAC, sends in tens.
- `apply`: the webhook processor, three webhooks of 20 KB for each placed call. Floor: received in tens, one statement
  for the events that arrived together, deleted in tens.

The client, the provider and PostgreSQL share the machine with the process that is measured. The floors run on uvloop,
as `uvicorn.run` does by itself.
"""


@dataclass(frozen=True, slots=True)
class Machine:
    postgres: str

    def line(self) -> str:
        memory_gb = psutil.virtual_memory().total / 2**30
        load = psutil.getloadavg()[0]
        libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
        host = (
            f"{psutil.cpu_count()} cores ({_processor()}), {memory_gb:.0f} GB, {platform.system()} {platform.machine()}"
        )
        python = f"Python {platform.python_version()}, PostgreSQL {self.postgres}, {libraries}"
        return f"{host}, load {load:.1f} at the end; {python}"


def _processor() -> str:
    try:
        lines = File("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def render(results: Sequence[PathResult], machine: Machine, plan: Plan, took_s: float) -> str:
    """Without results, only what the run was, for a run of the actions alone."""
    rows = [row for result in results for row in _rows(result)]
    rounds = [f"rounds: {', '.join(f'{each.name} {len(each.product.rounds)}' for each in results)}"] if results else []
    settings = ", ".join([f"seed {plan.seed}", f"{plan.seconds:g} s a turn", *rounds])
    command = "python -m benchmarks --write"
    return "\n".join(
        [
            "# Benchmarks",
            "",
            f"Written by `{command}`; do not edit.",
            "",
            *([table(rows), ""] if results else []),
            f"- Machine: {machine.line()}",
            f"- Run: {settings}; the whole run took {took_s:.0f} s",
            *(["", _EXPLANATION] if results else [""]),
        ]
    )


def _rows(result: PathResult) -> list[tuple[str, ...]]:
    title = f"`{result.name}`: {result.title}"
    return [
        (title, "product", *_cells(result.product, f"{result.ratio:.2f}")),
        ("", "floor", *_cells(result.floor, "")),
    ]


def _cells(side: SideResult, ratio: str) -> tuple[str, ...]:
    return (
        f"{side.rate:,.0f}",
        ratio,
        _milliseconds(side.p50_ms),
        _milliseconds(side.p99_ms),
        f"{side.process_cpu_s_per_1000:.2f}",
        f"{side.postgres_cpu_s_per_1000:.2f}",
        f"{side.resident_bytes / 2**20:.0f}",
        f"{side.queue_calls_each:.2f}",
        f"{side.commits_each:.2f}",
    )


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def table(rows: Sequence[tuple[str, ...]], header: tuple[str, ...] = _HEADER) -> str:
    """A Markdown table, columns padded, two of text on the left and then numbers to the right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    rule = ["-" * width if column < 2 else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (_padded(header, widths), rule, *_all(rows, widths)))


def _all(rows: Sequence[tuple[str, ...]], widths: Sequence[int]) -> list[list[str]]:
    return [_padded(row, widths) for row in rows]


def _padded(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    cells = zip(row, widths, strict=True)
    return [f"{cell:<{width}}" if column < 2 else f"{cell:>{width}}" for column, (cell, width) in enumerate(cells)]
