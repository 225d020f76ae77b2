"""Read requests strictly: JSON that the database can hold, every problem of a request at once, nothing repeated."""

import json
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, Never, TypeVar, cast, get_args, get_origin

import msgspec
from fastapi import APIRouter
from fastapi._compat import ModelField
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, GetCoreSchemaHandler, TypeAdapter
from pydantic_core import CoreSchema
from starlette.requests import Request

from ringback.domain.masking import hide_phones_in
from ringback.domain.phone_number import NumberPlan
from ringback.domain.storable import MAX_DEPTH, is_deeper_than, is_storable_text
from ringback.web.auth import sees_phones
from ringback.web.problems import FieldProblem, Problem, from_pydantic, invalid, query_pointer
from ringback.web.request_models import RequestModel

#: As many digits as a whole number of 64 bits may have. Such numbers are compared with their limits.
_LONG_NUMBER = b"0" * len(str(2**63))
_DIGITS_AS_ZERO = bytes.maketrans(b"123456789", b"000000000")
#: A number follows one of these, or begins the body. The digits of an id within a text rarely do.
_BEFORE_NUMBER = b" \t\r\n:,[-"

Model = TypeVar("Model", bound=BaseModel)
_ANY: TypeAdapter[Any] = TypeAdapter(Any)


def parse_json(body: bytes) -> Any:
    """Parse a body. Raises Problem 422 for anything that is not JSON, and for JSON that PostgreSQL cannot store.

    Numbers too long for Python's own limit (4,300 digits) are rejected too.
    """
    if b"\\u0000" not in body and not _has_long_number(body):
        try:
            value = msgspec.json.decode(body)
        except (ValueError, RecursionError):
            pass  # parsed again below, which finds the reason
        else:
            # msgspec itself rejects half of a surrogate pair, and numbers that are not finite.
            if body.count(b"[") + body.count(b"{") <= MAX_DEPTH or not is_deeper_than(MAX_DEPTH, value):
                return value
            raise _too_deep()
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_reject_constant)
    except UnicodeDecodeError:
        raise _not_json("The body is not UTF-8.") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise _not_json("The body is not JSON.") from None
    _check(value)
    return value


def _has_long_number(body: bytes) -> bool:
    zeros = body.translate(_DIGITS_AS_ZERO)
    at = zeros.find(_LONG_NUMBER)
    while at > 0 and zeros[at - 1] not in _BEFORE_NUMBER:
        at = zeros.find(_LONG_NUMBER, at + len(_LONG_NUMBER))
    return at >= 0


def _check(value: Any) -> None:
    """PostgreSQL's text holds no NUL and no lone surrogate, and its jsonb no infinity, which 1e999 becomes. Other JSON
    readers change whole numbers beyond 64 bits."""
    if is_deeper_than(MAX_DEPTH, value):
        raise _too_deep()
    level = [value]
    while level:
        below: list[Any] = []
        for each in level:
            if isinstance(each, str):
                if not is_storable_text(each):
                    raise _not_json("The body has a NUL character or half of a surrogate pair.")
            elif isinstance(each, int | float):
                in_range = -(2**63) <= each < 2**64 if isinstance(each, int) else math.isfinite(each)
                if not in_range:
                    raise _not_json("The body has a number that is out of range.")
            elif isinstance(each, dict):
                below += each.keys()
                below += each.values()
            elif isinstance(each, list):
                below += each
        level = below


def _reject_constant(name: str) -> Never:
    raise ValueError(name)


def _not_json(message: str) -> Problem:
    return invalid([FieldProblem("#", "not_json", message)])


def _too_deep() -> Problem:
    return invalid([FieldProblem("#", "too_deep", f"The body is nested deeper than {MAX_DEPTH} levels.")])


class JsonOf(Generic[Model]):
    """A body that is strict JSON and not validated yet, because the rest of the request decides what is valid.

    The endpoint validates `value`; /docs shows `Model`.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(get_args(source)[0])


class StrictRoute(APIRoute):
    """A route that reads its request itself. FastAPI routes to it and describes it.

    These checks run in order, and the first that fails answers: the dependencies, which take the request alone; the
    headers; the JSON of the body; the fields of the body or the query, with all their problems at once.

    Phone numbers in the result are masked unless the role of the key sees them. An endpoint that returns a Response has
    put no number in it, or has masked it.

    FastAPI's own handler differs: it reads JSON of one content type only, validates results a second time, and has no
    place for the number plan. Here an empty query parameter counts as absent.
    """

    #: Validates phone numbers. `strict_router` sets it.
    numbers: NumberPlan | None = None
    #: Answers a request to this route. Raises Problem and Retryable.
    answer: Callable[[Request], Coroutine[Any, Any, Response]]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint, success, taken = self.endpoint, self.status_code or 200, self.dependant
        guards = [each.call for each in taken.dependencies if each.call is not None]
        path_names = [each.name for each in taken.path_params]
        readers = [
            *((field.name, _header_reader(field)) for field in taken.header_params),
            *((field.name, _body_reader(field, self.numbers)) for field in taken.body_params),
            *((field.name, _query_reader(field, self.numbers)) for field in taken.query_params),
        ]

        async def handle(request: Request) -> Response:
            for guard in guards:
                await guard(request)
            values: dict[str, Any] = {name: request.path_params[name] for name in path_names}
            for name, read in readers:
                values[name] = await read(request)
            if taken.request_param_name is not None:
                values[taken.request_param_name] = request
            result = await endpoint(**values)
            if isinstance(result, Response):
                return result
            if not sees_phones(request):
                result = hide_phones_in(result)
            return Response(_ANY.dump_json(result), success, media_type="application/json")

        self.answer = handle
        return handle


Reader = Callable[[Request], Awaitable[Any]]


def model_of(field: ModelField) -> type[RequestModel]:
    """The model of a body or of a query, validated by the route or by the endpoint."""
    declared = field.field_info.annotation
    return cast(type[RequestModel], get_args(declared)[0] if get_origin(declared) is JsonOf else declared)


def _header_reader(field: ModelField) -> Reader:
    async def read(request: Request) -> Any:
        text = request.headers.get(field.alias)
        if text is None:
            return field.get_default()
        value, errors = field.validate(text, {}, loc=())
        if errors:
            raise invalid(from_pydantic(errors, lambda *path: f"header:{field.alias}"))
        return value

    return read


def _body_reader(field: ModelField, numbers: NumberPlan | None) -> Reader:
    model, is_required = model_of(field), field.field_info.is_required()
    is_validated = field.field_info.annotation is model

    async def read(request: Request) -> Any:
        body = await request.body()
        if not body and not is_required:
            return field.get_default()
        given = parse_json(body)
        return model.read(given, numbers) if is_validated else JsonOf(given)

    return read


def _query_reader(field: ModelField, numbers: NumberPlan | None) -> Reader:
    model = model_of(field)

    async def read(request: Request) -> Any:
        given = {name: text for name, text in request.query_params.items() if text}
        return model.read(given, numbers, query_pointer)

    return read


def strict_router(prefix: str, tag: str, numbers: NumberPlan | None = None, **more: Any) -> APIRouter:
    """A router of strict routes. The name of an endpoint is the id of its operation."""
    route_class = type("StrictRoute", (StrictRoute,), {"numbers": numbers})
    return APIRouter(
        prefix=prefix,
        tags=[tag],
        route_class=route_class,
        generate_unique_id_function=lambda route: route.name,
        **more,
    )
