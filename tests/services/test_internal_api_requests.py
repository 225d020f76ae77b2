"""Requests and responses of the Voice API, with plain functions in place of the flows and without a database."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import SimpleNamespace

import httpx
import pytest

from ringback.adapters.number_plan import PhoneNumbersPlan
from ringback.domain.access import KnownKey, Role
from ringback.domain.audit import Actor, Via
from ringback.domain.call import AcceptReceipt, CallStatus, KeyReused, NewCall, RetryPolicy
from ringback.domain.errors import StoreUnavailable
from ringback.flows.suppression import Suppressed, SuppressionOrder
from ringback.services.internal_api import internal_routes
from ringback.telemetry import make_metrics
from ringback.web.app import create_application
from ringback.web.auth import ApiKeys, hash_key
from ringback.web.routes.calls import VoiceApi

NOW = datetime(2026, 12, 1, 17, 0, tzinfo=UTC)
KEY = "rbk_a-key-for-tests"
PHONE = "+14155550100"
ZONES = PhoneNumbersPlan().time_zones


def body(**changes):
    whole = {
        "contact": {"contact_id": "crm-42", "phone": PHONE, "time_zone": "America/Los_Angeles", "fields": {}},
        "agent_id": "agent_1",
        "from_number": "+14155550199",
        "variables": {"first_name": "Ada"},
        "metadata": {},
        "not_before": "2026-12-01T18:00:00+01:00",
        "expires_at": "2026-12-05T00:00:00Z",
        "retry": {"max_attempts": 3, "delay_s": [3600, 14400], "on": ["no_answer", "busy"]},
    }
    whole.update(changes)
    return {name: value for name, value in whole.items() if value is not ...}


class Flows:
    """Flows that record their arguments and return the values of the test."""

    def __init__(self):
        self.accepted: list[tuple[NewCall, str | None]] = []
        self.fails: Exception | None = None
        self.replayed = False
        self.cancelled: str | None = "cancelled"
        self.suppressed: list[SuppressionOrder] = []
        self.lifted: list[tuple[str, str, str]] = []

    async def accept(self, request, key):
        if self.fails:
            raise self.fails
        self.accepted.append((request, key))
        return AcceptReceipt("call-1", CallStatus.SCHEDULED, datetime(2026, 12, 1, 18, tzinfo=UTC), None, self.replayed)

    async def cancel(self, call_id, actor):
        return self.cancelled

    async def suppress(self, order):
        self.suppressed.append(order)
        return Suppressed("sup-1", ["attempt-7"], is_new=True)

    async def lift(self, suppression_id, reason, actor):
        self.lifted.append((suppression_id, reason, str(actor)))
        return suppression_id == "sup-1"


async def no_call(call_id):
    return None


async def no_answer(key: str, fingerprint: str) -> None:
    return None


@pytest.fixture
def flows() -> Flows:
    return Flows()


@pytest.fixture
async def api(flows: Flows) -> AsyncIterator[httpx.AsyncClient]:
    async def find_key(key_hash: str) -> KnownKey | None:
        return KnownKey("test", Role.ADMIN) if key_hash == hash_key(KEY) else None

    views = SimpleNamespace(call=no_call, timeline=no_call, calls=no_call, suppressions=no_call)
    voice = VoiceApi(
        flows.accept, no_answer, flows.cancel, flows.suppress, flows.lift, views, lambda: NOW, PhoneNumbersPlan()
    )
    keys = ApiKeys(find_key, lambda: 0.0)
    app = create_application("test", [internal_routes(voice, keys.require)], [], make_metrics())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers={"X-API-Key": KEY}) as client:
        yield client


def problems(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert PHONE not in answer.text
    whole = answer.json()
    assert whole["status"] == 422
    return {error["pointer"]: error["code"] for error in whole["errors"]}


async def test_a_good_request_is_answered_202_and_reaches_the_flow_in_the_domains_words(api, flows):
    answer = await api.post("/v1/calls", json=body(), headers={"Idempotency-Key": "k 1"})
    assert answer.status_code == 202
    assert answer.json() == {
        "call_id": "call-1",
        "status": "scheduled",
        "reason": None,
        "next_eligible_at": "2026-12-01T18:00:00.000Z",
    }
    assert "idempotent-replayed" not in answer.headers
    (asked, key) = flows.accepted[0]
    assert key == "k 1"
    assert asked.contact_id == "crm-42"
    assert asked.phone == PHONE
    assert asked.not_before is None  # 18:00+01:00 is now
    assert asked.expires_at == datetime(2026, 12, 5, tzinfo=UTC)
    assert asked.retry == RetryPolicy(3, (3600, 14400), frozenset({"no_answer", "busy"}))


async def test_only_contact_agent_and_from_number_are_required(api, flows):
    small = {"contact": {"contact_id": "c", "phone": PHONE}, "agent_id": "a", "from_number": "+14155550199"}
    assert (await api.post("/v1/calls", json=small)).status_code == 202
    asked, key = flows.accepted[0]
    assert (asked.time_zone, asked.not_before, asked.expires_at, key) == (None, None, None, None)
    assert asked.retry.max_attempts == 1
    assert problems(await api.post("/v1/calls", json={})) == {
        "#/contact": "required",
        "#/agent_id": "required",
        "#/from_number": "required",
    }


async def test_one_answer_lists_every_problem(api, flows):
    wrong = body(
        contact={"contact_id": "", "phone": "4155550100", "time_zone": "Mars/Olympus", "favourite": 1},
        agent_id=7,
        from_number=...,
        variables={"first_name": {"nested": True}, "tags": ["a"], "nothing": None},
        metadata={"ringback_call_id": "x", "fine": 1},
        not_before="2026-12-09T00:00:00Z",
        expires_at="2026-12-08T00:00:00Z",
        retry={"max_attempts": 11, "delay_s": [], "on": ["voicemail"]},
        priority="high",
    )
    assert problems(await api.post("/v1/calls", json=wrong)) == {
        "#/contact/contact_id": "too_short",
        "#/contact/phone": "not_e164",
        "#/contact/time_zone": "unknown_time_zone",
        "#/contact/favourite": "unknown_field",
        "#/agent_id": "wrong_type",
        "#/from_number": "required",
        "#/variables/first_name": "wrong_type",
        "#/variables/tags": "wrong_type",
        "#/variables/nothing": "wrong_type",
        "#/metadata/ringback_call_id": "reserved_key",
        "#/expires_at": "not_after_not_before",
        "#/retry/max_attempts": "invalid",
        "#/retry/delay_s": "too_short",
        "#/retry/on/0": "invalid",
        "#/priority": "unknown_field",
    }
    assert flows.accepted == []


async def test_numbers_and_booleans_in_variables_become_strings(api, flows):
    given = {"yes": True, "no": False, "whole": 3, "half": 0.5, "text": "true"}
    assert (await api.post("/v1/calls", json=body(variables=given))).status_code == 202
    assert flows.accepted[0][0].variables == {"yes": "true", "no": "false", "whole": "3", "half": "0.5", "text": "true"}


@pytest.mark.parametrize(
    ("field", "value", "pointer", "code"),
    [
        ("expires_at", "2026-12-01T17:00:00Z", "#/expires_at", "not_after_now"),
        ("expires_at", "2026-12-05T00:00:00", "#/expires_at", "no_offset"),
        ("expires_at", 1796428800, "#/expires_at", "wrong_type"),
        ("not_before", "tomorrow", "#/not_before", "not_a_time"),
        ("not_before", "2026-13-01T00:00:00Z", "#/not_before", "not_a_time"),
        ("not_before", "9999-12-31T23:59:59-14:00", "#/not_before", "not_a_time"),
        ("retry", {"max_attempts": True}, "#/retry/max_attempts", "wrong_type"),
        ("retry", {"max_attempts": 0}, "#/retry/max_attempts", "invalid"),
        ("retry", {"max_attempts": 2, "delay_s": [604801]}, "#/retry/delay_s/0", "invalid"),
        ("retry", {"max_attempts": 2, "delay_s": [-1]}, "#/retry/delay_s/0", "invalid"),
        ("retry", {"max_attempts": 2, "delay_s": [1.5]}, "#/retry/delay_s/0", "wrong_type"),
        ("retry", {"max_attempts": 2, "delay_s": 60}, "#/retry/delay_s", "wrong_type"),
        ("from_number", "+1 415 555 0199", "#/from_number", "not_e164"),
        ("agent_id", "a" * 201, "#/agent_id", "invalid"),
        ("agent_id", " agent", "#/agent_id", "bad_characters"),
        ("metadata", {"much": "x" * 50_000}, "#/metadata", "too_large"),
        ("contact", PHONE, "#/contact", "wrong_type"),
        (PHONE, 1, "#/+…", "unknown_field"),
        ("415+555%200100", 1, "#/…+…%…", "unknown_field"),
        ("a/b~c", 1, "#/a~1b~0c", "unknown_field"),
    ],
)
async def test_a_bad_value_is_named_by_pointer_and_code(api, field, value, pointer, code):
    found = problems(await api.post("/v1/calls", json=body(**{field: value})))
    assert found == {pointer: code}


async def test_a_time_far_beyond_any_plan_is_refused(api):
    wrong = body(not_before="9000-01-01T00:00:00Z", expires_at=...)
    assert problems(await api.post("/v1/calls", json=wrong)) == {"#/not_before": "too_far"}


async def test_the_identity_of_a_request_is_its_json_with_sorted_keys(api, flows):
    await api.post("/v1/calls", content=json.dumps(body()))
    await api.post("/v1/calls", content=json.dumps(body(), sort_keys=True, indent=4))
    await api.post("/v1/calls", content=json.dumps(body(agent_id="agent_2")))
    first, same, other = (asked.fingerprint for asked, _ in flows.accepted)
    assert first == same != other


async def test_a_replayed_answer_says_so(api, flows):
    flows.replayed = True
    answer = await api.post("/v1/calls", json=body(), headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.headers["idempotent-replayed"]) == (202, "true")


async def test_a_key_used_for_another_request_is_a_conflict(api, flows):
    flows.fails = KeyReused()
    answer = await api.post("/v1/calls", json=body(), headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", "k" * 256, "tab\there", "käse".encode()])
async def test_an_idempotency_key_is_1_to_255_printable_characters(api, key):
    answer = await api.post("/v1/calls", json=body(), headers={"Idempotency-Key": key})
    assert problems(answer) == {"header:Idempotency-Key": "invalid"}
    longest = await api.post("/v1/calls", json=body(), headers={"Idempotency-Key": "k" * 255})
    assert longest.status_code == 202


async def test_a_request_gets_503_with_retry_after_without_the_database(api, flows):
    flows.fails = StoreUnavailable("unavailable", retry_after_s=2.4)
    answer = await api.post("/v1/calls", json=body())
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["code"]) == (503, "2", "unavailable")


async def test_a_bug_is_answered_as_a_problem_without_its_text(api, flows):
    flows.fails = ZeroDivisionError(PHONE)
    answer = await api.post("/v1/calls", json=body())
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert PHONE not in answer.text


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"nonsense", "not_json"),
        (b'{"a": NaN}', "not_json"),
        (b'{"a": 1e999}', "not_json"),
        (b'{"a": ' + b"9" * 30 + b"}", "not_json"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not_json"),
        (b'{"a": "\xff"}', "not_json"),
        (b"\xff\xfe{\x00}\x00", "not_json"),
        (b'{"a": "\\u0000"}', "not_json"),
        (b'{"a\\u0000": 1}', "not_json"),
        (b'{"a": "\\ud800"}', "not_json"),
        (b"[" * 100_000, "too_deep"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "too_deep"),
        (b"[1, 2]", "wrong_type"),
        (b"null", "wrong_type"),
        (b'"text"', "wrong_type"),
    ],
    ids=lambda value: value[:24] if isinstance(value, bytes) else value,
)
@pytest.mark.parametrize("path", ["/v1/calls", "/v1/suppressions"])
async def test_a_hostile_body_is_the_callers_mistake(api, path, content, code):
    assert problems(await api.post(path, content=content)) == {"#": code}


async def test_no_key_or_an_unknown_key_is_401_before_the_body_is_read(api, flows):
    del api.headers["X-API-Key"]
    for headers in ({}, {"X-API-Key": "rbk_wrong"}, {"Authorization": f"Basic {KEY}"}, {"Authorization": "Bearer "}):
        answer = await api.post("/v1/calls", content=b"{", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["code"] == "unauthorized"
    good = await api.post("/v1/calls", json=body(), headers={"Authorization": f"bearer {KEY}"})
    assert good.status_code == 202


async def test_a_body_above_256_kib_is_413_declared_or_chunked(api, flows):
    async def chunks():
        for _ in range(300):
            yield b"x" * 1024
            await asyncio.sleep(0)

    for content in (b"x" * (256 * 1024 + 1), chunks()):
        answer = await api.post("/v1/calls", content=content)
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
    fits = b" " * (256 * 1024 - 2) + b"{}"
    assert (await api.post("/v1/calls", content=fits)).status_code == 422


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("PUT", "/v1/calls", 405),
        ("GET", "/v1/calls/no-such-call", 404),
        ("GET", "/v1/calls/%00", 404),
        ("GET", "/v1/calls/%ff%fe", 404),
        ("GET", "/v1/calls/no-such-call/timeline", 404),
        ("GET", "/v1/calls?status=sleeping", 422),
        ("GET", "/v1/calls?contact_id=%00", 422),
        ("GET", "/v1/calls?cursor=a/b", 422),
        ("GET", "/v1/calls?cursor=zzz", 422),
        ("GET", "/v1/suppressions?cursor=zzz", 422),
        ("GET", "/v1/calls?limit=0", 422),
        ("GET", "/v1/calls?contactid=typo", 422),
        ("GET", "/v1/suppressions?phone=4155550100", 422),
    ],
)
async def test_every_refusal_is_a_problem(api, method, path, status):
    answer = await api.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) == {"type", "title", "status", "detail", "code", "errors"}


async def test_a_query_problem_names_the_parameter(api):
    assert problems(await api.get("/v1/calls?status=sleeping&limit=x")) == {
        "query:status": "invalid",
        "query:limit": "invalid",
    }


async def test_cancel_returns_its_result_or_404(api, flows):
    assert (await api.post("/v1/calls/call-1/cancel")).json() == {"result": "cancelled"}
    flows.cancelled = None
    assert (await api.post("/v1/calls/call-1/cancel")).status_code == 404


async def test_a_suppression_names_a_phone_or_a_contact_and_a_reason(api, flows):
    answer = await api.post("/v1/suppressions", json={"phone": PHONE, "reason": "asked by letter"})
    assert (answer.status_code, answer.json()) == (
        201,
        {"suppression_id": "sup-1", "already_dispatched": ["attempt-7"]},
    )
    actor = Actor(Via.API, "test")
    assert flows.suppressed == [SuppressionOrder(phone=PHONE, contact_id=None, reason="asked by letter", actor=actor)]
    found = problems(await api.post("/v1/suppressions", json={"why": "x"}))
    assert found == {"#": "required", "#/reason": "required", "#/why": "unknown_field"}


async def test_lifting_a_suppression_needs_a_reason_and_a_suppression(api, flows):
    gone = await api.request("DELETE", "/v1/suppressions/sup-1", json={"reason": "a mistake"})
    assert (gone.status_code, gone.content) == (204, b"")
    assert flows.lifted == [("sup-1", "a mistake", "api:test")]
    assert problems(await api.request("DELETE", "/v1/suppressions/sup-1", json={})) == {"#/reason": "required"}
    assert (await api.request("DELETE", "/v1/suppressions/sup-2", json={"reason": "x"})).status_code == 404


async def test_the_description_of_the_api_has_the_bodies_written_out(api):
    described = (await api.get("/openapi.json")).json()
    written = described["paths"]["/v1/calls"]["post"]["requestBody"]["content"]["application/json"]
    assert written["schema"] == {"$ref": "#/components/schemas/CallRequest"}
    schemas = described["components"]["schemas"]
    assert schemas["CallRequest"]["properties"]["contact"] == {"$ref": "#/components/schemas/Contact"}
    assert schemas["Contact"]["required"] == ["contact_id", "phone"]
    assert set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described))) <= set(schemas)
    assert (await api.get("/docs")).status_code == 200
