"""What the APIs answer, described for /docs; the flows and views make these shapes themselves."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from ringback.domain.attempt import AttemptState
from ringback.domain.call import CallStatus, TaskKind, TaskStatus

#: RFC 3339 in UTC with milliseconds; null while there is no such moment.
Time = str


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


class AcceptedAnswer(BaseModel):
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


class CallAnswer(BaseModel):
    call_id: str
    contact_id: str
    status: CallStatus
    reason: str | None = Field(description="As in the call's last `failed` event.")
    final: bool
    next_eligible_at: Time | None
    attempts: list[AttemptAnswer]
    tasks: list[TaskAnswer]


class CallsPage(BaseModel):
    items: list[CallAnswer]
    next_cursor: str | None


class TimelineEntry(BaseModel):
    """And what belongs to the kind of entry."""

    at: Time
    kind: str


class TimelineAnswer(BaseModel):
    call_id: str
    entries: list[TimelineEntry]


class CancelAnswer(BaseModel):
    result: Literal["cancelled", "already_dispatched"]


class SuppressedAnswer(BaseModel):
    suppression_id: str
    already_dispatched: list[str] = Field(description="Attempts that were under way and may ring.")


class SuppressionAnswer(BaseModel):
    suppression_id: str
    phone: str | None
    contact_id: str | None
    reason: str
    source: str
    created_at: Time


class SuppressionsPage(BaseModel):
    items: list[SuppressionAnswer]
    next_cursor: str | None


class DialingAnswer(BaseModel):
    paused: bool
    paused_at: Time | None
    reason: str | None
    live: int


class WhyAnswer(BaseModel):
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
    cursor: str
    event: dict[str, Any] = Field(description="A CloudEvent, as Engage received it.")


class EventsPage(BaseModel):
    items: list[FeedItem]
    next_cursor: str | None


class ActionAnswer(BaseModel):
    ok: Literal[True]
    code: str
    say: str
    result: dict[str, Any]
