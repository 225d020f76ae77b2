"""The goals of each path, measured against the figures of one run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.report import table
from benchmarks.results import Figures


@dataclass(frozen=True, slots=True)
class Goal:
    """`of` computes the measured value. It raises KeyError if a run did not measure what it needs."""

    path: str
    what: str
    limit: float
    of: Callable[[Figures], float]
    is_most: bool = False
    unit: str = ""

    def row(self, figures: Figures) -> tuple[str, ...]:
        goal = f"{'≤' if self.is_most else '≥'} {_text(self.limit)}{self.unit}"
        try:
            value = self.of(figures)
        except KeyError:
            return (f"`{self.path}`", self.what, goal, "not measured", "")
        is_met = value <= self.limit if self.is_most else value >= self.limit
        return (f"`{self.path}`", self.what, goal, f"{_text(value)}{self.unit}", "yes" if is_met else "**no**")


def _text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def at_least(path: str, what: str, limit: float, of: Callable[[Figures], float], unit: str = "") -> Goal:
    return Goal(path, what, limit, of, unit=unit)


def at_most(path: str, what: str, limit: float, of: Callable[[Figures], float], unit: str = "") -> Goal:
    return Goal(path, what, limit, of, is_most=True, unit=unit)


def figure(name: str) -> Callable[[Figures], float]:
    return lambda figures: figures[name]


def cpu(side: str) -> Callable[[Figures], float]:
    """CPU of the processes of a side and of its servers, per 1,000."""
    return lambda figures: figures[f"{side}.cpu"] + figures[f"{side}.servers_cpu"]


def over(one: Callable[[Figures], float], other: Callable[[Figures], float]) -> Callable[[Figures], float]:
    return lambda figures: one(figures) / other(figures)


def per_million(seconds: str, rows: str) -> Callable[[Figures], float]:
    return lambda figures: figures[seconds] * 1e6 / figures[rows]


def hot_share(figures: Figures) -> float:
    """The lowest share of the four tables, in percent, over the paths that update them."""
    shares = []
    for table_name in HOT_TABLES:
        updates = sum(figures.get(f"{path}.updates.{table_name}", 0) for path in HOT_PATHS)
        hot = sum(figures.get(f"{path}.hot.{table_name}", 0) for path in HOT_PATHS)
        if not updates:
            raise KeyError(table_name)
        shares.append(100 * hot / updates)
    return min(shares)


HOT_TABLES = ("attempts", "outbox", "queue_messages", "tasks")
#: `deliver` is the only one whose events leave: in the others no Engage is there.
HOT_PATHS = ("place", "apply", "deliver")
_PLACE, _APPLY, _ACCEPT, _RECEIVE = "place.product", "apply.product", "accept.product", "receive.product"

GOALS: Sequence[Goal] = (
    at_most("place", "CPU, of the floor's", 1.6, over(cpu(_PLACE), cpu("place.floor")), " ×"),
    at_least("place", "rate, of the floor's", 0.75, figure("place.ratio.floor"), " ×"),
    at_least("place", "rate, of Celery's", 2, figure("place.ratio.celery"), " ×"),
    at_least("place", "rate, of Dramatiq's", 2, figure("place.ratio.dramatiq"), " ×"),
    at_least("place", "rate, of Taskiq's", 2, figure("place.ratio.taskiq"), " ×"),
    at_least("place", "rate, of PgQueuer's", 0.65, figure("place.ratio.pgqueuer"), " ×"),
    at_most("place", "commits of a call", 0.35, figure("place.product.commits")),
    at_most("place", "queue calls of a call", 0.3, figure("place.product.queue_calls")),
    at_most("place", "WAL of a call, its queue included", 4.5, lambda f: f["place.product.wal_bytes"] / 1000, " KB"),
    at_least("place", "two processes, of one's rate", 1.6, lambda f: 1 / f["place.ratio.two processes"], " ×"),
    at_least("apply", "rate, of a transaction each on SQS", 2.5, figure("apply.ratio.transaction each, SQS"), " ×"),
    at_most("apply", "decodes of 20 KB, the queue's envelope included", 2, figure("apply.product.decodes")),
    at_most("apply", "commits of an event", 0.5, figure("apply.product.commits")),
    at_least("apply", "rate, of that without statistics", 0.97, figure("apply.ratio.without statistics"), " ×"),
    at_most(
        "accept",
        "CPU of the process, of FastAPI + aiobotocore's",
        1 / 3,
        over(figure("accept.product.cpu"), figure("accept.FastAPI + aiobotocore.cpu")),
        " ×",
    ),
    at_least("accept", "rate, of FastAPI + aiobotocore's", 2, figure("accept.ratio.FastAPI + aiobotocore"), " ×"),
    at_least("receive", "rate, of FastAPI + row commit's", 1.15, figure("receive.ratio.FastAPI + row commit"), " ×"),
    at_most(
        "receive",
        "CPU, of FastAPI + row commit's",
        0.9,
        over(cpu(_RECEIVE), cpu("receive.FastAPI + row commit")),
        " ×",
    ),
    at_most("burst", "the last of 1,000 webhooks is answered after", 3, figure("burst.slowest_s"), " s"),
    at_most("burst", "webhooks not answered 2xx", 0, figure("burst.refused")),
    at_most(
        "actions", "slowest action of systems, p50 of both yardsticks'", 3, figure("actions.systems.slowest"), " ×"
    ),
    at_most("actions", "slowest action of agents, p50 of both yardsticks'", 3, figure("actions.agents.slowest"), " ×"),
    at_most("latency", "p50 over the provider's, 100 calls/s", 6, figure("latency.rate.queued.p50_over_ms"), " ms"),
    at_most("latency", "p99 over the provider's, 100 calls/s", 20, figure("latency.rate.queued.p99_over_ms"), " ms"),
    at_most("commands", "slowest short command", 0.4, figure("commands.slowest_s"), " s"),
    at_most("filled", "slowest query of the product", 10, figure("filled.slowest_statement_ms"), " ms"),
    at_most("filled", "slowest page over HTTP", 50, figure("filled.slowest_page_ms"), " ms"),
    at_most("filled", "undelivered events slow placing by", 10, figure("filled.engage_away_slows_percent"), " %"),
    at_least("filled", "undelivered events leave at", 1500, figure("filled.events_leave_rate"), "/s"),
    at_most("filled", "releasing due tasks slows placing by", 20, figure("filled.release_slows_percent"), " %"),
    at_least("filled", "finished calls purged", 100, figure("filled.purged_rate"), "/s"),
    at_least("place", "HOT updates in `place`, `apply` and `deliver`, lowest table", 70, hot_share, " %"),
    at_most("analytics", "a dashboard's question, p95", 15, figure("analytics.query_p95_ms"), " ms"),
    at_most("analytics", "the same over ten times as many cells", 15, figure("analytics.larger_query_p95_ms"), " ms"),
    at_most("analytics", "its median, of the smaller tables'", 1.2, figure("analytics.larger_query_ratio"), " ×"),
    at_most("analytics", "commit to visible, p99", 2000, figure("analytics.visible_p99_ms"), " ms"),
    at_most("analytics", "PostgreSQL for the deltas of an attempt, alone", 60, figure("analytics.delta_us"), " µs"),
    at_most("analytics", "the same in a group of 20", 60, figure("analytics.grouped_delta_us"), " µs"),
    at_least("analytics", "attempts that are corrected", 5, figure("analytics.corrected_percent"), " %"),
    at_most("analytics", "cells that differ then from the recomputation", 0, figure("analytics.differing_cells")),
    at_most("analytics", "links with another number of rows", 0, figure("analytics.wrong_links")),
    at_most("analytics", "attempts as CSV, a million", 30, per_million("analytics.csv_s", "analytics.csv_rows"), " s"),
    at_most("analytics", "memory of that export", 300, figure("analytics.csv_mb"), " MB"),
    at_most("lake", "attempts as Parquet, ten million", 300, lambda f: f["lake.s"] * 1e7 / f["lake.rows"], " s"),
    at_most("lake", "memory of that export", 300, figure("lake.mb"), " MB"),
    at_most("console", "first byte of the slowest page, p95", 50, figure("console.first_byte_p95_ms"), " ms"),
    at_most("console", "heaviest page with its files", 100, figure("console.page_kb"), " KB"),
    at_most("console", "requests to other hosts", 0, figure("console.other_hosts")),
    at_most("console", "50 viewers of live pages add, of a core", 5, figure("console.viewers_add_percent"), " %"),
)

_HEADER = ("command", "what", "goal", "measured", "met")
_EXPLANATION = """\
A ratio compares two sides of the same run.
`python -m benchmarks NAME` measures the rows of that name again, `--goals` prints this table again.
"""


def costs(path: str, figures: Figures) -> str:
    """Return the limit of a path: the CPU of its product, beside that of its floor."""
    mine, floor = (
        f"{figures[f'{path}.{side}.cpu']:.2f} ms in the process and {figures[f'{path}.{side}.servers_cpu']:.2f} ms in"
        " PostgreSQL"
        for side in ("product", "floor")
    )
    most = 1000 / figures[f"{path}.product.cpu"]
    return f"- `{path}`: one costs {mine}, on the floor {floor}. One core of the process does {most:,.0f}/s at most."


def use_of_machine(figures: Figures) -> str:
    """Why two processes are not twice as fast: the machine's cores, or something that they wait for."""
    side = "place.two processes"
    used = figures[f"{side}.rate"] * cpu(side)(figures) / 1000
    return (
        f"- Two processes and PostgreSQL used {used:.2f} of {figures['machine.cores']:.0f} cores, beside the provider's"
        " stub and other work. Near the number of cores the machine is the limit, far below it they wait for a lock."
    )


def cost_of_commit(figures: Figures) -> str:
    took_ms, multiple = figures["actions.commit_ms"], figures["actions.commit"]
    return (
        f"- `actions`: a reply is durable before it is sent. One committed row takes {took_ms:.2f} ms here,"
        f" {multiple:.1f} × both yardsticks, and an action reads and locks before it."
    )


#: The limits of a path beside its CPU. Decision 0028 has the reasons about updates.
KNOWN_LIMITS = {
    "place": (
        "a dial has a connection of its own, which the other programs do not pay for. The row of an attempt has the"
        " whole request, so that it can be sent again with the same bytes: the floor writes as much WAL. Updates of"
        " tasks and attempts change a partial or unique index, so none of them is HOT."
    ),
    "apply": (
        "the identity of a webhook is that of its whole content, and its report is read by type. The second decode is"
        " a fiftieth of the work."
    ),
}


def limits(figures: Figures, missed: Sequence[str]) -> list[str]:
    """A sentence for each path with a missed goal, if the run measured it."""
    sentences = [costs(path, figures) for path in dict.fromkeys(missed) if f"{path}.floor.cpu" in figures]
    if "place" in missed and "place.two processes.rate" in figures:
        sentences.append(use_of_machine(figures))
    if "actions" in missed and "actions.commit" in figures:
        sentences.append(cost_of_commit(figures))
    return sentences + [f"- `{path}`: {KNOWN_LIMITS[path]}" for path in dict.fromkeys(missed) if path in KNOWN_LIMITS]


def goals_table(figures: Figures) -> str:
    rows = [goal.row(figures) for goal in GOALS]
    met = sum(row[-1] == "yes" for row in rows)
    missed = [goal.path for goal, row in zip(GOALS, rows, strict=True) if row[-1] == "**no**"]
    line = f"{met} goals met, {len(missed)} missed, {len(rows) - met - len(missed)} not measured."
    parts = [f"{table(rows, _HEADER)}\n\n{line} {_EXPLANATION}"]
    if sentences := limits(figures, missed):
        parts.append("What limits the paths with a missed goal:\n\n" + "\n".join(sentences) + "\n")
    return "\n".join(parts)
