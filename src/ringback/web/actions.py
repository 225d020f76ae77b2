"""What systems may send to an action, and how a refused one is answered."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request

from ringback.flows.business_operations.action import Reply
from ringback.web.json_body import read_json
from ringback.web.problem import MEDIA_TYPE, FieldProblem, from_pydantic, invalid, pointer_to
from ringback.web.requests import Name, idempotency_key

TARGETS = ("call_id", "contact_id", "task_id")

STATUS_OF_CODE = {"not_found": 404, "already_dispatched": 409, "key_reused": 409}


class ActionBody(BaseModel):
    """Exactly one of the three ids names the target; none is needed where the arguments do."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    call_id: Name | None = None
    contact_id: Name | None = None
    task_id: Name | None = None
    args: dict[str, Any]
    idempotency_key: Annotated[str, Field(pattern=r"^[\x20-\x7e]{1,255}$")] | None = None


async def read_action(request: Request, *, needs_target: bool = True) -> tuple[ActionBody, str | None]:
    """The body, and the key, which may stand in it or in the header. Raises Problem 422 with every problem at once."""
    header_key = idempotency_key(request)
    given = await read_json(request)
    problems = _target_problems(given, needs_target)
    body = None
    try:
        body = ActionBody.model_validate(given)
    except ValidationError as error:
        problems = from_pydantic(error.errors(include_url=False, include_input=False)) + problems
    if body is not None and header_key and body.idempotency_key not in (None, header_key):
        message = "The header Idempotency-Key holds another key."
        problems.append(FieldProblem("#/idempotency_key", "two_keys", message))
    if body is None or problems:
        raise invalid(problems)
    return body, header_key or body.idempotency_key


def _target_problems(given: Any, needs_target: bool) -> list[FieldProblem]:
    if not isinstance(given, dict):
        return []
    named = [name for name in TARGETS if given.get(name) is not None]
    if len(named) == 1 or not (named or needs_target):
        return []
    code = "several_targets" if named else "required"
    return [FieldProblem("#", code, f"Exactly one of {', '.join(TARGETS)} is required.")]


def refusal(reply: Reply) -> JSONResponse:
    """The reply itself, as a problem: RFC 9457 allows members of one's own."""
    status = HTTPStatus(STATUS_OF_CODE.get(reply.code, 422))
    result = dict(reply.result)
    errors = [
        {"pointer": pointer_to("args", name), "code": "invalid", "message": why}
        for name, why in result.pop("errors", {}).items()
    ]
    head = {"type": "about:blank", "title": status.phrase, "status": status, "detail": reply.say, "errors": errors}
    return JSONResponse(head | reply.as_json() | {"result": result}, status, media_type=MEDIA_TYPE)
