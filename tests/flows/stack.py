"""The stack of the flows' tests: real PostgreSQL, the real flows, a provider of the test's own, time set by hand."""

import itertools
from collections.abc import Callable
from typing import Any

from ringback.adapters.number_plan import PhoneNumbersPlan
from ringback.domain.attempt import DialAnswer, DialAnswerKind, DialRequest, VoicemailAction
from ringback.domain.call import NewCall, RetryPolicy
from ringback.domain.calling_hours import CallingHours
from ringback.domain.eligibility import DialPolicy
from ringback.domain.follow_up import Deadlines
from ringback.domain.provider_report import ProviderReport
from ringback.flows.call_initiation import CallInitiation
from ringback.flows.call_outcome import OutcomeRules
from ringback.flows.call_processing import CallProcessing
from ringback.messages import CallRequested
from tests.event_schemas import checked_event

Row = dict[str, Any]


def policy(**changed: Any) -> DialPolicy:
    """A policy without limits, open all day, in the United States."""
    given: dict[str, Any] = {
        "countries": frozenset({"US"}),
        "calling_hours": CallingHours(),
        "max_live_calls": 1000,
        "calls_per_second": 1000,
        "attempts_per_day": 0,
        "attempt_gap_s": 0,
        "lease_s": 60,
    }
    return DialPolicy(**given | changed)


def deadlines(**changed: Any) -> Deadlines:
    """The product's waiting times, without a same-key window."""
    given: dict[str, Any] = {
        "silence_s": 180,
        "not_connected_s": 20,
        "analysis_s": 300,
        "analysis_give_up_s": 86400,
        "max_call_s": 3600,
        "unknown_lookups_s": (5, 30),
        "same_key_window_s": 0,
        "inbound_hold_s": 1800,
    }
    return Deadlines(**given | changed)


def new_ids(width: int) -> Callable[[], str]:
    """Ids in order: id-1, id-2 …, with leading zeros."""
    counter = itertools.count(1)
    return lambda: f"id-{next(counter):0{width}d}"


class PlacingProvider:
    """A provider that accepts every dial, and names the calls call_1, call_2 …"""

    def __init__(self) -> None:
        self.dialed: list[DialRequest] = []

    async def dial(self, request: DialRequest, lease_deadline: float) -> DialAnswer:
        self.dialed.append(request)
        return DialAnswer(DialAnswerKind.PLACED, "http_201", f"call_{len(self.dialed)}")

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


class QueueDepth:
    """The scheduler's view of the call queue."""

    def __init__(self) -> None:
        self.waiting = 0

    async def depth(self) -> int:
        return self.waiting


def a_request(contact_id: str, phone: str, **given: Any) -> NewCall:
    """A request to call this person, with these members changed."""
    members: dict[str, Any] = {
        "contact_id": contact_id,
        "phone": phone,
        "time_zone": "America/New_York",
        "fields": {},
        "agent_id": "agent_1",
        "from_number": "+14155550199",
        "variables": {},
        "metadata": {},
        "not_before": None,
        "expires_at": None,
        "retry": RetryPolicy(),
        "fingerprint": "",
    }
    assert given.keys() <= members.keys(), given
    return NewCall(**members | given)


class Stack:
    """The parts and the queries that every stack of the flows has."""

    def __init__(
        self,
        store: Any,
        pool: Any,
        clock: Any,
        policy: DialPolicy,
        *,
        deadlines: Deadlines,
        provider: Any,
        new_id: Callable[[], str],
    ) -> None:
        self.store, self.pool, self.clock, self.provider, self.new_id = store, pool, clock, provider, new_id
        self.numbers = PhoneNumbersPlan()
        self.rules = OutcomeRules(policy, deadlines, self.numbers, new_id)
        self.initiation = CallInitiation(store, clock, new_id, self.numbers, policy)

    @property
    def processing(self) -> CallProcessing:
        return CallProcessing(self.store, self.provider, self.clock, self.new_id, self.rules)

    async def deliver(self, call_id: str, task_id: str, dispatch: int) -> None:
        await self.processing.place_call(CallRequested(call_id, task_id, dispatch))

    async def all(self, query: str, *args: Any) -> list[Row]:
        async with self.pool.acquire() as connection:
            return [dict(record) for record in await connection.fetch(query, *args)]

    async def one(self, query: str, *args: Any) -> Row:
        rows = await self.all(query, *args)
        assert len(rows) == 1, rows
        return rows[0]

    async def execute(self, statement: str) -> None:
        async with self.pool.acquire() as connection:
            await connection.execute(statement)

    async def call(self, call_id: str) -> Row:
        return await self.one("SELECT * FROM calls WHERE call_id = $1", call_id)

    async def tasks(self, call_id: str) -> list[Row]:
        return await self.all("SELECT * FROM tasks WHERE call_id = $1 ORDER BY created_at, task_id", call_id)

    async def attempts(self, call_id: str) -> list[Row]:
        return await self.all("SELECT * FROM attempts WHERE call_id = $1 ORDER BY number", call_id)

    async def attempt(self, call_id: str) -> Row:
        """The latest attempt of the call."""
        return (await self.attempts(call_id))[-1]

    async def envelopes(self, call_id: str) -> list[Row]:
        """The call's ABT events in order, as Engage gets them."""
        query = "SELECT payload FROM outbox WHERE kind = 'abt_event' AND call_id = $1 ORDER BY id"
        return [checked_event(row["payload"]) for row in await self.all(query, call_id)]
