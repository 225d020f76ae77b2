"""The answers of the APIs, described for /docs. The flows and views make these shapes themselves."""

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from ringback.domain.attempt import AttemptState
from ringback.domain.audit import AuditAction
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


class FieldProblem(BaseModel):
    """One problem of a request."""

    pointer: str = Field(description="A JSON pointer into the body, or query:name, path:name, header:name.")
    code: str = Field(description="A word for programs.")
    message: str = Field(description="A sentence for people.")


class Problem(BaseModel):
    """RFC 9457, with every problem of the request in `errors`. It never repeats what was sent."""

    type: str = Field(description="The kind of problem, as a URI.")
    title: str = Field(description="The kind of problem, in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="A sentence about this problem.")
    code: str = Field(description="A word for programs.")
    errors: list[FieldProblem] = Field(description="Every problem of the request.")


class AcceptedCall(AnswerModel):
    EXAMPLE = dict[str, Any](
        call_id=_CALL_ID, status="scheduled", reason=None, next_eligible_at="2026-12-01T17:00:00.000Z"
    )

    call_id: str = Field(description="The call's id, for all other requests about it.")
    status: CallStatus = Field(description="`queued`: due now. `scheduled`: due later. `failed`: it ended at once.")
    reason: str | None = Field(description="Why the call ended at once.")
    next_eligible_at: Time | None = Field(description="When it may be dialed. Null: never.")


class Attempt(BaseModel):
    """One dial of a call."""

    attempt_id: str = Field(description="The dial's id, as in the events.")
    number: int = Field(description="From 1.")
    state: AttemptState = Field(description="How far the dial is.")
    provider_call_id: str | None = Field(description="Retell's id of the call.")
    dial: str | None = Field(
        description="answered, no_answer, busy, declined, invalid, rejected, … Null: not known yet."
    )
    party: str | None = Field(description="human, voicemail, ivr or unknown.")
    end: str | None = Field(description="The side that ended the call.")
    business: list[str] | dict[str, Any] = Field(description="Facts of the talk, such as an opt-out.")
    disconnection_reason: str | None = Field(description="Retell's own word.")
    placed_at: Time | None = Field(description="When the dial was sent to Retell.")
    started_at: Time | None = Field(description="When it was answered.")
    ended_at: Time | None = Field(description="When it ended.")
    duration_ms: int | None = Field(description="Milliseconds of the talk.")
    cost_cents: float | None = Field(description="Retell's price.")
    recording_url: str | None = Field(description="Where Retell keeps the recording.")
    transcript: str | None = Field(description="The talk in words.")
    summary: str | None = Field(description="The analysis: a summary.")
    sentiment: str | None = Field(description="The analysis: the person's mood.")
    analysis: dict[str, Any] | None = Field(description="The analysis: the fields of your agent.")


class Task(BaseModel):
    """A planned dial."""

    task_id: str = Field(description="The task's id.")
    kind: TaskKind = Field(description="The first dial, a retry, or a callback that was asked for.")
    due_at: Time = Field(description="The earliest time of the dial.")
    local_time: str | None = Field(description="The wall-clock time that was promised. Null: an instant.")
    time_zone: str | None = Field(description="The zone of `local_time`.")
    status: TaskStatus = Field(description="Whether it is still to come.")


class Call(AnswerModel):
    EXAMPLE = dict[str, Any](**_CALL)

    call_id: str = Field(description="The call's id.")
    contact_id: str = Field(description="Your id of the contact.")
    status: CallStatus = Field(description="What the call is doing, or how it ended.")
    reason: str | None = Field(description="As in the call's last `failed` event.")
    final: bool = Field(description="Whether the call is over: nothing more is dialed for it.")
    next_eligible_at: Time | None = Field(description="When the open task is due. Null: there is none.")
    attempts: list[Attempt] = Field(description="The dials, in order.")
    tasks: list[Task] = Field(description="The planned dials, old ones included.")


class CallsPage(AnswerModel):
    EXAMPLE = dict[str, Any](items=[_CALL], next_cursor=None)

    items: list[Call] = Field(description="The newest first.")
    next_cursor: str | None = Field(description="The value of `cursor` for the next page. Null: this is the last.")


class TimelineEntry(BaseModel):
    """And what belongs to the kind of entry."""

    at: Time = Field(description="When it happened.")
    kind: str = Field(description="What happened.")


class Timeline(AnswerModel):
    EXAMPLE = dict[str, Any](
        call_id=_CALL_ID,
        entries=[
            {"at": "2026-12-01T17:00:00.000Z", "kind": "call_accepted", "contact_id": "crm-42", "agent_id": "agent_1"}
        ],
    )

    call_id: str = Field(description="The call's id.")
    entries: list[TimelineEntry] = Field(description="In order of time.")


class Cancellation(AnswerModel):
    EXAMPLE = dict[str, Any](result="cancelled")

    result: Literal["cancelled", "already_dispatched"] = Field(
        description="`cancelled`: it will not dial. `already_dispatched`: a phone may be ringing, and no dial follows."
    )


class SuppressionReceipt(AnswerModel):
    EXAMPLE = dict[str, Any](suppression_id=_SUPPRESSION["suppression_id"], already_dispatched=[_ATTEMPT_ID])

    suppression_id: str = Field(description="The suppression's id, to lift it.")
    already_dispatched: list[str] = Field(description="Attempts that may be ringing or talking.")


class Suppression(BaseModel):
    """An order not to call a phone, a contact, or both."""

    suppression_id: str = Field(description="The suppression's id, to lift it.")
    phone: str | None = Field(description="The number, in E.164; masked for the roles `viewer` and `operator`.")
    contact_id: str | None = Field(description="Your id of the contact.")
    reason: str = Field(description="Why.")
    source: str = Field(description="Where it came from: `api`, `provider`, an action, …")
    created_at: Time = Field(description="Since when.")


class SuppressionsPage(AnswerModel):
    EXAMPLE = dict[str, Any](items=[_SUPPRESSION], next_cursor=None)

    items: list[Suppression] = Field(description="Those in force, the newest first.")
    next_cursor: str | None = Field(description="The value of `cursor` for the next page. Null: this is the last.")


class DialingState(AnswerModel):
    EXAMPLE = dict[str, Any](paused=True, paused_at="2026-12-01T17:00:00.000Z", reason="the CRM is down", live=3)

    paused: bool = Field(description="Whether dialing is paused.")
    paused_at: Time | None = Field(description="Since when.")
    reason: str | None = Field(description="Why, in the operator's words.")
    live: int = Field(description="Calls that are ringing or talking.")


class ResumedState(DialingState):
    EXAMPLE = dict[str, Any](
        paused=False, paused_at=None, reason=None, live=3, was_paused_at="2026-12-01T17:00:00.000Z", was_reason="lunch"
    )

    was_paused_at: Time | None = Field(description="Since when dialing was paused. Null: it was not.")
    was_reason: str | None = Field(description="Why it was paused, in the operator's words.")


class SettingEntry(BaseModel):
    name: str = Field(description="The environment variable.")
    value: str = Field(description="Empty if it is not set. Secrets are masked.")
    origin: str = Field(description="Where the value comes from.")


class Settings(AnswerModel):
    EXAMPLE = dict[str, Any](items=[{"name": "RINGBACK_COUNTRIES", "value": "US", "origin": "default"}])

    items: list[SettingEntry] = Field(description="Every setting of the running system.")


class AuditRow(BaseModel):
    """One write by a person or a key. Rows are never changed."""

    sequence: int = Field(description="Rises by one from row to row.")
    at: Time = Field(description="When it was written.")
    actor: str = Field(
        description="`api:` or `console:` and a key's name, `cli:` and a user, or `setting:` and its name."
    )
    action: AuditAction = Field(description="What was done.")
    object: str | None = Field(description="What it was done to: a kind and an id, for example `call:01a2…`.")
    detail: dict[str, Any] = Field(description="Ids, counts and names. No phone, no contact and no free text.")
    previous_hash: str = Field(description="The hash of the row before.")
    hash: str = Field(description="sha256 over all fields of this row. Note it elsewhere to prove the row later.")


class AuditPage(AnswerModel):
    EXAMPLE = dict[str, Any](
        items=[
            {
                "sequence": 17,
                "at": "2026-12-01T17:00:00.000Z",
                "actor": "console:night",
                "action": "call.cancelled",
                "object": f"call:{_CALL_ID}",
                "detail": {"result": "cancelled"},
                "previous_hash": "9f" * 32,
                "hash": "4c" * 32,
            }
        ],
        next_cursor=None,
    )

    items: list[AuditRow] = Field(description="The newest first.")
    next_cursor: str | None = Field(description="The value of `cursor` for the next page. Null: this is the last.")


class Explanation(AnswerModel):
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
    because: str = Field(description="The rule that decides.")
    dialing: dict[str, Any] = Field(description="Whether dialing is paused, or the account is refused.")
    calling_hours: dict[str, Any] = Field(description="The hours in the person's time zones, and when they open.")
    contacts: list[dict[str, Any]] = Field(description="The contacts with this phone or id.")
    suppressions: list[dict[str, Any]] = Field(description="Those in force.")
    open_tasks: list[dict[str, Any]] = Field(description="The planned dials.")
    attempts_last_24h: list[dict[str, Any]] = Field(description="The dials that count toward the limits.")
    decisions: list[dict[str, Any]] = Field(description="The last decisions to dial or not to dial.")


class FeedItem(BaseModel):
    """An event with its place in the feed."""

    cursor: str = Field(description="The place of the event in the feed.")
    event: AnyEvent = Field(description="The body of the delivery to Engage.")


class EventsPage(AnswerModel):
    EXAMPLE = dict[str, Any](items=[{"cursor": "812-4", "event": _STARTED}], next_cursor="812-4", has_more=False)

    items: list[FeedItem] = Field(description="In order of commit.")
    next_cursor: str = Field(description="The value of `after` for the next page, also of a page without items.")
    has_more: bool = Field(description="Whether more events are there now.")


class ActionReply(AnswerModel):
    EXAMPLE = dict[str, Any](ok=True, code="ok", say="I have made a note of that.", result={})

    ok: Literal[True] = Field(description="A refusal is a problem, with another status.")
    code: str = Field(description="What was done, as docs/actions.md lists it.")
    say: str = Field(description="One sentence that an agent may speak.")
    result: dict[str, Any] = Field(description="What the action gives back.")
