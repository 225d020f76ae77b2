"""Requests to the product's own routes, without the framework's search and its layers around an endpoint.

A search compares the path with the pattern of each route, and a request passes six layers that none of these endpoints
needs: 45 us of CPU in sum. FastAPI still describes the routes, and answers what is not found here: other methods, other
paths, the documentation.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from inspect import iscoroutinefunction

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ringback.domain.errors import Retryable
from ringback.web.problems import Problem, response_to
from ringback.web.strict_route import StrictRoute

#: The scope's key for the pattern of the route that answers. The metrics read it.
PATTERN = "ringback.pattern"


@dataclass(frozen=True, slots=True)
class _Found:
    """`parameter` names the last segment of the path, if the route's pattern does."""

    answer: Callable[[Request], Awaitable[Response]]
    pattern: str
    parameter: str = ""


class DirectRoutes:
    """ASGI middleware, the innermost one. Errors that no endpoint expects go to the layers outside."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._by_path: dict[tuple[str, str], _Found] = {}
        self._by_start: dict[tuple[str, str], _Found] = {}  # of paths whose last segment is a parameter
        for route in routes:
            answer = _answer_of(route)
            if answer is None or not isinstance(route, Route):
                continue
            start, _, last = route.path.rpartition("/")
            parameter = last[1:-1] if last == f"{{{last[1:-1]}}}" and last[1:-1].isidentifier() else ""
            if "{" in (start if parameter else route.path):
                continue
            table, key = (self._by_start, start) if parameter else (self._by_path, route.path)
            for method in route.methods or ():
                # As in the framework, the first of several routes answers.
                table.setdefault((method, key), _Found(answer, route.path, parameter))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found, last = None, ""
        if scope["type"] == "http" and not scope.get("root_path"):
            method, path = scope["method"], scope["path"]
            found = self._by_path.get((method, path))
            if found is None:
                start, _, last = path.rpartition("/")
                found = self._by_start.get((method, start)) if last else None
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["path_params"] = {found.parameter: last} if found.parameter else {}
        scope[PATTERN] = found.pattern
        try:
            response = await found.answer(Request(scope, receive, send))
        except (Problem, Retryable) as error:
            response = response_to(error)
        except ClientDisconnect:
            response = Response(status_code=400)  # the connection is closed, so this response is not sent
        await response(scope, receive, send)


def _answer_of(route: BaseRoute) -> Callable[[Request], Awaitable[Response]] | None:
    if isinstance(route, StrictRoute):
        return route.answer
    if type(route) is Route and iscoroutinefunction(route.endpoint):
        endpoint: Callable[[Request], Awaitable[Response]] = route.endpoint
        return endpoint
    return None
