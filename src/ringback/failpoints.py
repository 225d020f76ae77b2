"""Named points at which a proof ends the process. When off, a point costs one comparison."""

from collections.abc import Callable
from enum import StrEnum


class Failpoint(StrEnum):
    """The places where process death leaves a different state behind. Each is used in the code exactly once."""

    # A call is accepted.
    ACCEPT_DRAFTED = "accept.drafted"
    ACCEPT_COMMITTED = "accept.committed"
    ACCEPT_ANSWERING = "accept.answering"

    # A row leaves the outbox.
    OUTBOX_TAKEN = "outbox.taken"
    OUTBOX_CARRIED = "outbox.carried"
    OUTBOX_MARKED = "outbox.marked"
    OUTBOX_POSTPONED = "outbox.postponed"
    CALL_MESSAGE_SENT = "outbox.call_message_sent"
    ENGAGE_ASKING = "engage.asking"
    ENGAGE_ANSWERED = "engage.answered"

    # A message passes a queue.
    QUEUE_SENT = "queue.sent"
    QUEUE_RECEIVED = "queue.received"
    QUEUE_DELETED = "queue.deleted"
    QUEUE_GIVEN_BACK = "queue.given_back"
    QUEUE_DEAD_LETTERED = "queue.dead_lettered"
    MESSAGE_HANDLED = "consumer.handled"

    # A call is placed.
    CLAIM_LOCKED = "claim.locked"
    CLAIM_TURNED_AWAY = "claim.turned_away"
    CLAIM_WRITTEN = "claim.written"
    CLAIM_COMMITTED = "claim.committed"
    VOICEMAIL_LEARNT = "dial.voicemail_learnt"
    VOICEMAIL_NOTED = "dial.voicemail_noted"
    DIAL_SENDING = "dial.sending"
    DIAL_ACCEPTED = "dial.accepted"
    DIAL_ANSWERED = "dial.answered"
    ANSWER_PLACED = "answer.placed"
    ANSWER_UNKNOWN = "answer.unknown"
    ANSWER_REFUSED = "answer.refused"
    ANSWER_WAITING = "answer.waiting"
    ANSWER_WRITTEN = "answer.written"
    ANSWER_COMMITTED = "answer.committed"

    # Several units of work are one transaction.
    GROUP_LOCKED = "group.locked"
    GROUP_READ = "group.read"
    GROUP_COUNTED = "group.counted"
    GROUP_FLUSHING = "group.flushing"
    GROUP_FLUSHED = "group.flushed"
    GROUP_COMMITTED = "group.committed"

    # A webhook is received and applied.
    WEBHOOK_VERIFIED = "webhook.verified"
    WEBHOOK_ENQUEUED = "webhook.enqueued"
    EVENT_RECORDED = "event.taken_in"
    EVENT_BOUND = "event.bound"
    EVENT_APPLIED = "event.applied"
    EVENT_COMMITTED = "event.committed"
    EVENT_NOT_OURS = "event.not_ours"
    INBOUND_HEARD = "event.inbound_heard"

    # A verdict or a stop is applied.
    VERDICT_ANNOUNCED = "verdict.announced"
    RETRY_PLANNED = "verdict.retry_planned"
    CALL_STOPPED = "call.stopped"
    SUPPRESSED = "call.suppressed"
    CANCELLED = "call.cancelled"

    # A job of the scheduler is done.
    DUE_RELEASED = "clock.due_released"
    LOST_PUBLISHED = "clock.lost_published"
    EXPIRED = "clock.expired"
    LEASE_OVER = "clock.lease_over"
    LOOKUP_ANSWERED = "lookup.answered"
    LOOKUP_COUNTED = "lookup.counted"
    RESEND_ASKED = "lookup.resend_asked"
    ABANDONED = "lookup.abandoned"
    POLL_ANSWERED = "poll.answered"
    POLL_APPLIED = "poll.applied"

    # The statistics are added up.
    ROLLUP_COUNTED = "rollup.counted"
    ROLLUP_FOLDED = "rollup.folded"
    ROLLUP_FOLD_COMMITTED = "rollup.fold_committed"

    # An action is done.
    INBOUND_HELD = "action.inbound_held"
    RESCHEDULED = "action.rescheduled"
    ACTION_DONE = "action.done"
    ACTION_COMMITTED = "action.committed"


Action = Callable[[Failpoint], None]

_action: Action | None = None


def arm(action: Action | None) -> None:
    """Call `action` at every point that is reached from now on, in any thread. None turns the points off."""
    global _action
    _action = action


def reach(point: Failpoint) -> None:
    """Report that the code has reached this point."""
    if _action is not None:
        _action(point)
