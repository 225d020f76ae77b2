"""The errors of the APIs: RFC 9457 problems, which never repeat their input."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar

import structlog
from fastapi import FastAPI
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from ringback.domain.errors import Retryable

MEDIA_TYPE = "application/problem+json"
#: A name within a pointer is the caller's own text. It is cut, and hidden where it may be a phone number.
MAX_NAME_CHARS = 64
_DIGITS = re.compile(r"\d+")
FEWEST_DIGITS_OF_A_PHONE = 7

Found = TypeVar("Found")
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """A problem of a request. `pointer` is a JSON pointer into the body (#/contact/phone), or query:name, path:name,
    header:name. `message` never repeats the input."""

    pointer: str
    code: str
    message: str


@dataclass(eq=False)
class Problem(Exception):
    """An error that becomes the answer wherever it is raised below a route."""

    status: int
    code: str
    detail: str
    errors: Sequence[FieldProblem] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> JSONResponse:
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "errors": [asdict(error) for error in self.errors],
        }
        return JSONResponse(body, self.status, dict(self.headers), MEDIA_TYPE)


def invalid(errors: Sequence[FieldProblem]) -> Problem:
    """422 with every problem."""
    count = "one problem" if len(errors) == 1 else f"{len(errors)} problems"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request", f"The request has {count}; see errors.", errors)


def unavailable(retry_after_s: int) -> Problem:
    """503. It does not say whether the request was committed: a commit may be interrupted at its last moment."""
    detail = "Not acknowledged; please send it again later, with the same Idempotency-Key."
    return Problem(503, "unavailable", detail, headers={"Retry-After": str(retry_after_s)})


def not_found(what: str) -> Problem:
    return Problem(HTTPStatus.NOT_FOUND, "not_found", f"There is no such {what}.")


def found(thing: Found | None, what: str) -> Found:
    if thing is None:
        raise not_found(what)
    return thing


# pydantic's error types (docs.pydantic.dev/latest/errors/validation_errors) in the words of this API.
_CODES = {
    "missing": ("required", "This field is required."),
    "extra_forbidden": ("unknown_field", "This field is not known."),
    "string_type": ("wrong_type", "This must be a string."),
    "int_type": ("wrong_type", "This must be a whole number."),
    "list_type": ("wrong_type", "This must be an array."),
    "dict_type": ("wrong_type", "This must be an object."),
    "model_type": ("wrong_type", "This must be an object."),
    "model_attributes_type": ("wrong_type", "This must be an object."),
    "string_too_short": ("too_short", "This must not be empty."),
    "too_short": ("too_short", "This must not be empty."),
}


Point = Callable[..., str]


def from_pydantic(errors: Iterable[ErrorDetails | Mapping[str, Any]], point: Point | None = None) -> list[FieldProblem]:
    """Turn pydantic's errors into problems, without texts that could hold the input. `point` makes pointers."""
    return [_one(error["type"], error["loc"], error.get("ctx") or {}, point or pointer_to) for error in errors]


def pointer_to(*path: str | int) -> str:
    """A pointer of RFC 6901 after a `#`. It is not percent-encoded, because people read it."""
    return "#" + "".join(f"/{_name(part)}" for part in path)


def _name(part: str | int) -> str:
    if isinstance(part, int):
        return str(part)
    text = part if len(part) <= MAX_NAME_CHARS else f"{part[:MAX_NAME_CHARS]}…"
    # With any characters between them the digits may be a phone number.
    if sum(map(str.isdigit, text)) >= FEWEST_DIGITS_OF_A_PHONE:
        text = _DIGITS.sub("…", text)
    return text.replace("~", "~0").replace("/", "~1")


def query_pointer(*path: str | int) -> str:
    return "query:" + ".".join(map(_name, path))


def _one(kind: str, path: Sequence[str | int], context: Mapping[str, Any], point: Point) -> FieldProblem:
    # pydantic marks a refused key of an object by one more step.
    pointer = point(*path[:-1]) if path and path[-1] == "[key]" else point(*path)
    if kind in _CODES:
        return FieldProblem(pointer, *_CODES[kind])
    if kind == "value_error":
        code, _, message = str(context.get("error", "")).partition(": ")
        return FieldProblem(pointer, code, message)
    # Limits and the list of known words come from our models, so they may be repeated.
    told = ", ".join(f"{words} {context[name]}" for name, words in _OUR_WORDS.items() if name in context)
    return FieldProblem(pointer, "invalid", f"This is not valid: {told}." if told else "This is not valid.")


_OUR_WORDS = {
    "ge": "at least",
    "le": "at most",
    "gt": "more than",
    "lt": "less than",
    "max_length": "the longest is",
    "min_length": "the shortest is",
    "expected": "known are",
}


def response_to(error: Problem | Retryable) -> Response:
    if isinstance(error, Problem):
        return error.response()
    log.warning("http.unavailable", cause=type(error).__name__)
    return unavailable(max(1, round(error.retry_after_s))).response()


async def _answer(request: Request, error: Exception) -> Response:
    match error:
        case Problem() | Retryable():
            return response_to(error)
        case HTTPException():
            status = HTTPStatus(error.status_code)
            return Problem(status, status.name.lower(), f"{status.phrase}.", headers=error.headers or {}).response()
        case ClientDisconnect():
            # The client disconnected before its body was complete. This response is never read.
            return Response(status_code=400)
        case _:
            log.error("http.bug", cause=type(error).__name__)
            return Problem(500, "internal_error", "This is a fault of the service; it has been noted.").response()


def install_problems(app: FastAPI) -> None:
    """Turn every failure of a request into a problem."""
    for kind in (Problem, Retryable, HTTPException, ClientDisconnect, Exception):
        app.add_exception_handler(kind, _answer)
