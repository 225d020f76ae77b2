"""Bugs of reconciliation: look-ups of unclear attempts, evidence that binds, and polls of silent calls."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from proof.planted.bug import Right, planted
from ringback.domain.attempt import Attempt, AttemptState
from ringback.domain.follow_up import Deadlines
from ringback.domain.outcome import Verdict
from ringback.domain.provider_report import ProviderReport, ProviderStatus

CLIENT = "ringback.adapters.retell.client"
FOLLOW_UP = "ringback.domain.follow_up"

_CLIENT = "adapters/retell/test_client.py::"
_UNKNOWN = "flows/reconciliation/test_unknown.py::"
_SILENT = "flows/reconciliation/test_silent_attempts.py::"


@planted(
    f"{FOLLOW_UP}:next_lookup_at",
    "I6 I20",
    f"{_UNKNOWN}test_failed_lookups_repeat_hourly_until_after_a_day_it_is_impossible",
)
def no_lookup_behind_the_schedule(
    right: Right, attempt: Attempt, deadlines: Deadlines, now: datetime
) -> datetime | None:
    """The schedule is over."""
    planned: datetime | None = right(attempt, deadlines, now)
    return planned if attempt.lookups < len(deadlines.unknown_lookups_s) else None


@planted(f"{CLIENT}:_reports_of", "I6 I2", f"{_CLIENT}test_a_list_that_proves_nothing_is_no_clean_look_up")
def a_garbled_list_is_empty(right: Right, attempt_id: str, items: object) -> list[ProviderReport]:
    """Without items there is no call."""
    return right(attempt_id, items) if isinstance(items, list) else []


@planted(
    "ringback.domain.provider_report:evidence_of",
    "I13",
    "domain/test_outcome.py::test_a_report_advances_the_attempt_as_far_as_it_proves",
    f"{_SILENT}test_a_polled_call_that_is_over_without_a_reason_is_decided_all_the_same",
)
def polling_ignores_not_connected(right: Right, report: ProviderReport) -> AttemptState:
    """The documentation's diagram ends with ended and error."""
    return right(replace(report, status=None) if report.status is ProviderStatus.NOT_CONNECTED else report)


@planted(
    "ringback.domain.outcome:decide",
    "I13",
    "domain/test_outcome.py::test_asking_decides_what_never_connected_and_nothing_else",
)
def verdict_without_asking(
    right: Right, attempt: Attempt, *, was_polled: bool = False, gave_up: bool = False
) -> Verdict | None:
    """Every call is analysed, even one that was not answered."""
    return right(attempt, gave_up=gave_up)


@planted(
    f"{FOLLOW_UP}:next_check_after_report", "I13 I1 I20", f"{_SILENT}test_silence_is_asked_about_until_the_call_is_over"
)
def a_placed_call_is_never_looked_up(
    right: Right, attempt: Attempt, deadlines: Deadlines, now: datetime, *, was_polled: bool
) -> datetime | None:
    """The webhooks of a placed call will come."""
    return None if attempt.state is AttemptState.PLACED else right(attempt, deadlines, now, was_polled=was_polled)


@planted(f"{FOLLOW_UP}:next_check_after_report", "I13", f"{_SILENT}test_silence_is_asked_about_until_the_call_is_over")
def asked_about_once(
    right: Right, attempt: Attempt, deadlines: Deadlines, now: datetime, *, was_polled: bool
) -> datetime | None:
    """A talk may take an hour, and its end is a webhook."""
    return right(attempt, deadlines, now, was_polled=False)


@planted(
    f"{FOLLOW_UP}:analysis_is_given_up",
    "I13 I1",
    f"{_SILENT}test_a_missing_analysis_is_asked_for_at_doubling_pauses_and_then_given_up",
)
def a_missing_analysis_is_waited_for_forever(right: Right, attempt: Attempt, *rest: Any) -> bool:
    """A provider that responds will have the analysis some day."""
    return attempt.ended_at is not None and attempt.polls > 0 and right(attempt, *rest)
