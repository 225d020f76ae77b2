"""The load suite at its small size, and that its oracle can say no."""

import random
from dataclasses import replace

import pytest

from proof import load
from proof.findings import Findings, Size
from proof.harness.oracle import Blame, CallSeen, judge_call
from proof.invariants import Invariant
from proof.load import oracle
from proof.load.traffic import (
    BARRED,
    CUT_OFF,
    HANGING,
    LATER,
    NOW,
    UNSENT,
    WEBHOOK,
    Answered,
    Load,
    Requests,
    arrivals,
)
from proof.load.watch import EndpointProbe, growth_per_minute

SAID_YES = Answered(LATER, 7, due_s=1.0, late_s=0.0, took_s=0.1, status=202, call_id="call-7")
SENT_AWAY = replace(SAID_YES, status=503, is_refusal=True, call_id=None)
WEBHOOK_TAKEN = Answered(WEBHOOK, 7, due_s=1.0, late_s=0.0, took_s=0.1, status=204)


@pytest.fixture
def findings():
    return Findings("load", seed=1)


@pytest.mark.matrix
def test_twice_what_this_machine_sustains_loses_nothing():
    said = []
    found = load.run(Size.SMALL, 20261122, said.append)
    assert found.holds, (found.violations, found.planted, said)
    assert all(found.cases[invariant] for invariant in (Invariant.I1, Invariant.I12, Invariant.I14))


def test_not_now_is_an_answer(findings):
    oracle.judge_answers(findings, "", [SAID_YES, SENT_AWAY, WEBHOOK_TAKEN])
    assert findings.violations == []


@pytest.mark.parametrize(
    "odd",
    [
        replace(SENT_AWAY, status=500),
        replace(SENT_AWAY, is_refusal=False),  # without Retry-After, or no problem document
        replace(SENT_AWAY, status=CUT_OFF),
        replace(SENT_AWAY, status=HANGING),
        replace(SENT_AWAY, status=UNSENT),
        replace(SAID_YES, took_s=9.0),
        replace(SENT_AWAY, took_s=9.0),
    ],
)
def test_anything_else_is_a_violation_at_its_endpoint(findings, odd):
    oracle.judge_answers(findings, "", [odd])
    oracle.judge_answers(findings, "", [replace(odd, kind=WEBHOOK)])
    assert [violation.invariant for violation in findings.violations] == [Invariant.I1, Invariant.I12]


def test_an_endpoint_that_the_flood_keeps_shut_is_a_violation(findings):
    open_endpoint = [EndpointProbe("/readyz", 0.1, True)] * 10
    oracle.judge_endpoints(findings, "", [*open_endpoint, EndpointProbe("/readyz", 20.0, False)])
    assert findings.violations == []
    oracle.judge_endpoints(findings, "", [*open_endpoint, *[EndpointProbe("tool call", 10.0, True)] * 2])
    assert [violation.what for violation in findings.violations] == ["tool call: 2 of 2 failed, 10.0 s"]


#: MiB of a real flood, every ten seconds: twice more requests than ever before were in progress at once.
STEPS = (178, 203, 206, 207, 212, 214, 216, 231, 228, 229, 228, 228, 232, 243, 289)


def every_ten_seconds(weights):
    return [(10.0 * at, float(mib)) for at, mib in enumerate(weights)]


def test_a_busiest_moment_is_no_growth_and_a_leak_is():
    assert growth_per_minute(every_ten_seconds(STEPS)) <= 0
    assert growth_per_minute(every_ten_seconds([*STEPS[:14], *[289] * 16])) == 0
    assert growth_per_minute(every_ten_seconds(100 + at / 6 for at in range(13))) == pytest.approx(0.01, rel=0.02)
    leaking = every_ten_seconds(mib + 3 * at for at, mib in enumerate(STEPS))
    assert growth_per_minute(leaking) > oracle.GROWTH_AT_MOST["ringback"]


def story(*told):
    return [
        {
            "id": f"event-{sequence}",
            "subject": "call-1",
            "type": f"voice_ai_call_{name}",
            "data": {"sequence": sequence, "is_final": name in ("completed", "failed"), "attempt_id": "attempt-1"},
        }
        for sequence, name in told
    ]


def broken(kind, events):
    deliveries = [{"id": event["id"], "signature_ok": True, "event": event} for event in events]
    call = {"status": "completed", "final": True}
    problems = judge_call(CallSeen("call-1", call, deliveries=deliveries), oracle.EXPECTED[kind], Blame())
    return {problem.invariant for problem in problems}


WHOLE = story((1, "initiated"), (2, "started"), (3, "completed"))


def test_the_same_event_may_come_twice():
    assert broken(NOW, [*WHOLE, WHOLE[1]]) == set()
    assert broken(BARRED, [{**WHOLE[0], **story((1, "failed"))[0], "data": dict(FAILED)}]) == set()
    assert broken(WEBHOOK, story((2, "started"), (3, "completed"))) == set()


FAILED = {"sequence": 1, "is_final": True, "attempt_id": None, "reason": "country"}


@pytest.mark.parametrize(
    "told",
    [
        [],
        WHOLE[:2],
        [WHOLE[1], WHOLE[0], WHOLE[2]],
        [*WHOLE, {**WHOLE[2], "id": "another"}],
        [*WHOLE, {**WHOLE[2], "data": {**WHOLE[2]["data"], "sequence": 4}}],
        [*WHOLE[:2], {**WHOLE[2], "data": {**WHOLE[2]["data"], "is_final": False}}],
        [*WHOLE[:2], {**WHOLE[2], "data": {**WHOLE[2]["data"], "sequence": 2}}],
    ],
    ids=["nothing", "no end", "disorder", "two ends", "two events under one id", "no last word", "one number twice"],
)
def test_every_other_story_is_wrong(told):
    assert broken(NOW, told) & {Invariant.I1, Invariant.I14}


def test_the_schedule_follows_from_the_seed_alone():
    offered = Load(1, 1.0, 1, False, {LATER: 30.0, WEBHOOK: 10.0}, {LATER: 5, WEBHOOK: 0}, 3, "key", 50, 0)

    def first(load, count=400):
        return [due for _, due in zip(range(count), arrivals(load), strict=False)]

    assert first(offered) == first(offered)
    assert first(offered) != first(replace(offered, seed=4))
    assert [number for _, kind, number in first(offered) if kind == LATER][:3] == [5, 6, 7]
    assert first(offered)[-1][0] == pytest.approx(10, rel=0.3)


def test_each_seeded_call_hears_its_webhooks_in_their_order_and_then_again():
    requests = Requests(1, "key", 100, began_ms=1_800_000_000_000)
    told = [requests.subject(number) for number in range(600)]
    assert [event for event, call in told if call == 17] == ["call_started", "call_ended", "call_analyzed"] * 2
    sample = random.Random(1).sample(told[:300], 20)
    assert all(told.index((event, call)) == requests.number_of(event, call) for event, call in sample)
