"""The eligibility check: one pure decision whether a person may be dialed now.

Its facts are read under the locks of the claim.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from ringback.domain.abt_event import FailReason, iso
from ringback.domain.call import Call, Task, TaskKind
from ringback.domain.calling_hours import CallingHours
from ringback.domain.phone_number import NumberType

#: Dialing waits while the clock differs more than this from the database's. Leases and windows would be wrong.
MAX_CLOCK_SKEW_S = 2.0
#: The next check of a person who is on another call.
PERSON_BUSY_RETRY_S = 15.0
CAPACITY_RETRY_S = 1.0
SKEW_RETRY_S = 5.0
PAUSE_RETRY_S = 5.0
BORDER_RETRY_S = 5.0
#: While one claim tries a refused account, the others wait this long.
PROBE_S = 30.0
DAY = timedelta(hours=24)


class EligibilityVerdict(StrEnum):
    ALLOW = "admit"
    DEFER = "wait"
    DENY = "end"


@dataclass(frozen=True, slots=True)
class DialPolicy:
    """The settings that the eligibility check reads."""

    countries: frozenset[str]
    calling_hours: CallingHours
    max_live_calls: int
    calls_per_second: int
    attempts_per_day: int  # 0 = no limit
    attempt_gap_s: int  # 0 = none
    lease_s: float
    number_types: frozenset[NumberType] = frozenset()  # dialed besides ordinary numbers

    @property
    def only_country(self) -> str | None:
        """The one country that is dialed, else None. National numbers without another hint are read there."""
        return next(iter(self.countries)) if len(self.countries) == 1 else None

    @property
    def most_dispatched(self) -> int:
        """How many calls are on their way to the processors at most: those that can start within five seconds.

        As many are dispatched at their acceptance, and as many are released by the scheduler. Processors never wait for
        its next tick. A backlog of any size waits in the database.
        """
        return max(10, 5 * self.calls_per_second)

    def refusal(self, region: str | None, number_type: NumberType | None) -> FailReason | None:
        """Why a number of this country and kind is never dialed. None if it may be dialed."""
        if region not in self.countries:
            return FailReason.COUNTRY_NOT_ALLOWED
        if number_type is not None and number_type not in self.number_types:
            return FailReason.NUMBER_TYPE_NOT_ALLOWED
        return None

    def opens_at(self, at: datetime, zones: tuple[str, ...]) -> datetime | None:
        """The earliest moment from `at` on that is open in every zone and stays open for a lease.

        A window about to close counts as closed, because the answer to a dial may come after its end. Returns None as
        `CallingHours.next_open` does.
        """
        return self.calling_hours.next_open(at, zones, timedelta(seconds=self.lease_s))


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """The database's facts about the person, by phone and by contact, read under both locks."""

    suppressed: bool
    held_by_attempt: str | None  # another attempt that holds the phone or the contact
    attempts_last_day: int
    oldest_attempt_in_day: datetime | None
    last_attempt_at: datetime | None
    clock_skew_s: float  # local time minus the database's
    on_inbound_call_until: datetime | None = None  # the latest end of the hold by their inbound call


@dataclass(frozen=True, slots=True)
class CapacityFacts:
    """The database's facts about the installation, read under the capacity lock."""

    paused: bool
    breaker_until: datetime | None
    live: int
    started_last_second: int
    emulated: bool | None = None  # whether the installation dials with the emulator; None: not decided yet


@dataclass(frozen=True, slots=True)
class EligibilityDecision:
    verdict: EligibilityVerdict
    rule: str
    until: datetime | None = None
    reason: FailReason | None = None

    def detail(self) -> dict[str, Any]:
        return {"verdict": self.verdict, "rule": self.rule, "until": iso(self.until), "reason": self.reason}


ALLOW = EligibilityDecision(EligibilityVerdict.ALLOW, "admitted")


def _defer(rule: str, until: datetime) -> EligibilityDecision:
    return EligibilityDecision(EligibilityVerdict.DEFER, rule, until=until)


def _deny(rule: str, reason: FailReason) -> EligibilityDecision:
    return EligibilityDecision(EligibilityVerdict.DENY, rule, reason=reason)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A call that is to be dialed.

    `zones`: every zone the contact may be in. `region`: the number's country. `number_type`: None for an ordinary one.
    """

    call: Call
    task: Task
    zones: tuple[str, ...]
    region: str | None
    number_type: NumberType | None
    is_new_attempt: bool


def deny(candidate: Candidate, person: PersonFacts, policy: DialPolicy, now: datetime) -> EligibilityDecision | None:
    """Deny what no waiting can cure. While the clock is off, nothing counts as expired."""
    if _clock_is_off(person):
        return None
    if now >= candidate.call.expires_at:
        return _deny("expired", FailReason.EXPIRED)
    if person.suppressed:
        return _deny("suppressed", FailReason.SUPPRESSED)
    if refused := policy.refusal(candidate.region, candidate.number_type):
        return _deny(refused, refused)
    # A callback that the person asked for is no retry. After a cancellation it is denied too.
    call, is_retry = candidate.call, candidate.task.kind is TaskKind.RETRY
    if call.no_more_retries and (is_retry or call.no_more_retries == FailReason.CANCELLED):
        return _deny("no_more_retries", FailReason.CANCELLED)
    if is_retry and candidate.is_new_attempt and call.budget_used >= call.retry.max_attempts:
        return _deny("budget_spent", FailReason.CANCELLED)
    return None


def _clock_is_off(person: PersonFacts) -> bool:
    return abs(person.clock_skew_s) > MAX_CLOCK_SKEW_S


def defer_for_person(
    candidate: Candidate, person: PersonFacts, policy: DialPolicy, now: datetime
) -> EligibilityDecision | None:
    """Defer for reasons of this person alone. A callback is exempt from the gap and the daily cap."""
    if _clock_is_off(person):
        # By the database's time: the local clock may be hours ahead, and right again in a minute.
        return _defer("clock_skew", now + timedelta(seconds=SKEW_RETRY_S - person.clock_skew_s))
    if person.held_by_attempt is not None:
        return _defer("person_on_another_attempt", now + timedelta(seconds=PERSON_BUSY_RETRY_S))
    if person.on_inbound_call_until is not None and now < person.on_inbound_call_until:
        return _defer("person_on_inbound_call", now + timedelta(seconds=PERSON_BUSY_RETRY_S))
    if not policy.calling_hours.open_for(now, candidate.zones, timedelta(seconds=policy.lease_s)):
        return _defer("outside_calling_hours", policy.opens_at(now, candidate.zones) or now + DAY)
    if candidate.task.kind is TaskKind.CALLBACK:
        return None
    if policy.attempts_per_day and person.attempts_last_day >= policy.attempts_per_day:
        return _defer("attempts_per_day", (person.oldest_attempt_in_day or now) + DAY)
    if policy.attempt_gap_s and person.last_attempt_at is not None:
        earliest = person.last_attempt_at + timedelta(seconds=policy.attempt_gap_s)
        if now < earliest:
            return _defer("attempt_gap", earliest)
    return None


def defer_for_capacity(capacity: CapacityFacts, policy: DialPolicy, now: datetime) -> EligibilityDecision | None:
    """Defer for reasons of the whole installation."""
    if capacity.paused:
        return _defer("paused", now + timedelta(seconds=PAUSE_RETRY_S))
    if capacity.breaker_until is not None and now < capacity.breaker_until:
        return _defer("account_breaker", capacity.breaker_until)
    if capacity.live >= policy.max_live_calls:
        return _defer("no_free_slot", now + timedelta(seconds=CAPACITY_RETRY_S))
    if capacity.started_last_second >= policy.calls_per_second:
        return _defer("start_rate", now + timedelta(seconds=CAPACITY_RETRY_S))
    return None


def defer_across_border(
    capacity: CapacityFacts, provider_is_emulated: bool | None, now: datetime
) -> EligibilityDecision | None:
    """Defer a call planned with the emulator from the real provider, and the other way round.

    An unknown side counts as the other side.
    """
    if capacity.emulated is None or provider_is_emulated is not capacity.emulated:
        return _defer("across_the_border", now + timedelta(seconds=BORDER_RETRY_S))
    return None
