"""A stack for the operator: calls are accepted and dialed by the real flows, and asked about over HTTP."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import httpx
import pytest

from ringback.adapters.postgres.api_keys import PostgresApiKeys
from ringback.adapters.postgres.audit import PostgresAudit
from ringback.adapters.postgres.installation import PostgresDialingSwitch
from ringback.adapters.postgres.person_hash import Hashing
from ringback.adapters.postgres.views import PostgresViews
from ringback.config import describe, read_settings
from ringback.domain.calling_hours import CallingHours
from ringback.domain.eligibility import DialPolicy
from ringback.flows.operator.dialing_control import pause_dialing, resume_dialing
from ringback.flows.operator.eligibility import EligibilityExplainer
from ringback.flows.scheduled_calls import ScheduledCalls
from ringback.telemetry import make_metrics
from ringback.web.app import create_application
from ringback.web.auth import ApiKeys, hash_key
from ringback.web.routes.operator import OperatorRoutes, operator_routes
from tests.audit_log import entry_at
from tests.flows.stack import PlacingProvider, QueueDepth, Stack, a_request, deadlines, new_ids, policy

KEY = "rbk_a-key-for-tests"
PHONE = "+14155550100"
POLICY = policy(calling_hours=CallingHours.parse("mon-sat 09:00-20:00"), attempts_per_day=2, attempt_gap_s=900)


class OperatorStack(Stack):
    """A stack whose operator asks and steers over HTTP."""

    def __init__(self, store: Any, pool: Any, clock: Any, policy: DialPolicy, hashing: Hashing | None = None) -> None:
        super().__init__(
            store, pool, clock, policy, deadlines=deadlines(), provider=PlacingProvider(), new_id=new_ids(6)
        )
        self.policy = policy
        self.scheduled = ScheduledCalls(store, clock, QueueDepth())  # type: ignore[arg-type]
        self.switch = PostgresDialingSwitch(pool)
        views = PostgresViews(pool, hashing)
        self.explanation = EligibilityExplainer(views, clock, self.numbers, policy)
        self.steering = OperatorRoutes(
            pause=partial(pause_dialing, self.switch, clock),
            resume=partial(resume_dialing, self.switch, clock),
            why=self.explanation.explain,
            settings=lambda: describe(read_settings({}, emulated=True)),
            views=views,
            audit=PostgresAudit(pool),
            numbers=self.numbers,
        )

    async def accept(self, contact_id: str = "crm-42", phone: str = PHONE, **given: Any) -> str:
        members = {
            "fields": {"first_name": "Ada"},
            "variables": {"first_name": "Ada"},
            "metadata": {"campaign": "spring"},
        } | given
        return (await self.initiation.accept_call(a_request(contact_id, phone, **members))).call_id

    async def deliver_first(self, call_id: str) -> None:
        task = await self.one("SELECT task_id, dispatch FROM tasks WHERE call_id = $1", call_id)
        await self.deliver(call_id, task["task_id"], task["dispatch"])

    async def explain(self, **asked: str) -> dict[str, Any]:
        told = await self.explanation.explain(**({"phone": None, "contact_id": None} | asked))
        assert told is not None
        return told


@pytest.fixture(name="policy")
def dial_policy() -> DialPolicy:
    return POLICY


@pytest.fixture
def stack(store: Any, pool: Any, clock: Any, policy: DialPolicy, hashing: Hashing) -> OperatorStack:
    return OperatorStack(store, pool, clock, policy, hashing)


@pytest.fixture
async def api(stack: OperatorStack, pool: Any, clock: Any) -> AsyncIterator[httpx.AsyncClient]:
    keys = PostgresApiKeys(pool)
    await keys.add("tests", hash_key(KEY), entry_at(clock.now()))
    guard = ApiKeys(keys.find, clock.monotonic)
    app = create_application("test", [operator_routes(stack.steering, guard.require)], [], make_metrics())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers={"X-API-Key": KEY}) as client:
        yield client
