"""The suite of the provider's faults: its small size holds, its proxy does what it says, its oracle can fail."""

import asyncio
import json

import pytest

from proof.findings import Size
from proof.harness.http import Message, read_message, response_bytes
from proof.harness.oracle import CallSeen
from proof.invariants import Invariant
from proof.provider import forms, prove
from proof.provider.acts import PASS, Act, End, Forward, Plan, answers, late
from proof.provider.cases import Drafts, Setting, cuts, every_family
from proof.provider.outcomes import Case, Evidence, abandoned, answered, judge
from proof.provider.proxy import CASE_KEY, CREATE, LIST, Entrance, Proxy

ANSWER = response_bytes(201, b'{"call_id": "call_1"}')


@pytest.mark.matrix
async def test_the_small_size_holds_and_sees_planted_bugs(server_url, tmp_path):
    found = await prove(server_url, tmp_path, Size.SMALL, 20261122, lambda line: None)
    assert found.violations == []
    assert len(found.planted) == 3 and all(found.planted.values())
    assert found.cases[Invariant.I2] > 40 and found.cases[Invariant.I7] > 25 and found.cases[Invariant.I13] > 3


def setting(remembers=True):
    return Setting(Size.FULL, remembers, 2.0, "http://provider")


def test_in_the_full_size_the_answer_is_cut_after_each_of_its_bytes():
    cut_after = {case.plan.creates[0].cut for case in cuts(Drafts(setting(), 1), 798)}
    assert cut_after == set(range(798))


def test_without_a_resend_no_case_may_see_a_second_unclear_request():
    for case in every_family(Drafts(setting(remembers=False), 1)):
        assert case.family == "429" or case.outcome.creates == {1}, str(case)


# The oracle judges ledgers that are written by hand.

ATTEMPT = {"attempt_id": "a1", "state": "analyzed", "provider_call_id": "call_1"}
RING = {"provider_call_id": "call_1", "metadata": {"ringback_attempt_id": "a1"}}


def event(number, kind, **data):
    data = {"sequence": number, "is_final": False, "attempt_id": "a1", "provider_call_id": "call_1", **data}
    told = {"id": f"e{number}", "type": f"voice_ai_call_{kind}", "data": data}
    return {"id": f"e{number}", "signature_ok": True, "event": told}


def well(**changed):
    call = CallSeen(
        "c1",
        {"status": "completed", "final": True},
        [ATTEMPT],
        [RING],
        [event(1, "initiated"), event(2, "started"), event(3, "completed", is_final=True)],
    )
    seen = Evidence(
        call,
        create_bodies=[b"{}"],
        create_keys=["a1"],
        create_times=[1.0],
        evidence_at=2.0,
    )
    for name, value in changed.items():
        setattr(call if name in CallSeen.__slots__ else seen, name, value)
    return seen


def case(outcome=None):
    return Case("case-00001", "family", "what", Plan(), outcome or answered("00"))


def broken(seen, outcome=None):
    return {problem.invariant for problem in judge(case(outcome), seen)}


def test_a_call_with_its_outcome_breaks_nothing():
    assert broken(well()) == set()


@pytest.mark.parametrize(
    ("changed", "breaks"),
    [
        ({"rings": [RING] * 2}, Invariant.I2),
        ({"create_bodies": [b"{}", b"{ }"], "create_keys": ["a1", "a1"]}, Invariant.I5),
        ({"create_keys": ["a1", "a2"]}, Invariant.I5),
        ({"create_times": [1.0, 9.0]}, Invariant.I5),
        ({"call": {"status": "unknown", "final": False}}, Invariant.I1),
        ({"call": {"status": "failed", "final": True}}, Invariant.I6),
        ({"attempts": [{**ATTEMPT, "provider_call_id": "call_2"}]}, Invariant.I7),
        ({"attempts": [{**ATTEMPT, "state": "unknown"}]}, Invariant.I6),
        ({"deliveries": well().call.deliveries[1:]}, Invariant.I14),
        ({"deliveries": [*well().call.deliveries, event(3, "completed", is_final=False)]}, Invariant.I14),
        ({"deliveries": []}, Invariant.I1),
    ],
)
def test_each_departure_breaks_its_invariant(changed, breaks):
    assert breaks in broken(well(**changed))


def test_a_phone_that_rang_is_not_abandoned():
    gone = event(1, "failed", reason="outcome_unknown", is_final=True, attempted=None)
    seen = well(
        call={"status": "abandoned", "final": True}, deliveries=[gone], attempts=[{**ATTEMPT, "state": "abandoned"}]
    )
    # The ring was never announced either.
    assert broken(seen, abandoned(1)) == {Invariant.I6, Invariant.I14}


# The proxy alone, between two sockets.


class Provider:
    """Answers everything with ANSWER and keeps what it was asked."""

    def __init__(self):
        self.asked = []

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.address = self.server.sockets[0].getsockname()
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def serve(self, reader, writer):
        request = await read_message(reader)
        self.asked.append(request)
        writer.write(ANSWER)
        writer.close()


@pytest.fixture
async def provider():
    async with Provider() as running:
        yield running


@pytest.fixture
def plans():
    return {}


@pytest.fixture
def proxy(provider, plans):
    async def have_applied(attempt_id, names):
        return True

    opened = Proxy(provider.address, provider.address, plans, have_applied)
    opened.open()
    yield opened
    opened.close()


def create(name):
    body = json.dumps({"metadata": {CASE_KEY: name, "ringback_attempt_id": f"attempt {name}"}, "idempotency_key": "k"})
    return Message(f"POST {CREATE} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode(), body.encode())


def lookup(name):
    filters = {"metadata": [{"value": f"attempt {name}"}]}
    body = json.dumps({"filter_criteria": filters})
    return Message(f"POST {LIST} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode(), body.encode())


async def sent(proxy, request, wait_s=5.0):
    """What comes back until the connection ends, or silence begins."""
    port = int(proxy.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request.raw)
    got = b""
    try:
        while part := await asyncio.wait_for(reader.read(65536), wait_s):
            got += part
            if got == ANSWER:
                break
    except (TimeoutError, ConnectionError):
        pass
    writer.close()
    return got


async def test_what_has_no_plan_passes_as_it_is(proxy, provider):
    assert await sent(proxy, create("a")) == ANSWER
    assert [request.body for request in provider.asked] == [create("a").body]
    (seen,) = proxy.creates("a")
    assert (seen.key, seen.body, seen.answer_bytes) == ("k", create("a").body, len(ANSWER))


@pytest.mark.parametrize("after", range(0, len(ANSWER), 9))
async def test_a_cut_answer_ends_after_that_byte(proxy, plans, provider, after):
    plans["a"] = Plan((Act(cut=after, end=End.CLOSE),))
    assert await sent(proxy, create("a")) == ANSWER[:after]
    assert len(provider.asked) == 1


async def test_a_lost_request_does_not_arrive_and_the_next_one_does(proxy, plans, provider):
    plans["a"] = Plan((Act(Forward.NEVER, cut=0, end=End.RESET),))
    assert await sent(proxy, create("a")) == b""
    assert provider.asked == []
    assert await sent(proxy, create("a")) == ANSWER


async def test_a_late_request_arrives_when_so_many_look_ups_were_answered(proxy, plans, provider):
    plans["a"] = Plan((late(Forward.AFTER_LOOKUPS, 2),), (answers(200), answers(200)))
    assert await sent(proxy, create("a"), 0.1) == b""
    for _ in range(2):
        assert provider.asked == []
        await sent(proxy, lookup("a"), 0.1)
    async with asyncio.timeout(5):
        while not provider.asked:
            await asyncio.sleep(0.01)
    assert provider.asked[0].body == create("a").body


async def test_an_entrance_that_refuses_or_slams_forwards_nothing(proxy, provider):
    await asyncio.to_thread(proxy.set_entrance, Entrance.REFUSES)
    with pytest.raises(ConnectionRefusedError):
        await sent(proxy, create("a"))
    await asyncio.to_thread(proxy.set_entrance, Entrance.SLAMS)
    assert await sent(proxy, create("a")) == b""
    await asyncio.to_thread(proxy.set_entrance, Entrance.OPEN)
    assert provider.asked == []
    assert await sent(proxy, create("a")) == ANSWER


def test_the_other_framings_carry_the_same_call():
    whole = Message(*(part for part in (ANSWER.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", b'{"call_id": "call_1"}')))
    assert PASS.form(whole) == ANSWER
    assert forms.until_close(whole).endswith(b'\r\n\r\n{"call_id": "call_1"}')
    assert b"\r\n\r\na\r\n" in forms.chunked(whole) and forms.chunked(whole).endswith(b"0\r\n\r\n")
