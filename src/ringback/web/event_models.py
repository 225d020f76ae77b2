"""The ABT events that Ringback sends, described for receivers: the one definition of their JSON Schemas."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from ringback.domain.abt_event import AbtType, FailReason

#: An erased person's pending events are delivered without the words of the talk.
ERASED = "Absent if the person was erased before the delivery."
DRAFT = "https://json-schema.org/draft/2020-12/schema"

#: What each reason means, for receivers.
REASONS = {
    FailReason.NO_ANSWER: "The phone rang and was not answered. A retry may follow.",
    FailReason.BUSY: "The line was busy. A retry may follow.",
    FailReason.DECLINED: "The person declined the call. It is not retried.",
    FailReason.INVALID_NUMBER: "The network knows no such number. It is not retried.",
    FailReason.PROVIDER_ERROR: "Retell or the network failed before a conversation.",
    FailReason.REFUSED: "Retell or the network refused the dial. It is not retried.",
    FailReason.CAPACITY: "Retell accepted the dial and had no free line. A retry follows and uses no try of the call.",
    FailReason.VOICEMAIL_NO_MESSAGE: "A voicemail answered, and no message was left. A retry may follow.",
    FailReason.ANSWERED_NO_SPEECH: "The call was answered, and no one spoke.",
    FailReason.IVR: "A phone menu answered.",
    FailReason.OUTCOME_UNKNOWN: "Retell's answer was unclear, and all look-ups found no call. The phone may have rung.",
    FailReason.PROVIDER_LOST: "Retell accepted the dial and gave no account of it for a day.",
    FailReason.CANCELLED: "The call was cancelled before its next dial.",
    FailReason.EXPIRED: "The call was not dialed before its `expires_at`.",
    FailReason.SUPPRESSED: "The person must not be called.",
    FailReason.COUNTRY_NOT_ALLOWED: "The country of the number is not allowed in this installation.",
    FailReason.NUMBER_TYPE_NOT_ALLOWED: "The kind of the number (premium, toll-free, …) is not allowed.",
}

Time = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
        json_schema_extra={"format": "date-time"},
        description="RFC 3339 in UTC, with milliseconds.",
        examples=["2026-12-01T17:00:06.500Z"],
    ),
]


def _never_null(schema: dict[str, Any]) -> None:
    """Describe a member that is absent or has a value."""
    schema.pop("default", None)


class _EventPart(BaseModel):
    """An object of an event. Receivers must accept members that this version does not name."""

    model_config = ConfigDict(strict=True)


class EventData(_EventPart):
    """What every event says."""

    call_id: str = Field(description="The call, as POST /v1/calls answered it.")
    contact_id: str = Field(description="Engage's own id of the contact.")
    attempt: int | None = Field(ge=1, description="The number of the dial, from 1. Null: the event is about no dial.")
    attempt_id: str | None = Field(description="The id of the dial. Null where `attempt` is.")
    provider_call_id: str | SkipJsonSchema[None] = Field(
        None,
        description=f"Retell's id of the call. Absent where Retell made none. {ERASED}",
        json_schema_extra=_never_null,
    )
    sequence: int = Field(ge=1, description="The place of the event within its call, counted from 1.")
    occurred_at: Time = Field(description="When it happened; not when it was sent.")
    metadata: dict[str, Any] = Field(description="The metadata of POST /v1/calls. Empty if the person was erased.")


class AttemptData(EventData):
    """What every event about a dial says."""

    attempt: int = Field(ge=1, description="The number of the dial, from 1.")
    attempt_id: str = Field(description="The id of the dial.")


class InitiatedData(AttemptData):
    placed_at: Time = Field(description="When the dial was sent to Retell.")


class StartedData(AttemptData):
    started_at: Time = Field(description="When the call was answered, by a person or by a machine.")


class Analysis(_EventPart):
    """The provider's analysis of the conversation."""

    successful: bool | None = Field(description="Whether the goal of the call was met.")
    summary: str | None = Field(description="A summary in words.")
    sentiment: str | None = Field(description="The person's mood, in Retell's words.", examples=["Positive"])
    in_voicemail: bool | None = Field(description="Whether Retell believes that a voicemail answered.")
    custom: dict[str, Any] = Field(description="The analysis fields of your agent.")


def _corrections(schema: dict[str, Any]) -> None:
    schema["dependentRequired"] = {"corrects": ["revision"], "revision": ["corrects"]}


class _Correctable(_EventPart):
    model_config = ConfigDict(strict=True, json_schema_extra=_corrections)

    is_final: bool = Field(
        description="Whether the call ends with this event. A call has one such event that is not corrected."
    )
    corrects: str | SkipJsonSchema[None] = Field(
        None, description="The id of the event that this one replaces.", json_schema_extra=_never_null
    )
    revision: Annotated[int, Field(ge=1)] | SkipJsonSchema[None] = Field(
        None, description="The number of the correction, from 1.", json_schema_extra=_never_null
    )


class ConversationData(_Correctable, AttemptData):
    """The end of a dial that reached a person or a voicemail."""

    ended_at: Time | None = Field(description="When the call ended. Null: Retell did not say.")
    duration_ms: int | None = Field(ge=0, description="Milliseconds from the answer to the end.")
    analysis: Analysis | Literal["missing"] | SkipJsonSchema[None] = Field(
        None,
        description=f"`missing`: it did not come within a day; if it comes later, a correction follows. {ERASED}",
        json_schema_extra=_never_null,
    )


def _voicemails(schema: dict[str, Any]) -> None:
    _corrections(schema)
    schema["if"] = {"required": ["next_attempt_at"]}
    schema["then"] = {"properties": {"is_final": {"const": False}}}


class LeftVoicemailData(ConversationData):
    """The end of a dial that left a message."""

    model_config = ConfigDict(strict=True, json_schema_extra=_voicemails)

    next_attempt_at: Time | SkipJsonSchema[None] = Field(
        None,
        description="The earliest time of the next dial of this call. Absent: none is planned.",
        json_schema_extra=_never_null,
    )


def _failures(schema: dict[str, Any]) -> None:
    _corrections(schema)
    schema["if"] = {"properties": {"will_retry": {"const": True}}}
    schema["then"] = {"properties": {"next_attempt_at": {"type": "string"}, "is_final": {"const": False}}}
    schema["else"] = {"properties": {"next_attempt_at": {"type": "null"}}}


class FailedData(_Correctable, EventData):
    """The end of a dial, or of a call, without a conversation and without a message."""

    model_config = ConfigDict(strict=True, json_schema_extra=_failures)

    reason: FailReason = Field(
        description="\n".join(["Why it failed.", *(f"- `{reason}`: {means}" for reason, means in REASONS.items())])
    )
    provider_reason: str | None = Field(
        description="Retell's `disconnection_reason`, or `http_` and the status of its refusal, for people to read.",
        examples=["dial_busy"],
    )
    attempted: bool | None = Field(
        description="Whether Retell accepted the dial. Null: not known. False: no phone rang for this event."
    )
    will_retry: bool = Field(description="Whether another dial of this call is planned.")
    next_attempt_at: Time | None = Field(description="The earliest time of that dial. Null: none is planned.")


class RescheduledData(EventData):
    """A new time for the call, in place of an earlier one."""

    task_id: str = Field(description="The id of the planned dial.")
    due_at: Time = Field(description="The earliest time of the dial.")
    previous_due_at: Time | None = Field(description="The earlier plan. Null: there was none.")
    local_time: str | None = Field(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}$",
        description="The wall-clock time that was promised in `time_zone`. Null: an instant was promised.",
        examples=["2026-12-02T15:00"],
    )
    time_zone: str | None = Field(
        description="An IANA zone. Null where `local_time` is.", examples=["America/New_York"]
    )
    source: Literal["agent", "api", "timezone"] = Field(
        description="`agent`: during the talk. `api`: by a system. `timezone`: the contact's time zone changed."
    )
    reason: str | None = Field(
        None, description=f"The words of the agent or the system. {ERASED}", json_schema_extra=_never_null
    )


class CloudEvent(_EventPart):
    """The envelope: CloudEvents 1.0 in JSON."""

    specversion: Literal["1.0"]
    id: str = Field(
        min_length=1,
        description="The id of the fact. A repeat has the same id, and the header webhook-id is the same.",
        examples=["6e5ed4cd-7a7c-5e2a-9c1b-0a8f4d1c2b3e"],
    )
    source: Literal["/ringback"]
    type: str
    subject: str = Field(description="The call, as in `data.call_id`.")
    time: Time = Field(description="As `data.occurred_at`.")
    datacontenttype: Literal["application/json"]
    data: EventData


class CallInitiated(CloudEvent):
    """Retell accepted the dial. The phone is about to ring."""

    type: Literal[AbtType.INITIATED]
    data: InitiatedData


class CallStarted(CloudEvent):
    """A person or a machine answered."""

    type: Literal[AbtType.STARTED]
    data: StartedData


class CallCompleted(CloudEvent):
    """A person spoke, and the goal of the call was met."""

    type: Literal[AbtType.COMPLETED]
    data: ConversationData


class CallPartiallyCompleted(CloudEvent):
    """A person spoke, and the goal of the call was not met."""

    type: Literal[AbtType.PARTIALLY_COMPLETED]
    data: ConversationData


class CallLeftVoicemail(CloudEvent):
    """A voicemail answered, and the agent left a message."""

    type: Literal[AbtType.LEFT_VOICEMAIL]
    data: LeftVoicemailData


class CallRescheduled(CloudEvent):
    """The call has a new time."""

    type: Literal[AbtType.RESCHEDULED]
    data: RescheduledData


class CallFailed(CloudEvent):
    """No conversation and no message; or the call was refused, cancelled, suppressed, expired or given up."""

    type: Literal[AbtType.FAILED]
    data: FailedData


class CustomEvent(CloudEvent):
    """An event of your catalogue. Its own data is next to the members that every event has."""

    type: str = Field(
        description="A name in the section [events] of the catalogue. The names of the lifecycle are reserved.",
        examples=["lead_qualified"],
        # Not for pydantic, whose regular expressions have no look-ahead.
        json_schema_extra={"pattern": "^(?!voice_ai_call_)[a-z][a-z0-9_]{0,63}$"},
    )


AnyEvent = (
    CallInitiated
    | CallStarted
    | CallCompleted
    | CallPartiallyCompleted
    | CallLeftVoicemail
    | CallRescheduled
    | CallFailed
    | CustomEvent
)

#: By the name of the schema's file: the type of the event, or `custom_event` for those of the catalogue.
EVENT_MODELS: dict[str, type[CloudEvent]] = {
    AbtType.INITIATED: CallInitiated,
    AbtType.STARTED: CallStarted,
    AbtType.COMPLETED: CallCompleted,
    AbtType.PARTIALLY_COMPLETED: CallPartiallyCompleted,
    AbtType.LEFT_VOICEMAIL: CallLeftVoicemail,
    AbtType.RESCHEDULED: CallRescheduled,
    AbtType.FAILED: CallFailed,
    "custom_event": CustomEvent,
}


def event_schema(name: str) -> dict[str, Any]:
    """The JSON Schema of an event, complete in itself."""
    schema = _without_titles(EVENT_MODELS[name].model_json_schema())
    return {"$schema": DRAFT, "$id": f"urn:ringback:abt:{name}", **schema}


def _without_titles(schema: Any) -> Any:
    """Drop the titles, which only repeat the names."""
    if isinstance(schema, list):
        return [_without_titles(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    is_title = isinstance(schema.get("title"), str)
    return {name: _without_titles(part) for name, part in schema.items() if not (name == "title" and is_title)}
