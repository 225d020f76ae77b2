"""The decisions on which the protocol's safety rests, one method each, so that a planted bug replaces just one."""

from collections.abc import Sequence
from typing import Any

from proof.model.state import Attempt, Call, Check, Phase, Task, Worker
from ringback.domain.attempt import AWAITING_VERDICT, CLEAN_LOOKUPS_TO_RESEND, TRANSITIONS, AttemptState, DialAnswerKind
from ringback.domain.call import TaskStatus

S = AttemptState
K = DialAnswerKind


class Rules:
    """The product's decisions."""

    #: Suppressing, claiming and the rest take the person's lock, so that judging and writing are one step.
    locks_the_person = True
    #: The claim is committed before anything is sent.
    writes_ahead = True
    sweeps = True
    #: The end of a lease is noticed.
    watches_leases = True
    #: A callback that is promised replaces what was planned.
    supersedes = True
    #: Cancelling while it rings forbids what would follow.
    forbids_what_follows = True
    #: A call that is over keeps its one final event.
    keeps_the_last_word = True
    #: A webhook for an attempt without an answer yet is evidence for that attempt.
    binds_by_attempt_id = True
    #: A placed call that is silent is asked about.
    polls = True
    #: An attempt that is given up does not hold the person any more.
    lets_go = True

    def __init__(self) -> None:
        #: Of one search: what its transactions did to which rows.
        self.memory: dict[object, Any] = {}

    def may_move(self, before: AttemptState, after: AttemptState) -> bool:
        return after in TRANSITIONS[before]

    def consumes(self, task: Task, *, is_fresh: bool) -> bool:
        return is_fresh and task.status is TaskStatus.DISPATCHED

    def own_attempt(self, call: Call, task: int) -> int | None:
        """The attempt that this task dials again: one that waits, or its own unclear one."""
        if not call.attempts:
            return None
        latest = call.attempts[-1]
        is_own = latest.state is S.WAITING or (latest.state is S.UNKNOWN and latest.task == task)
        return len(call.attempts) - 1 if is_own else None

    def is_held(self, calls: Sequence[Call], own: tuple[int, int | None]) -> bool:
        """Whether another attempt holds the person."""
        return any(
            attempt.holds_person and (c, a) != own
            for c, call in enumerate(calls)
            for a, attempt in enumerate(call.attempts)
        )

    def may_send(self, worker: Worker) -> bool:
        return worker.phase is Phase.CLAIMED

    def may_resend_now(self, attempt: Attempt) -> bool:
        return attempt.age == 0

    def wants_resend(self, attempt: Attempt, *, has_task: bool, is_stopped: bool) -> bool:
        is_time = attempt.clean == CLEAN_LOOKUPS_TO_RESEND and attempt.age == 0
        return is_time and not (attempt.resent or has_task or is_stopped)

    def may_record(self, worker: Worker, attempt: Attempt) -> bool:
        """Of an answer that brings no call."""
        return attempt.state is S.DIALING and worker.is_current

    def means(self, answer: DialAnswerKind, attempt: Attempt) -> DialAnswerKind:
        """Whatever a resend is told, the first request may have rung."""
        return K.AMBIGUOUS if attempt.resent and answer is not K.PLACED else answer

    def may_count(self, check: Check, attempt: Attempt) -> bool:
        return attempt.state is S.UNKNOWN and check.is_current and check.is_next

    def gives_up(self, attempt: Attempt, lookups: int) -> bool:
        """Behind a clean look-up."""
        return attempt.lookups >= lookups

    def holds_when_unknown(self) -> bool:
        return True

    def awaits_verdict(self, attempt: Attempt | None) -> bool:
        return attempt is not None and attempt.state in AWAITING_VERDICT and attempt.verdict is None
