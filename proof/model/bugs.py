"""Planted bugs: the rules with one decision taken wrongly. The search must find the way to what each breaks."""

from collections.abc import Sequence
from dataclasses import dataclass

from proof.invariants import Invariant
from proof.model.rules import Rules
from proof.model.state import Attempt, Bounds, Call, Check, Task, Worker
from ringback.domain.attempt import CLEAN_LOOKUPS_TO_RESEND, AttemptState, DialAnswerKind
from ringback.domain.call import OPEN_TASK

S = AttemptState
K = DialAnswerKind


class UnclearWaits(Rules):
    """An unclear answer is taken for "not sent"."""

    def means(self, answer: DialAnswerKind, attempt: Attempt) -> DialAnswerKind:
        return K.DEFERRED if answer is K.AMBIGUOUS else answer


class ResendTrusted(Rules):
    """What a resend is told is taken for the whole truth."""

    def means(self, answer: DialAnswerKind, attempt: Attempt) -> DialAnswerKind:
        return answer


class ResendWithNewKey(Rules):
    """The resend is made as a new attempt."""

    def own_attempt(self, call: Call, task: int) -> int | None:
        own = super().own_attempt(call, task)
        return own if own is not None and call.attempts[own].state is S.WAITING else None

    def is_held(self, calls: Sequence[Call], own: tuple[int, int | None]) -> bool:
        return False


class ResendBehindTheWindow(Rules):
    """How old the first request is does not matter."""

    def may_resend_now(self, attempt: Attempt) -> bool:
        return True

    def may_send(self, worker: Worker) -> bool:
        return super().may_send(worker) or worker.is_resend

    def wants_resend(self, attempt: Attempt, *, has_task: bool, is_stopped: bool) -> bool:
        is_time = attempt.clean == CLEAN_LOOKUPS_TO_RESEND
        return is_time and not (attempt.resent or has_task or is_stopped)


class GivenUpAtFirstLookup(Rules):
    """One look-up that finds nothing is believed."""

    def gives_up(self, attempt: Attempt, lookups: int) -> bool:
        return True


class LookupsCountTwice(Rules):
    """A look-up that took long is counted, although a later one was counted already."""

    def may_count(self, check: Check, attempt: Attempt) -> bool:
        return attempt.state is S.UNKNOWN and check.is_current


class GivenUpWithoutLooking(Rules):
    """A look-up is counted without reading what became of the attempt meanwhile."""

    def may_count(self, check: Check, attempt: Attempt) -> bool:
        return True


class NoFence(Rules):
    """The answer is recorded, even if another worker holds the attempt by then."""

    def may_record(self, worker: Worker, attempt: Attempt) -> bool:
        return True


class LeaseNotLookedAt(Rules):
    """A worker that was stopped sends when it wakes up."""

    def may_send(self, worker: Worker) -> bool:
        return True


class LeaseNotWatched(Rules):
    """No process notices that the worker has died."""

    watches_leases = False


class DispatchNotCompared(Rules):
    """Any message of a task that is open may claim it."""

    def consumes(self, task: Task, *, is_fresh: bool) -> bool:
        return task.status in OPEN_TASK


class SuppressedWithoutLock(Rules):
    """The eligibility check runs before the person's lock."""

    locks_the_person = False


class UnknownLetsGo(Rules):
    """An unclear attempt does not hold the person."""

    def holds_when_unknown(self) -> bool:
        return False


class HoldsOneNumber(Rules):
    """An attempt holds the number that it dials, and not its contact. Each call has a number of its own."""

    def is_held(self, calls: Sequence[Call], own: tuple[int, int | None]) -> bool:
        return any(attempt.holds_person and a != own[1] for a, attempt in enumerate(calls[own[0]].attempts))


class SentAheadOfCommit(Rules):
    """The request leaves before the claim is durable."""

    writes_ahead = False


class WebhookMakesAttempt(Rules):
    """A webhook whose call is not known yet is taken for another attempt's."""

    binds_by_attempt_id = False


class CancelForgotten(Rules):
    """Cancelling while it rings changes nothing that comes after."""

    forbids_what_follows = False


class CallbackBesideTask(Rules):
    """A promised callback leaves what was planned in force."""

    supersedes = False


class EndedTwice(Rules):
    """A call is ended while an attempt of it rings, and then by that attempt's verdict once more."""

    keeps_the_last_word = False

    def awaits_verdict(self, attempt: Attempt | None) -> bool:
        return False


class HeldForEver(Rules):
    """Who is given up keeps the person."""

    lets_go = False


class LostForEver(Rules):
    """A message that the queue has lost is never published again."""

    sweeps = False


class NeverAsked(Rules):
    """A call whose webhooks are lost is not asked about."""

    polls = False


@dataclass(frozen=True, slots=True)
class Planted:
    rules: type[Rules]
    aim: Invariant
    bounds: Bounds


def _in(bug: type[Rules], aim: Invariant, **bounds: object) -> Planted:
    fields = {"faults": 1, "wishes": 0, "talks": False} | bounds
    return Planted(bug, aim, Bounds(bug.__name__, **fields))  # type: ignore[arg-type]


PLANTED = (
    _in(UnclearWaits, Invariant.I2),
    _in(ResendTrusted, Invariant.I3, faults=2, resends=True, has_keys=True),
    _in(ResendWithNewKey, Invariant.I5, resends=True, has_keys=True),
    _in(ResendBehindTheWindow, Invariant.I2, resends=True, has_keys=True),
    _in(GivenUpAtFirstLookup, Invariant.I6),
    _in(LookupsCountTwice, Invariant.I6, faults=2),
    _in(GivenUpWithoutLooking, Invariant.I6, faults=2, lookups=2),
    _in(NoFence, Invariant.I7),
    _in(LeaseNotLookedAt, Invariant.I3),
    _in(LeaseNotWatched, Invariant.I6),
    _in(DispatchNotCompared, Invariant.I9),
    _in(SuppressedWithoutLock, Invariant.I10, faults=0, wishes=1, wished=frozenset({"suppress"})),
    _in(UnknownLetsGo, Invariant.I3),
    _in(HoldsOneNumber, Invariant.I3, calls=2, phones=2, faults=0),
    _in(SentAheadOfCommit, Invariant.I4, faults=0),
    _in(WebhookMakesAttempt, Invariant.I7, faults=0),
    _in(CancelForgotten, Invariant.I10, faults=0, wishes=1, attempts=2, wished=frozenset({"cancel"})),
    _in(CallbackBesideTask, Invariant.I17, faults=0, wishes=1, wished=frozenset({"reschedule"})),
    _in(EndedTwice, Invariant.I14, faults=0, wishes=1, wished=frozenset({"cancel"})),
    _in(HeldForEver, Invariant.I20, calls=2, workers=1, lookups=1),
    _in(LostForEver, Invariant.I1),
    _in(NeverAsked, Invariant.I13),
)
