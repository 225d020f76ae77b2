"""Two spellings of one number are one person, at the Voice API on a real database."""

from collections.abc import AsyncIterator
from functools import partial

import httpx
import pytest
import uuid_utils

from ringback.adapters.number_plan import PhoneNumbersPlan
from ringback.adapters.postgres.views import PostgresViews
from ringback.domain.access import KnownKey, Role
from ringback.domain.attempt import DialAnswer, DialAnswerKind, VoicemailAction
from ringback.domain.calling_hours import CallingHours
from ringback.domain.eligibility import DialPolicy
from ringback.domain.follow_up import Deadlines
from ringback.flows.call_initiation import CallInitiation
from ringback.flows.call_outcome import OutcomeRules
from ringback.flows.call_processing import CallProcessing
from ringback.flows.ending_calls import cancel_call
from ringback.flows.operator.eligibility import EligibilityExplainer
from ringback.flows.suppression import lift_suppression, suppress_now
from ringback.messages import CallRequested
from ringback.services.internal_api import internal_routes
from ringback.telemetry import make_metrics
from ringback.web.app import create_application
from ringback.web.auth import ApiKeys, hash_key
from ringback.web.routes.calls import VoiceApi
from ringback.web.routes.operator import OperatorRoutes, operator_routes

KEY = "rbk_a-key-for-tests"
POLICY = DialPolicy(
    frozenset({"US", "CA", "GB", "AU", "DE", "FR", "IN", "IT"}), CallingHours.parse("always"), 20, 100, 0, 0, 60.0
)
DEADLINES = Deadlines(180, 20, 300, 86400, 3600, (5, 30), 0, 1800)
SPELLINGS = [
    ("+114155550160", "+14155550160"),
    ("+114165550123", "+14165550123"),
    ("+4407400123456", "+447400123456"),
    ("+610412345678", "+61412345678"),
    ("+49030123456", "+4930123456"),
    ("+330612345678", "+33612345678"),
    ("+9109876543210", "+919876543210"),
]
#: The spellings in both orders.
PAIRS = [*SPELLINGS, ("+14155550160", "+114155550160"), ("+447400123456", "+4407400123456")]


class Phone:
    """A provider that places every call and records the numbers."""

    def __init__(self) -> None:
        self.dialed: list[str] = []

    async def is_emulated(self) -> bool:
        return True

    async def dial(self, request, lease_deadline):
        self.dialed.append(request.to_number)
        return DialAnswer(DialAnswerKind.PLACED, "http_201", f"call_{len(self.dialed)}")

    async def voicemail_action(self, agent_id):
        return VoicemailAction.HANGUP


class Stack:
    """The Voice API over HTTP, and a processor for the call messages of the outbox."""

    def __init__(self, client: httpx.AsyncClient, pool, processing: CallProcessing, phone: Phone) -> None:
        self.client, self.pool, self._processing, self.phone = client, pool, processing, phone

    async def call(self, phone: str, contact_id: str = "crm-42", **more) -> httpx.Response:
        contact = {"contact_id": contact_id, "phone": phone}
        body = {"contact": contact, "agent_id": "agent_1", "from_number": "+14155550199", **more}
        return await self.client.post("/v1/calls", json=body)

    async def suppress(self, phone: str) -> httpx.Response:
        return await self.client.post("/v1/suppressions", json={"phone": phone, "reason": "asked by letter"})

    async def dial_all(self) -> list[str]:
        """Process every call message, and return the dialed numbers."""
        for row in await self.pool.fetch("SELECT payload FROM outbox WHERE kind = 'call_message' ORDER BY id"):
            await self._processing.place_call(CallRequested(**row["payload"]))
        return self.phone.dialed


@pytest.fixture
async def stack(pool, store, clock) -> AsyncIterator[Stack]:
    numbers, phone = PhoneNumbersPlan(), Phone()

    def new_id() -> str:
        return str(uuid_utils.uuid7())

    initiation = CallInitiation(store, clock, new_id, numbers, POLICY)
    views = PostgresViews(pool)
    voice = VoiceApi(
        accept=initiation.accept_call,
        answered_before=initiation.answered_before,
        cancel=partial(cancel_call, store, clock),
        suppress=partial(suppress_now, store, clock, new_id),
        lift=partial(lift_suppression, store, clock),
        views=views,
        now=clock.now,
        numbers=numbers,
    )
    explanation = EligibilityExplainer(views, clock, numbers, POLICY)
    steering = OperatorRoutes(
        pause=None, resume=None, settings=None, why=explanation.explain, views=views, audit=None, numbers=numbers
    )

    async def find_key(key_hash: str) -> KnownKey | None:
        return KnownKey("test", Role.ADMIN) if key_hash == hash_key(KEY) else None

    guard = ApiKeys(find_key, clock.monotonic).require
    routers = [internal_routes(voice, guard), operator_routes(steering, guard)]
    transport = httpx.ASGITransport(create_application("test", routers, [], make_metrics()))
    processing = CallProcessing(store, phone, clock, new_id, OutcomeRules(POLICY, DEADLINES, numbers, new_id))
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers={"X-API-Key": KEY}) as client:
        yield Stack(client, pool, processing, phone)


@pytest.mark.parametrize(("suppressed", "called"), PAIRS)
async def test_a_person_who_is_suppressed_in_one_spelling_is_not_called_in_another(stack, suppressed, called):
    assert (await stack.suppress(suppressed)).status_code == 201
    answer = await stack.call(called)
    assert (answer.status_code, answer.json()["status"]) == (202, "failed")
    event = await stack.pool.fetchval("SELECT payload FROM outbox WHERE kind = 'abt_event'")
    assert event["data"]["reason"] == "suppressed"
    assert await stack.dial_all() == []


@pytest.mark.parametrize(("called", "suppressed"), PAIRS)
async def test_a_suppression_ends_a_call_planned_under_the_other_spelling(stack, called, suppressed):
    assert (await stack.call(called)).json()["status"] == "queued"
    assert (await stack.suppress(suppressed)).status_code == 201
    assert await stack.dial_all() == []
    assert await stack.pool.fetchval("SELECT status FROM calls") == "failed"


@pytest.mark.parametrize(("spelled", "phone"), SPELLINGS[:4])
async def test_one_person_has_one_live_attempt_and_one_number_is_stored_and_dialed(stack, spelled, phone):
    for contact_id, text in (("crm-1", spelled), ("crm-2", phone)):
        assert (await stack.call(text, contact_id)).json()["status"] == "queued"
    assert await stack.dial_all() == [phone]
    for table in ("contacts", "calls", "attempts"):
        stored = {row["phone"] for row in await stack.pool.fetch(f"SELECT phone FROM {table}")}
        assert stored == {phone}, table


async def test_from_number_is_stored_in_its_canonical_form(stack):
    assert (await stack.call("+14155550160", from_number="+114155550199")).status_code == 202
    assert await stack.pool.fetchval("SELECT from_number FROM calls") == "+14155550199"


@pytest.mark.parametrize(("asked", "suppressed"), PAIRS[-3:])
async def test_suppressions_and_explanations_are_found_under_any_spelling(stack, asked, suppressed):
    made = (await stack.suppress(suppressed)).json()
    listed = (await stack.client.get("/v1/suppressions", params={"phone": asked})).json()["items"]
    assert [item["suppression_id"] for item in listed] == [made["suppression_id"]]
    told = (await stack.client.get("/v1/why", params={"phone": asked})).json()
    assert [item["suppression_id"] for item in told["suppressions"]] == [made["suppression_id"]]
    assert (told["next_eligible_at"], told["because"]) == (None, "suppressed")


async def test_an_impossible_number_is_422_wherever_it_is_named(stack):
    for phone in ("+1415555010", "+10000000000", "+14155550", "+44740012", "+114155550"):
        answers = {
            "#/contact/phone": await stack.call(phone),
            "#/from_number": await stack.call("+14155550160", from_number=phone),
            "#/phone": await stack.suppress(phone),
            "query:phone": await stack.client.get("/v1/why", params={"phone": phone}),
        }
        for pointer, answer in answers.items():
            assert answer.status_code == 422, (phone, pointer)
            problems = [(error["pointer"], error["code"]) for error in answer.json()["errors"]]
            assert problems == [(pointer, "impossible_number")], phone
            assert phone not in answer.text
    refused = (await stack.call("+14150550100")).json()["errors"][0]  # it is as long as it should be
    assert (refused["code"], refused["message"]) == ("impossible_number", "No country has a number of this form.")
    assert await stack.pool.fetchval("SELECT count(*) FROM calls") == 0


async def test_systems_must_write_a_plus_sign_and_digits(stack):
    for phone in ("4155550160", "+1 415 555 0160", "tel:+14155550160", "+1-415-555-0160", "+"):
        for answer in (await stack.call(phone), await stack.suppress(phone)):
            assert answer.status_code == 422, phone
            assert [error["code"] for error in answer.json()["errors"]] == ["not_e164"], phone


@pytest.mark.parametrize("phone", ["+19005550160", "+18005550160", "+15005550160", "+12129761234"])
async def test_a_call_to_a_premium_or_service_number_is_accepted_and_fails_at_once(stack, phone):
    answer = await stack.call(phone)
    assert (answer.status_code, answer.json()["status"]) == (202, "failed")
    event = await stack.pool.fetchval("SELECT payload FROM outbox")
    assert (event["type"], event["data"]["reason"]) == ("voice_ai_call_failed", "number_type_not_allowed")
    told = (await stack.client.get("/v1/why", params={"phone": phone})).json()
    assert (told["next_eligible_at"], told["because"]) == (None, "number_type_not_allowed")
    assert await stack.dial_all() == []
