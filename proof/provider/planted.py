"""Bugs put into the product on purpose, to see that the oracle can fail."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

from proof.findings import Findings
from proof.harness.waiting import until
from proof.invariants import Invariant
from proof.provider.acts import End, Plan, answer_lost, answers, rings_and_answers
from proof.provider.outcomes import answered, judge
from proof.provider.trial import Trial
from ringback.adapters.retell import client
from ringback.domain.attempt import DialAnswer, DialAnswerKind


@dataclass(frozen=True, slots=True)
class Bug:
    """`name` in the module `client` is replaced by `wrong`, which is given what was there; `plan` brings it out, and
    `aims` are what it must be seen to break."""

    what: str
    name: str
    wrong: Callable[[Any], Any]
    plan: Plan
    remembers: bool
    aims: tuple[Invariant, ...]
    creates: int = 1


def _not_sent(_: Any) -> Any:
    return lambda error: DialAnswer(DialAnswerKind.NOT_SENT, "planted")


def _another_key(create_body: Any) -> Any:
    return lambda request: {**create_body(request), "idempotency_key": uuid.uuid4().hex}


def _refused(_: Any) -> Any:
    return lambda *_: DialAnswer(DialAnswerKind.REJECTED, "planted")


_ANSWER_LOST = Plan((answer_lost(End.CLOSE),), loses_webhooks=True)
_NO_CALL_ID = Plan((rings_and_answers(201),), loses_webhooks=True)
_FAILED_FIRST = Plan((answers(500),))
BUGS = (
    Bug("a lost answer is a request not sent", "answer_from_error", _not_sent, _ANSWER_LOST, True, (Invariant.I5,)),
    Bug("a resend takes another key", "create_body", _another_key, _FAILED_FIRST, True, (Invariant.I5,), 2),
    Bug("a 2xx without a call id is a refusal", "answer_from_success", _refused, _NO_CALL_ID, True, (Invariant.I6,)),
    Bug("a lost answer is a second ring", "answer_from_error", _not_sent, _ANSWER_LOST, False, (Invariant.I2,)),
)


async def prove_that_bugs_are_seen(trial: Trial, findings: Findings) -> None:
    """After the judgement, on the same system, one after the other."""
    for bug in BUGS:
        if bug.remembers is trial.setting.remembers:
            with mock.patch.object(client, bug.name, bug.wrong(getattr(client, bug.name))):
                findings.plant(bug.what, await _is_seen(trial, bug), *bug.aims)


async def _is_seen(trial: Trial, bug: Bug) -> bool:
    """Only once the call is over: before, everything is still missing."""
    case = trial.drafts.case("planted", bug.what, bug.plan, answered("00", bug.creates))
    await trial.place([case])

    async def is_seen() -> bool:
        seen = (await trial.gather())[case.name]
        broken = {problem.invariant for problem in judge(case, seen)}
        return bool(seen.call.call and seen.call.call["final"] and broken.issuperset(bug.aims))

    try:
        return await until(is_seen, bug.what)
    except AssertionError:
        return False
