"""A stack in which one person leaves every trace that a person can leave, and is then erased."""

import asyncio
import itertools
import json
import random
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from ringback.adapters.postgres.erasure import PostgresEraser
from ringback.adapters.postgres.message_queue import PostgresQueue
from ringback.adapters.postgres.person_hash import Hashing
from ringback.adapters.postgres.pool import Pool
from ringback.adapters.postgres.store import PostgresStore
from ringback.adapters.retell.events import report_from_webhook
from ringback.adapters.retell.functions import parse_tool_call
from ringback.adapters.retell.wire import content_identity
from ringback.domain.attempt import DialAnswer, DialAnswerKind, DialRequest, VoicemailAction
from ringback.domain.call import AcceptReceipt, NewCall, RetryPolicy
from ringback.domain.contact import Erased
from ringback.domain.provider_report import ProviderReport
from ringback.flows.business_operations.action import Reply, request_of
from ringback.flows.event_processing import EventCounts, EventProcessing
from ringback.flows.operator.erasure import erase_person
from ringback.flows.outbox_delivery import OutboxRelay
from ringback.flows.reconciliation import Reconciliation
from ringback.messages import WebhookReceived, encode_webhook
from ringback.ports import Delivery, OutgoingMessage
from tests.audit_log import TESTER
from tests.flows.business_operations.conftest import POLICY, ActionStack, Talk
from tests.outbox import deliver_outbox

PHONE, CONTACT, KEY = "+14155550160", "crm-canary-42", "order-of-crm-canary-42"
OURS = "+14155550199"
CALL, INBOUND = "call_canaryout", "call_canaryin"
#: Everything that tells of the person. The number is looked for in any spelling besides.
CANARIES = (
    *(CONTACT, KEY, CALL, INBOUND, "call_canaryforeign", "call_canarysecond"),
    *("Adacanary", "ada.canary@example.com", "springcanary", "becausecanary"),
    *("xylophonecanary", "notecanary", "summarycanary", "findingcanary", "recordings.invalid/canary"),
)
_NATIONAL = "4155550160"
_COLUMNS = """
SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
"""


class Provider:
    """Accepts every dial under the canary's name. A test may set what happens during a request."""

    def __init__(self) -> None:
        self.during_dial: Any = None
        self.during_fetch: Any = None
        self.names = itertools.chain([CALL, "call_canarysecond"], (f"call_later{n}" for n in itertools.count()))

    async def is_emulated(self) -> bool:
        return True

    async def dial(self, request: DialRequest, lease_deadline: float) -> DialAnswer:
        name = next(self.names)
        if self.during_dial is not None:
            await self.during_dial()
        return DialAnswer(DialAnswerKind.PLACED, "http_201", name)

    async def voicemail_action(self, agent_id: str) -> VoicemailAction:
        return VoicemailAction.UNKNOWN

    async def fetch_call(self, provider_call_id: str) -> ProviderReport | None:
        report: ProviderReport | None = await self.during_fetch(provider_call_id)
        return report

    async def find_attempt(self, attempt_id: str) -> list[ProviderReport]:
        report = await self.during_fetch(CALL)
        return [report] if report is not None else []

    async def stop_call(self, provider_call_id: str) -> None: ...


class Engage:
    """Accepts every delivery, unless it is unavailable."""

    def __init__(self) -> None:
        self.got: list[Mapping[str, Any]] = []
        self.during: Any = None
        self.is_away = False

    async def deliver(self, kind: str, message_id: str, payload: Mapping[str, Any]) -> Delivery:
        if self.during is not None:
            await self.during()
        if self.is_away:
            return Delivery(delivered=False, detail="connect")
        self.got.append(payload)
        return Delivery(delivered=True)


_BLOCKED = """
SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
WHERE NOT granted AND datname = current_database()
"""


class ErasureStack(ActionStack):
    def __init__(self, store: PostgresStore, pool: Pool, clock: Any, hashing: Hashing) -> None:
        super().__init__(store, pool, clock, replace(POLICY, calls_per_second=1000))
        self.rules = replace(self.rules, policy=replace(POLICY, calls_per_second=1000))
        self.provider, self.engage = Provider(), Engage()
        self.counts = EventCounts()
        self._events = EventProcessing(store, clock, self.rules, report_from_webhook, content_identity, self.counts)
        self.watchdog = Reconciliation(store, self.provider, clock, self.rules)
        self.queue = PostgresQueue(pool, "events")
        self.relay = OutboxRelay(
            store,
            clock,
            random.Random(1),
            queue=PostgresQueue(pool, "calls"),
            engage=self.engage,
            stop_call=self.provider.stop_call,
        )
        self.eraser = PostgresEraser(pool, hashing)

    async def until_blocked(self, sessions: int) -> None:
        """Wait until so many sessions wait for a lock."""
        async with asyncio.timeout(30):
            while await self.pool.fetchval(_BLOCKED) < sessions:
                await asyncio.sleep(0.02)

    async def post_call(self, *, key: str | None = KEY, phone: str = PHONE, **changes: Any) -> AcceptReceipt:
        request = NewCall(
            contact_id=CONTACT,
            phone=phone,
            time_zone="America/New_York",
            fields={"first_name": "Adacanary", "email": "ada.canary@example.com"},
            agent_id="agent_1",
            from_number=OURS,
            variables={"first_name": "Adacanary"},
            metadata={"campaign": "springcanary"},
            not_before=None,
            expires_at=None,
            retry=RetryPolicy(),
            fingerprint="the-hash-of-this-body",
        )
        return await self.initiation.accept_call(replace(request, **changes), key)

    async def place(self, **given: Any) -> Talk:
        return await self.dial((await self.post_call(**given)).call_id)

    def body(self, talk: Talk, event: str, **changes: Any) -> dict[str, Any]:
        """A webhook of Retell's, whole; its `call` is also what get-call gives."""
        over = event != "call_started"
        call = {
            "call_id": talk.provider_call_id,
            "call_type": "phone_call",
            "direction": "outbound",
            "call_status": "ended" if over else "ongoing",
            "from_number": OURS,
            "to_number": PHONE,
            "metadata": {
                "campaign": "springcanary",
                "ringback_call_id": talk.call_id,
                "ringback_attempt_id": talk.attempt_id,
                "ringback_instance": "test-instance",
            },
            "start_timestamp": 1_796_144_406_500,
        }
        if over:
            call |= {
                "end_timestamp": 1_796_144_489_500,
                "duration_ms": 83_000,
                "disconnection_reason": "user_hangup",
                "transcript": "Agent: Hello Adacanary\nUser: my xylophonecanary\n",
                "recording_url": "https://recordings.invalid/canary.wav",
            }
        if event == "call_analyzed":
            call["call_analysis"] = {
                "call_summary": "summarycanary",
                "call_successful": False,
                "user_sentiment": "Positive",
                "custom_analysis_data": {"found": "findingcanary"},
            }
        return {"event": event, "call": call | changes, "event_timestamp": 1_796_144_490_000}

    async def whole_call(self, talk: Talk) -> None:
        for event in ("call_started", "call_ended", "call_analyzed"):
            await self.webhook(self.body(talk, event))

    async def webhook(self, body: dict[str, Any], receive_count: int = 1) -> None:
        message = WebhookReceived(self.clock.now().isoformat(), json.dumps(body))
        await self._events.apply_call_event(message, receive_count)

    async def large_webhook(self, provider_call_id: str) -> None:
        message = WebhookReceived(self.clock.now().isoformat(), None, provider_call_id, "call_analyzed")
        await self._events.apply_call_event(message, receive_count=9)

    def inbound_body(self, event: str, *, marks: Mapping[str, str], **changes: Any) -> dict[str, Any]:
        body = self.body(Talk("", "", INBOUND), event)
        call = body["call"] | {"direction": "inbound", "from_number": PHONE, "to_number": OURS, "metadata": dict(marks)}
        return body | {"call": call | changes}

    async def function(self, action: str, call: dict[str, Any] | None, args: dict[str, Any]) -> Reply | None:
        """A custom function of the agent's, as Retell sends it; without a call its arguments stand at the root."""
        body = args if call is None else {"name": action, "call": call, "args": args}
        request = request_of(parse_tool_call(json.dumps(body)), action)
        return None if request is None else await self.operations.perform(request)

    async def erase(self) -> Erased:
        return await erase_person(self.store, self.eraser, self.clock, PHONE, "request 17", TESTER)

    async def deliver_all(self) -> None:
        self.clock.advance(3600)
        await deliver_outbox(self.relay)

    async def enqueue(self, body: dict[str, Any], *, dead: bool = False) -> None:
        message = encode_webhook("2026-12-01T17:00:00Z", json.dumps(body))
        assert message is not None
        await self.enqueue_message(message, dead=dead)

    async def enqueue_message(self, message: str, *, dead: bool = False) -> None:
        await self.queue.send([OutgoingMessage(message)])
        if dead:
            (message,) = await self.queue.receive(1, 0.0, 60)
            await self.queue.dead_letter(message, "received too often")

    async def found(self) -> set[str]:
        """The canaries that stand in any column of any table of ours, `number` for the phone in any spelling."""
        found: set[str] = set()
        for column in await self.all(_COLUMNS):
            name = '"{column_name}"'.format(**column)
            shown = f"encode({name}, 'escape')" if column["data_type"] == "bytea" else f"{name}::text"
            query = 'SELECT {} AS value FROM "{table_schema}"."{table_name}"'.format(shown, **column)
            for row in await self.all(f"{query} WHERE {name} IS NOT NULL"):
                found |= {canary for canary in CANARIES if canary.lower() in row["value"].lower()}
                if _NATIONAL in re.sub(r"[-. ()/]", "", row["value"]):
                    found.add("number")
        return found


@pytest.fixture
def stack(store: PostgresStore, pool: Pool, clock: Any, hashing: Hashing) -> ErasureStack:
    return ErasureStack(store, pool, clock, hashing)
