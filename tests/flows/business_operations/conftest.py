"""A stack at which actions are asked for: real PostgreSQL, the real flows, a provider that always places the call."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ringback.adapters.postgres.pool import Pool
from ringback.adapters.postgres.store import PostgresStore
from ringback.adapters.retell.events import report_from_call, report_from_webhook
from ringback.adapters.retell.wire import content_identity, identified
from ringback.adapters.spoken_time import EnglishSpokenTime
from ringback.domain.calling_hours import CallingHours
from ringback.domain.catalog import Catalog, built_in_catalog, parse_catalog
from ringback.domain.eligibility import DialPolicy
from ringback.domain.errors import StoreUnavailable
from ringback.domain.provider_report import ProviderReport, ReportKind
from ringback.flows.business_operations import business_actions
from ringback.flows.business_operations.action import ActionRequest, Reply, Scope
from ringback.flows.business_operations.runner import BusinessOperations
from ringback.flows.ending_calls import cancel_call
from ringback.flows.event_processing import EventCounts, EventProcessing, apply_evidence
from ringback.flows.scheduled_calls import ScheduledCalls
from ringback.messages import WebhookReceived
from tests.audit_log import TESTER
from tests.flows.stack import PlacingProvider, QueueDepth, Stack, a_request, deadlines, new_ids, policy

POLICY = policy(calling_hours=CallingHours.parse("mon-sat 09:00-20:00"), max_live_calls=20, calls_per_second=100)


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation in progress."""

    call_id: str
    attempt_id: str
    provider_call_id: str


class ActionStack(Stack):
    """A stack for business actions of systems and agents."""

    def __init__(self, store: Any, pool: Any, clock: Any, policy: DialPolicy, catalog: Catalog | None = None) -> None:
        super().__init__(
            store, pool, clock, policy, deadlines=deadlines(), provider=PlacingProvider(), new_id=new_ids(4)
        )
        self.actions = business_actions(
            self.rules,
            catalog or built_in_catalog(),
            EnglishSpokenTime(),
            report_from_call,
            identified,
            clock.now,
        )
        self.operations = BusinessOperations(store, clock, self.actions, self.rules)
        self._events = EventProcessing(store, clock, self.rules, report_from_webhook, content_identity, EventCounts())
        self._scheduled = ScheduledCalls(store, clock, QueueDepth())  # type: ignore[arg-type]
        self._keys = itertools.count(1)

    async def accept(self, contact_id: str = "crm-42", phone: str = "+14155550100", **given: Any) -> str:
        request = a_request(contact_id, phone, **given)
        return (await self.initiation.accept_call(request)).call_id

    async def dial(self, call_id: str) -> Talk:
        """Deliver the message of the call's dispatched task."""
        task = await self.one("SELECT * FROM tasks WHERE call_id = $1 AND status = 'dispatched'", call_id)
        await self.deliver(call_id, task["task_id"], task["dispatch"])
        attempt = await self.one("SELECT * FROM attempts WHERE call_id = $1 ORDER BY number DESC LIMIT 1", call_id)
        return Talk(call_id, attempt["attempt_id"], attempt["provider_call_id"])

    async def webhook(self, body: dict[str, Any]) -> None:
        """A verified webhook of the provider's, once through the processor."""
        message = WebhookReceived(self.clock.now().isoformat(), json.dumps(body))
        await self._events.apply_call_event(message, receive_count=1)

    async def release_due(self) -> int:
        return await self._scheduled.release_due_calls()

    async def cancel(self, call_id: str) -> None:
        await cancel_call(self.store, self.clock, call_id, TESTER)

    async def talk(self, contact_id: str = "crm-42", phone: str = "+14155550100", **given: Any) -> Talk:
        """A call that was accepted and placed."""
        return await self.dial(await self.accept(contact_id, phone, **given))

    async def report(self, talk: Talk, kind: ReportKind, **facts: Any) -> None:
        """Apply a webhook's report about the conversation."""
        attempt = await self.store.attempt_of(talk.attempt_id, None)
        assert attempt is not None
        async with self.store.transaction() as tx:
            await apply_evidence(
                tx, attempt, ProviderReport(kind, talk.provider_call_id, **facts), self.rules, self.clock.now
            )

    async def ask(self, action: str, args: dict[str, Any], *, key: str | None = None, **target: str) -> Reply:
        """Ask as a system."""
        key = key or f"key-{next(self._keys)}"
        return await self.operations.perform(ActionRequest(action, Scope.SYSTEMS, key, args, **target))

    def tool_request(self, talk: Talk, action: str, args: dict[str, Any], key: str | None = None) -> ActionRequest:
        report = ProviderReport(
            ReportKind.TOOL,
            talk.provider_call_id,
            attempt_id=talk.attempt_id,
            call_id=talk.call_id,
            instance="test-instance",
            started_at=self.clock.now(),
        )
        return ActionRequest(
            action,
            Scope.RETELL,
            key or f"{talk.provider_call_id}:{action}:{next(self._keys)}",
            args,
            attempt_id=talk.attempt_id,
            provider_call_id=talk.provider_call_id,
            report=report,
        )

    async def tool(self, talk: Talk, action: str, args: dict[str, Any], key: str | None = None) -> Reply:
        """Ask from the conversation, as Retell does."""
        return await self.operations.perform(self.tool_request(talk, action, args, key))

    async def tool_of_another_instance(self, talk: Talk, action: str, args: dict[str, Any]) -> Reply:
        request = self.tool_request(talk, action, args)
        assert request.report is not None
        return await self.operations.perform(replace(request, report=replace(request.report, instance="other")))

    async def warm_up(self) -> None:
        """Open the pool's connections, so that what is asked at once does overlap."""
        await asyncio.gather(*(self.execute("SELECT pg_sleep(0.05)") for _ in range(8)))

    async def events(self, call_id: str) -> list[dict[str, Any]]:
        """The call's ABT events in order, as Engage would get them."""
        return await self.envelopes(call_id)

    async def rows_written(self) -> dict[str, int]:
        """How many rows each table has that an action may write to."""
        tables = (
            "tasks",
            "outbox",
            "suppressions",
            "dispositions",
            "action_results",
            "notes",
            "field_writes",
            "inbound_calls",
        )
        return {name: (await self.one(f"SELECT count(*) FROM {name}"))["count"] for name in tables}


class UnavailableStore:
    """An unavailable database."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        raise StoreUnavailable("unavailable")
        yield

    reading = transaction

    async def attempt_of(self, attempt_id: str | None, provider_call_id: str | None) -> None:
        raise StoreUnavailable("unavailable")

    async def instance(self) -> str:
        return "test-instance"


@pytest.fixture
def stack_without_database(clock: Any) -> ActionStack:
    return ActionStack(UnavailableStore(), None, clock, POLICY)


@pytest.fixture
def stack(store: PostgresStore, pool: Pool, clock: Any) -> ActionStack:
    return ActionStack(store, pool, clock, POLICY)


@pytest.fixture
def make_stack(store: PostgresStore, pool: Pool, clock: Any) -> Callable[[str], ActionStack]:
    """A stack with other calling hours."""
    return lambda hours: ActionStack(store, pool, clock, replace(POLICY, calling_hours=CallingHours.parse(hours)))


@pytest.fixture
def rehearse(clock: Any) -> Callable[..., Reply]:
    """Ask as an agent without a conversation, under the catalogue of this TOML."""

    def ask(toml: str, action: str, args: dict[str, Any]) -> Reply:
        stack = ActionStack(UnavailableStore(), None, clock, POLICY, parse_catalog(toml))
        return stack.operations.rehearse(action, args)

    return ask
