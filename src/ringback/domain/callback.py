"""The due time of a callback: resolved in the person's zone, inside calling hours and limits."""

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
    """The moment cannot be promised. `problem` names the broken rule."""

    def __init__(self, problem: CallbackProblem) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class CallbackRules:
    """Limits of a callback. From the due time on the hours last `open_at_least`, as the eligibility check demands."""

    hours: CallingHours
    open_at_least: timedelta
    zones: tuple[str, ...]  # every zone the person may be in
    expires_at: datetime | None = None  # of the call, if it was given one


@dataclass(frozen=True, slots=True)
class Callback:
    """A promised callback. Only a wall-clock wish has `local_time` and `time_zone`. `moved`: into calling hours."""

    due_at: datetime
    local_time: str | None
    time_zone: str | None
    moved: bool


def callback_at_instant(instant: datetime, rules: CallbackRules, now: datetime) -> Callback:
    """Promise an aware instant, or a span counted from now. Raises CallbackRefused."""
    due_at = _allowed(instant.astimezone(UTC), rules, now)
    return Callback(due_at, None, None, moved=due_at != instant)


def callback_at_local(local: datetime, rules: CallbackRules, now: datetime) -> Callback:
    """Promise a naive wall-clock time in the person's zone. Raises CallbackRefused, also if the zone is unclear."""
    if len(rules.zones) != 1:
        raise CallbackRefused(CallbackProblem.ZONE_UNKNOWN)
    zone = rules.zones[0]
    # The local time is stored to the minute.
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
    """Return `wanted`, or the next minute from which the hours last long enough. Raises CallbackRefused."""
    opens = rules.hours.next_open(wanted, rules.zones, rules.open_at_least)
    if opens is None:
        raise CallbackRefused(CallbackProblem.NEVER_OPEN if rules.zones else CallbackProblem.ZONE_UNKNOWN)
    return opens
