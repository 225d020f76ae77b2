"""A stack at which actions are asked for: real PostgreSQL, the real flows, a provider that always places the call."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ringback.adapters.number_plan import PhoneNumbersPlan
from ringback.adapters.postgres.pool import Pool
from ringback.adapters.postgres.store import PostgresStore
from ringback.adapters.retell.events import report_from_call, report_from_webhook
from ringback.adapters.retell.wire import content_identity
from ringback.adapters.spoken_time import EnglishSpokenTime
from ringback.domain.attempt import DialAnswer, DialAnswerKind, DialRequest, VoicemailAction
from ringback.domain.call import NewCall, RetryPolicy
from ringback.domain.calling_hours import CallingHours
from ringback.domain.catalog import built_in_catalog
from ringback.domain.eligibility import DialPolicy
from ringback.domain.errors import StoreUnavailable
from ringback.domain.follow_up import Deadlines
from ringback.domain.provider_report import ProviderReport, ReportKind
from ringback.flows.business_operations import business_actions
from ringback.flows.business_operations.action import ActionRequest, Reply, Scope
from ringback.flows.business_operations.runner import BusinessOperations
from ringback.flows.call_initiation import CallInitiation
from ringback.flows.call_outcome import OutcomeRules
from ringback.flows.call_processing import CallProcessing
from ringback.flows.ending_calls import cancel_call
from ringback.flows.event_processing import EventCounts, EventProcessing, apply_evidence
from ringback.flows.scheduled_calls import ScheduledCalls
from ringback.messages import CallRequested, WebhookReceived

POLICY = DialPolicy(
    countries=frozenset({"US"}),
    calling_hours=CallingHours.parse("mon-sat 09:00-20:00"),
    max_live_calls=20,
    calls_per_second=100,
    attempts_per_day=0,
    attempt_gap_s=0,
    lease_s=60,
)
DEADLINES = Deadlines(
    silence_s=180,
    not_connected_s=20,
    analysis_s=300,
    analysis_give_up_s=86400,
    max_call_s=3600,
    unknown_lookups_s=(5, 30),
    same_key_window_s=0,
    inbound_hold_s=1800,
)


class PlacingProvider:
    """Takes every dial and names the calls call_1, call_2 …"""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    async def dial(self, request: DialRequest, lease_deadline: float) -> DialAnswer:
        return DialAnswer(DialAnswerKind.PLACED, "http_201", f"call_{next(self._numbers)}")

    async def is_emulated(self) -> bool:
        return True

    async def voicemail_action(self, agent_id: str) -> VoicemailAction:
        return VoicemailAction.HANGUP

    async def find_attempt(self, attempt_id: str) -> list[ProviderReport]:
        return []

    async def fetch_call(self, provider_call_id: str) -> ProviderReport | None:
        return None

    async def stop_call(self, provider_call_id: str) -> None:
        return None


def new_ids() -> Callable[[], str]:
    counter = itertools.count(1)
    return lambda: f"id-{next(counter):04d}"


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation under way."""

    call_id: str
    attempt_id: str
    provider_call_id: str


class Stack:
    def __init__(self, store: Any, pool: Any, clock: Any, policy: DialPolicy) -> None:
        self.store, self.pool, self.clock = store, pool, clock
        self.new_id = new_ids()
        numbers = PhoneNumbersPlan()
        self.rules = OutcomeRules(policy, DEADLINES, numbers, self.new_id)
        self.actions = business_actions(
            self.rules, built_in_catalog(), EnglishSpokenTime(), report_from_call, content_identity, clock.now
        )
        self.operations = BusinessOperations(store, clock, self.actions, self.rules)
        self._initiation = CallInitiation(store, clock, self.new_id, numbers, policy)
        self._processing = CallProcessing(store, PlacingProvider(), clock, self.new_id, self.rules)
        self._events = EventProcessing(store, clock, self.rules, report_from_webhook, content_identity, EventCounts())
        self._scheduled = ScheduledCalls(store, clock, EmptyQueue())
        self._keys = itertools.count(1)

    async def accept(self, contact_id: str = "crm-42", phone: str = "+14155550100", **given: Any) -> str:
        request = NewCall(
            contact_id=contact_id,
            phone=phone,
            time_zone=given.pop("time_zone", "America/New_York"),
            fields=given.pop("fields", {}),
            agent_id="agent_1",
            from_number="+14155550199",
            variables=given.pop("variables", {}),
            metadata={},
            not_before=given.pop("not_before", None),
            expires_at=given.pop("expires_at", None),
            retry=given.pop("retry", RetryPolicy()),
            fingerprint="",
        )
        assert not given
        return (await self._initiation.accept_call(request)).call_id

    async def dial(self, call_id: str) -> Talk:
        """Deliver the message of the call's dispatched task."""
        task = await self.one("SELECT * FROM tasks WHERE call_id = $1 AND status = 'dispatched'", call_id)
        await self.deliver(call_id, task["task_id"], task["dispatch"])
        attempt = await self.one("SELECT * FROM attempts WHERE call_id = $1 ORDER BY number DESC LIMIT 1", call_id)
        return Talk(call_id, attempt["attempt_id"], attempt["provider_call_id"])

    async def deliver(self, call_id: str, task_id: str, dispatch: int) -> None:
        await self._processing.place_call(CallRequested(call_id, task_id, dispatch))

    async def webhook(self, body: dict[str, Any]) -> None:
        """A verified webhook of the provider's, once through the processor."""
        message = WebhookReceived(self.clock.now().isoformat(), json.dumps(body))
        await self._events.apply_call_event(message, receive_count=1)

    async def release_due(self) -> int:
        return await self._scheduled.release_due_calls()

    async def cancel(self, call_id: str) -> None:
        await cancel_call(self.store, self.clock, call_id)

    async def talk(self, contact_id: str = "crm-42", phone: str = "+14155550100", **given: Any) -> Talk:
        """A call that was accepted and placed."""
        return await self.dial(await self.accept(contact_id, phone, **given))

    async def report(self, talk: Talk, kind: ReportKind, **facts: Any) -> None:
        """What a webhook says about the conversation."""
        attempt = await self.store.attempt_of(talk.attempt_id, None)
        assert attempt is not None
        async with self.store.transaction() as tx:
            await apply_evidence(
                tx, attempt, ProviderReport(kind, talk.provider_call_id, **facts), self.rules, self.clock.now()
            )

    async def ask(self, action: str, args: dict[str, Any], *, key: str | None = None, **target: str) -> Reply:
        """At the systems' door."""
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
        """At Retell's door, from the conversation."""
        return await self.operations.perform(self.tool_request(talk, action, args, key))

    async def tool_of_another_instance(self, talk: Talk, action: str, args: dict[str, Any]) -> Reply:
        request = self.tool_request(talk, action, args)
        assert request.report is not None
        return await self.operations.perform(replace(request, report=replace(request.report, instance="other")))

    async def all(self, query: str, *args: Any) -> list[dict[str, Any]]:
        async with self.pool.acquire() as connection:
            return [dict(record) for record in await connection.fetch(query, *args)]

    async def warm_up(self) -> None:
        """Open the pool's connections, so that what is asked at once does overlap."""
        await asyncio.gather(*(self.execute("SELECT pg_sleep(0.05)") for _ in range(8)))

    async def execute(self, statement: str) -> None:
        async with self.pool.acquire() as connection:
            await connection.execute(statement)

    async def one(self, query: str, *args: Any) -> dict[str, Any]:
        rows = await self.all(query, *args)
        assert len(rows) == 1, rows
        return rows[0]

    async def call(self, call_id: str) -> dict[str, Any]:
        return await self.one("SELECT * FROM calls WHERE call_id = $1", call_id)

    async def tasks(self, call_id: str) -> list[dict[str, Any]]:
        return await self.all("SELECT * FROM tasks WHERE call_id = $1 ORDER BY created_at, task_id", call_id)

    async def events(self, call_id: str) -> list[dict[str, Any]]:
        """The call's ABT events in order, as Engage would get them."""
        rows = await self.all(
            "SELECT payload FROM outbox WHERE kind = 'abt_event' AND call_id = $1 ORDER BY id", call_id
        )
        return [row["payload"] for row in rows]

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


class EmptyQueue:
    async def depth(self) -> int:
        return 0


class AwayStore:
    """A database that cannot be reached."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        raise StoreUnavailable("away")
        yield

    async def attempt_of(self, attempt_id: str | None, provider_call_id: str | None) -> None:
        raise StoreUnavailable("away")

    async def instance(self) -> str:
        return "test-instance"


@pytest.fixture
def stack_without_database(clock: Any) -> Stack:
    return Stack(AwayStore(), None, clock, POLICY)


@pytest.fixture
def stack(store: PostgresStore, pool: Pool, clock: Any) -> Stack:
    return Stack(store, pool, clock, POLICY)


@pytest.fixture
def make_stack(store: PostgresStore, pool: Pool, clock: Any) -> Callable[[str], Stack]:
    """A stack with other calling hours."""
    return lambda hours: Stack(store, pool, clock, replace(POLICY, calling_hours=CallingHours.parse(hours)))
