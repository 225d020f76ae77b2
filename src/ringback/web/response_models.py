"""The answers of the APIs, described for /docs. The flows and views make these shapes themselves."""

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from ringback.domain.attempt import AttemptState
from ringback.domain.call import CallStatus, TaskKind, TaskStatus
from ringback.web.event_models import AnyEvent

#: RFC 3339 in UTC with milliseconds; null while there is no such moment.
Time = str

_CALL_ID, _ATTEMPT_ID = "01a20491-7446-7438-8476-b9da1cc0a52a", "01a20491-9c2e-7d51-9d0f-2f4a1be64c11"
_TASK = {
    "task_id": "01a20491-7447-70c2-8f27-8a35d1c1f0aa",
    "kind": "first",
    "due_at": "2026-12-01T17:00:00.000Z",
    "local_time": None,
    "time_zone": None,
    "status": "pending",
}
_CALL = {
    "call_id": _CALL_ID,
    "contact_id": "crm-42",
    "status": "scheduled",
    "reason": None,
    "final": False,
    "next_eligible_at": "2026-12-01T17:00:00.000Z",
    "attempts": [],
    "tasks": [_TASK],
}
_SUPPRESSION = {
    "suppression_id": "01a20491-a1b2-7c3d-8e4f-5a6b7c8d9e0f",
    "phone": "+14155550100",
    "contact_id": None,
    "reason": "asked by letter",
    "source": "api",
    "created_at": "2026-12-01T17:00:00.000Z",
}

_STARTED = {
    "specversion": "1.0",
    "id": "12129b02-cd2d-5f9d-b524-8be883f3926c",
    "source": "/ringback",
    "type": "voice_ai_call_started",
    "subject": _CALL_ID,
    "time": "2026-12-01T17:00:06.500Z",
    "datacontenttype": "application/json",
    "data": {
        "call_id": _CALL_ID,
        "contact_id": "crm-42",
        "attempt": 1,
        "attempt_id": _ATTEMPT_ID,
        "provider_call_id": "call_1",
        "sequence": 2,
        "occurred_at": "2026-12-01T17:00:06.500Z",
        "metadata": {},
        "started_at": "2026-12-01T17:00:06.500Z",
    },
}


class AnswerModel(BaseModel):
    """The body of a successful answer."""

    #: For /docs.
    EXAMPLE: ClassVar[dict[str, Any]] = {}


class FieldProblemAnswer(BaseModel):
    pointer: str = Field(description="A JSON pointer into the body, or query:name, path:name, header:name.")
    code: str
    message: str


class ProblemAnswer(BaseModel):
    """RFC 9457, with every problem of the request in `errors`. It never repeats what was sent."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[FieldProblemAnswer]


class AcceptedAnswer(AnswerModel):
    EXAMPLE = dict[str, Any](
        call_id=_CALL_ID, status="scheduled", reason=None, next_eligible_at="2026-12-01T17:00:00.000Z"
    )

    call_id: str
    status: CallStatus
    reason: str | None = Field(description="Why the call ended at once.")
    next_eligible_at: Time | None


class AttemptAnswer(BaseModel):
    attempt_id: str
    number: int
    state: AttemptState
    provider_call_id: str | None
    dial: str | None
    party: str | None
    end: str | None
    business: list[str] | dict[str, Any]
    disconnection_reason: str | None
    placed_at: Time | None
    started_at: Time | None
    ended_at: Time | None
    duration_ms: int | None
    cost_cents: float | None
    recording_url: str | None
    transcript: str | None
    summary: str | None
    sentiment: str | None
    analysis: dict[str, Any] | None


class TaskAnswer(BaseModel):
    task_id: str
    kind: TaskKind
    due_at: Time
    local_time: str | None
    time_zone: str | None
    status: TaskStatus


class CallAnswer(AnswerModel):
    EXAMPLE = dict[str, Any](**_CALL)

    call_id: str
    contact_id: str
    status: CallStatus
    reason: str | None = Field(description="As in the call's last `failed` event.")
    final: bool
    next_eligible_at: Time | None
    attempts: list[AttemptAnswer]
    tasks: list[TaskAnswer]


class CallsPage(AnswerModel):
    EXAMPLE = dict[str, Any](items=[_CALL], next_cursor=None)

    items: list[CallAnswer]
    next_cursor: str | None


class TimelineEntry(BaseModel):
    """And what belongs to the kind of entry."""

    at: Time
    kind: str


class TimelineAnswer(AnswerModel):
    EXAMPLE = dict[str, Any](
        call_id=_CALL_ID,
        entries=[
            {"at": "2026-12-01T17:00:00.000Z", "kind": "call_accepted", "contact_id": "crm-42", "agent_id": "agent_1"}
        ],
    )

    call_id: str
    entries: list[TimelineEntry]


class CancelAnswer(AnswerModel):
    EXAMPLE = dict[str, Any](result="cancelled")

    result: Literal["cancelled", "already_dispatched"]


class SuppressedAnswer(AnswerModel):
    EXAMPLE = dict[str, Any](suppression_id=_SUPPRESSION["suppression_id"], already_dispatched=[_ATTEMPT_ID])

    suppression_id: str
    already_dispatched: list[str] = Field(description="Attempts that may be ringing or talking.")


class SuppressionAnswer(BaseModel):
    suppression_id: str
    phone: str | None
    contact_id: str | None
    reason: str
    source: str
    created_at: Time


class SuppressionsPage(AnswerModel):
    EXAMPLE = dict[str, Any](items=[_SUPPRESSION], next_cursor=None)

    items: list[SuppressionAnswer]
    next_cursor: str | None


class DialingAnswer(AnswerModel):
    EXAMPLE = dict[str, Any](paused=True, paused_at="2026-12-01T17:00:00.000Z", reason="the CRM is down", live=3)

    paused: bool
    paused_at: Time | None
    reason: str | None
    live: int


class WhyAnswer(AnswerModel):
    EXAMPLE = dict[str, Any](
        next_eligible_at="2026-12-02T17:00:00.000Z",
        because="calling_hours",
        dialing={"paused": False, "reason": None, "breaker_until": None, "live": 3},
        calling_hours={
            "policy": "mon-sat 09:00-20:00",
            "time_zones": ["America/Los_Angeles"],
            "open_now": False,
            "opens_at": "2026-12-02T17:00:00.000Z",
        },
        contacts=[{"contact_id": "crm-42", "time_zone": "America/Los_Angeles", "time_zone_source": "crm"}],
        suppressions=[],
        open_tasks=[],
        attempts_last_24h=[],
        decisions=[],
    )

    next_eligible_at: Time | None = Field(description="null when no time can be promised; `because` says why.")
    because: str
    dialing: dict[str, Any]
    calling_hours: dict[str, Any]
    contacts: list[dict[str, Any]]
    suppressions: list[dict[str, Any]]
    open_tasks: list[dict[str, Any]]
    attempts_last_24h: list[dict[str, Any]]
    decisions: list[dict[str, Any]]


class FeedItem(BaseModel):
    cursor: str = Field(description="The place of the event in the feed.")
    event: AnyEvent = Field(description="The body of the delivery to Engage.")


class EventsPage(AnswerModel):
    EXAMPLE = dict[str, Any](items=[{"cursor": "812-4", "event": _STARTED}], next_cursor="812-4", has_more=False)

    items: list[FeedItem]
    next_cursor: str = Field(description="The value of `after` for the next page, also of a page without items.")
    has_more: bool = Field(description="Whether more events are there now.")


class ActionAnswer(AnswerModel):
    EXAMPLE = dict[str, Any](ok=True, code="ok", say="I have made a note of that.", result={})

    ok: Literal[True]
    code: str
    say: str
    result: dict[str, Any]
