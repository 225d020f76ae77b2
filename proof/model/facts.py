"""The product's own pure rules, asked about the model's facts: what a report changes, what it means, who may dial."""

from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache
from typing import Any, NamedTuple

from proof.model.state import End, Facts, Hook, Said, Stage
from ringback.domain.abt_event import AbtType, FailReason
from ringback.domain.attempt import Attempt, AttemptState, DialFact, Party
from ringback.domain.call import Call, RetryPolicy, Task, TaskKind
from ringback.domain.calling_hours import CallingHours
from ringback.domain.eligibility import (
    ALLOW,
    Candidate,
    CapacityFacts,
    DialPolicy,
    EligibilityDecision,
    PersonFacts,
    defer_for_capacity,
    defer_for_person,
    deny,
)
from ringback.domain.follow_up import Deadlines
from ringback.domain.outcome import Occasion, Outcome, OutcomeInputs, Verdict, decide, decide_outcome
from ringback.domain.provider_report import Analysis, EndFacts, ProviderReport, ProviderStatus, ReportKind, absorb

NOW = datetime(2026, 12, 1, 17, 0, tzinfo=UTC)
ZONES = ("America/New_York",)
POLICY = DialPolicy(
    countries=frozenset({"US"}),
    calling_hours=CallingHours(),
    max_live_calls=100,
    calls_per_second=1000,
    attempts_per_day=0,
    attempt_gap_s=0,
    lease_s=60,
)
DEADLINES = Deadlines(180, 20, 300, 86_400, 3600, (), 0, 0)

_ENDS = {
    End.NO_ANSWER: EndFacts(DialFact.NO_ANSWER, Party.UNKNOWN, "network", connected=False),
    End.TALKED: EndFacts(DialFact.ANSWERED, Party.HUMAN, "person", connected=True),
    End.OPTED_OUT: EndFacts(DialFact.ANSWERED, Party.HUMAN, "person", connected=True, opt_out=True),
    End.VOICEMAIL: EndFacts(DialFact.ANSWERED, Party.VOICEMAIL, "agent", connected=True),
}
_STATUS = {
    Stage.RINGING: ProviderStatus.REGISTERED,
    Stage.TALKING: ProviderStatus.ONGOING,
    Stage.OVER: ProviderStatus.ENDED,
    Stage.ANALYZED: ProviderStatus.ENDED,
}
_KIND = {Hook.STARTED: ReportKind.STARTED, Hook.ENDED: ReportKind.ENDED, Hook.ANALYZED: ReportKind.ANALYZED}


class Word(Enum):
    """How something was heard of a call, other than by a webhook."""

    POLL = 0
    POLL_LATE = 400  # the analysis deadline is over, so it does not hold the person any longer
    POLL_GIVEN_UP = 172_800  # and nothing more is expected
    TOOL = 10
    OTHER = 1  # a webhook of a kind that says nothing but that the call exists

    def __init__(self, over_for_s: int) -> None:
        self.over_for_s = over_for_s


News = Hook | Word


def report_of(stage: Stage, end: End | None, news: News) -> ProviderReport:
    """What a webhook, a poll or a tool call says of a call that got so far."""
    if news is Word.TOOL:
        return ProviderReport(ReportKind.TOOL, "", started_at=NOW - timedelta(seconds=30))
    if news is Word.OTHER:
        return ProviderReport(ReportKind.OTHER, "", "other_event")
    hook = news if isinstance(news, Hook) else None
    seen_end = end if hook is not Hook.STARTED else None
    talked = stage is not Stage.RINGING and seen_end is not End.NO_ANSWER
    has_analysis = hook is Hook.ANALYZED or (hook is None and stage is Stage.ANALYZED)
    over_for = timedelta(seconds=news.over_for_s if isinstance(news, Word) else 0)
    status = ProviderStatus.NOT_CONNECTED if seen_end is End.NO_ANSWER else _STATUS[stage]
    facts: dict[str, Any] = {}
    if seen_end is not None:
        facts = {
            "ended_at": NOW - over_for,
            "duration_ms": 20_000 if talked else None,
            "disconnection_reason": seen_end.value,
            "end_facts": _ENDS[seen_end],
            "transcript": "User: hello" if talked else None,
            "agent_spoke": talked,
            "user_turns": 1 if talked else None,
        }
    return ProviderReport(
        kind=_KIND[hook] if hook is not None else ReportKind.SNAPSHOT,
        provider_call_id="",
        status=status if hook is None else None,
        started_at=NOW - over_for - timedelta(seconds=30) if talked else None,
        analysis=Analysis(successful=talked) if has_analysis else None,
        **facts,
    )


def attempt_of(facts: Facts) -> Attempt:
    """The product's attempt that knows just this."""
    attempt = Attempt("a", "c", "p", "+14155550100", 1, "t", {}, facts.state)
    attempt.sent_at = attempt.placed_at = NOW - timedelta(seconds=60)
    attempt.connected = facts.talked
    attempt.started_at = NOW - timedelta(seconds=30) if facts.talked else None
    if facts.has_end:
        attempt.dial = DialFact.ANSWERED if facts.talked else DialFact.NO_ANSWER
        attempt.party = Party.HUMAN if facts.talked else Party.UNKNOWN
        attempt.party = Party.VOICEMAIL if facts.is_voicemail else attempt.party
        attempt.user_turns, attempt.agent_spoke = (1, True) if facts.talked else (None, False)
    if facts.has_analysis:
        attempt.analysis_source, attempt.successful = Analysis().source, facts.talked
    if facts.opted_out:
        attempt.business["opt_out"] = True
    return attempt


def facts_of(attempt: Attempt) -> Facts:
    return Facts(
        attempt.state,
        attempt.connected,
        attempt.dial is not None,
        attempt.analysis_source is not None,
        bool(attempt.business.get("opt_out")),
        attempt.party is Party.VOICEMAIL,
    )


@cache
def absorbed(facts: Facts, stage: Stage, end: End | None, news: News) -> tuple[Facts, Verdict | None]:
    """The facts behind a report, and the verdict that they give."""
    attempt = attempt_of(facts)
    absorb(attempt, report_of(stage, end, news))
    gave_up = news is Word.POLL_GIVEN_UP
    return facts_of(attempt), decide(attempt, was_polled=is_poll(news), gave_up=gave_up)


def is_poll(news: News) -> bool:
    return isinstance(news, Word) and news not in (Word.TOOL, Word.OTHER)


@cache
def last_word(facts: Facts) -> Verdict:
    """The verdict when the provider has not answered for so long that no look-up follows."""
    if facts.state is AttemptState.ENDED and facts.has_end:
        verdict = decide(attempt_of(facts), gave_up=True)
        assert verdict is not None, "the end is known"
        return verdict
    return Verdict(AbtType.FAILED, FailReason.PROVIDER_LOST)


class Asked(NamedTuple):
    """The call that asks to be dialed, and the facts about the person and the installation."""

    kind: TaskKind
    is_new: bool
    no_more: str | None
    budget_used: int
    max_attempts: int
    is_expired: bool
    suppressed: bool
    is_held: bool
    paused: bool


def retry_of(max_attempts: int, *, voicemails: bool) -> RetryPolicy:
    """The retry policy of all calls: by default, or by rules of which one is for voicemails."""
    return RetryPolicy(max_attempts, rules={"no_answer": (3600,), "voicemail": (86_400,)} if voicemails else None)


def _call(no_more: str | None, budget_used: int, retry: RetryPolicy, *, is_expired: bool) -> Call:
    lifetime = timedelta(days=-1 if is_expired else 7)
    call = Call("c", "p", "+14155550100", "g", "+14155550199", {}, {}, retry, NOW, NOW + lifetime, False)
    call.no_more_retries, call.budget_used = no_more, budget_used
    return call


@cache
def check_eligibility(asked: Asked) -> EligibilityDecision:
    call = _call(asked.no_more, asked.budget_used, RetryPolicy(asked.max_attempts), is_expired=asked.is_expired)
    candidate = Candidate(call, Task("t", "c", asked.kind, NOW), ZONES, "US", None, asked.is_new)
    person = PersonFacts(asked.suppressed, "b" if asked.is_held else None, 0, None, None, 0.0)
    capacity = CapacityFacts(asked.paused, None, 0, 0)
    return (
        deny(candidate, person, POLICY, NOW)
        or defer_for_person(candidate, person, POLICY, NOW)
        or defer_for_capacity(capacity, POLICY, NOW)
        or ALLOW
    )


class Known(NamedTuple):
    """The facts of an attempt and its call that the product's decision about a verdict reads."""

    facts: Facts
    is_bound: bool
    started: bool
    holds_person: bool
    verdict: AbtType | None
    digest: str | None
    said: Said
    is_latest: bool
    final: bool
    closed_by: int | None  # 0: this attempt's verdict, -1: the call's own event, 1: another attempt's
    no_more: str | None
    budget_used: int
    max_attempts: int
    is_expired: bool
    task: tuple[TaskKind, bool] | None  # the open one, and whether it was promised in this attempt
    suppressed: bool
    later_attempt_decides: bool
    over_for_s: int
    voicemails: bool


_CLOSING_EVENTS = {0: Said.OWN.name, -1: Said.CLOSING.name, 1: "another"}


@cache
def outcome_of(known: Known, verdict: Verdict | None, occasion: Occasion) -> Outcome:
    """The product's decision about everything that follows."""
    attempt = attempt_of(known.facts)
    attempt.placed_at = attempt.placed_at if known.is_bound else None
    attempt.ended_at = NOW - timedelta(seconds=known.over_for_s)
    attempt.started_event, attempt.holds_person = known.started, known.holds_person
    attempt.verdict_type, attempt.verdict_digest = known.verdict, known.digest
    attempt.verdict_event_id = known.said.name if known.said is not Said.NOTHING else None
    retry = retry_of(known.max_attempts, voicemails=known.voicemails)
    call = _call(known.no_more, known.budget_used, retry, is_expired=known.is_expired)
    call.attempts_made = attempt.number if known.is_latest else attempt.number + 1
    call.final = known.final
    call.closing_event_id = _CLOSING_EVENTS[known.closed_by] if known.closed_by is not None else None
    task = None
    if known.task is not None:
        kind, is_promised_here = known.task
        task = Task("t", "c", kind, NOW, from_attempt=attempt.attempt_id if is_promised_here else None)
    return decide_outcome(
        attempt,
        call,
        verdict,
        OutcomeInputs(occasion, POLICY, DEADLINES, task, known.suppressed, ZONES, known.later_attempt_decides),
    )
