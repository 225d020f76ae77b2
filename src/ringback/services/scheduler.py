"""Scheduler: releases due calls, publishes lost ones, ends expired ones, reconciles attempts, adds up, purges."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ringback.config import Settings
from ringback.flows.operator.retention import BATCH, Retention
from ringback.flows.reconciliation import Reconciliation
from ringback.flows.rollups import COUNTED_TOGETHER, FOLDED_TOGETHER, Rollups
from ringback.flows.scheduled_calls import ScheduledCalls
from ringback.loops import Loop, Loops, rest
from ringback.process import Service, run_process
from ringback.wiring import Dependencies

#: Pause of the purge. It is short, so each purge is small, and a failed one is repeated soon.
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Job:
    """A repeated job. `work` returns the number of rows it found. A full batch is followed by another at once."""

    name: str
    work: Callable[[], Awaitable[int]]
    every_s: float
    batch: int


def jobs(
    scheduled: ScheduledCalls, reconciliation: Reconciliation, retention: Retention, rollups: Rollups
) -> tuple[Job, ...]:
    """Return the jobs with their pauses in seconds and their batch sizes."""
    return (
        Job("release_due_calls", scheduled.release_due_calls, 0.25, 500),
        Job("look_after_attempts", reconciliation.reconcile_due_attempts, 0.5, 100),
        Job("end_expired_calls", scheduled.end_expired_calls, 1.0, 500),
        Job("publish_lost_calls", scheduled.publish_lost_calls, 10.0, 500),
        Job("count_uncounted", rollups.count_uncounted, 1.0, COUNTED_TOGETHER),
        Job("fold_deltas", rollups.fold_deltas, 1.0, FOLDED_TOGETHER),
        Job("discard_old", retention.purge_expired, HOUR_S, BATCH),
    )


async def run_scheduler(all_jobs: tuple[Job, ...], stop: asyncio.Event, loops: Loops) -> None:
    """Run all jobs until `stop` is set. A job that fails does not delay the others."""
    async with asyncio.TaskGroup() as group:
        for job in all_jobs:
            group.create_task(_repeat(job, stop, loops.named("scheduler", job.name)))


async def _repeat(job: Job, stop: asyncio.Event, loop: Loop) -> None:
    pause_s = 0.0

    async def one_pass() -> None:
        nonlocal pause_s
        await rest(pause_s, stop)
        pause_s = job.every_s
        if not stop.is_set() and await job.work() >= job.batch:
            pause_s = 0.0

    await loop.run(one_pass, stop)


def build_service(deps: Dependencies) -> Service:
    rollups = deps.rollups()
    deps.metrics.gauges.of_process["rollup_delta_age_seconds"] = rollups.delta_age_s
    all_jobs = jobs(deps.scheduled_calls(), deps.reconciliation(), deps.retention(), rollups)
    return Service("scheduler", loops=[lambda stop: run_scheduler(all_jobs, stop, deps.loops)])


def run(settings: Settings, host: str, port: int) -> None:
    run_process(settings, host, port, build_service)
