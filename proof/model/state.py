"""The model's situation: one person, what the database says of their calls, what the provider knows, who works on what.

Time is left out: whatever a clock could bring about may happen at any moment, unless `steps` says why not. Everything
is a tuple, so that two situations that are the same are one state of the search.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import NamedTuple

from ringback.domain.abt_event import AbtType, FailReason
from ringback.domain.attempt import AttemptState, DialAnswerKind
from ringback.domain.call import TaskKind, TaskStatus


class Stage(IntEnum):
    """How far a call got at the provider."""

    RINGING = 1
    TALKING = 2
    OVER = 3
    ANALYZED = 4


class End(Enum):
    NO_ANSWER = "no_answer"
    TALKED = "talked"
    OPTED_OUT = "opted_out"
    VOICEMAIL = "voicemail"  # it got a message


class Hook(IntEnum):
    """The provider's webhooks, as bits of a set."""

    STARTED = 1
    ENDED = 2
    ANALYZED = 4


class Ring(NamedTuple):
    """A call at the provider: the truth. The product sees it only through responses, webhooks and polls."""

    stage: Stage = Stage.RINGING
    end: End | None = None
    hooks: int = 0  # on their way
    again: int = 0  # of these, the ones that are recorded already
    is_mute: bool = False  # all its webhooks get lost
    is_refused: bool = False  # the provider said that there was no call

    @property
    def is_live(self) -> bool:
        return self.stage <= Stage.TALKING


class Facts(NamedTuple):
    """What the attempt's row knows of the call; `facts.py` makes the product's own attempt of it."""

    state: AttemptState
    talked: bool | None = None  # connected
    has_end: bool = False
    has_analysis: bool = False
    opted_out: bool = False
    is_voicemail: bool = False


class Said(Enum):
    """Which event stands for the attempt's verdict, as `verdict_event_id` does."""

    NOTHING = 0
    CLOSING = 1  # the call's own, when it was stopped while the attempt waited
    OWN = 2
    CALLBACK = 3  # `rescheduled`


class Age(IntEnum):
    """Since the first request of an attempt that is still unclear."""

    FRESH = 0
    WINDOW_OVER = 1  # it is not sent again
    KEY_FORGOTTEN = 2  # the provider would take the key for a new one


class Attempt(NamedTuple):
    facts: Facts
    task: int
    is_bound: bool = False
    resent: bool = False
    lookups: int = 0
    clean: int = 0
    holds_person: bool = True
    holds_slot: bool = True
    age: Age = Age.FRESH
    initiated: bool = False
    started: bool = False
    verdict: AbtType | None = None
    digest: str | None = None
    said: Said = Said.NOTHING
    ring: Ring | None = None
    adrift: int = 0  # requests on their way whose sender no longer waits
    is_unclear: bool = False  # the truth: a request was sent and its outcome is unknown to the product
    has_ended: bool = False  # what Engage heard: a terminal event that corrects nothing

    @property
    def state(self) -> AttemptState:
        return self.facts.state


class Task(NamedTuple):
    """`fresh` messages ask for its present dispatch, `stale` says that older ones are still in the queue."""

    kind: TaskKind = TaskKind.FIRST
    status: TaskStatus = TaskStatus.PENDING
    fresh: int = 0
    stale: bool = False
    from_attempt: int | None = None


class Call(NamedTuple):
    """`closed_by` is the attempt whose verdict is the closing event, -1 for the call's own. `finals` are the events
    with `is_final` that nothing corrects, one bit for the call's own and one for each attempt."""

    tasks: tuple[Task, ...] = (Task(),)
    attempts: tuple[Attempt, ...] = ()
    final: bool = False
    no_more: FailReason | str | None = None
    budget_used: int = 0
    is_expired: bool = False
    closed_by: int | None = None
    finals: int = 0
    stop_acknowledged: bool = False


class Phase(IntEnum):
    IDLE = 0
    JUDGED = 1  # only with a planted bug: the eligibility check allowed the dial, and nothing is written yet
    CLAIMED = 2
    LATE = 3  # claimed, and the lease is over
    CHECKED = 4  # the lease was looked at; the next thing is the first byte
    SENT = 5
    ANSWERED = 6


class Worker(NamedTuple):
    phase: Phase = Phase.IDLE
    call: int = 0
    attempt: int = 0
    is_resend: bool = False
    is_current: bool = True  # its fencing token
    answer: DialAnswerKind | None = None


IDLE = Worker()


class Check(NamedTuple):
    """A look-up that found nothing, and was not counted yet. `is_current`: no claim came since it was asked; `is_next`:
    no other look-up was counted since."""

    call: int
    attempt: int
    is_current: bool = True
    is_next: bool = True


class Situation(NamedTuple):
    calls: tuple[Call, ...]
    workers: tuple[Worker, ...]
    faults: int
    wishes: int
    check: Check | None = None
    suppressed: bool = False
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may happen: `faults` and `wishes` are counted over a whole run, whatever they are. Calls go in turn to
    `phones` numbers and `contacts` contacts, one of which is 1, so that all calls are to one person."""

    name: str
    calls: int = 1
    phones: int = 1
    contacts: int = 1
    workers: int = 2
    faults: int = 1
    wishes: int = 1
    lookups: int = 4  # the last one ends the grace
    attempts: int = 1  # the budget of each call
    has_keys: bool = False  # the provider honours idempotency keys, for an hour
    resends: bool = False
    provider_lies: bool = False  # it may answer "refused" and ring all the same
    talks: bool = True  # else the phone is never answered
    voicemails: bool = False  # a voicemail may answer, and the retry policy has a rule for it
    wished: frozenset[str] = frozenset({"suppress", "cancel", "delete", "reschedule", "opt_out", "pause", "expire"})
    most_states: int = 4_000_000

    def start(self) -> Situation:
        idle = (IDLE,) * self.workers
        return Situation((Call(),) * self.calls, idle, self.faults, self.wishes)
