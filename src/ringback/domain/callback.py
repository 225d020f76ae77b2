"""When a callback that a person asked for may be due: resolved in their zone, kept inside calling hours and limits."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from ringback.domain.calling_hours import CallingHours, local_time, resolve_local

MIN_AHEAD = timedelta(minutes=5)
MAX_AHEAD = timedelta(days=14)


class CallbackProblem(StrEnum):
    ZONE_UNKNOWN = "zone_unknown"
    PAST = "past"
    TOO_SOON = "too_soon"
    TOO_FAR = "too_far"
    TOO_LATE = "too_late"  # beyond the expiry that the call was given
    NEVER_OPEN = "never_open"


class CallbackRefused(Exception):
    """The moment cannot be promised; `problem` says which rule it breaks."""

    def __init__(self, problem: CallbackProblem) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class CallbackRules:
    """`open_at_least`: how long the hours must last from the due time on, or the gate would make the person wait."""

    hours: CallingHours
    open_at_least: timedelta
    zones: tuple[str, ...]  # every zone the person may be in
    expires_at: datetime | None = None  # of the call, if it was given one


@dataclass(frozen=True, slots=True)
class Callback:
    """`local_time` and `time_zone` are set for a wall-clock wish alone. `moved`: into calling hours."""

    due_at: datetime
    local_time: str | None
    time_zone: str | None
    moved: bool


def callback_at_instant(instant: datetime, rules: CallbackRules, now: datetime) -> Callback:
    """For an aware instant, and for a span that was counted from now. Raises CallbackRefused."""
    due_at = _allowed(instant.astimezone(UTC), rules, now)
    return Callback(due_at, None, None, moved=due_at != instant)


def callback_at_local(local: datetime, rules: CallbackRules, now: datetime) -> Callback:
    """For a naive wall-clock time where the person is. Raises CallbackRefused, also if it is unclear where that is."""
    if len(rules.zones) != 1:
        raise CallbackRefused(CallbackProblem.ZONE_UNKNOWN)
    zone = rules.zones[0]
    # To the minute, as its local time is written down.
    wanted = resolve_local(local.replace(second=0, microsecond=0), zone)
    due_at = _allowed(wanted, rules, now)
    return Callback(due_at, local_time(due_at, zone), zone, moved=due_at != wanted)


def _allowed(wanted: datetime, rules: CallbackRules, now: datetime) -> datetime:
    if wanted <= now:
        raise CallbackRefused(CallbackProblem.PAST)
    if wanted < now + MIN_AHEAD:
        raise CallbackRefused(CallbackProblem.TOO_SOON)
    if wanted > now + MAX_AHEAD:
        raise CallbackRefused(CallbackProblem.TOO_FAR)
    due_at = into_hours(wanted, rules)
    if rules.expires_at is not None and due_at >= rules.expires_at:
        raise CallbackRefused(CallbackProblem.TOO_LATE)
    if due_at > now + MAX_AHEAD:
        raise CallbackRefused(CallbackProblem.TOO_FAR)
    return due_at


def into_hours(wanted: datetime, rules: CallbackRules) -> datetime:
    """`wanted`, or the next minute from which the hours last long enough. Raises CallbackRefused."""
    opens = rules.hours.next_open(wanted, rules.zones, rules.open_at_least)
    if opens is None:
        raise CallbackRefused(CallbackProblem.NEVER_OPEN if rules.zones else CallbackProblem.ZONE_UNKNOWN)
    return opens
