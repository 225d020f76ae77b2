"""What systems may send to the Voice API, and how each request becomes the domain's own words."""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo
from starlette.requests import Request

from ringback.domain.call import CallStatus, RetryPolicy
from ringback.domain.instant import NotAnInstant, read_instant
from ringback.domain.new_call import NewCall
from ringback.domain.number_plan import E164, NumberPlan
from ringback.domain.zone_names import resolve_zone_code
from ringback.web import limits
from ringback.web.limits import Fields, Metadata, Variables
from ringback.web.problem import FieldProblem, Point, from_pydantic, invalid, not_found, pointer_to, query_pointer

MAX_DELAY_S = 7 * 24 * 3600
#: Later moments are typing errors, and date arithmetic on the year 9999 overflows.
MAX_AHEAD = timedelta(days=3650)
MAX_PAGE = 200

_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def read_moment(value: object) -> datetime:
    """An RFC 3339 time as UTC. Raises ValueError("code: sentence"), as all validators here do."""
    if not isinstance(value, str):
        raise ValueError("wrong_type: This must be a string with a time, for example 2026-12-01T17:00:00Z.")
    try:
        return read_instant(value)
    except NotAnInstant as error:
        if error.lacks_offset:
            raise ValueError("no_offset: A time carries an offset, for example 2026-12-01T17:00:00Z.") from None
        raise ValueError("not_a_time: This is no RFC 3339 time, for example 2026-12-01T17:00:00Z.") from None


def _phone(text: str, info: ValidationInfo) -> str:
    if not E164.fullmatch(text):
        raise ValueError("not_e164: A phone number is + and 7 to 15 digits, without spaces (E.164).")
    numbers: NumberPlan | None = info.context
    assert numbers is not None, "models with a phone are read with the number plan"
    phone = numbers.canonical(text)
    if phone is None:
        raise ValueError("impossible_number: No country has a number of this form.")
    return phone


def _plain(text: str) -> str:
    if _CONTROL.search(text) or text != text.strip():
        raise ValueError("bad_characters: Control characters and spaces at the ends are not allowed.")
    return text


def _cursor(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError("bad_cursor: A cursor is passed on as it was received.")
    return text


def _event_cursor(text: str) -> str:
    if not re.fullmatch(r"[0-9]{1,18}-[0-9]{1,18}", text):
        raise ValueError("bad_cursor: A cursor is passed on as it was received.")
    return text


Phone = Annotated[str, AfterValidator(_phone), Field(json_schema_extra={"pattern": f"^{E164.pattern}$"})]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain)]
#: Of a contact that may be new. One that was taken before this was checked is still found by its Name.
ContactId = Annotated[Name, AfterValidator(limits.contact_id)]
Sentence = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_plain)]
Moment = Annotated[datetime, BeforeValidator(read_moment)]
Cursor = Annotated[str, AfterValidator(_cursor)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ContactBody(_Strict):
    contact_id: ContactId
    phone: Phone
    time_zone: Annotated[str | None, Field(description="A region such as America/New_York; no offset.")] = None
    fields: Fields = {}


class RetryBody(_Strict):
    max_attempts: Annotated[int, Field(ge=1, le=10)]
    delay_s: Annotated[list[Annotated[int, Field(ge=0, le=MAX_DELAY_S)]], Field(min_length=1)] = [3600]
    on: list[Literal["no_answer", "busy"]] = ["no_answer", "busy"]

    def policy(self) -> RetryPolicy:
        return RetryPolicy(self.max_attempts, tuple(self.delay_s), frozenset(self.on))


class CallBody(_Strict):
    contact: ContactBody
    agent_id: Name
    from_number: Phone
    variables: Variables = {}
    metadata: Metadata = {}
    not_before: Moment | None = None
    expires_at: Moment | None = None
    retry: RetryBody | None = None


class SuppressionBody(_Strict):
    phone: Phone | None = None
    contact_id: Annotated[Name, AfterValidator(limits.no_unseen)] | None = None
    reason: Sentence


class LiftBody(_Strict):
    reason: Sentence


class _Page(_Strict):
    cursor: Cursor | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE, strict=False)] = 50


class CallsQuery(_Page):
    contact_id: Name | None = None
    status: Annotated[CallStatus, Field(strict=False)] | None = None


class SuppressionsQuery(_Page):
    phone: Phone | None = None
    contact_id: Name | None = None


class PauseBody(_Strict):
    reason: Sentence | None = None


class WhyQuery(_Strict):
    phone: Phone | None = None
    contact_id: Name | None = None


class EventsQuery(_Strict):
    after: Annotated[str, AfterValidator(_event_cursor)] | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE, strict=False)] = 50


Model = TypeVar("Model", bound=BaseModel)


def read_new_call(body: Any, now: datetime, numbers: NumberPlan) -> NewCall:
    """Raises Problem 422 with every problem of the body at once."""
    time_zone, zone_problems = _read_zone(body, numbers.time_zones)
    request = _read(CallBody, body, pointer_to, zone_problems + _time_problems(body, now), numbers)
    not_before = request.not_before if request.not_before and request.not_before > now else None
    return NewCall(
        contact_id=request.contact.contact_id,
        phone=request.contact.phone,
        time_zone=time_zone,
        fields=request.contact.fields,
        agent_id=request.agent_id,
        from_number=request.from_number,
        variables=request.variables,
        metadata=request.metadata,
        not_before=not_before,
        expires_at=request.expires_at,
        retry=request.retry.policy() if request.retry else RetryPolicy(),
        fingerprint=fingerprint(body),
    )


def fingerprint(body: Any) -> str:
    """The identity of a request for idempotency: sha256 of its parsed JSON with sorted keys."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_suppression(body: Any, numbers: NumberPlan) -> SuppressionBody:
    """Raises Problem 422."""
    nobody = isinstance(body, dict) and body.get("phone") is None and body.get("contact_id") is None
    needed = [FieldProblem("#", "required", "A phone or a contact_id is required.")] if nobody else []
    return _read(SuppressionBody, body, pointer_to, needed, numbers)


def read_lift(body: Any) -> LiftBody:
    """Raises Problem 422."""
    return _read(LiftBody, body, pointer_to, [])


def read_pause(body: Any) -> PauseBody:
    """Raises Problem 422."""
    return _read(PauseBody, body, pointer_to, [])


def read_why(request: Request, numbers: NumberPlan) -> WhyQuery:
    """Raises Problem 422 unless the query names a phone or a contact, and not both."""
    asked = WhyQuery.model_construct(**read_query(WhyQuery, request, numbers))
    if (asked.phone is None) == (asked.contact_id is None):
        message = "Either a phone or a contact_id is required."
        raise invalid([FieldProblem("query:phone", "required", message)])
    return asked


def read_query(model: type[BaseModel], request: Request, numbers: NumberPlan) -> dict[str, Any]:
    """The query's parameters; an empty one counts as absent. Raises Problem 422."""
    given = {name: text for name, text in request.query_params.items() if text}
    return dict(_read(model, given, query_pointer, [], numbers))


def idempotency_key(request: Request) -> str | None:
    """Raises Problem 422 unless the header is absent or holds 1 to 255 printable ASCII characters."""
    key = request.headers.get("idempotency-key")
    if key is not None and not re.fullmatch(r"[\x20-\x7e]{1,255}", key):
        message = "A key is 1 to 255 printable ASCII characters."
        raise invalid([FieldProblem("header:Idempotency-Key", "invalid", message)])
    return key


def plain_id(text: str, what: str) -> str:
    """An id out of a path. Raises Problem 404 for text that no id of ours looks like."""
    if not _ID.fullmatch(text):
        raise not_found(what)
    return text


def _read(
    model: type[Model], given: Any, point: Point, also: list[FieldProblem], numbers: NumberPlan | None = None
) -> Model:
    problems = also
    try:
        read = model.model_validate(given, context=numbers)
    except ValidationError as error:
        problems = from_pydantic(error.errors(include_url=False, include_input=False), point) + also
    if problems:
        raise invalid(problems)
    return read


def _read_zone(body: Any, zones_of: Callable[[str], tuple[str, ...]]) -> tuple[str | None, list[FieldProblem]]:
    """The region that the contact's time zone means. Asked apart from the model, because the number may decide it."""
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
    """The order of the two times. Asked apart from the model, which compares nothing while anything else is wrong."""
    times = {name: _moment_or_none(body, name) for name in ("not_before", "expires_at")}
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


def _moment_or_none(body: Any, name: str) -> datetime | None:
    try:
        return read_moment(body[name])
    except (ValueError, TypeError, KeyError):
        return None
