"""The Voice API on a running system: accept, refuse, end at once, stop and show calls."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .running_system import Answer, Json, SystemClient, ask, new_call

CLOSED = {"provider_reason": None, "attempted": False, "will_retry": False, "next_attempt_at": None, "is_final": True}


def _later(**span: float) -> str:
    return (datetime.now(UTC) + timedelta(**span)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_problem(answer: Answer, status: int, code: str) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body.keys() == {"type", "title", "status", "detail", "code", "errors"}
    assert (answer.status, answer.body["status"], answer.body["code"]) == (status, status, code)


def _only_event(client: SystemClient, call_id: str) -> Json:
    """Return the data of the only event of a call without an attempt."""
    client.wait_delivered(call_id)
    [delivery] = client.deliveries_of(call_id)
    assert delivery["type"] == "voice_ai_call_failed"
    assert delivery["signature_ok"]
    data: Json = delivery["event"]["data"]
    assert (data["attempt"], data["attempt_id"], data["sequence"]) == (None, None, 1)
    assert {name: data[name] for name in CLOSED} == CLOSED
    return data


def test_a_bad_request_lists_every_problem_and_no_number(client: SystemClient) -> None:
    body = {
        "contact": {"contact_id": "", "phone": "0151 23456789", "time_zone": "Mars/Olympus", "age": 7},
        "from_number": 14155550199,
        "variables": {"name": "Ada", "address": {"city": "Paris"}},
        "metadata": {"ringback_call_id": "mine"},
        "not_before": "2099-12-01T17:00:00",
        "expires_at": "2020-01-01T00:00:00Z",
        "retry": {"max_attempts": 11, "delay_s": [], "on": ["declined"]},
        "prioritty": 1,
    }
    answer = client.ask("POST", "/v1/calls", body)
    _is_problem(answer, 422, "invalid_request")
    found = {(error["pointer"], error["code"]) for error in answer.body["errors"]}
    assert found == {
        ("#/contact/contact_id", "too_short"),
        ("#/contact/phone", "not_e164"),
        ("#/contact/time_zone", "unknown_time_zone"),
        ("#/contact/age", "unknown_field"),
        ("#/agent_id", "required"),
        ("#/from_number", "wrong_type"),
        ("#/variables/address", "wrong_type"),
        ("#/metadata/ringback_call_id", "reserved_key"),
        ("#/not_before", "no_offset"),
        ("#/expires_at", "not_after_now"),
        ("#/retry/max_attempts", "invalid"),
        ("#/retry/delay_s", "too_short"),
        ("#/retry/on/0", "invalid"),
        ("#/prioritty", "unknown_field"),
    }
    assert "23456789" not in str(answer.body)


@pytest.mark.parametrize("key", [None, "rbk_guessed"])
def test_a_request_without_a_known_key_is_not_read(client: SystemClient, key: str | None) -> None:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = ask("POST", f"{client.url}/v1/calls", {"not": "read"}, headers)
    _is_problem(answer, 401, "unauthorized")


def test_a_body_over_the_limit_is_refused(client: SystemClient) -> None:
    answer = client.ask("POST", "/v1/calls", new_call("+16175550100", variables={"story": "x" * 300_000}))
    assert answer.status == 413


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/calls/unknown", None),
        ("GET", "/v1/calls/unknown/timeline", None),
        ("POST", "/v1/calls/unknown/cancel", None),
        ("GET", "/v1/calls/%2e%2e", None),
        ("GET", "/v1/nothing", None),
        ("DELETE", "/v1/suppressions/unknown", {"reason": "a mistake"}),
    ],
)
def test_unknown_ids_and_paths_are_not_found(client: SystemClient, method: str, path: str, body: Any) -> None:
    _is_problem(client.ask(method, path, body), 404, "not_found")


def test_a_repeat_with_its_key_gets_the_stored_answer(client: SystemClient) -> None:
    body = new_call("+16175550101", metadata={"emulator_scenario": "00"})
    first = client.ask("POST", "/v1/calls", body, {"Idempotency-Key": "order-1"})
    assert (first.status, first.body["status"]) == (202, "queued")
    assert "idempotent-replayed" not in first.headers
    client.wait_final(first.body["call_id"])
    reordered = dict(reversed(body.items()))
    again = client.ask("POST", "/v1/calls", reordered, {"Idempotency-Key": "order-1"})
    assert (again.status, again.body, again.headers["idempotent-replayed"]) == (202, first.body, "true")
    other = client.ask("POST", "/v1/calls", {**body, "agent_id": "agent_other"}, {"Idempotency-Key": "order-1"})
    _is_problem(other, 409, "idempotency_key_reused")
    assert len(client.rings_of(first.body["call_id"])) == 1
    assert len(client.get(f"/v1/calls?contact_id={body['contact']['contact_id']}")["items"]) == 1


def test_many_requests_at_once_with_one_key_make_one_call(client: SystemClient) -> None:
    body = new_call("+16175550102", metadata={"emulator_scenario": "00"})
    with ThreadPoolExecutor(12) as threads:
        ids = set(threads.map(lambda _: client.place(body, key="order-2"), range(12)))
    [call_id] = ids
    client.wait_final(call_id)
    assert len(client.get(f"/v1/calls?contact_id={body['contact']['contact_id']}")["items"]) == 1
    assert len(client.rings_of(call_id)) == 1


def test_a_refused_request_does_not_use_its_key_up(client: SystemClient) -> None:
    body = new_call("+16175550103", not_before=_later(hours=1))
    refused = client.ask("POST", "/v1/calls", {**body, "colour": "red"}, {"Idempotency-Key": "order-3"})
    assert refused.status == 422
    assert client.place(body, key="order-3")


def test_a_country_that_is_not_allowed_ends_at_once(client: SystemClient) -> None:
    body = new_call("+442079460100")
    answer = client.ask("POST", "/v1/calls", body)
    assert (answer.status, answer.body["status"], answer.body["next_eligible_at"]) == (202, "failed", None)
    call_id = answer.body["call_id"]
    event, call = _only_event(client, call_id), client.call(call_id)
    assert event["reason"] == answer.body["reason"] == call["reason"] == "country_not_allowed"
    assert client.rings_of(call_id) == []


def test_a_suppressed_person_is_not_called_until_the_suppression_is_lifted(client: SystemClient) -> None:
    body = new_call("+16175550104", metadata={"emulator_scenario": "02"})
    phone = body["contact"]["phone"]
    made = client.ask("POST", "/v1/suppressions", {"phone": phone, "reason": "asked by letter"})
    assert (made.status, made.body["already_dispatched"]) == (201, [])
    refused = client.place(body)
    assert _only_event(client, refused)["reason"] == "suppressed"
    assert client.rings_of(refused) == []
    [listed] = client.get(f"/v1/suppressions?phone=%2B{phone[1:]}")["items"]
    assert listed["suppression_id"] == made.body["suppression_id"]
    assert (listed["reason"], listed["source"]) == ("asked by letter", "api")
    path = f"/v1/suppressions/{made.body['suppression_id']}"
    assert client.ask("DELETE", path, {}).status == 422
    assert client.ask("DELETE", path, {"reason": "wrong number"}).status == 204
    _is_problem(client.ask("DELETE", path, {"reason": "wrong number"}), 404, "not_found")
    assert client.get(f"/v1/suppressions?phone=%2B{phone[1:]}")["items"] == []
    allowed = client.place(body)
    assert client.wait_final(allowed)["attempts"][0]["dial"] == "busy"
    assert client.call(refused)["status"] == "failed"


@pytest.mark.parametrize(
    ("suppressed", "called"), [("+116175550191", "+16175550191"), ("+16175550192", "+116175550192")]
)
def test_a_person_suppressed_in_one_spelling_is_not_called_in_another(
    client: SystemClient, suppressed: str, called: str
) -> None:
    made = client.ask("POST", "/v1/suppressions", {"phone": suppressed, "reason": "asked by letter"})
    assert made.status == 201
    call_id = client.place(new_call(called))
    assert _only_event(client, call_id)["reason"] == "suppressed"
    assert client.rings_of(call_id) == []
    for phone in (suppressed, called):
        [listed] = client.get(f"/v1/suppressions?phone=%2B{phone[1:]}")["items"]
        assert listed["suppression_id"] == made.body["suppression_id"]
        assert client.get(f"/v1/why?phone=%2B{phone[1:]}")["because"] == "suppressed"


@pytest.mark.parametrize("phone", ["+19005550100", "+18005550100", "+15005550100", "+12129761234"])
def test_a_kind_of_number_that_is_not_allowed_ends_at_once(client: SystemClient, phone: str) -> None:
    call_id = client.place(new_call(phone))
    assert _only_event(client, call_id)["reason"] == "number_type_not_allowed"
    assert client.rings_of(call_id) == []


@pytest.mark.parametrize("phone", ["+1415555010", "+10000000000", "+15550100", "+11415555010"])
def test_an_impossible_number_is_refused(client: SystemClient, phone: str) -> None:
    answer = client.ask("POST", "/v1/calls", new_call(phone))
    _is_problem(answer, 422, "invalid_request")
    assert [(error["pointer"], error["code"]) for error in answer.body["errors"]] == [
        ("#/contact/phone", "impossible_number")
    ]


def test_a_suppression_ends_pending_calls_and_names_calls_in_progress(client: SystemClient) -> None:
    pending = client.place(new_call("+16175550105", not_before=_later(hours=1)))
    talking = client.place(new_call("+16175550106", metadata={"emulator_scenario": "16"}))
    attempt = client.wait_for(talking, lambda call: call["status"] == "in_progress")["attempts"][0]
    for phone, in_progress in (("+16175550105", []), ("+16175550106", [attempt["attempt_id"]])):
        made = client.ask("POST", "/v1/suppressions", {"phone": phone, "reason": "asked by letter"})
        assert (made.status, made.body["already_dispatched"]) == (201, in_progress)
    assert _only_event(client, pending)["reason"] == "suppressed"
    assert client.call(pending)["status"] == "failed"
    assert client.wait_final(talking)["status"] == "completed"


def test_suppressions_are_listed_page_by_page(client: SystemClient) -> None:
    made = [
        client.ask("POST", "/v1/suppressions", {**person, "reason": "asked"}).body
        for person in ({"contact_id": "crm-paged"}, {"phone": "+16175550141"})
    ]
    path = "/v1/suppressions?contact_id=crm-paged&phone=%2B16175550141&limit=1"
    first = client.get(path)
    second = client.get(f"{path}&cursor={first['next_cursor']}")
    listed = [item["suppression_id"] for item in first["items"] + second["items"]]
    assert listed == [one["suppression_id"] for one in reversed(made)]
    assert (len(first["items"]), second["next_cursor"]) == (1, None)


def test_a_call_that_cannot_be_placed_in_time_expires(client: SystemClient) -> None:
    talking = client.place(new_call("+16175550107", metadata={"emulator_scenario": "16"}))
    client.wait_for(talking, lambda call: call["attempts"] != [])
    waiting = client.place(new_call("+16175550107", expires_at=_later(seconds=1.5)))
    call = client.wait_final(waiting)
    assert (call["status"], call["attempts"], call["next_eligible_at"]) == ("expired", [], None)
    assert [task["status"] for task in call["tasks"]] == ["expired"]
    assert _only_event(client, waiting)["reason"] == "expired"
    [decision] = [entry["detail"] for entry in client.timeline(waiting) if entry["kind"] == "gate"]
    assert (decision["verdict"], decision["rule"]) == ("wait", "person_on_another_attempt")
    assert client.rings_of(waiting) == []
    assert client.wait_final(talking)["status"] == "completed"


def test_a_past_not_before_means_now(client: SystemClient) -> None:
    answer = client.ask("POST", "/v1/calls", new_call("+16175550100", not_before="2020-01-01T00:00:00Z"))
    assert (answer.status, answer.body["status"]) == (202, "queued")
    assert client.wait_final(answer.body["call_id"])["status"] == "completed"


def test_a_cancelled_call_is_not_dialed_and_has_one_event(client: SystemClient) -> None:
    not_before = _later(hours=1)
    answer = client.ask("POST", "/v1/calls", new_call("+16175550109", not_before=not_before))
    assert answer.status == 202
    assert (answer.body["status"], answer.body["next_eligible_at"]) == ("scheduled", not_before)
    call_id = answer.body["call_id"]
    for _ in range(2):
        cancelled = client.ask("POST", f"/v1/calls/{call_id}/cancel")
        assert (cancelled.status, cancelled.body) == (200, {"result": "cancelled"})
    call = client.call(call_id)
    assert (call["status"], call["final"], call["next_eligible_at"]) == ("cancelled", True, None)
    assert [task["status"] for task in call["tasks"]] == ["deleted"]
    assert _only_event(client, call_id)["reason"] == "cancelled"
    assert client.rings_of(call_id) == []


def test_cancelling_does_not_stop_a_call_in_progress(client: SystemClient) -> None:
    call_id = client.place(new_call("+16175550110", metadata={"emulator_scenario": "16"}))
    client.wait_for(call_id, lambda call: call["attempts"] != [])
    answer = client.ask("POST", f"/v1/calls/{call_id}/cancel")
    assert (answer.status, answer.body) == (200, {"result": "already_dispatched"})
    assert client.wait_final(call_id)["status"] == "completed"
    assert client.ask("POST", f"/v1/calls/{call_id}/cancel").body == {"result": "already_dispatched"}


def test_cancelling_a_ringing_call_removes_its_retry(client: SystemClient) -> None:
    retry = {"max_attempts": 2, "delay_s": [1]}
    # Without webhooks the end is known only after the silence deadline, which leaves time to cancel.
    client.change_retell_faults(webhooks="drop")
    call_id = client.place(new_call("+16175550111", metadata={"emulator_scenario": "01"}, retry=retry))
    client.wait_for(call_id, lambda call: call["attempts"] != [])
    assert client.ask("POST", f"/v1/calls/{call_id}/cancel").body == {"result": "already_dispatched"}
    assert client.wait_final(call_id)["status"] == "cancelled"
    client.change_retell_faults(webhooks=None)
    client.wait_delivered(call_id)
    data = client.deliveries_of(call_id)[-1]["event"]["data"]
    assert (data["reason"], data["will_retry"], data["is_final"]) == ("no_answer", False, True)
    assert len(client.rings_of(call_id)) == 1


def test_cancelling_between_two_attempts_ends_the_promised_retry(client: SystemClient) -> None:
    retry = {"max_attempts": 2, "delay_s": [3600]}
    call_id = client.place(new_call("+16175550112", metadata={"emulator_scenario": "02"}, retry=retry))
    waiting = client.wait_for(call_id, lambda call: call["status"] == "scheduled" and call["attempts"] != [])
    assert client.ask("POST", f"/v1/calls/{call_id}/cancel").body == {"result": "cancelled"}
    client.wait_delivered(call_id)
    _, busy, closed = [delivery["event"]["data"] for delivery in client.deliveries_of(call_id)]
    assert (busy["reason"], busy["will_retry"], busy["is_final"]) == ("busy", True, False)
    assert busy["next_attempt_at"] == waiting["next_eligible_at"]
    assert (closed["reason"], closed["attempt"], closed["sequence"]) == ("cancelled", None, 3)
    assert {name: closed[name] for name in CLOSED} == CLOSED
    assert client.call(call_id)["status"] == "cancelled"


def test_a_contacts_calls_are_listed_page_by_page_the_newest_first(client: SystemClient) -> None:
    body = new_call("+16175550113", not_before=_later(hours=1))
    placed = [client.place(body) for _ in range(5)]
    path = f"/v1/calls?contact_id={body['contact']['contact_id']}&status=scheduled&limit=2"
    listed, cursor = [], ""
    while cursor is not None:
        page = client.get(f"{path}&cursor={cursor}" if cursor else path)
        listed += page["items"]
        cursor = page["next_cursor"]
        assert len(listed) <= 5
    assert [call["call_id"] for call in listed] == placed[::-1]
    assert listed[0] == client.call(placed[-1])
    assert client.get(path.replace("scheduled", "completed")) == {"items": [], "next_cursor": None}
    _is_problem(client.ask("GET", f"{path}&colour=red"), 422, "invalid_request")
