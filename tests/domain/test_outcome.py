"""The reducer alone: reports in any order merge to the same facts, and the facts give the verdict."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringback.domain.abt_event import AbtType, FailReason
from ringback.domain.attempt import Attempt, AttemptState, DialFact, Party, VoicemailAction
from ringback.domain.outcome import Verdict, decide, verdict_digest
from ringback.domain.provider_report import Analysis, EndFacts, ProviderReport, ProviderStatus, ReportKind, absorb

PLACED_AT = datetime(2026, 12, 1, 17, 0, tzinfo=UTC)
STARTED_AT = PLACED_AT + timedelta(seconds=6)
ENDED_AT = STARTED_AT + timedelta(seconds=83)

TALKED = EndFacts(DialFact.ANSWERED, Party.HUMAN, "person", connected=True)
MACHINE = EndFacts(DialFact.ANSWERED, Party.VOICEMAIL, "agent", connected=True)
RANG_OUT = EndFacts(DialFact.NO_ANSWER, Party.UNKNOWN, "network", connected=False)
BROKE = EndFacts(DialFact.PROVIDER_ERROR, Party.UNKNOWN, "system", connected=None)
OPT_OUT = replace(TALKED, opt_out=True)


def an_attempt(**facts):
    attempt = Attempt("a1", "c1", "crm-1", "+14155550100", 1, "t1", {}, AttemptState.PLACED)
    attempt.placed_at = attempt.sent_at = PLACED_AT
    for name, value in facts.items():
        setattr(attempt, name, value)
    return attempt


def report(kind, **facts):
    return ProviderReport(kind, "call_1", **facts)


def merged(*reports):
    attempt = an_attempt()
    for one in reports:
        absorb(attempt, one)
    return attempt


maybe = lambda *values: st.sampled_from([None, *values])  # noqa: E731
ends = st.fixed_dictionaries(
    {
        "ended_at": maybe(ENDED_AT),
        "duration_ms": maybe(83000),
        "cost_cents": maybe(0.0, 14.5),
        "recording_url": maybe("https://recordings.invalid/a.wav", "https://recordings.invalid/b.wav"),
        "transcript": maybe("", "User: Hi.", "Agent: Hi."),
        "transcript_withheld": st.booleans(),
        "agent_spoke": st.booleans(),
        "user_turns": maybe(0, 2),
    }
)
known_starts = maybe(STARTED_AT, STARTED_AT + timedelta(seconds=2))
analyses = st.builds(
    Analysis,
    summary=maybe("Short."),
    sentiment=maybe("Positive"),
    successful=maybe(True, False),
    in_voicemail=maybe(True, False),
    custom=st.sampled_from([{}, {"a": 1}]),
)


@given(
    facts=st.sampled_from([TALKED, MACHINE, RANG_OUT, BROKE, OPT_OUT]),
    starts=st.tuples(known_starts, known_starts, known_starts),
    known=st.tuples(st.booleans(), st.booleans()),
    rest=st.tuples(ends, ends),
    analysis=analyses,
    with_start=st.booleans(),
)
@settings(max_examples=120)
def test_reports_of_one_call_merge_to_the_same_facts_in_every_order(facts, starts, known, rest, analysis, with_start):
    reasons = [facts if is_known else None for is_known in known]
    reports = [
        report(ReportKind.ENDED, started_at=starts[1], end_facts=reasons[0], **rest[0]),
        report(ReportKind.ANALYZED, started_at=starts[2], end_facts=reasons[1], analysis=analysis, **rest[1]),
    ]
    if with_start:
        reports.append(report(ReportKind.STARTED, started_at=starts[0]))
    results = [merged(*order) for order in itertools.permutations([*reports, *reports])]
    assert all(result == results[0] for result in results)
    assert len({decide(result) for result in results}) == 1


@pytest.mark.parametrize(
    ("kind", "status", "facts", "state"),
    [
        (ReportKind.STARTED, None, None, AttemptState.ONGOING),
        (ReportKind.TOOL, None, None, AttemptState.ONGOING),
        (ReportKind.ENDED, ProviderStatus.REGISTERED, TALKED, AttemptState.ENDED),
        (ReportKind.SNAPSHOT, ProviderStatus.REGISTERED, None, AttemptState.PLACED),
        (ReportKind.SNAPSHOT, ProviderStatus.ONGOING, None, AttemptState.ONGOING),
        (ReportKind.SNAPSHOT, ProviderStatus.ENDED, TALKED, AttemptState.ENDED),
        (ReportKind.SNAPSHOT, ProviderStatus.NOT_CONNECTED, RANG_OUT, AttemptState.ENDED),
        (ReportKind.SNAPSHOT, ProviderStatus.NOT_CONNECTED, None, AttemptState.ENDED),
        (ReportKind.SNAPSHOT, ProviderStatus.ERROR, None, AttemptState.ENDED),
        (ReportKind.SNAPSHOT, None, TALKED, AttemptState.ENDED),
        (ReportKind.SNAPSHOT, None, None, AttemptState.PLACED),
        (ReportKind.OTHER, ProviderStatus.ENDED, TALKED, AttemptState.PLACED),
    ],
)
def test_a_report_advances_the_attempt_as_far_as_it_proves(kind, status, facts, state):
    assert merged(report(kind, status=status, end_facts=facts)).state is state


def test_an_earlier_report_does_not_take_a_state_back():
    analysed = report(ReportKind.ANALYZED, end_facts=TALKED, analysis=Analysis())
    attempt = merged(analysed, report(ReportKind.ENDED, end_facts=TALKED), report(ReportKind.STARTED))
    assert attempt.state is AttemptState.ANALYZED


def test_another_analyzer_does_not_end_a_call_and_decides_with_its_end():
    handed_in = report(ReportKind.ANALYZED, analysis=Analysis(successful=True, source="ours 3"))
    ended = report(ReportKind.ENDED, end_facts=TALKED, transcript="User: Hi.", user_turns=1)
    live = merged(report(ReportKind.STARTED), handed_in)
    assert (live.state, decide(live)) == (AttemptState.ONGOING, None)
    absorb(live, ended)
    assert decide(live) == decide(merged(ended, handed_in)) == Verdict(AbtType.COMPLETED)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"state": AttemptState.ONGOING, "connected": True}, None),
        ({"state": AttemptState.ENDED, "dial": DialFact.NO_ANSWER}, None),
        ({"state": AttemptState.ENDED, "dial": DialFact.ANSWERED, "connected": True, "user_turns": 1}, None),
        ({"state": AttemptState.ANALYZED, "dial": DialFact.NO_ANSWER}, Verdict(AbtType.FAILED, FailReason.NO_ANSWER)),
        ({"state": AttemptState.ANALYZED, "dial": DialFact.REJECTED}, Verdict(AbtType.FAILED, FailReason.REFUSED)),
    ],
)
def test_a_verdict_falls_with_the_analysis(facts, told):
    assert decide(an_attempt(**facts)) == told


def test_asking_decides_what_never_connected_and_nothing_else():
    assert decide(an_attempt(state=AttemptState.ENDED, dial=DialFact.BUSY), was_polled=True) == Verdict(
        AbtType.FAILED, FailReason.BUSY
    )
    talk = {"state": AttemptState.ENDED, "dial": DialFact.ANSWERED, "party": Party.HUMAN, "connected": True}
    assert decide(an_attempt(**talk, user_turns=2), was_polled=True) is None
    assert decide(an_attempt(**talk, user_turns=2), was_polled=True, gave_up=True) == Verdict(
        AbtType.PARTIALLY_COMPLETED, analysis_missing=True
    )


@pytest.mark.parametrize(
    ("user_turns", "told"),
    [
        (None, Verdict(AbtType.PARTIALLY_COMPLETED, analysis_missing=True)),
        (0, Verdict(AbtType.FAILED, FailReason.ANSWERED_NO_SPEECH, analysis_missing=True)),
    ],
)
def test_no_one_spoke_only_if_a_transcript_says_so(user_turns, told):
    """A light item of Retell's list tells the end of a call, and has no transcript."""
    talk = {"state": AttemptState.ENDED, "dial": DialFact.ANSWERED, "party": Party.HUMAN, "connected": True}
    assert decide(an_attempt(**talk, user_turns=user_turns), was_polled=True, gave_up=True) == told


@pytest.mark.parametrize("action", list(VoicemailAction))
@pytest.mark.parametrize("agent_spoke", [True, False])
def test_a_voicemail_got_a_message_if_the_agent_spoke_and_is_not_known_to_hang_up(action, agent_spoke):
    attempt = an_attempt(
        state=AttemptState.ANALYZED,
        dial=DialFact.ANSWERED,
        party=Party.VOICEMAIL,
        connected=True,
        agent_spoke=agent_spoke,
        voicemail_action=action,
    )
    left = agent_spoke and action is not VoicemailAction.HANGUP
    assert decide(attempt).type is (AbtType.LEFT_VOICEMAIL if left else AbtType.FAILED)


def test_a_missing_analysis_is_part_of_what_was_told_unless_it_failed():
    assert verdict_digest(Verdict(AbtType.PARTIALLY_COMPLETED)) != verdict_digest(
        Verdict(AbtType.PARTIALLY_COMPLETED, analysis_missing=True)
    )
    failure = Verdict(AbtType.FAILED, FailReason.IVR)
    assert verdict_digest(failure) == verdict_digest(replace(failure, analysis_missing=True))
