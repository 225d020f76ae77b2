"""Planted bugs: the rules with one decision taken wrongly. The search must find the way to what each breaks."""

from dataclasses import dataclass
from typing import Any

from proof.invariants import Invariant
from proof.model.rules import Rules
from proof.model.state import Attempt, Bounds, Call, Check, Task, Worker
from ringback.domain.attempt import CLEAN_LOOKUPS_TO_RESEND, AttemptState, DialAnswerKind
from ringback.domain.call import OPEN_TASK

S = AttemptState
K = DialAnswerKind


@dataclass(frozen=True, slots=True)
class Planted:
    name: str
    what: str
    aim: Invariant
    rules: type[Rules]
    bounds: Bounds


def _bug(name: str, what: str, aim: Invariant, bounds: dict[str, object], **wrong: object) -> Planted:
    """`wrong` are the decisions of `Rules` that it takes otherwise, and values that are others."""
    within = {"faults": 1, "wishes": 0, "talks": False} | bounds
    return Planted(name, what, aim, type(name, (Rules,), wrong), Bounds(name, **within))  # type: ignore[arg-type]


def _own_if_it_waits(rules: Rules, call: Call, task: int) -> int | None:
    own = Rules.own_attempt(rules, call, task)
    return own if own is not None and call.attempts[own].state is S.WAITING else None


def _resend_at_any_age(rules: Rules, attempt: Attempt, *, has_task: bool, is_stopped: bool) -> bool:
    is_time = attempt.clean == CLEAN_LOOKUPS_TO_RESEND
    return is_time and not (attempt.resent or has_task or is_stopped)


def _sends_if_resend(rules: Rules, worker: Worker) -> bool:
    return Rules.may_send(rules, worker) or worker.is_resend


def _counts_if_current(rules: Rules, check: Check, attempt: Attempt) -> bool:
    return attempt.state is S.UNKNOWN and check.is_current


def _consumes_any(rules: Rules, task: Task, *, is_fresh: bool) -> bool:
    return task.status in OPEN_TASK


def _held_by_own_call(rules: Rules, calls: list[Call], own: tuple[int, int | None]) -> bool:
    return any(attempt.holds_person and a != own[1] for a, attempt in enumerate(calls[own[0]].attempts))


def _yes(*_: object, **named: object) -> bool:
    return True


def _no(*_: object, **named: object) -> bool:
    return False


_KEYS: dict[str, object] = {"resends": True, "has_keys": True}


def _wish(name: str, **more: Any) -> dict[str, object]:
    return {"faults": 0, "wishes": 1, "wished": frozenset({name}), **more}


PLANTED = (
    _bug(
        "UnclearWaits", 'An unclear answer is taken for "not sent".', Invariant.I2, {},
        means=lambda rules, answer, attempt: K.DEFERRED if answer is K.AMBIGUOUS else answer,
    ),
    _bug(
        "ResendTrusted", "What a resend is told is taken for the whole truth.", Invariant.I3, {"faults": 2, **_KEYS},
        means=lambda rules, answer, attempt: answer,
    ),
    _bug(
        "ResendWithNewKey", "The resend is made as a new attempt.", Invariant.I5, _KEYS,
        own_attempt=_own_if_it_waits, is_held=_no,
    ),
    _bug(
        "ResendBehindTheWindow", "How old the first request is does not matter.", Invariant.I2, _KEYS,
        may_resend_now=_yes, may_send=_sends_if_resend, wants_resend=_resend_at_any_age,
    ),
    _bug("GivenUpAtFirstLookup", "One look-up that finds nothing is believed.", Invariant.I6, {}, gives_up=_yes),
    _bug(
        "LookupsCountTwice", "A slow look-up is counted, although a later one was counted already.", Invariant.I6,
        {"faults": 2}, may_count=_counts_if_current,
    ),
    _bug(
        "GivenUpWithoutLooking", "A look-up is counted, whatever became of the attempt meanwhile.", Invariant.I6,
        {"faults": 2, "lookups": 2}, may_count=_yes,
    ),
    _bug("NoFence", "An answer counts, even if another worker holds the attempt.", Invariant.I7, {}, may_record=_yes),
    _bug("LeaseNotLookedAt", "A worker that was stopped sends when it wakes up.", Invariant.I3, {}, may_send=_yes),
    _bug("LeaseNotWatched", "No process notices that the worker has died.", Invariant.I6, {}, watches_leases=False),
    _bug("DispatchNotCompared", "Any message of an open task may claim it.", Invariant.I9, {}, consumes=_consumes_any),
    _bug(
        "SuppressedWithoutLock", "The eligibility check runs before the person's lock.", Invariant.I10,
        _wish("suppress"), locks_the_person=False,
    ),
    _bug("UnknownLetsGo", "An unclear attempt does not hold the person.", Invariant.I3, {}, holds_when_unknown=_no),
    _bug(
        "HoldsOneNumber", "An attempt holds the number that it dials, and not its contact.", Invariant.I3,
        {"calls": 2, "phones": 2, "faults": 0}, is_held=_held_by_own_call,
    ),
    _bug(
        "SentAheadOfCommit", "The request leaves before the claim is durable.", Invariant.I4, {"faults": 0},
        writes_ahead=False,
    ),
    _bug(
        "WebhookMakesAttempt", "A webhook of a call that is not known yet is another attempt's.", Invariant.I7,
        {"faults": 0}, binds_by_attempt_id=False,
    ),
    _bug(
        "CancelForgotten", "Cancelling while it rings changes nothing that comes after.", Invariant.I10,
        _wish("cancel", attempts=2), forbids_what_follows=False,
    ),
    _bug(
        "CallbackBesideTask", "A promised callback leaves what was planned in force.", Invariant.I17,
        _wish("reschedule"), supersedes=False,
    ),
    _bug(
        "EndedTwice", "A call is ended while it rings, and by the verdict once more.", Invariant.I14,
        _wish("cancel"), keeps_the_last_word=False, awaits_verdict=_no,
    ),
    _bug(
        "HeldForEver", "An attempt that is given up keeps the person.", Invariant.I20,
        {"calls": 2, "workers": 1, "lookups": 1}, lets_go=False,
    ),
    _bug("LostForEver", "A message that the queue has lost is never published again.", Invariant.I1, {}, sweeps=False),
    _bug("NeverAsked", "A call whose webhooks are lost is not asked about.", Invariant.I13, {}, polls=False),
)  # fmt: skip
BY_NAME = {planted.name: planted.rules for planted in PLANTED}
