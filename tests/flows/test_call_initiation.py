"""Accepting calls on a real database: the rows of a 202 are committed whole, once."""

import asyncio
import itertools
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from ringback.adapters.number_plan import PhoneNumbersPlan
from ringback.domain.call import AcceptReceipt, CallStatus, KeyReused, NewCall, RetryPolicy
from ringback.domain.calling_hours import CallingHours
from ringback.domain.eligibility import DialPolicy
from ringback.domain.errors import Retryable, StoreUnavailable
from ringback.domain.phone_number import NumberType
from ringback.flows.call_initiation import AcceptRequest, CallInitiation, batched_acceptance
from ringback.storage import Suppression

POLICY = DialPolicy(frozenset({"US"}), CallingHours.parse("always"), 10, 10, 0, 0, 60.0)


def request(contact="crm-42", phone="+14155550100", **changes):
    fields = {
        "contact_id": contact,
        "phone": phone,
        "time_zone": None,
        "fields": {},
        "agent_id": "agent_a",
        "from_number": "+14155550199",
        "variables": {"first_name": "Ada"},
        "metadata": {"campaign": "spring"},
        "not_before": None,
        "expires_at": None,
        "retry": RetryPolicy(),
        "fingerprint": "f1",
    }
    return NewCall(**(fields | changes))


@pytest.fixture
def initiation(store, clock):
    ids = (f"id-{number:04}" for number in itertools.count(1))
    return CallInitiation(store, clock, lambda: next(ids), PhoneNumbersPlan(), POLICY)


async def test_a_due_call_is_committed_with_its_task_and_its_message(initiation, pool, clock):
    accepted = await initiation.accept_call(request())
    assert (accepted.status, accepted.next_eligible_at) == (CallStatus.QUEUED, clock.now())
    task = await pool.fetchrow("SELECT * FROM tasks")
    assert (task["status"], task["dispatch"], task["kind"], task["call_id"]) == (
        "dispatched",
        1,
        "first",
        accepted.call_id,
    )
    message = await pool.fetchrow("SELECT kind, payload, order_key FROM outbox")
    assert message is not None, "accepted, and nothing is on its way"
    assert message["kind"] == "call_message"
    assert message["payload"] == {"call_id": accepted.call_id, "task_id": task["task_id"], "dispatch": 1}
    call = await pool.fetchrow("SELECT * FROM calls")
    assert call["expires_at"] == clock.now() + timedelta(days=7)
    assert (call["variables"], call["metadata"]) == ({"first_name": "Ada"}, {"campaign": "spring"})


async def test_a_later_call_waits_in_the_database_and_expires_seven_days_after_it_is_due(initiation, pool, clock):
    due_at = clock.now() + timedelta(days=2)
    accepted = await initiation.accept_call(request(not_before=due_at))
    assert (accepted.status, accepted.next_eligible_at) == (CallStatus.SCHEDULED, due_at)
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0
    assert await pool.fetchval("SELECT expires_at FROM calls") == due_at + timedelta(days=7)


async def test_outside_calling_hours_the_next_open_minute_is_promised(store, clock):
    policy = DialPolicy(frozenset({"US"}), CallingHours.parse("mon-sat 09:00-20:00"), 10, 10, 0, 0, 60.0)
    initiation = CallInitiation(store, clock, iter("abcd").__next__, PhoneNumbersPlan(), policy)
    clock.advance(11 * 3600)  # 2026-12-02 04:00 UTC is 20:00 in Los Angeles
    accepted = await initiation.accept_call(request(time_zone="America/Los_Angeles"))
    assert accepted.next_eligible_at == datetime(2026, 12, 2, 17, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stored", "phone", "opens"),
    [
        # 20:30 in New York, in July. Its own clock, five hours behind UTC all year, shows 19:30.
        ("EST", "+12125550100", datetime(2027, 7, 15, 13, 0, tzinfo=UTC)),
        ("Etc/GMT+5", "+12125550100", datetime(2027, 7, 15, 13, 0, tzinfo=UTC)),
        ("UTC", "+12125550100", datetime(2027, 7, 15, 13, 0, tzinfo=UTC)),
        # The number's clock and the one that the name means: nine in the morning in Los Angeles, noon in New York.
        ("EST", "+14155550100", datetime(2027, 7, 15, 16, 0, tzinfo=UTC)),
        # Denver or Phoenix, and the number's: nine in the morning in Phoenix.
        ("MST", "+12125550100", datetime(2027, 7, 15, 16, 0, tzinfo=UTC)),
        ("US/Eastern", "+14155550100", datetime(2027, 7, 15, 13, 0, tzinfo=UTC)),
    ],
)
async def test_a_stored_name_that_is_no_region_is_no_clock_to_call_by(store, pool, clock, stored, phone, opens):
    policy = DialPolicy(frozenset({"US"}), CallingHours.parse("mon-sat 09:00-20:00"), 10, 10, 0, 0, 60.0)
    initiation = CallInitiation(store, clock, map(str, itertools.count()).__next__, PhoneNumbersPlan(), policy)
    await initiation.accept_call(request(phone=phone))
    await pool.execute("UPDATE contacts SET time_zone = $1, time_zone_source = 'crm'", stored)
    clock.advance((datetime(2027, 7, 15, 0, 30, tzinfo=UTC) - clock.now()).total_seconds())
    assert (await initiation.accept_call(request(phone=phone))).next_eligible_at == opens


async def test_the_same_key_and_request_get_the_same_answer(initiation, pool):
    first = await initiation.accept_call(request(), "key-1")
    again = await initiation.accept_call(request(), "key-1")
    assert (again.call_id, again.replayed, first.replayed) == (first.call_id, True, False)
    assert await pool.fetchval("SELECT count(*) FROM calls") == 1


async def test_the_same_key_with_another_request_is_refused(initiation):
    await initiation.accept_call(request(), "key-1")
    with pytest.raises(KeyReused):
        await initiation.accept_call(request(fingerprint="f2"), "key-1")


async def test_twenty_at_once_with_one_key_make_one_call(initiation, pool):
    answers = await asyncio.gather(*(initiation.accept_call(request(), "key-1") for _ in range(20)))
    assert len({answer.call_id for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1
    assert await pool.fetchval("SELECT count(*) FROM calls") == 1
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 1


async def test_a_group_may_repeat_contacts_and_keys(initiation, pool):
    asked = [
        AcceptRequest(request("a", "+14155550101"), "k1"),
        AcceptRequest(request("a", "+14155550101", fingerprint="f2"), "k2"),
        AcceptRequest(request("b", "+14155550102"), "k1"),
        AcceptRequest(request("b", "+14155550102", fingerprint="f3"), "k1"),
        AcceptRequest(request("c", "+14155550103")),
    ]
    answers = await initiation.accept_calls(asked)
    assert answers[0].call_id == answers[2].call_id and answers[2].replayed
    assert isinstance(answers[3], KeyReused)
    assert len({answers[0].call_id, answers[1].call_id, answers[4].call_id}) == 3
    assert await pool.fetchval("SELECT count(*) FROM calls") == 3


async def test_a_suppressed_person_is_accepted_and_ends_at_once(initiation, store, pool, clock):
    async with store.transaction() as tx:
        await tx.suppressions.add(Suppression("s1", "+14155550100", None, "asked", "api", clock.now()))
    accepted = await initiation.accept_call(request())
    assert (accepted.status, accepted.next_eligible_at) == (CallStatus.FAILED, None)
    event = await pool.fetchval("SELECT payload FROM outbox")
    assert event is not None, "Engage is not told"
    assert event["type"] == "voice_ai_call_failed"
    assert event["data"]["reason"] == "suppressed"
    assert (event["data"]["attempt"], event["data"]["attempted"], event["data"]["is_final"]) == (None, False, True)
    assert await pool.fetchval("SELECT count(*) FROM tasks") == 0


async def test_a_country_that_is_not_allowed_ends_at_once(initiation, pool):
    accepted = await initiation.accept_call(request(phone="+442079460000"))
    assert accepted.status is CallStatus.FAILED
    event = await pool.fetchval("SELECT payload FROM outbox")
    assert event is not None, "Engage is not told"
    assert event["data"]["reason"] == "country_not_allowed"


@pytest.mark.parametrize("phone", ["+19005550100", "+18005550100", "+15005550100", "+12129761234"])
async def test_a_kind_of_number_that_is_not_allowed_ends_at_once(initiation, pool, phone):
    accepted = await initiation.accept_call(request(phone=phone))
    assert accepted.status is CallStatus.FAILED
    assert await pool.fetchval("SELECT count(*) FROM tasks") == 0
    event = await pool.fetchval("SELECT payload FROM outbox")
    assert event is not None, "Engage is not told"
    assert (event["data"]["reason"], event["data"]["attempted"]) == ("number_type_not_allowed", False)


async def test_a_kind_of_number_that_an_operator_allows_is_dialed(store, clock):
    policy = replace(POLICY, number_types=frozenset({NumberType.TOLL_FREE}))
    initiation = CallInitiation(store, clock, iter("abcdef").__next__, PhoneNumbersPlan(), policy)
    assert (await initiation.accept_call(request(phone="+18005550100"))).status is CallStatus.QUEUED
    refused = await initiation.accept_call(request("crm-43", phone="+19005550100"))
    assert refused.status is CallStatus.FAILED


async def test_the_crm_does_not_overwrite_the_zone_a_person_said(initiation, pool):
    await initiation.accept_call(request(time_zone="America/New_York"))
    await pool.execute("UPDATE contacts SET time_zone = 'America/Denver', time_zone_source = 'person'")
    await initiation.accept_call(request(time_zone="America/New_York", fields={"email": "ada@example.org"}))
    contact = await pool.fetchrow("SELECT * FROM contacts")
    assert (contact["time_zone"], contact["time_zone_source"]) == ("America/Denver", "person")
    assert contact["fields"] == {"email": "ada@example.org"}


async def test_requests_add_to_a_contacts_fields_until_these_would_be_too_many(initiation, pool):
    for number in range(6):
        fields = {f"f{number}": "x" * 15_000}
        await initiation.accept_call(request(fields=fields))
    assert list(await pool.fetchval("SELECT fields FROM contacts")) == ["f4", "f5"]
    await initiation.accept_call(request(fields={"f5": "y"}))
    assert await pool.fetchval("SELECT fields FROM contacts") == {"f4": "x" * 15_000, "f5": "y"}


@pytest.mark.parametrize("error", [Retryable("DeadlockDetectedError"), ValueError("a bug"), StoreUnavailable("away")])
async def test_an_error_behind_a_commit_does_not_accept_a_call_twice(initiation, store, pool, monkeypatch, error):
    """Two of one contact, without keys, in one group: the second is written after the first has been committed."""
    insert, asked = store.insert_accepted, []

    async def fail_at_the_second(accepted, now):
        asked.append([one.call.contact_id for one in accepted])
        if len(asked) == 2:
            raise error
        return await insert(accepted, now)

    monkeypatch.setattr(store, "insert_accepted", fail_at_the_second)
    accept = batched_acceptance(initiation)
    ends = await asyncio.gather(*(accept(request(fingerprint=f"f{n}"), None) for n in (1, 2)), return_exceptions=True)
    assert asked == [["crm-42"], ["crm-42"]]
    assert isinstance(ends[0], AcceptReceipt)
    assert ends[1] is error
    assert await pool.fetchval("SELECT count(*) FROM calls") == 1


async def test_what_may_have_been_committed_is_not_tried_again(initiation, store, pool, monkeypatch):
    insert = store.insert_accepted

    async def lose_the_answer(accepted, now):
        await insert(accepted, now)
        raise StoreUnavailable("the connection was cut behind the commit")

    monkeypatch.setattr(store, "insert_accepted", lose_the_answer)
    accept = batched_acceptance(initiation)
    asked = [request(f"crm-{n}", f"+1415555010{n}") for n in range(3)]
    ends = await asyncio.gather(*(accept(one, None) for one in asked), return_exceptions=True)
    assert all(isinstance(end, StoreUnavailable) for end in ends)
    assert await pool.fetchval("SELECT count(*) FROM calls") == 3


async def test_one_bad_request_does_no_harm_to_its_neighbours(initiation, store, pool, monkeypatch):
    insert = store.insert_accepted

    async def refuse_the_bad(accepted, now):
        if any(one.call.contact_id == "crm-1" for one in accepted):
            raise ValueError("no such value")
        return await insert(accepted, now)

    monkeypatch.setattr(store, "insert_accepted", refuse_the_bad)
    accept = batched_acceptance(initiation)
    asked = [request(f"crm-{n}", f"+1415555010{n}") for n in range(3)]
    ends = await asyncio.gather(*(accept(one, None) for one in asked), return_exceptions=True)
    assert [type(end) for end in ends] == [AcceptReceipt, ValueError, AcceptReceipt]
    assert await pool.fetchval("SELECT count(*) FROM calls") == 2


async def test_an_accepted_call_is_one_line_of_the_log_and_a_replay_is_none(initiation, store):
    with capture_logs() as lines:
        accepted = await initiation.accept_call(request(), "key-1")
        await initiation.accept_call(request(), "key-1")
        denied = await initiation.accept_call(request("crm-43", "+442079460100"))
    told = [(line["event"], line["call_id"], line["status"], line["reason"]) for line in lines]
    assert told == [
        ("call.accepted", accepted.call_id, "queued", None),
        ("call.accepted", denied.call_id, "failed", "country_not_allowed"),
    ]
    assert "4155550100" not in repr(lines)
    assert store.final_events == {("voice_ai_call_failed", "country_not_allowed"): 1}
    assert store.accepted_calls == 2


async def test_a_burst_leaves_room_for_what_is_due_in_the_database(initiation, store, pool, clock):
    burst = [request(f"crm-{number}", phone=f"+1415555{number:04}") for number in range(100, 170)]
    answers = await initiation.accept_calls([AcceptRequest(one) for one in burst[:60]])
    assert [answer.status for answer in answers].count(CallStatus.QUEUED) == POLICY.most_dispatched == 50
    assert {answer.next_eligible_at for answer in answers} == {clock.now()}
    late = await initiation.accept_call(burst[60])
    assert late.status is CallStatus.SCHEDULED
    clock.advance(1)
    assert await store.release_due(clock.now(), 500, POLICY.most_dispatched) == 11, "the burst keeps no backlog back"
    await pool.execute("UPDATE tasks SET status = 'consumed' WHERE call_id = $1", answers[0].call_id)
    assert (await initiation.accept_call(burst[61])).status is CallStatus.QUEUED


async def test_calls_that_are_due_at_once_cost_one_read_and_one_write(initiation, pool):
    await initiation.accept_call(request())
    sent = []
    async with AsyncExitStack() as every:
        for _ in range(pool.get_max_size()):
            (await every.enter_async_context(pool.acquire())).add_query_logger(sent.append)
    answers = await initiation.accept_calls([AcceptRequest(request(f"crm-{number}")) for number in range(3)])
    assert [answer.status for answer in answers] == [CallStatus.QUEUED] * 3
    assert len(sent) == 2, [each.query for each in sent]


async def test_a_request_that_lost_its_key_changes_no_contact(store, clock, pool):
    numbers = PhoneNumbersPlan()
    initiation = CallInitiation(store, clock, map(str, itertools.count()).__next__, numbers, POLICY)
    await initiation.accept_call(request(), "order-17")
    # Both requests looked for the key before either had it.
    now = clock.now()
    people, _ = await store.people_now([("crm-42", "+14155550111")], 0)
    other = AcceptRequest(request(phone="+14155550111", fields={"first_name": "Eve"}, fingerprint="f2"), "order-17")
    row, _ = initiation._draft(other, people["crm-42"], now, may_dispatch=True)
    assert await store.insert_accepted([row], now) == set()
    assert dict(await pool.fetchrow("SELECT phone, fields FROM contacts")) == {
        "phone": "+14155550100",
        "fields": {},
    }
