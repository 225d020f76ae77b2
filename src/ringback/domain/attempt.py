"""An attempt is one dial through the provider: its request, its states and their permitted transitions."""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from ringback.domain.contact import ERASED


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


#: Such an attempt uses a slot of the account. An unknown attempt keeps its slot for a while longer.
USES_SLOT = frozenset({AttemptState.DIALING, AttemptState.PLACED, AttemptState.ONGOING})
#: The phone may be ringing, or the person talking. A stop comes too late for it.
POSSIBLY_RINGING = USES_SLOT | {AttemptState.UNKNOWN}
#: Until the attempt has a verdict, the call's status follows from it, and the call's expiry waits for it.
SHOWN_AS_STATUS = POSSIBLY_RINGING | {AttemptState.ENDED}
#: Its verdict is still to come and ends the call. An analyzed attempt gets it in the same transaction.
AWAITING_VERDICT = SHOWN_AS_STATUS | {AttemptState.ANALYZED}
#: It did not ring, so it counts toward no limit. An unknown attempt counts as a call.
NEVER_RANG = frozenset({AttemptState.WAITING, AttemptState.REJECTED})
#: The provider has accepted the call, so it can be asked about it.
PLACED_OR_LATER = frozenset({AttemptState.PLACED, AttemptState.ONGOING, AttemptState.ENDED, AttemptState.ANALYZED})

# Every permitted step of the dial protocol. Evidence only advances, so no step leads back from a placed state.
# Evidence also overrides every answer: a rejected or abandoned call did happen once a webhook of it arrives.
TRANSITIONS: dict[AttemptState, frozenset[AttemptState]] = {
    AttemptState.WAITING: PLACED_OR_LATER | {AttemptState.DIALING, AttemptState.REJECTED},
    AttemptState.DIALING: PLACED_OR_LATER | {AttemptState.WAITING, AttemptState.UNKNOWN, AttemptState.REJECTED},
    # To dialing: the one resend with the same key and the same bytes.
    AttemptState.UNKNOWN: PLACED_OR_LATER | {AttemptState.DIALING, AttemptState.ABANDONED},
    AttemptState.PLACED: frozenset({AttemptState.ONGOING, AttemptState.ENDED, AttemptState.ANALYZED}),
    AttemptState.ONGOING: frozenset({AttemptState.ENDED, AttemptState.ANALYZED}),
    AttemptState.ENDED: frozenset({AttemptState.ANALYZED}),
    AttemptState.ANALYZED: frozenset(),
    AttemptState.REJECTED: PLACED_OR_LATER,
    AttemptState.ABANDONED: PLACED_OR_LATER,
}

# Evidence may arrive in any order. The furthest state applies.
_PROGRESS = {AttemptState.PLACED: 1, AttemptState.ONGOING: 2, AttemptState.ENDED: 3, AttemptState.ANALYZED: 4}

#: A slot is freed after this many look-ups in a row found no call at the provider.
CLEAN_LOOKUPS_TO_FREE_SLOT = 2
CLEAN_LOOKUPS_TO_RESEND = 3


class ForbiddenTransition(Exception):
    """A step is not in the transition table: a bug, never an input error."""


def check_transition(current: AttemptState, target: AttemptState) -> None:
    if target not in TRANSITIONS[current]:
        raise ForbiddenTransition(f"{current} -> {target}")


def furthest(current: AttemptState, evidence: AttemptState) -> AttemptState:
    """The state after evidence that the call reached at least `evidence`."""
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
    """Configured behaviour of an agent that reaches a voicemail."""

    HANGUP = "hangup"
    MESSAGE = "message"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class Attempt:
    """One dial. The second block is the protocol's bookkeeping, the third the provider's facts. All times are UTC."""

    attempt_id: str
    call_id: str
    contact_id: str
    phone: str
    number: int  # 1 for the call's first attempt
    task_id: str
    request: dict[str, Any]  # the frozen dial request; a resend sends the same bytes
    state: AttemptState

    fence: int = 0  # incremented by every claim; only the holder of the current one may record an answer
    lease_until: datetime | None = None
    claimed_at: datetime | None = None  # the last claim, resends included; the start rate counts it
    sent_at: datetime | None = None  # the first claim that may have rung; starts the same-key window
    placed_at: datetime | None = None  # `sent_at`, set by any evidence that the provider accepted the call
    resent: bool = False
    waits: int = 0
    unknown_since: datetime | None = None
    lookups: int = 0
    clean_lookups: int = 0
    polls: int = 0  # in a row without an answer about the placed call
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
    agent_version: int | None = None
    time_zone: str | None = None  # the contact's at the last claim

    # The events emitted last for this attempt. A changed verdict corrects them.
    initiated_event: bool = False
    started_event: bool = False
    verdict_type: str | None = None
    verdict_event_id: str | None = None
    verdict_digest: str | None = None
    revision: int = 0
    counted: dict[str, Any] | None = None  # what it adds to the statistics; None before its verdict

    @property
    def is_final(self) -> bool:
        """Whether nothing more is expected.

        A verdict that was emitted without facts loses its digest when evidence of the call arrives. The call's end is
        then still to come, and corrects that verdict.
        """
        return self.verdict_digest is not None

    @property
    def is_erased(self) -> bool:
        """Whether the person of this attempt was erased. No evidence may change such an attempt."""
        return self.phone == ERASED


def awaits_verdict(attempt: Attempt | None) -> bool:
    """Whether a verdict that is still to come will end the attempt's call."""
    return attempt is not None and attempt.state in AWAITING_VERDICT and attempt.verdict_type is None


@dataclass(frozen=True, slots=True)
class DialRequest:
    """A dial request, frozen with the claim: a resend sends the same content under the same key."""

    to_number: str
    from_number: str
    agent_id: str
    variables: dict[str, str]
    metadata: dict[str, Any]
    idempotency_key: str

    def to_row(self) -> dict[str, Any]:
        return asdict(self)


class DialAnswerKind(StrEnum):
    PLACED = "placed"
    NOT_SENT = "not_sent"
    REJECTED = "refused"
    ACCOUNT_REFUSED = "account_refused"
    DEFERRED = "deferred"
    AMBIGUOUS = "ambiguous"


@dataclass(frozen=True, slots=True)
class DialAnswer:
    """The provider's answer to a dial. `cause` is a short code (`http_500`, `server_disconnected`), never a body.

    `message` is the provider's own text about an error, without the values of the request.
    """

    kind: DialAnswerKind
    cause: str
    provider_call_id: str | None = None
    retry_after_s: float | None = None
    message: str | None = None
