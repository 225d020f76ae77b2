"""A stack for the operator: calls are accepted and dialed by the real flows, and asked about over HTTP."""

import itertools
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import httpx
import pytest

from ringback.adapters.number_plan import PhoneNumbersPlan
from ringback.adapters.postgres.api_keys import PostgresApiKeys
from ringback.adapters.postgres.installation import PostgresDialingSwitch
from ringback.adapters.postgres.person_hash import Hashing
from ringback.adapters.postgres.views import PostgresViews
from ringback.domain.attempt import DialAnswer, DialAnswerKind, DialRequest, VoicemailAction
from ringback.domain.call import NewCall, RetryPolicy
from ringback.domain.calling_hours import CallingHours
from ringback.domain.eligibility import DialPolicy
from ringback.domain.follow_up import Deadlines
from ringback.flows.call_initiation import CallInitiation
from ringback.flows.call_outcome import OutcomeRules
from ringback.flows.call_processing import CallProcessing
from ringback.flows.operator.dialing_control import pause_dialing, resume_dialing
from ringback.flows.operator.eligibility import EligibilityExplainer
from ringback.flows.scheduled_calls import ScheduledCalls
from ringback.messages import CallRequested
from ringback.telemetry import make_metrics
from ringback.web.app import create_application
from ringback.web.auth import ApiKeys, hash_key
from ringback.web.routes.operator import OperatorRoutes, operator_routes

KEY = "rbk_a-key-for-tests"
PHONE = "+14155550100"
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
POLICY = DialPolicy(
    countries=frozenset({"US"}),
    calling_hours=CallingHours.parse("mon-sat 09:00-20:00"),
    max_live_calls=1000,
    calls_per_second=1000,
    attempts_per_day=2,
    attempt_gap_s=900,
    lease_s=60,
)


class PlacingProvider:
    """Takes every dial and remembers when."""

    def __init__(self) -> None:
        self.dialed: list[DialRequest] = []

    async def dial(self, request: DialRequest, lease_deadline: float) -> DialAnswer:
        self.dialed.append(request)
        return DialAnswer(DialAnswerKind.PLACED, "http_201", f"call_{len(self.dialed)}")

    async def is_emulated(self) -> bool:
        return True

    async def voicemail_action(self, agent_id: str) -> VoicemailAction:
        return VoicemailAction.HANGUP


class EmptyQueue:
    async def depth(self) -> int:
        return 0


class Stack:
    def __init__(self, store: Any, pool: Any, clock: Any, policy: DialPolicy, hashing: Hashing | None = None) -> None:
        self.store, self.pool, self.clock, self.policy = store, pool, clock, policy
        counter = itertools.count(1)
        self.new_id = lambda: f"id-{next(counter):06d}"
        self.numbers = PhoneNumbersPlan()
        self.provider = PlacingProvider()
        rules = OutcomeRules(policy, DEADLINES, self.numbers, self.new_id)
        self.initiation = CallInitiation(store, clock, self.new_id, self.numbers, policy)
        self.processing = CallProcessing(store, self.provider, clock, self.new_id, rules)
        self.scheduled = ScheduledCalls(store, clock, EmptyQueue())
        self.switch = PostgresDialingSwitch(pool)
        views = PostgresViews(pool, hashing)
        self.explanation = EligibilityExplainer(views, clock, self.numbers, policy)
        self.steering = OperatorRoutes(
            pause=partial(pause_dialing, self.switch, clock),
            resume=partial(resume_dialing, self.switch),
            why=self.explanation.explain,
            views=views,
            numbers=self.numbers,
        )

    async def accept(self, contact_id: str = "crm-42", phone: str = PHONE, **given: Any) -> str:
        fields = {
            "time_zone": "America/New_York",
            "not_before": None,
            "expires_at": None,
            "retry": RetryPolicy(),
        } | given
        request = NewCall(
            contact_id=contact_id,
            phone=phone,
            fields={"first_name": "Ada"},
            agent_id="agent_1",
            from_number="+14155550199",
            variables={"first_name": "Ada"},
            metadata={"campaign": "spring"},
            fingerprint="",
            **fields,
        )
        return (await self.initiation.accept_call(request)).call_id

    async def deliver(self, call_id: str) -> None:
        task = await self.pool.fetchrow("SELECT task_id, dispatch FROM tasks WHERE call_id = $1", call_id)
        await self.processing.place_call(CallRequested(call_id, task["task_id"], task["dispatch"]))

    async def explain(self, **asked: str) -> dict[str, Any]:
        told = await self.explanation.explain(**({"phone": None, "contact_id": None} | asked))
        assert told is not None
        return told


@pytest.fixture
def policy() -> DialPolicy:
    return POLICY


@pytest.fixture
def stack(store: Any, pool: Any, clock: Any, policy: DialPolicy, hashing: Hashing) -> Stack:
    return Stack(store, pool, clock, policy, hashing)


@pytest.fixture
async def api(stack: Stack, pool: Any, clock: Any) -> AsyncIterator[httpx.AsyncClient]:
    keys = PostgresApiKeys(pool)
    await keys.add("tests", hash_key(KEY), clock.now())
    guard = ApiKeys(keys.find, clock.monotonic)
    app = create_application("test", [operator_routes(stack.steering, guard.require)], [], make_metrics())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers={"X-API-Key": KEY}) as client:
        yield client
