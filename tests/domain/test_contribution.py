"""The contributions of attempts and calls: every fact alone, every correction, every order (invariant I27)."""

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.domain.abt_event import AbtType, event_id
from ringback.domain.attempt import Attempt, AttemptState, DialFact, Party
from ringback.domain.call import Call, CallStatus, RetryPolicy
from ringback.domain.contribution import MEASURES, attempt_row, count_attempt, count_call, negated

NOW = datetime(2026, 12, 1, 4, 30, tzinfo=UTC)  # the evening before in New York
ZONE = ZoneInfo("America/New_York")
COMPLETED = f"{AbtType.COMPLETED}::"


def an_attempt(number: int = 1, **facts: Any) -> Attempt:
    known: dict[str, Any] = {
        "sent_at": NOW,
        "placed_at": NOW,
        "request": {"agent_id": "agent_1", "from_number": "+14155550199"},
        "state": AttemptState.ANALYZED,
        "verdict_type": AbtType.COMPLETED,
        "verdict_digest": COMPLETED,
        "dial": DialFact.ANSWERED,
        "party": Party.HUMAN,
        "connected": True,
        "user_turns": 2,
        "successful": True,
        "analysis_source": "retell",
        "sentiment": "Positive",
        "started_at": NOW + timedelta(seconds=6),
        "duration_ms": 83_000,
        "cost_cents": 14.5,
    }
    return Attempt(
        attempt_id=f"a-{number}",
        call_id="c-1",
        contact_id="crm-1",
        phone="+14155550100",
        number=number,
        task_id="t",
        **known | facts,
    )


def a_call(**facts: Any) -> Call:
    return Call(
        call_id="c-1",
        contact_id="crm-1",
        phone="+14155550100",
        agent_id="agent_1",
        from_number="+14155550199",
        variables={},
        metadata={},
        retry=RetryPolicy(),
        accepted_at=NOW,
        expires_at=NOW,
        expiry_is_explicit=False,
        **facts,
    )


def added(rows: list[dict[str, Any]]) -> dict[Any, int]:
    """The sums of the rows by key and measure, without zeros."""
    sums: Counter[Any] = Counter()
    for row in rows:
        key = tuple(sorted((name, str(value)) for name, value in row.items() if name not in MEASURES))
        for name, value in row.items():
            if name in MEASURES:
                sums[key, name] += value
    return {key: value for key, value in sums.items() if value}


def test_the_day_is_the_report_zones_and_the_hour_is_utc() -> None:
    row = attempt_row(an_attempt(time_zone="America/Los_Angeles"), ZONE)
    assert row is not None
    assert (row["day"], row["hour"]) == ("2026-11-30", "2026-12-01T04:00:00+00:00")
    assert (row["month"], row["weekday"], row["local_hour"]) == ("2026-11-01", 0, 20)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"verdict_type": None}, None),
        ({"sent_at": None}, {}),
        ({"state": AttemptState.REJECTED, "dial": DialFact.NOT_DIALED}, {}),
    ],
)
def test_an_attempt_without_a_verdict_or_a_dial_adds_nothing(facts: dict[str, Any], expected: Any) -> None:
    assert attempt_row(an_attempt(**facts), ZONE) == expected


@pytest.mark.parametrize(
    ("facts", "measures"),
    [
        ({"user_turns": 0}, {"attempts", "rang", "answered", "human"}),
        ({"user_turns": None, "transcript_withheld": True}, {"conversation", "goal_met", "analysed", "human"}),
        ({"party": Party.VOICEMAIL, "verdict_type": AbtType.LEFT_VOICEMAIL}, {"voicemail", "message_left", "answered"}),
        ({"party": Party.IVR}, {"answered", "rang"}),
        ({"successful": False}, {"conversation", "sentiment_positive"}),
        ({"sentiment": None}, {"sentiment_unknown"}),
        ({"sentiment": "Ecstatic"}, {"sentiment_unknown"}),
        ({"analysis_source": None}, {"conversation"}),
        ({"business": {"opt_out": True}}, {"opt_out"}),
        ({"business": {"callback_asked": True}}, {"callback"}),
        ({"verdict_type": AbtType.RESCHEDULED}, {"callback"}),
        ({"end": "transfer"}, {"transferred"}),
        ({"cost_cents": 0.0}, {"cost_known"}),
        ({"state": AttemptState.ABANDONED, "connected": None, "dial": None, "party": None}, {"attempts", "unknown"}),
        ({"verdict_digest": "voice_ai_call_failed:provider_lost:"}, {"unknown", "failed"}),
        ({"connected": None, "dial": DialFact.BUSY}, {"attempts"}),
        ({"connected": None, "dial": DialFact.NO_ANSWER}, {"attempts", "rang"}),
        ({"state": AttemptState.REJECTED, "verdict_digest": "voice_ai_call_failed:refused:"}, {"failed"}),
    ],
)
def test_each_fact_has_its_measures(facts: dict[str, Any], measures: set[str]) -> None:
    row = attempt_row(an_attempt(**facts), ZONE)
    assert row is not None
    assert measures <= {name for name in MEASURES if row.get(name)}


def test_a_rejected_attempt_is_a_failure_and_no_attempt() -> None:
    row = attempt_row(an_attempt(state=AttemptState.REJECTED, verdict_digest="voice_ai_call_failed:refused:"), ZONE)
    assert row is not None
    assert {name for name in MEASURES if row.get(name)} == {"failed"}


def test_an_analysis_missing_takes_the_sentiment_and_not_the_conversation() -> None:
    row = attempt_row(an_attempt(analysis_source=None, successful=None, sentiment=None), ZONE)
    assert row is not None
    assert "analysed" not in row and "sentiment_unknown" not in row and row["conversation"] == 1


_FACTS = st.fixed_dictionaries(
    {
        "user_turns": st.sampled_from([None, 0, 3]),
        "successful": st.sampled_from([None, True, False]),
        "party": st.sampled_from(list(Party)),
        "connected": st.sampled_from([None, True]),
        "dial": st.sampled_from([*DialFact, None]),
        "state": st.sampled_from([AttemptState.ANALYZED, AttemptState.ABANDONED, AttemptState.REJECTED]),
        "verdict_type": st.sampled_from([None, AbtType.COMPLETED, AbtType.FAILED, AbtType.RESCHEDULED]),
        "verdict_digest": st.sampled_from([None, COMPLETED, "voice_ai_call_failed:busy:"]),
        "cost_cents": st.sampled_from([None, 0.0, 14.5, 1e300]),
        "duration_ms": st.sampled_from([None, 0, 83_000, 2**62]),
        "business": st.sampled_from([{}, {"opt_out": True}]),
        "latency": st.sampled_from([None, {"e2e": {"p50": 812.5}}, {"e2e": 1}, {"e2e": {"p50": True}}]),
    }
)


@given(st.lists(_FACTS, min_size=1, max_size=6))
def test_all_changes_of_an_attempt_add_up_to_its_last_facts(history: list[dict[str, Any]]) -> None:
    attempt, deltas = an_attempt(**history[0]), []
    for facts in history:
        for name, value in facts.items():
            setattr(attempt, name, value)
        deltas += count_attempt(attempt, ZONE)
    assert added(deltas) == added([attempt.counted] if attempt.counted else [])
    last = attempt_row(attempt, ZONE)
    assert attempt.counted == last


@given(st.lists(st.tuples(st.integers(1, 3), _FACTS), min_size=1, max_size=8))
def test_all_changes_of_a_call_add_up_to_its_last_attempts(history: list[tuple[int, dict[str, Any]]]) -> None:
    call, attempts, deltas = a_call(), {number: an_attempt(number, verdict_type=None) for number in (1, 2, 3)}, []
    for number, facts in history:
        for name, value in facts.items():
            setattr(attempts[number], name, value)
        count_attempt(attempts[number], ZONE)
        deltas += count_call(call, [attempts[number]], ZONE)
    anew = a_call()
    assert added(deltas) == added(count_call(anew, attempts.values(), ZONE))


def test_a_call_is_counted_the_same_in_every_order_of_its_attempts() -> None:
    shown = set()
    for order in itertools.permutations((1, 2, 3)):
        call, deltas = a_call(), []
        for number in order:
            attempt = an_attempt(number, sent_at=NOW + timedelta(days=number), successful=number == 2)
            count_attempt(attempt, ZONE)
            deltas += count_call(call, [attempt], ZONE)
        shown.add(str(sorted(added(deltas).items())))
    assert len(shown) == 1
    assert "('day', '2026-12-01')" in shown.pop()


def test_a_call_that_no_attempt_ended_is_a_denial_until_a_verdict_corrects_it() -> None:
    call = a_call(reason="expired", final=True, status=CallStatus.EXPIRED, closing_event_id=event_id("c-1", "closed"))
    (row,) = count_call(call, (), ZONE)
    assert (row["denied"], row["reason"], row["day"]) == (1, "expired", "2026-11-30")
    call.closing_event_id = "the verdict's"
    assert count_call(call, (), ZONE) == [negated(row)]
