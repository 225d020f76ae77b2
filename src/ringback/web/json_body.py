"""A request's JSON, read so strictly that the database takes whatever passes."""

import json
import math
from typing import Any, Never

from starlette.requests import Request

from ringback.web.problem import FieldProblem, Problem, invalid

#: Real bodies are five deep; every recursive reader behind this one is safe at this depth.
MAX_DEPTH = 32


async def read_json(request: Request) -> Any:
    """The parsed body. Raises Problem 422 for anything that is not JSON, and for JSON that PostgreSQL refuses."""
    return parse_json(await request.body())


def parse_json(body: bytes) -> Any:
    """See `read_json`. Numbers too long for Python's own limit (4,300 digits) are refused too."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise _not_json("The body is not UTF-8.") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise _not_json("The body is not JSON.") from None
    _check(value)
    return value


def _check(value: Any) -> None:
    """PostgreSQL's text holds no NUL and no lone surrogate, its jsonb no infinity (which 1e999 becomes);
    whole numbers beyond 64 bits do not survive the JSON readers of others."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for each in level:
            if isinstance(each, str):
                _check_text(each)
            elif isinstance(each, int | float):
                _check_number(each)
            elif isinstance(each, dict):
                below += each.keys()
                below += each.values()
            elif isinstance(each, list):
                below += each
        level = below
        if not level:
            return
    raise _too_deep()


def _check_text(text: str) -> None:
    if "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise _not_json("The body has a NUL character or half of a surrogate pair.")


def _check_number(number: int | float) -> None:
    is_right = -(2**63) <= number < 2**64 if isinstance(number, int) else math.isfinite(number)
    if not is_right:
        raise _not_json("The body has a number that is out of range.")


def _refuse_constant(name: str) -> Never:
    raise ValueError(name)


def _not_json(message: str) -> Problem:
    return invalid([FieldProblem("#", "not_json", message)])


def _too_deep() -> Problem:
    return invalid([FieldProblem("#", "too_deep", f"The body is nested deeper than {MAX_DEPTH} levels.")])
