"""An attempt: one dial through the provider, its states, and the only ways from one to the next."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from ringback.domain.erasure import ERASED


class AttemptState(StrEnum):
    WAITING = "waiting"
    DIALING = "dialing"
    UNKNOWN = "unknown"
    PLACED = "placed"
    ONGOING = "ongoing"
    ENDED = "ended"
    ANALYZED = "analyzed"
    REJECTED = "rejected"
    ABANDONED = "abandoned"


S = AttemptState

_EVIDENCE = frozenset({S.PLACED, S.ONGOING, S.ENDED, S.ANALYZED})

# Every permitted step of the dial protocol. Evidence only advances, so there is no way back from a placed state, and
# it beats every answer: a call that Retell "refused" or that we gave up did happen once a webhook of it is there.
TRANSITIONS: dict[AttemptState, frozenset[AttemptState]] = {
    S.WAITING: frozenset({S.DIALING, S.REJECTED}) | _EVIDENCE,
    S.DIALING: frozenset({S.WAITING, S.UNKNOWN, S.REJECTED}) | _EVIDENCE,
    # back to dialing is the one resend with the same key and the same bytes
    S.UNKNOWN: frozenset({S.DIALING, S.ABANDONED}) | _EVIDENCE,
    S.PLACED: frozenset({S.ONGOING, S.ENDED, S.ANALYZED}),
    S.ONGOING: frozenset({S.ENDED, S.ANALYZED}),
    S.ENDED: frozenset({S.ANALYZED}),
    S.ANALYZED: frozenset(),
    S.REJECTED: _EVIDENCE,
    S.ABANDONED: _EVIDENCE,
}

#: The attempt may be ringing or talking, so it takes one of the account's places.
LIVE = frozenset({S.DIALING, S.PLACED, S.ONGOING})

# Evidence may arrive in any order; the further state stands.
_PROGRESS = {S.PLACED: 1, S.ONGOING: 2, S.ENDED: 3, S.ANALYZED: 4}

#: A free place is not given away before this many look-ups in a row found no call at the provider.
CLEAN_LOOKUPS_TO_FREE_SLOT = 2
CLEAN_LOOKUPS_TO_RESEND = 3


class ForbiddenTransition(Exception):
    """A step outside the transition table was asked for: a bug, never an input error."""


def check_transition(current: AttemptState, target: AttemptState) -> None:
    if target not in TRANSITIONS[current]:
        raise ForbiddenTransition(f"{current} -> {target}")


def furthest(current: AttemptState, evidence: AttemptState) -> AttemptState:
    """The state after evidence that the call got at least as far as `evidence`."""
    if _PROGRESS.get(current, 0) >= _PROGRESS[evidence]:
        return current
    check_transition(current, evidence)
    return evidence


class DialFact(StrEnum):
    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    DECLINED = "declined"
    INVALID = "invalid"
    REJECTED = "rejected"
    PROVIDER_ERROR = "provider_error"
    NOT_DIALED = "not_dialed"


class Party(StrEnum):
    HUMAN = "human"
    VOICEMAIL = "voicemail"
    IVR = "ivr"
    UNKNOWN = "unknown"


class VoicemailAction(StrEnum):
    """What the agent is configured to do when it reaches a voicemail."""

    HANGUP = "hangup"
    MESSAGE = "message"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class Attempt:
    """One dial. The second block is bookkeeping of the protocol, the third the provider's facts, all times UTC."""

    attempt_id: str
    call_id: str
    contact_id: str
    phone: str
    number: int  # 1 for the call's first attempt
    task_id: str
    request: dict[str, Any]  # the frozen dial request; a resend sends these very bytes
    state: AttemptState

    fence: int = 0  # raised by every claim; an answer is accepted only from the holder of the current one
    lease_until: datetime | None = None
    claimed_at: datetime | None = None  # the last claim, a resend's included; start tokens are counted by it
    sent_at: datetime | None = None  # the first claim that may have rung; the same-key window counts from here
    placed_at: datetime | None = None  # `sent_at` once the provider is known to have accepted, whatever told us
    resent: bool = False
    waits: int = 0
    unknown_since: datetime | None = None
    lookups: int = 0
    clean_lookups: int = 0
    polls: int = 0  # in a row that got no answer about the placed call
    next_check_at: datetime | None = None
    holds_person: bool = False  # its phone and its contact
    holds_slot: bool = False

    provider_call_id: str | None = None
    voicemail_action: VoicemailAction = VoicemailAction.UNKNOWN
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_ms: int | None = None
    disconnection_reason: str | None = None
    connected: bool | None = None
    dial: DialFact | None = None
    party: Party | None = None
    end: str | None = None
    business: dict[str, Any] = field(default_factory=dict)
    cost_cents: float | None = None
    latency: dict[str, Any] | None = None
    recording_url: str | None = None
    transcript: str | None = None
    transcript_withheld: bool = False
    agent_spoke: bool = False
    user_turns: int | None = None  # None while no transcript is known
    summary: str | None = None
    sentiment: str | None = None
    successful: bool | None = None
    in_voicemail: bool | None = None
    analysis: dict[str, Any] | None = None  # the agent's custom analysis fields
    analysis_source: str | None = None

    # What was last announced of this attempt, so that a changed verdict can correct it.
    initiated_event: bool = False
    started_event: bool = False
    verdict_type: str | None = None
    verdict_event_id: str | None = None
    verdict_digest: str | None = None
    revision: int = 0

    @property
    def is_erased(self) -> bool:
        """Whether the person of this attempt was erased, so that no evidence may touch it."""
        return self.phone == ERASED
