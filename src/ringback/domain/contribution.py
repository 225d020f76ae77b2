"""The contribution of one attempt and of one call to the statistics, as rows of signed numbers.

A row has keys (when, where, how it ended) and measures. `counted` of an attempt or a call keeps what it has added, so
that a correction subtracts exactly that. All functions are pure; money is in thousandths of a cent, so that every sum
is exact.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ringback.domain.abt_event import AbtType, FailReason, event_id
from ringback.domain.attempt import Attempt, AttemptState, DialFact, Party
from ringback.domain.call import Call
from ringback.domain.log_buckets import bucket_of

Row = dict[str, Any]

#: Measures of attempts. All but the two sums are 0 or 1 for one attempt.
ATTEMPT_MEASURES = (
    "attempts",
    "rang",
    "answered",
    "human",
    "conversation",
    "voicemail",
    "message_left",
    "goal_met",
    "opt_out",
    "callback",
    "transferred",
    "unknown",
    "analysed",
    "sentiment_positive",
    "sentiment_neutral",
    "sentiment_negative",
    "sentiment_unknown",
    "cost_known",
    "cost_millicents",
    "talk_ms",
)
#: Measures of calls, each counted on the day of the call's first attempt.
PERSON_MEASURES = ("persons", "persons_reached", "persons_goal", "persons_opted_out")
#: Attempts by the reason of their failure, and calls that ended without an attempt's verdict.
REASON_MEASURES = ("failed", "denied")
MEASURES = (*ATTEMPT_MEASURES, *PERSON_MEASURES, *REASON_MEASURES)
#: Distributions: the kind, and the column of its bucket.
BUCKETS = {"talk": "talk_bucket", "latency": "latency_bucket", "cost": "cost_bucket", "answer": "answer_bucket"}

_RANG = frozenset({DialFact.ANSWERED, DialFact.NO_ANSWER, DialFact.DECLINED})
_UNKNOWN = frozenset({FailReason.OUTCOME_UNKNOWN, FailReason.PROVIDER_LOST})
_SENTIMENTS = frozenset({"positive", "neutral", "negative", "unknown"})
#: No provider reports a larger one. The bound keeps every sum a bigint.
_MOST = 10**12
#: Attempt numbers from this one on are one cell.
LAST_NUMBER = 3


@lru_cache(maxsize=512)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return None


def attempt_row(attempt: Attempt, zone: tzinfo) -> Row | None:
    """Return the attempt's contribution. None before its verdict; empty if it was certainly never dialed.

    `zone` defines days. An attempt of an erased person keeps what it has added.
    """
    if attempt.is_erased or attempt.verdict_type is None:
        return attempt.counted
    if attempt.sent_at is None or (attempt.dial is DialFact.NOT_DIALED and attempt.state is AttemptState.REJECTED):
        return {}
    row = _keys(attempt, attempt.sent_at, zone)
    if row.get("reason"):
        row["failed"] = 1
    if attempt.state is AttemptState.REJECTED:
        return row
    row |= _measures(attempt)
    row |= {BUCKETS[kind]: bucket_of(value) for kind, value in _samples(attempt).items() if value is not None}
    return row


def _keys(attempt: Attempt, sent_at: datetime, zone: tzinfo) -> Row:
    row: Row = {
        "kind": "attempt",
        "hour": sent_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0).isoformat(),
        "day": sent_at.astimezone(zone).date().isoformat(),
        "direction": "outbound",
        "campaign": "",
        "agent": attempt.request.get("agent_id", ""),
        "agent_version": "" if attempt.agent_version is None else str(attempt.agent_version),
        "from_number": attempt.request.get("from_number", ""),
        "attempt_no": min(attempt.number, LAST_NUMBER),
        "outcome": str(attempt.verdict_type).removeprefix("voice_ai_call_"),
    }
    if reason := _reason_of(attempt):
        row["reason"] = reason
    local_zone = _zone(attempt.time_zone) if attempt.time_zone is not None else None
    if local_zone is not None:
        local = sent_at.astimezone(local_zone)
        row |= {"month": local.date().replace(day=1).isoformat(), "weekday": local.weekday(), "local_hour": local.hour}
    return row


def _measures(attempt: Attempt) -> dict[str, int]:
    answered = bool(attempt.connected) and attempt.dial is DialFact.ANSWERED
    human = answered and attempt.party is Party.HUMAN
    withheld = attempt.user_turns is None and attempt.transcript_withheld
    conversation = human and (bool(attempt.user_turns) or withheld)
    analysed = attempt.analysis_source is not None
    sentiment = (attempt.sentiment or "unknown").lower()
    numbers: dict[str, int] = {
        "attempts": 1,
        "rang": attempt.dial in _RANG,
        "answered": answered,
        "human": human,
        "conversation": conversation,
        "voicemail": answered and attempt.party is Party.VOICEMAIL,
        "message_left": attempt.verdict_type == AbtType.LEFT_VOICEMAIL,
        "goal_met": conversation and attempt.successful is True,
        "opt_out": bool(attempt.business.get("opt_out")),
        "callback": attempt.verdict_type == AbtType.RESCHEDULED or bool(attempt.business.get("callback_asked")),
        "transferred": attempt.end == "transfer",
        "unknown": attempt.state is AttemptState.ABANDONED or _reason_of(attempt) in _UNKNOWN,
        "analysed": conversation and analysed,
    }
    if conversation and analysed:
        numbers[f"sentiment_{sentiment if sentiment in _SENTIMENTS else 'unknown'}"] = 1
    cost = _millicents(attempt)
    if cost is not None:
        numbers |= {"cost_known": 1, "cost_millicents": cost}
    if answered:
        numbers["talk_ms"] = min(attempt.duration_ms or 0, _MOST)
    return {name: int(value) for name, value in numbers.items() if value}


def _reason_of(attempt: Attempt) -> str:
    return (attempt.verdict_digest or "").partition(":")[2].partition(":")[0]


def _millicents(attempt: Attempt) -> int | None:
    cost = attempt.cost_cents
    return round(cost * 1000) if cost is not None and 0 <= cost * 1000 <= _MOST else None


def _samples(attempt: Attempt) -> dict[str, float | None]:
    is_talk = bool(attempt.connected) and attempt.duration_ms is not None
    waited: float | None = None
    if attempt.connected and attempt.started_at is not None and attempt.placed_at is not None:
        waited = max(0.0, (attempt.started_at - attempt.placed_at) / timedelta(milliseconds=1))
    # Retell's median of the time from the person's last word to the agent's first one.
    whole = (attempt.latency or {}).get("e2e")
    median = whole.get("p50") if isinstance(whole, dict) else None
    is_number = isinstance(median, int | float) and not isinstance(median, bool) and 0 <= median <= _MOST
    return {
        "talk": min(attempt.duration_ms or 0, _MOST) if is_talk else None,
        "latency": float(median) if is_number else None,  # type: ignore[arg-type]
        "cost": _millicents(attempt),
        "answer": waited,
    }


def _call_rows(call: Call, parts: Mapping[str, Sequence[Any]], zone: tzinfo) -> list[Row]:
    """Its person, on the day of the first attempt; and its end, if no attempt's verdict ended it."""
    rows: list[Row] = []
    if parts:
        day, agent, version = parts[min(parts, key=int)][:3]
        talks = [part for part in parts.values() if part[3]]
        row = {"kind": "call", "day": day, "campaign": "", "agent": agent, "agent_version": version, "persons": 1}
        flags = {
            "persons_reached": bool(talks),
            "persons_goal": any(part[4] for part in talks),
            "persons_opted_out": any(part[5] for part in talks),
        }
        rows.append(row | {name: 1 for name, is_so in flags.items() if is_so})
    if call.final and call.closing_event_id == event_id(call.call_id, "closed"):
        day = call.accepted_at.astimezone(zone).date().isoformat()
        rows.append({"kind": "call", "day": day, "campaign": "", "reason": call.reason or "unknown", "denied": 1})
    return rows


def count_attempt(attempt: Attempt, zone: tzinfo) -> list[Row]:
    """Set what the attempt adds. Returns the signed rows of the change, none if nothing changed."""
    row = attempt_row(attempt, zone)
    if row == attempt.counted:
        return []
    changes = _difference([attempt.counted] if attempt.counted else [], [row] if row else [])
    attempt.counted = row
    return changes


def count_call(call: Call, attempts: Iterable[Attempt], zone: tzinfo) -> list[Row]:
    """Set what the call adds, after its `attempts` were counted. Returns the signed rows of the change.

    Attempts that are not given keep the part that they had. A call of an erased person keeps what it has added.
    """
    if call.is_erased:
        return []
    before = call.counted or {}
    parts = dict(before.get("attempts", {}))
    for attempt in attempts:
        parts.pop(str(attempt.number), None)
        if attempt.counted and attempt.counted.get("attempts"):
            row = attempt.counted
            flags = (row.get("conversation", 0), row.get("goal_met", 0), row.get("opt_out", 0))
            parts[str(attempt.number)] = [row["day"], row["agent"], row["agent_version"], *flags]
    rows = _call_rows(call, parts, zone)
    after = {"attempts": parts, "rows": rows}
    if call.counted is None and not (parts or call.final):
        return []
    if after == before:
        return []
    call.counted = after
    return _difference(before.get("rows", []), rows)


def _difference(old: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    added = [row for row in new if row not in old]
    return [*(negated(row) for row in old if row not in new), *added]


def negated(row: Row) -> Row:
    return {name: -value if name in MEASURES else value for name, value in row.items()}
