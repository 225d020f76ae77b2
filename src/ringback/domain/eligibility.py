"""The gate: may this person be dialed now? One pure decision over facts read under the locks of the claim."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from ringback.domain.abt_event import FailReason, iso
from ringback.domain.call import Call, Task, TaskKind
from ringback.domain.calling_hours import CallingHours
from ringback.domain.phone_number import NumberType

#: How far our clock may be off the database's before dialing waits: leases and windows could not be trusted.
MAX_CLOCK_SKEW_S = 2.0
#: How soon a person who is on another call of ours is looked at again.
PERSON_BUSY_RETRY_S = 15.0
CAPACITY_RETRY_S = 1.0
SKEW_RETRY_S = 5.0
PAUSE_RETRY_S = 5.0
BORDER_RETRY_S = 5.0
#: While one claim tries an account that was refused, the others wait this long.
PROBE_S = 30.0
DAY = timedelta(hours=24)


class EligibilityVerdict(StrEnum):
    ALLOW = "admit"
    DEFER = "wait"
    DENY = "end"


@dataclass(frozen=True, slots=True)
class DialPolicy:
    """What an operator has set; the part of the settings that the gate reads."""

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
        """The country that is dialed, if it is one alone: there a national number is read when nothing says where."""
        return next(iter(self.countries)) if len(self.countries) == 1 else None

    def refusal(self, region: str | None, number_type: NumberType | None) -> FailReason | None:
        """Why a number of this country and kind is never dialed; None if it may be."""
        if region not in self.countries:
            return FailReason.COUNTRY_NOT_ALLOWED
        if number_type is not None and number_type not in self.number_types:
            return FailReason.NUMBER_TYPE_NOT_ALLOWED
        return None

    def opens_at(self, at: datetime, zones: tuple[str, ...]) -> datetime | None:
        """The earliest moment from `at` on that is open in every zone and stays so for a lease: a window about to
        close is as good as closed, because the answer to a dial may come only after its end. None: see
        CallingHours.next_open."""
        return self.calling_hours.next_open(at, zones, timedelta(seconds=self.lease_s))


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """What the database says about the person, that is of this phone and of this contact, read under both locks."""

    suppressed: bool
    held_by_attempt: str | None  # another attempt that holds the phone or the contact
    attempts_last_day: int
    oldest_attempt_in_day: datetime | None
    last_attempt_at: datetime | None
    clock_skew_s: float  # our time minus the database's
    on_inbound_call_until: datetime | None = None  # the person called us; at the latest, it holds them until then


@dataclass(frozen=True, slots=True)
class CapacityFacts:
    """What the database says about the installation, read under the capacity lock."""

    paused: bool
    breaker_until: datetime | None
    live: int
    started_last_second: int
    emulated: bool | None = None  # whether the installation's calls are the emulator's; None: not decided yet


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
    """The call that asks to be dialed. `zones`: every zone the contact may be in; `region`: the number's country;
    `number_type`: its kind, None for an ordinary one."""

    call: Call
    task: Task
    zones: tuple[str, ...]
    region: str | None
    number_type: NumberType | None
    is_new_attempt: bool


def deny(asked: Candidate, person: PersonFacts, policy: DialPolicy, now: datetime) -> EligibilityDecision | None:
    """The refusals that no waiting can cure. By a clock that is off, nothing is over."""
    if _clock_is_off(person):
        return None
    if now >= asked.call.expires_at:
        return _deny("expired", FailReason.EXPIRED)
    if person.suppressed:
        return _deny("suppressed", FailReason.SUPPRESSED)
    if refused := policy.refusal(asked.region, asked.number_type):
        return _deny(refused, refused)
    return _deny_by_budget(asked)


def _clock_is_off(person: PersonFacts) -> bool:
    return abs(person.clock_skew_s) > MAX_CLOCK_SKEW_S


def _deny_by_budget(asked: Candidate) -> EligibilityDecision | None:
    """A callback that the person asked for is no retry; after a cancellation not even that follows."""
    call, is_retry = asked.call, asked.task.kind is TaskKind.RETRY
    if call.no_more_retries and (is_retry or call.no_more_retries == FailReason.CANCELLED):
        return _deny("no_more_retries", FailReason.CANCELLED)
    if is_retry and asked.is_new_attempt and call.budget_used >= call.retry.max_attempts:
        return _deny("budget_spent", FailReason.CANCELLED)
    return None


def defer_for_person(
    asked: Candidate, person: PersonFacts, policy: DialPolicy, now: datetime
) -> EligibilityDecision | None:
    """Waits that concern this person alone. A callback the person asked for is exempt from gap and daily cap."""
    if _clock_is_off(person):
        # By the database's time: ours may be hours ahead, and right again in a minute.
        return _defer("clock_skew", now + timedelta(seconds=SKEW_RETRY_S - person.clock_skew_s))
    if person.held_by_attempt is not None:
        return _defer("person_on_another_attempt", now + timedelta(seconds=PERSON_BUSY_RETRY_S))
    if person.on_inbound_call_until is not None and now < person.on_inbound_call_until:
        return _defer("person_on_inbound_call", now + timedelta(seconds=PERSON_BUSY_RETRY_S))
    if not policy.calling_hours.open_for(now, asked.zones, timedelta(seconds=policy.lease_s)):
        return _defer("outside_calling_hours", policy.opens_at(now, asked.zones) or now + DAY)
    if asked.task.kind is not TaskKind.CALLBACK:
        return _defer_for_caps(person, policy, now)
    return None


def _defer_for_caps(person: PersonFacts, policy: DialPolicy, now: datetime) -> EligibilityDecision | None:
    if policy.attempts_per_day and person.attempts_last_day >= policy.attempts_per_day:
        return _defer("attempts_per_day", (person.oldest_attempt_in_day or now) + DAY)
    if policy.attempt_gap_s and person.last_attempt_at is not None:
        earliest = person.last_attempt_at + timedelta(seconds=policy.attempt_gap_s)
        if now < earliest:
            return _defer("attempt_gap", earliest)
    return None


def defer_for_capacity(capacity: CapacityFacts, policy: DialPolicy, now: datetime) -> EligibilityDecision | None:
    """Waits that concern the whole installation."""
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
    """What was planned with the emulator is never dialed for real, nor the other way round. Not known is not the same
    side."""
    if capacity.emulated is None or provider_is_emulated is not capacity.emulated:
        return _defer("across_the_border", now + timedelta(seconds=BORDER_RETRY_S))
    return None
