"""Any events of a call in any order: the events for Engage keep their rules (invariant I14)."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from ringback.adapters.postgres.store import PostgresStore
from ringback.domain.attempt import DialAnswer, DialAnswerKind
from ringback.domain.call import RetryPolicy, Task, TaskKind, TaskStatus, update_status
from ringback.domain.provider_report import ProviderReport, ReportKind
from ringback.flows.abt_events import emit_rescheduled
from ringback.flows.ending_calls import cancel_call
from ringback.flows.event_processing import apply_evidence
from ringback.flows.scheduled_calls import ScheduledCalls
from ringback.flows.suppression import SuppressionOrder, suppress_now
from ringback.messages import CallRequested
from tests.audit_log import TESTER

from . import recordings as r
from .conftest import EventStack, Talk
from .test_every_order import OneConnection, connection  # noqa: F401

#: At the least; with `--trials`, as many as those. `AT_ONCE` of them are one test.
STORIES, STEPS, AT_ONCE = 100, 14, 25
RECORDINGS = (
    r.COMPLETED,
    r.PARTIAL,
    r.VOICEMAIL,
    r.NO_ANSWER,
    r.BUSY,
    r.DECLINED,
    r.CAPACITY,
    r.OPT_OUT,
    r.BROKEN_TALK,
)
ANSWERS = (
    [DialAnswer(DialAnswerKind.DEFERRED, "http_429")] * 2
    + [DialAnswer(DialAnswerKind.AMBIGUOUS, "timeout")] * 3
    + [DialAnswer(DialAnswerKind.REJECTED, "http_422")]
    + [None] * 8
)


class Story:
    """One call under a random sequence of what may happen to it. Each attempt has a recording of its own."""

    def __init__(self, stack: EventStack, seed: int) -> None:
        self.stack, self.rng, self.seed = stack, random.Random(seed), seed
        self.recordings: dict[str, dict[str, r.Body]] = {}
        self.steps: list[str] = []

    async def begin(self) -> None:
        attempts, rules = self.rng.randint(1, 4), {"no_answer": (60, 1800), "busy": (60,), "voicemail": (1800,)}
        self.call_id = await self.stack.accept(
            retry=self.rng.choice([RetryPolicy(attempts, (60, 1800)), RetryPolicy(attempts, rules=rules)])
        )

    async def step(self) -> None:
        weights = {
            self.webhook: 30,
            self.dial: 24,
            self.ask: 10,
            self.analyse_again: 6,
            self.reschedule: 6,
            self.tool: 4,
            self.expire: 4,
            self.cancel: 1,
            self.suppress: 1,
        }
        happens = self.rng.choices(list(weights), list(weights.values()))[0]
        self.steps.append(happens.__name__)
        await happens()

    async def talks(self) -> list[Talk]:
        rows = await self.stack.all("SELECT attempt_id FROM attempts WHERE call_id = $1 ORDER BY number", self.call_id)
        talks = [Talk(self.call_id, row["attempt_id"], f"call_{row['attempt_id']}") for row in rows]
        for talk in talks:
            self.recordings.setdefault(talk.attempt_id, self.rng.choice(RECORDINGS))
        return talks

    async def webhook(self) -> None:
        for talk in self.rng.sample(talks := await self.talks(), min(1, len(talks))):
            recording = self.recordings[talk.attempt_id]
            await self.stack.play(talk, recording, self.rng.choice(list(recording)))

    async def dial(self) -> None:
        self.stack.clock.advance(self.rng.choice([70, 70, 2000, 2000, 90_000]))
        self.stack.provider.answer = self.rng.choice(ANSWERS)
        await self.stack.store.release_due(self.stack.clock.now(), 10, 500)
        query = "SELECT * FROM tasks WHERE call_id = $1 AND status = 'dispatched'"
        for task in await self.stack.all(query, self.call_id):
            await self.stack.processing.place_call(CallRequested(self.call_id, task["task_id"], task["dispatch"]))

    async def ask(self) -> None:
        for talk in await self.talks():
            recording = self.recordings[talk.attempt_id]
            if self.rng.random() < 0.5:
                self.stack.record(talk, recording, self.rng.choice(list(recording)))
        self.stack.clock.advance(self.rng.choice([10, 400, 90_000]))
        await self.stack.watchdog.reconcile_due_attempts()

    async def tool(self) -> None:
        for talk in (await self.talks())[-1:]:
            known = await self.stack.store.attempt_of(talk.attempt_id, None)
            report = ProviderReport(ReportKind.TOOL, talk.provider_call_id)
            async with self.stack.store.transaction() as tx:
                await apply_evidence(tx, known, report, self.stack.rules, self.stack.clock.now)

    async def analyse_again(self) -> None:
        for talk in self.rng.sample(talks := await self.talks(), min(1, len(talks))):
            recording = self.rng.choice(RECORDINGS)
            await self.stack.play(talk, recording, "call_analyzed", delivery=self.rng.random())

    async def reschedule(self) -> None:
        """What the action does once it has understood: a callback takes the place of the open task."""
        now = self.stack.clock.now()
        async with self.stack.store.transaction() as tx:
            call, latest = await tx.lock_call(self.call_id), await tx.attempts.latest_for(self.call_id)
            if call.final or call.no_more_retries:
                return
            asked_during = self.rng.choice([latest, None])
            if asked_during is not None and asked_during.verdict_type is not None:
                asked_during = None
            previous = await tx.tasks.open_for(self.call_id)
            if previous is not None:
                previous.status = TaskStatus.SUPERSEDED
                await tx.save(previous)
            due_at = now + timedelta(hours=self.rng.choice([1, 30]))
            task = Task(self.stack.new_id(), self.call_id, TaskKind.CALLBACK, due_at, source="agent", created_at=now)
            task.from_attempt = asked_during.attempt_id if asked_during else None
            await tx.insert(task)
            call.expires_at = max(call.expires_at, due_at + timedelta(days=1))
            await emit_rescheduled(tx, call, asked_during, task, previous and previous.due_at, now)
            update_status(call, task, latest)
            await tx.save(call)

    async def cancel(self) -> None:
        await cancel_call(self.stack.store, self.stack.clock, self.call_id, TESTER)

    async def suppress(self) -> None:
        person = {"phone": self.stack.phone(), "contact_id": None}
        await suppress_now(
            self.stack.store,
            self.stack.clock,
            self.stack.new_id,
            SuppressionOrder(reason="asked", **person, actor=TESTER),
        )

    async def expire(self) -> None:
        queue: Any = None
        await ScheduledCalls(self.stack.store, self.stack.clock, queue).end_expired_calls()

    async def end(self) -> None:
        """Time goes by: the provider is asked, tasks are dialed and go unanswered, the call expires."""
        for _ in range(12):
            await self.ask()
            self.stack.clock.advance(90_000)
            await self.stack.watchdog.reconcile_due_attempts()
            await self.expire()
        for talk in await self.talks():
            if (await self.stack.store.attempt_of(talk.attempt_id, None)).provider_call_id is not None:
                self.stack.record(talk, self.recordings[talk.attempt_id], "call_analyzed")
        await self.stack.watchdog.reconcile_due_attempts()

    def check(self, events: list[r.Body], is_over: bool) -> None:
        where = f"seed {self.seed}: {self.steps}"
        data = [event["data"] for event in events]
        ids = [event["id"] for event in events]
        assert [one["sequence"] for one in data] == list(range(1, len(data) + 1)), where
        assert len(set(ids)) == len(ids), where
        corrected = {one["corrects"] for one in data if "corrects" in one}
        assert corrected <= set(ids), where
        last_words = [event for event in events if event["data"].get("is_final") and event["id"] not in corrected]
        assert len(last_words) == is_over, where
        first_words = [one for one in data if one.get("is_final") and "corrects" not in one]
        assert len(first_words) <= 1, where
        for attempt_id in {one["attempt_id"] for one in data} - {None}:
            self.check_attempt([event for event in events if event["data"]["attempt_id"] == attempt_id], where)

    def check_attempt(self, events: list[r.Body], where: str) -> None:
        names = [event["type"].removeprefix("voice_ai_call_") for event in events]
        assert names.count("started") <= 1, where
        assert names.count("initiated") <= 1, where
        ends = [
            event
            for event, name in zip(events, names, strict=True)
            if name not in ("initiated", "started", "rescheduled") and "corrects" not in event["data"]
        ]
        assert len(ends) <= 1, where
        for end in ends:
            before = names[: events.index(end)]
            assert "initiated" in before or end["data"].get("attempted") in (False, None), where
        revisions = [event["data"]["revision"] for event in events if "revision" in event["data"]]
        assert revisions == list(range(1, len(revisions) + 1)), where


@pytest.fixture
async def stack(connection: asyncpg.Connection, clock: Any) -> EventStack:  # noqa: F811
    pool: Any = OneConnection(connection)
    return EventStack(PostgresStore(pool, clock_is_real=False), pool, clock)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    stories = max(STORIES, metafunc.config.getoption("--trials"))
    metafunc.parametrize("first", range(0, stories, AT_ONCE))


@pytest.mark.matrix
async def test_engage_is_told_one_consistent_story(
    stack: EventStack, first: int, record_property: Callable[[str, object], None]
) -> None:
    record_property("cases", AT_ONCE)
    for seed in range(first, first + AT_ONCE):
        story = Story(EventStack(stack.store, stack.pool, type(stack.clock)()), seed)
        await story.begin()
        for _ in range(STEPS):
            await story.step()
            call = await story.stack.call(story.call_id)
            story.check(await story.stack.events(story.call_id), call["final"])
        await story.end()
        call = await story.stack.call(story.call_id)
        assert call["final"], f"seed {seed}: {story.steps}"
        story.check(await story.stack.events(story.call_id), is_over=True)
