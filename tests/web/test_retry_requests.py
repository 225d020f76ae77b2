"""The retry policy in the body of a new call: delays for all outcomes together, or rules for each outcome."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ringback.adapters.number_plan import PhoneNumbersPlan
from ringback.domain.call import RetryOutcome, RetryPolicy
from ringback.web.problems import FieldProblem, Problem
from ringback.web.request_models import read_new_call

NOW = datetime(2026, 12, 1, 17, 0, tzinfo=UTC)
PLAN = PhoneNumbersPlan()
CONTACT = {"contact_id": "crm-42", "phone": "+14155550100"}


def read(retry: object, **changes: Any) -> RetryPolicy:
    body = {"contact": CONTACT, "agent_id": "agent_1", "from_number": "+14155550199", "retry": retry}
    return read_new_call(body | changes, NOW, PLAN).retry


def problems(retry: object, **changes: Any) -> list[FieldProblem]:
    with pytest.raises(Problem) as refused:
        read(retry, **changes)
    assert refused.value.status == 422
    return list(refused.value.errors)


def test_rules_are_read_in_place_of_delay_s_and_on():
    rules = {"no_answer": [3600, 14400], "busy": [600], "voicemail": [86400]}
    policy = read({"max_attempts": 4, "rules": rules})
    assert policy == RetryPolicy(4, rules={"no_answer": (3600, 14400), "busy": (600,), "voicemail": (86400,)})


def test_rules_may_name_every_outcome_that_a_policy_retries():
    assert read({"max_attempts": 2, "rules": {str(outcome): [60] for outcome in RetryOutcome}}).rules is not None


def test_a_member_of_null_is_not_given():
    assert read({"max_attempts": 2, "delay_s": [60], "rules": None}) == RetryPolicy(2, (60,))
    rules = {"max_attempts": 2, "rules": {"busy": [60]}, "delay_s": None, "on": None}
    assert read(rules) == RetryPolicy(2, rules={"busy": (60,)})
    assert read({"max_attempts": 2, "delay_s": None, "on": None}) == read({"max_attempts": 2}) == RetryPolicy(2)


def test_rules_and_the_other_form_exclude_each_other_and_each_problem_names_both():
    retry = {"max_attempts": 2, "rules": {"busy": [60]}, "delay_s": [60], "on": ["busy"]}
    found = problems(retry, agent_id=7)
    assert [(one.pointer, one.code) for one in found] == [
        ("#/agent_id", "wrong_type"),
        ("#/retry/delay_s", "excluded_by_rules"),
        ("#/retry/on", "excluded_by_rules"),
    ]
    assert "rules and delay_s exclude each other" in found[1].message
    assert "rules and on exclude each other" in found[2].message


def test_an_outcome_that_is_never_retried_is_refused_with_those_that_are():
    [found] = problems({"max_attempts": 2, "rules": {"declined": [60]}})
    message = "This is not valid: known are 'no_answer', 'busy' or 'voicemail'."
    assert found == FieldProblem("#/retry/rules/declined", "invalid", message)


@pytest.mark.parametrize(
    ("rules", "pointer", "code"),
    [
        ({}, "#/retry/rules", "too_short"),
        ([60], "#/retry/rules", "wrong_type"),
        ({"busy": []}, "#/retry/rules/busy", "too_short"),
        ({"busy": 60}, "#/retry/rules/busy", "wrong_type"),
        ({"busy": None}, "#/retry/rules/busy", "wrong_type"),
        ({"busy": [-1]}, "#/retry/rules/busy/0", "invalid"),
        ({"busy": [604801]}, "#/retry/rules/busy/0", "invalid"),
        ({"busy": [1.5]}, "#/retry/rules/busy/0", "wrong_type"),
    ],
)
def test_delays_of_rules_have_the_bounds_of_delay_s(rules, pointer, code):
    [found] = problems({"max_attempts": 2, "rules": rules})
    assert (found.pointer, found.code) == (pointer, code)
    assert problems({"rules": {"busy": [60]}})[0].pointer == "#/retry/max_attempts"
