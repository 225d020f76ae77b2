"""The bodies and queries that systems send, and how a body becomes a request of the domain."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ringback.domain import call as domain
from ringback.domain.abt_event import FailReason
from ringback.domain.audit import AuditAction, AuditFilter
from ringback.domain.call import CallStatus, NewCall
from ringback.domain.phone_number import NumberPlan
from ringback.domain.zone_names import resolve_zone_code
from ringback.storage import CallFilter
from ringback.web.problems import FieldProblem, Point, from_pydantic, invalid, pointer_to
from ringback.web.request_fields import (
    AuditCursor,
    BodyIdempotencyKey,
    ContactId,
    Cursor,
    EventCursor,
    Fields,
    Metadata,
    Moment,
    Name,
    PageSize,
    Phone,
    Sentence,
    Variables,
    VisibleName,
    read_moment,
)

MAX_DELAY_S = 7 * 24 * 3600
#: Later moments are typing errors, and date arithmetic on the year 9999 overflows.
MAX_AHEAD = timedelta(days=3650)
ACTION_TARGETS = ("call_id", "contact_id", "task_id")


class RequestModel(BaseModel):
    """A body or a query. Unknown fields are rejected, and no type is converted into another."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    #: For /docs.
    EXAMPLE: ClassVar[dict[str, Any]] = {}

    @classmethod
    def problems_between_fields(cls, given: Any) -> list[FieldProblem]:
        """Find the problems that concern more than one field. pydantic would look only if each field alone is right."""
        return []

    @classmethod
    def read(cls, given: Any, numbers: NumberPlan | None = None, point: Point = pointer_to) -> Self:
        """Validate `given`. A model with a phone needs the number plan. Raises Problem 422 with every problem."""
        read, problems = cls.check(given, numbers, point)
        problems += cls.problems_between_fields(given)
        if read is None or problems:
            raise invalid(problems)
        return read

    @classmethod
    def check(
        cls, given: Any, numbers: NumberPlan | None = None, point: Point = pointer_to
    ) -> tuple[Self | None, list[FieldProblem]]:
        """Validate the fields of `given`. Returns None and their problems if one is wrong."""
        try:
            return cls.model_validate(given, context=numbers), []
        except ValidationError as error:
            return None, from_pydantic(error.errors(include_url=False, include_input=False), point)


class Contact(RequestModel):
    """The person to call."""

    contact_id: ContactId = Field(description="Your id of the contact. It is a segment of your CRM's paths.")
    phone: Phone = Field(description="E.164: + and 7 to 15 digits.")
    time_zone: Annotated[str | None, Field(description="A region such as America/New_York; no offset.")] = None
    fields: Fields = Field({}, description="What is known of the contact, for the agent and the catalogue's fields.")


Delays = Annotated[list[Annotated[int, Field(ge=0, le=MAX_DELAY_S)]], Field(min_length=1)]


class RetryPolicy(RequestModel):
    """When to dial again. Without it there is one dial. Either `rules`, or `delay_s` and `on`."""

    max_attempts: Annotated[int, Field(ge=1, le=10)] = Field(
        description="The number of dials, the first one included, whatever their outcomes."
    )
    delay_s: Delays | None = Field(
        None, description="Seconds from one dial to the next. The last one repeats. Null: an hour."
    )
    on: list[Literal["no_answer", "busy"]] | None = Field(
        None, description="The reasons of a failed dial after which another follows. Null: `no_answer` and `busy`."
    )
    rules: Annotated[dict[Literal["no_answer", "busy", "voicemail"], Delays], Field(min_length=1)] | None = Field(
        None,
        description=(
            "The delays of each outcome, in place of `delay_s` and `on`. The first delay of an outcome follows its "
            "first occurrence in this call, the second delay its second one. The last one repeats. `voicemail`: a "
            "voicemail answered, whether or not a message was left. What is not named is not dialed again."
        ),
    )

    @classmethod
    def problems_between_fields(cls, given: Any) -> list[FieldProblem]:
        if not isinstance(given, dict) or given.get("rules") is None:
            return []
        message = "rules has the delays of each outcome, so rules and {} exclude each other: leave out one of them."
        beside = [name for name in ("delay_s", "on") if given.get(name) is not None]
        return [FieldProblem(pointer_to("retry", name), "excluded_by_rules", message.format(name)) for name in beside]

    def policy(self) -> domain.RetryPolicy:
        policy = domain.RetryPolicy(self.max_attempts)
        if self.rules is not None:
            return replace(policy, rules={str(outcome): tuple(delays) for outcome, delays in self.rules.items()})
        delays = policy.delay_s if self.delay_s is None else tuple(self.delay_s)
        return replace(policy, delay_s=delays, on=policy.on if self.on is None else frozenset(self.on))


class CallRequest(RequestModel):
    """A request to call a person."""

    EXAMPLE = dict[str, Any](
        contact={"contact_id": "crm-42", "phone": "+14155550100", "time_zone": "America/Los_Angeles", "fields": {}},
        agent_id="agent_1",
        from_number="+14155550199",
        variables={"first_name": "Ada"},
        metadata={},
        retry={"max_attempts": 4, "rules": {"no_answer": [3600, 14400], "busy": [600], "voicemail": [86400]}},
    )

    contact: Contact = Field(description="The person to call.")
    agent_id: Name = Field(description="Retell's id of the agent (`override_agent_id`).")
    from_number: Phone = Field(description="A number of your Retell account, in E.164.")
    variables: Variables = Field(
        {}, description="Retell's dynamic variables. Numbers and booleans are made strings, as JSON writes them."
    )
    metadata: Metadata = Field({}, description="Yours. It comes back in every event.")
    not_before: Moment | None = Field(None, description="The earliest time of the first dial. Null or past: now.")
    expires_at: Moment | None = Field(
        None, description="When the call ends without a dial. Null: 7 days after it is accepted or due."
    )
    retry: RetryPolicy | None = Field(None, description="When to dial again. Null: never.")


class SuppressionRequest(RequestModel):
    """An order not to call a phone, a contact, or both."""

    EXAMPLE = dict[str, Any](phone="+14155550100", reason="asked by letter")

    phone: Phone | None = Field(None, description="The number that is not called any more, in E.164.")
    contact_id: VisibleName | None = Field(None, description="The contact that is not called any more.")
    reason: Sentence = Field(description="Why, for the operator.")

    @classmethod
    def problems_between_fields(cls, given: Any) -> list[FieldProblem]:
        if not isinstance(given, dict) or given.get("phone") is not None or given.get("contact_id") is not None:
            return []
        return [FieldProblem("#", "required", "A phone or a contact_id is required.")]


class LiftRequest(RequestModel):
    """The end of a suppression. Its reason is in the body or in the query."""

    EXAMPLE = dict[str, Any](reason="a mistake")

    reason: Sentence | None = Field(None, description="Why the person may be called again.")


class PauseRequest(RequestModel):
    """A pause of all dialing."""

    EXAMPLE = dict[str, Any](reason="the CRM is down")

    reason: Sentence | None = Field(None, description="Shown by `doctor`, `why` and the log.")


class ActionRequest(RequestModel):
    """Exactly one of the three ids names the target; none is needed where the arguments do."""

    EXAMPLE = dict[str, Any](call_id="01a20491-7446-7438-8476-b9da1cc0a52a", args={"note": "Call after lunch."})

    call_id: Name | None = Field(None, description="The call that the action is about.")
    contact_id: Name | None = Field(None, description="Or the contact.")
    task_id: Name | None = Field(None, description="Or the planned dial.")
    args: dict[str, Any] = Field(description="The arguments of the action.")
    idempotency_key: BodyIdempotencyKey | None = Field(
        None, description="The same key with the same request gets the first answer again. Also a header."
    )


class CallsQuery(RequestModel):
    EXAMPLE = dict[str, Any](contact_id="crm-42", status="scheduled", limit=50)

    cursor: Cursor | None = Field(None, description="The `next_cursor` of the page before. Null: from the newest.")
    limit: PageSize = Field(50, description="The most items of a page.")
    contact_id: Name | None = Field(None, description="Your id of the contact.")
    phone: Phone | None = Field(None, description="The number that the calls are to.")
    status: Annotated[CallStatus, Field(strict=False)] | None = Field(None, description="Only calls of this status.")
    reason: Annotated[FailReason, Field(strict=False)] | None = Field(
        None, description="Only calls whose last failure has this reason."
    )
    agent_id: Name | None = Field(None, description="Retell's id of the agent.")
    from_number: Phone | None = Field(None, description="Your number that the calls come from.")
    since: Moment | None = Field(None, description="Accepted at this time or later.")
    until: Moment | None = Field(None, description="Accepted before this time.")
    stuck: Annotated[bool, Field(strict=False)] = Field(
        False, description="Only calls that are late by minutes, or whose outcome is unknown."
    )

    def filter(self) -> CallFilter:
        return CallFilter(**{name: value for name, value in dict(self).items() if name not in ("cursor", "limit")})


class SuppressionsQuery(RequestModel):
    EXAMPLE = dict[str, Any](phone="+14155550100", limit=50)

    cursor: Cursor | None = Field(None, description="The `next_cursor` of the page before. Null: from the newest.")
    limit: PageSize = Field(50, description="The most items of a page.")
    phone: Phone | None = Field(None, description="The person's number, in E.164.")
    contact_id: Name | None = Field(None, description="Your id of the contact.")


class WhyQuery(RequestModel):
    EXAMPLE = dict[str, Any](phone="+14155550100")

    phone: Phone | None = Field(None, description="The person's number, in E.164.")
    contact_id: Name | None = Field(None, description="Your id of the contact.")


class EventsQuery(RequestModel):
    EXAMPLE = dict[str, Any](after="812-4", limit=50)

    after: EventCursor | None = Field(None, description="The `next_cursor` of the page before. Null: from the start.")
    limit: PageSize = Field(50, description="The most items of a page.")


class AuditQuery(RequestModel):
    EXAMPLE = dict[str, Any](action="suppression.lifted", limit=50)

    cursor: AuditCursor | None = Field(None, description="The `next_cursor` of the page before. Null: from the newest.")
    limit: PageSize = Field(50, description="The most items of a page.")
    actor: Name | None = Field(None, description="Only by this author, for example `api:crm`.")
    action: Annotated[AuditAction, Field(strict=False)] | None = Field(None, description="Only this action.")
    object: Name | None = Field(None, description="Only about this object, for example `call:` and its id.")
    since: Moment | None = Field(None, description="Written at this time or later.")
    until: Moment | None = Field(None, description="Written before this time.")

    def filter(self) -> AuditFilter:
        before = int(self.cursor) if self.cursor is not None else None
        return AuditFilter(
            actor=self.actor,
            action=self.action,
            object=self.object,
            since=self.since,
            until=self.until,
            before=before,
        )


def read_new_call(body: Any, now: datetime, numbers: NumberPlan) -> NewCall:
    """Validate the body of a new call. Raises Problem 422 with every problem of the body at once."""
    time_zone, zone_problems = _read_zone(body, numbers.time_zones)
    request, problems = CallRequest.check(body, numbers)
    problems += zone_problems + _time_problems(body, now)
    if isinstance(body, dict):
        problems += RetryPolicy.problems_between_fields(body.get("retry"))
    if request is None or problems:
        raise invalid(problems)
    return NewCall(
        contact_id=request.contact.contact_id,
        phone=request.contact.phone,
        time_zone=time_zone,
        fields=request.contact.fields,
        agent_id=request.agent_id,
        from_number=request.from_number,
        variables=request.variables,
        metadata=request.metadata,
        not_before=request.not_before if request.not_before and request.not_before > now else None,
        expires_at=request.expires_at,
        retry=request.retry.policy() if request.retry else domain.RetryPolicy(),
        fingerprint=fingerprint(body),
    )


def fingerprint(body: Any) -> str:
    """The identity of a request for idempotency: sha256 of its parsed JSON with sorted keys."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_action(body: Any, header_key: str | None, *, needs_target: bool) -> tuple[ActionRequest, str | None]:
    """Validate the body of an action. The idempotency key may stand in the body or in the header.

    Returns the body and the key. Raises Problem 422 with every problem at once.
    """
    read, problems = ActionRequest.check(body)
    named = [name for name in ACTION_TARGETS if body.get(name) is not None] if isinstance(body, dict) else None
    if named is not None and len(named) != 1 and (named or needs_target):
        code = "several_targets" if named else "required"
        problems.append(FieldProblem("#", code, f"Exactly one of {', '.join(ACTION_TARGETS)} is required."))
    if read is not None and header_key and read.idempotency_key not in (None, header_key):
        message = "The header Idempotency-Key holds another key."
        problems.append(FieldProblem("#/idempotency_key", "two_keys", message))
    if read is None or problems:
        raise invalid(problems)
    return read, header_key or read.idempotency_key


def _read_zone(body: Any, zones_of: Callable[[str], tuple[str, ...]]) -> tuple[str | None, list[FieldProblem]]:
    """Find the region of the contact's time zone. The model of one field cannot, because the number may decide it."""
    contact = body.get("contact") if isinstance(body, dict) else None
    name, phone = (contact.get("time_zone"), contact.get("phone")) if isinstance(contact, dict) else (None, None)
    if not isinstance(name, str):
        return None, []
    answer = resolve_zone_code(name, zones_of(phone) if isinstance(phone, str) else ())
    if answer.zone is not None:
        return answer.zone, []
    code, message = "unknown_time_zone", "This names no region with a clock; write one, for example America/New_York."
    if answer.candidates:
        code, message = "ambiguous_time_zone", f"Which region is meant: {' or '.join(answer.candidates)}?"
    return None, [FieldProblem(pointer_to("contact", "time_zone"), code, message)]


def _time_problems(body: Any, now: datetime) -> list[FieldProblem]:
    """Compare the two times. The model would compare nothing while any field is wrong."""
    times: dict[str, datetime | None] = {}
    for name in ("not_before", "expires_at"):
        try:
            times[name] = read_moment(body[name])
        except (ValueError, TypeError, KeyError):
            times[name] = None
    problems = [
        FieldProblem(pointer_to(name), "too_far", "This is more than ten years ahead.")
        for name, moment in times.items()
        if moment and moment - now > MAX_AHEAD
    ]
    not_before, expires_at = times["not_before"], times["expires_at"]
    if expires_at and expires_at <= now:
        problems.append(FieldProblem(pointer_to("expires_at"), "not_after_now", "This must lie in the future."))
    elif expires_at and not_before and expires_at <= not_before:
        message = "This must lie after not_before."
        problems.append(FieldProblem(pointer_to("expires_at"), "not_after_not_before", message))
    return problems
