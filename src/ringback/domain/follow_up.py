"""The next check of a silent attempt. Webhooks get lost, so every attempt has one until it is decided."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ringback.domain.attempt import Attempt, AttemptState

#: After the scheduled look-ups, failed ones are repeated at this interval …
HOURLY = timedelta(hours=1)
#: … until this long after the unclear answer or the placing. Then the attempt is given up as an incident.
GIVE_UP_UNREACHABLE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Waiting times for a silent attempt, all in seconds.

    `analysis_s` is the first look for a missing analysis. The pause then doubles until `analysis_give_up_s`.
    """

    silence_s: int  # nothing heard after placing
    not_connected_s: int  # ended without a connection, no verdict yet
    analysis_s: int
    analysis_give_up_s: int
    max_call_s: int
    unknown_lookups_s: tuple[int, ...]  # since the unclear answer; after the last one it is abandoned
    same_key_window_s: int  # 0: an unclear attempt is never sent again
    inbound_hold_s: int


def next_check_after_report(
    attempt: Attempt, deadlines: Deadlines, now: datetime, *, was_polled: bool
) -> datetime | None:
    """When to ask the provider about an attempt without a verdict, if no report comes."""
    match attempt.state:
        case AttemptState.PLACED:
            return now + timedelta(seconds=deadlines.silence_s)
        case AttemptState.ONGOING:
            # A polled attempt seems to lose its webhooks, so its end would be missed as well.
            return now + timedelta(seconds=deadlines.silence_s if was_polled else deadlines.max_call_s)
        case AttemptState.ENDED | AttemptState.ANALYZED if attempt.dial is None:
            # It is over, but without a reason there can be no verdict.
            return now + timedelta(seconds=deadlines.silence_s)
        case AttemptState.ENDED if not attempt.connected:
            return now + timedelta(seconds=deadlines.not_connected_s)
        case AttemptState.ENDED:
            # From the end of the call, so that earlier questions do not delay this check.
            ended_at = attempt.ended_at or attempt.placed_at or now
            given_up_at = ended_at + timedelta(seconds=deadlines.analysis_give_up_s)
            pause = timedelta(seconds=max(deadlines.analysis_s, 1))
            check_at = ended_at + pause
            while check_at <= now < given_up_at:
                pause *= 2
                check_at += pause
            return max(now, min(check_at, given_up_at))
        case _:
            return None


def next_check_after_failure(attempt: Attempt, deadlines: Deadlines, now: datetime) -> datetime:
    """When to ask again after the provider was unavailable or did not know its call. The pauses double."""
    return now + min(timedelta(seconds=deadlines.silence_s * 2.0 ** min(attempt.polls, 12)), HOURLY)


def next_lookup_at(attempt: Attempt, deadlines: Deadlines, now: datetime) -> datetime | None:
    """The next look-up of an unknown attempt. After the schedule, failed look-ups are repeated hourly."""
    assert attempt.unknown_since is not None
    if attempt.lookups < len(deadlines.unknown_lookups_s):
        planned = attempt.unknown_since + timedelta(seconds=deadlines.unknown_lookups_s[attempt.lookups])
        return max(planned, now)
    return now + HOURLY


def analysis_is_given_up(attempt: Attempt, deadlines: Deadlines, now: datetime) -> bool:
    """Whether an ended call is decided without its analysis, because it waited too long."""
    since = attempt.ended_at or attempt.placed_at
    return since is not None and now >= since + timedelta(seconds=deadlines.analysis_give_up_s)
