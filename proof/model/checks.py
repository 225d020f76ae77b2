"""Rules of every situation, and of one in which nothing more happens by itself."""

from proof.invariants import Invariant
from proof.model.state import Attempt, Bounds, Call, End, Situation, Stage
from ringback.domain.abt_event import AbtType, FailReason
from ringback.domain.attempt import AttemptState
from ringback.domain.outcome import Verdict, verdict_digest

S = AttemptState

Broken = list[tuple[Invariant, str]]

_UNRESOLVED = frozenset({S.DIALING, S.UNKNOWN, S.WAITING})
#: Every other end is one of a conversation whose goal was met.
_VERDICTS: dict[End | None, AbtType] = {End.NO_ANSWER: AbtType.FAILED, End.VOICEMAIL: AbtType.LEFT_VOICEMAIL}
#: Verdicts for want of facts, which nothing better has come to correct.
_WANTING = {
    verdict_digest(Verdict(AbtType.FAILED, FailReason.PROVIDER_LOST)),
    verdict_digest(Verdict(AbtType.PARTIALLY_COMPLETED, None, analysis_missing=True)),
    verdict_digest(Verdict(AbtType.LEFT_VOICEMAIL, None, analysis_missing=True)),
}


def always(situation: Situation, bounds: Bounds) -> Broken:
    attempts = [attempt for call in situation.calls for attempt in call.attempts]
    broken: Broken = []
    if sum(attempt.holds_person for attempt in attempts) > 1:
        broken.append((Invariant.I3, "two attempts hold the person"))
    live = [attempt for attempt in attempts if attempt.ring is not None and attempt.ring.is_live]
    if len(live) > 1:
        broken.append((Invariant.I3, "two calls of the person at once"))
    if not bounds.provider_lies and any(not attempt.holds_person for attempt in live):
        broken.append((Invariant.I3, "the person is being called, and no attempt holds them"))
    return broken


def at_rest(situation: Situation) -> Broken:
    """Nothing is in progress any more."""
    broken: Broken = []
    for call in situation.calls:
        broken += _call_at_rest(call)
        for attempt in call.attempts:
            broken += _attempt_at_rest(attempt)
    return broken


def _call_at_rest(call: Call) -> Broken:
    if not call.final:
        return [(Invariant.I1, "a call never ends")]
    if call.finals.bit_count() != 1:
        return [(Invariant.I14, f"{call.finals.bit_count()} final events of one call")]
    return []


def _attempt_at_rest(attempt: Attempt) -> Broken:
    broken: Broken = []
    if attempt.state in _UNRESOLVED:
        broken.append((Invariant.I6, f"an attempt stays {attempt.state}"))
    if attempt.holds_person or attempt.holds_slot:
        broken.append((Invariant.I3, "an attempt keeps the person or its slot"))
    if attempt.verdict is None:
        broken.append((Invariant.I14, "an attempt without its terminal event"))
    if attempt.is_bound:
        broken += _placed_at_rest(attempt)
    elif attempt.ring is not None and not (attempt.state is S.ABANDONED or attempt.ring.is_refused):
        broken.append((Invariant.I6, "it rang, and nobody knows"))
    return broken


def _placed_at_rest(attempt: Attempt) -> Broken:
    assert attempt.ring is not None, "a placed attempt has rung"
    if not attempt.initiated:
        return [(Invariant.I14, "a placed attempt was never announced")]
    right = _VERDICTS.get(attempt.ring.end, AbtType.COMPLETED)
    is_known = attempt.verdict in (right, AbtType.RESCHEDULED) or attempt.digest in _WANTING
    if attempt.ring.stage is not Stage.ANALYZED or not is_known:
        return [(Invariant.I13, f"{attempt.verdict} of a call that ended as {attempt.ring.end}")]
    return []
