"""A stack on which recorded calls are played: real PostgreSQL, the real flows, the real translation of webhooks."""

import itertools
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ringback.adapters.postgres.pool import Pool
from ringback.adapters.postgres.store import PostgresStore
from ringback.adapters.retell.events import report_from_call, report_from_webhook
from ringback.adapters.retell.wire import content_identity
from ringback.domain.attempt import DialAnswer, DialAnswerKind, DialRequest, VoicemailAction
from ringback.domain.eligibility import DialPolicy
from ringback.domain.provider_report import ProviderReport, ReportKind
from ringback.flows.event_processing import EventCounts, EventProcessing
from ringback.flows.reconciliation import Reconciliation
from ringback.messages import WebhookReceived
from tests.flows.stack import Stack, a_request, deadlines, policy
from tests.postgresql import short_lived_copy

from .recordings import Body, play

POLICY = policy(max_live_calls=10_000, calls_per_second=10_000)
INSTANCE = "test-instance"
_people = itertools.count(1)


@pytest.fixture(scope="package")
def database_url(server_url: str, template_database: str) -> Iterator[str]:
    """One for all tests of this folder: each of them calls people of its own."""
    with short_lived_copy(server_url, template_database) as url:
        yield url


class ScriptedProvider:
    """Places every call, unless `answer` says otherwise. `during_dial` runs during the request."""

    def __init__(self) -> None:
        self.action = VoicemailAction.MESSAGE
        self.answer: DialAnswer | None = None
        self.during_dial: Callable[[DialRequest, str], Awaitable[None]] | None = None
        self.calls: dict[str, ProviderReport] = {}
        self.dialed: list[str] = []

    async def dial(self, request: DialRequest, lease_deadline: float) -> DialAnswer:
        self.dialed.append(request.idempotency_key)
        provider_call_id = f"call_{request.idempotency_key}"
        if self.during_dial is not None:
            await self.during_dial(request, provider_call_id)
        return self.answer or DialAnswer(DialAnswerKind.PLACED, "http_201", provider_call_id)

    async def is_emulated(self) -> bool:
        return True

    async def voicemail_action(self, agent_id: str) -> VoicemailAction:
        return self.action

    async def find_attempt(self, attempt_id: str) -> list[ProviderReport]:
        return [report for report in self.calls.values() if report.attempt_id == attempt_id]

    async def fetch_call(self, provider_call_id: str) -> ProviderReport | None:
        return self.calls.get(provider_call_id)

    async def stop_call(self, provider_call_id: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Talk:
    """One attempt as both sides name it."""

    call_id: str
    attempt_id: str
    provider_call_id: str

    @property
    def marks(self) -> Body:
        return {
            "ringback_call_id": self.call_id,
            "ringback_attempt_id": self.attempt_id,
            "ringback_instance": INSTANCE,
        }


class EventStack(Stack):
    """A stack that plays recorded calls. Each has a person of its own."""

    def __init__(self, store: PostgresStore, pool: Pool, clock: Any, policy: DialPolicy = POLICY) -> None:
        self.person = next(_people)
        self.last_id = 0
        super().__init__(
            store, pool, clock, policy, deadlines=deadlines(), provider=ScriptedProvider(), new_id=self._next_id
        )
        self.counts = EventCounts()
        self.events_in = EventProcessing(store, clock, self.rules, report_from_webhook, content_identity, self.counts)
        self.watchdog = Reconciliation(store, self.provider, clock, self.rules)

    def _next_id(self) -> str:
        self.last_id += 1
        return f"{self.person:05d}-{self.last_id:04d}"

    def phone(self, number: int = 0) -> str:
        return f"+1415{2000000 + self.person * 10 + number}"

    def contact(self, number: int = 0) -> str:
        return f"crm-{self.person}-{number}"

    async def accept(self, *, contact: int = 0, phone: int | None = None, **given: Any) -> str:
        phone_number = self.phone(contact if phone is None else phone)
        members = {"time_zone": "America/Los_Angeles", "metadata": {"campaign": "spring"}} | given
        request = a_request(self.contact(contact), phone_number, **members)
        return (await self.initiation.accept_call(request)).call_id

    async def dial(self, call_id: str) -> Talk:
        """Deliver the message of the call's dispatched task."""
        task = await self.one("SELECT * FROM tasks WHERE call_id = $1 AND status = 'dispatched'", call_id)
        await self.deliver(call_id, task["task_id"], task["dispatch"])
        attempt_id = (await self.attempt(call_id))["attempt_id"]
        return Talk(call_id, attempt_id, f"call_{attempt_id}")

    async def dial_next(self, call_id: str) -> Talk:
        """Wait until the call's next task is due, and dial it."""
        task = await self.open_task(call_id)
        self.clock.advance(max(0.0, (task["due_at"] - self.clock.now()).total_seconds()))
        await self.store.release_due(self.clock.now(), 10_000, 10_000)
        return await self.dial(call_id)

    async def talk(self, **given: Any) -> Talk:
        """A call that was accepted and placed."""
        return await self.dial(await self.accept(**given))

    async def hear(self, body: str | None, receive_count: int = 1, **names: str) -> None:
        message = WebhookReceived("2026-12-01T17:00:00+00:00", body, **names)
        await self.events_in.apply_call_event(message, receive_count)

    async def play(self, talk: Talk, recording: dict[str, Body], *events: str, **changes: Any) -> None:
        """The named webhooks of the recording, all of them if none is named."""
        for event in events or recording:
            await self.hear(play(recording, event, talk.provider_call_id, talk.marks, **changes))

    def record(self, talk: Talk, recording: dict[str, Body], event: str, **changes: Any) -> None:
        """Set the answer of get-call and list-calls."""
        call = json.loads(play(recording, event, talk.provider_call_id, talk.marks, **changes))["call"]
        self.provider.calls[talk.provider_call_id] = report_from_call(call, ReportKind.SNAPSHOT)

    async def open_task(self, call_id: str) -> dict[str, Any]:
        return await self.one(
            "SELECT * FROM tasks WHERE call_id = $1 AND status IN ('pending', 'held', 'dispatched')", call_id
        )

    async def has_open_task(self, call_id: str) -> bool:
        query = "SELECT 1 FROM tasks WHERE call_id = $1 AND status IN ('pending', 'held', 'dispatched')"
        return bool(await self.all(query, call_id))

    async def events(self, call_id: str) -> list[Body]:
        """The call's ABT events in order, as Engage would get them."""
        return await self.envelopes(call_id)

    async def told(self, call_id: str) -> list[str]:
        """The short names of the events, a failure's with its reason."""
        return [short_name(event) for event in await self.events(call_id)]

    async def last(self, call_id: str) -> Body:
        return (await self.events(call_id))[-1]["data"]


def short_name(event: Body) -> str:
    name = event["type"].removeprefix("voice_ai_call_")
    return f"{name} {event['data']['reason']}" if name == "failed" else name


@pytest.fixture
def stack(store: PostgresStore, pool: Pool, clock: Any) -> EventStack:
    return EventStack(store, pool, clock)


@pytest.fixture
def make_line(store: PostgresStore, pool: Pool, clock: Any) -> Callable[..., EventStack]:
    """A stack under another policy."""
    return lambda **policy: EventStack(store, pool, clock, replace(POLICY, **policy))
