"""A stack that dials: real PostgreSQL, the real flows, a provider that keeps its own ledger, time set by hand."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from ringback.adapters.postgres.pool import Pool
from ringback.adapters.postgres.store import PostgresStore
from ringback.domain.attempt import DialRequest
from ringback.domain.call import Call, RetryPolicy, Task, TaskKind, TaskStatus
from ringback.domain.provider_report import ProviderReport
from ringback.flows.ending_calls import cancel_call
from ringback.flows.event_processing import apply_evidence
from ringback.flows.reconciliation import Reconciliation
from ringback.flows.scheduled_calls import ScheduledCalls
from ringback.flows.suppression import SuppressionOrder, suppress_now
from ringback.messages import CallRequested
from tests.audit_log import TESTER
from tests.flows.stack import QueueDepth, Row, Stack, deadlines, new_ids, policy

from .twins import ProviderTwin

POLICY = policy(max_live_calls=100)
DEADLINES = deadlines(unknown_lookups_s=(5, 30, 120, 600, 1800, 4200), same_key_window_s=2700)


class DialingStack(Stack):
    """A stack that dials with a provider that keeps its own ledger."""

    def __init__(self, store: PostgresStore, pool: Pool, clock: Any) -> None:
        super().__init__(
            store, pool, clock, POLICY, deadlines=DEADLINES, provider=ProviderTwin(clock), new_id=new_ids(5)
        )
        self.queue = QueueDepth()
        self._accepted = itertools.count(1)

    def with_policy(self, **changed: Any) -> "DialingStack":
        self.rules = replace(self.rules, policy=replace(self.rules.policy, **changed))
        return self

    def with_deadlines(self, **changed: Any) -> "DialingStack":
        self.rules = replace(self.rules, deadlines=replace(self.rules.deadlines, **changed))
        return self

    @property
    def reconciliation(self) -> Reconciliation:
        return Reconciliation(self.store, self.provider, self.clock, self.rules)

    @property
    def scheduled(self) -> ScheduledCalls:
        return ScheduledCalls(self.store, self.clock, self.queue)  # type: ignore[arg-type]

    async def accept(
        self,
        phone: str | None = None,
        *,
        kind: TaskKind = TaskKind.FIRST,
        due_at: datetime | None = None,
        contact_id: str | None = None,
        time_zone: str | None = "America/New_York",
        **of_call: Any,
    ) -> CallRequested:
        """An accepted call; its task is dispatched, or pending if it is due later."""
        number, now = next(self._accepted), self.clock.now()
        call_id, contact_id = f"call-{number}", contact_id or f"crm-{number}"
        phone = phone or f"+1415555{number:04d}"
        async with self.pool.acquire() as connection:
            await connection.execute(
                "INSERT INTO contacts VALUES ($1, $2, $3, 'crm', '{}', $4) ON CONFLICT DO NOTHING",
                contact_id,
                phone,
                time_zone,
                now,
            )
        call = Call(
            call_id=call_id,
            contact_id=contact_id,
            phone=phone,
            agent_id="agent_1",
            from_number="+14155550199",
            variables={"first_name": "Ada", "amount": "12.50"},
            metadata={"order": 7, "b": [1, 2.5], "a": None},
            retry=of_call.pop("retry", RetryPolicy()),
            accepted_at=now,
            expires_at=of_call.pop("expires_at", now + timedelta(days=7)),
            expiry_is_explicit=False,
            **of_call,
        )
        task = Task(f"task-{number}", call_id, kind, due_at or now, created_at=now)
        if due_at is None:
            task.status, task.dispatch, task.dispatched_at = TaskStatus.DISPATCHED, 1, now
        async with self.store.transaction() as tx:
            await tx.insert(call)
            await tx.insert(task)
        return CallRequested(call_id, task.task_id, task.dispatch)

    async def place(self, message: CallRequested) -> None:
        await self.processing.place_call(message)

    async def release(self) -> list[CallRequested]:
        """Release due tasks. Returns the messages that were not published before."""
        await self.scheduled.release_due_calls()
        return await self.published()

    async def published(self) -> list[CallRequested]:
        rows = await self.all(
            "UPDATE outbox SET delivered_at = created_at WHERE kind = 'call_message' AND delivered_at IS NULL"
            " RETURNING payload"
        )
        return [CallRequested(**row["payload"]) for row in rows]

    async def place_due(self) -> None:
        for message in await self.release():
            await self.place(message)

    async def reconcile(self, after_s: float = 0) -> int:
        self.clock.advance(after_s)
        return await self.reconciliation.reconcile_due_attempts()

    async def check_when_due(self, call_id: str) -> float:
        """Advance the clock to the attempt's next check, and check it. Returns the wait in seconds."""
        attempt = await self.attempt(call_id)
        assert attempt["next_check_at"] is not None, "the attempt has no next check"
        wait_s = (attempt["next_check_at"] - self.clock.now()).total_seconds()
        await self.reconcile(max(wait_s, 0))
        return float(wait_s)

    def report_during_dial(self, call_id: str, report: Callable[[str, str], Any], provider_call_id: str) -> None:
        """Apply a webhook before the answer of each dial. `report` makes it, for example `provider.rang`."""

        async def webhook(request: DialRequest) -> None:
            await self.hear(call_id, report(request.idempotency_key, provider_call_id))

        self.provider.during_dial = webhook

    async def hear(self, call_id: str, report: ProviderReport) -> None:
        """Evidence that did not come by asking."""
        known = await self.store.attempt_of((await self.attempt(call_id))["attempt_id"], None)
        assert known is not None
        async with self.store.transaction() as tx:
            await apply_evidence(tx, known, report, self.rules, self.clock.now)

    async def cancel(self, call_id: str) -> str | None:
        return await cancel_call(self.store, self.clock, call_id, TESTER)

    async def suppress(self, **named: Any) -> list[str]:
        given = {"phone": None, "contact_id": None, **named}
        return (
            await suppress_now(
                self.store, self.clock, self.new_id, SuppressionOrder(reason="asked", **given, actor=TESTER)
            )
        )[1]

    async def task(self, call_id: str) -> Row:
        """The call's latest task."""
        return (await self.tasks(call_id))[-1]

    async def events(self, call_id: str) -> list[tuple[str, Row]]:
        """(type without its prefix, data) in the order in which Engage hears them."""
        events = await self.envelopes(call_id)
        return [(event["type"].removeprefix("voice_ai_call_"), event["data"]) for event in events]

    async def event_types(self, call_id: str) -> list[str]:
        return [type_ for type_, _ in await self.events(call_id)]

    async def decisions(self, call_id: str, kind: str) -> list[Row]:
        rows = await self.all(
            "SELECT detail FROM gate_decisions WHERE call_id = $1 AND kind = $2 ORDER BY id", call_id, kind
        )
        return [row["detail"] for row in rows]

    async def last_rule(self, call_id: str) -> str:
        return str((await self.decisions(call_id, "gate"))[-1]["rule"])


@pytest.fixture
def stack(store: PostgresStore, pool: Pool, clock: Any) -> DialingStack:
    return DialingStack(store, pool, clock)
