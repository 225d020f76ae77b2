"""The console's site: what every page and every form have in common. Nothing below /console is served without it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol
from urllib.parse import parse_qsl, quote, unquote

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringback.domain.access import KeyRecord, Permission
from ringback.domain.contact import WrittenKind
from ringback.domain.errors import Retryable
from ringback.domain.operations import WorkFacts
from ringback.domain.phone_number import NumberPlan
from ringback.flows.analytics import Analytics
from ringback.flows.business_operations.runner import BusinessOperations
from ringback.flows.exports import Exports
from ringback.flows.operator.api_keys import ApiKeyRows
from ringback.flows.operator.dead_letters import DeadLetters
from ringback.flows.operator.deliveries import Deliveries
from ringback.flows.operator.diagnostics import DiagnosticTargets
from ringback.flows.operator.erasure import Erasure
from ringback.flows.operator.reveal import PhoneReveal
from ringback.ports import Clock
from ringback.storage import DetailedViews
from ringback.web.console.live import LiveCalls
from ringback.web.console.rendering import KEPT, Renderer, Times
from ringback.web.console.sessions import (
    HEADERS,
    LASTS,
    LOGIN_COOKIE,
    NOT_STORED,
    ROOT,
    Sessions,
    Visitor,
    csrf_of,
    is_own_form,
    set_cookie,
)
from ringback.web.limits import ANSWER_WITHIN_S, BodyReader, ConcurrencyLimit
from ringback.web.problems import Problem, unavailable
from ringback.web.routes.calls import VoiceApi
from ringback.web.routes.operator import OperatorRoutes

Form = Mapping[str, str]
Show = Callable[[Request, Visitor], Awaitable[Response]]
Write = Callable[[Request, Visitor, Form], Awaitable[Response]]

MOST_FORM_BYTES = 16 * 1024
#: Requests at once. They share the connections to the database with dialing, which must not wait for viewers.
AT_ONCE = 12
NOTICE_COOKIE = "ringback_console_notice"
NOTICE_LASTS = timedelta(minutes=1)
STILL_TRUE = (
    "Calls in progress go on, and everything that was accepted is kept. Load this page again in a few seconds; "
    "/readyz says what is missing."
)
_log = structlog.get_logger(__name__)


class KeyRows(ApiKeyRows, Protocol):
    async def all(self) -> list[KeyRecord]:
        """Return every key, the oldest first. Raises StoreUnavailable."""
        ...


class ConsoleViews(DetailedViews, LiveCalls, Protocol):
    async def call_with_id(self, any_id: str) -> str | None:
        """Find the call that has this id, or whose attempt, task, event or call at Retell has it."""
        ...

    async def webhooks(self, call_id: str, attempt_id: str, *, limit: int) -> list[dict[str, Any]]:
        """Return the oldest webhooks about an attempt, each with its body, None if that is not kept."""
        ...

    async def calls_by_id(self, call_ids: Collection[str]) -> list[dict[str, Any]]:
        """Return these calls as `calls_in_detail` does, in no order."""
        ...


class Written(Protocol):
    """Dispositions, notes and fields of contacts, the newest first: of one call, or of all if `call_id` is None.

    A note or a write of fields has the facts of its message to the CRM; `message_id` is None once that was purged. All
    raise StoreUnavailable.
    """

    async def page(
        self, kind: WrittenKind, contact_ids: Sequence[str], call_id: str | None, *, cursor: str | None, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]: ...

    async def newest(
        self, contact_ids: Sequence[str], call_id: str | None, *, limit: int, most: int
    ) -> dict[WrittenKind, tuple[list[dict[str, Any]], int]]:
        """Return the newest of each kind, and how many there are, but no more than `most`."""
        ...


@dataclass(frozen=True, slots=True)
class ConsoleFlows:
    """The views that the pages read, and the flows that their forms run. The console has no rules of its own."""

    views: ConsoleViews
    written: Written
    analytics: Analytics
    exports: Exports
    dead_letters: DeadLetters
    work: Callable[[], Awaitable[WorkFacts]]
    operator: OperatorRoutes
    voice: VoiceApi
    deliveries: Deliveries
    operations: BusinessOperations
    reveal: PhoneReveal
    #: None: the process has no erasure key.
    erasure: Erasure | None
    keys: KeyRows
    diagnostics: Callable[[], AbstractAsyncContextManager[DiagnosticTargets]]
    numbers: NumberPlan
    clock: Clock
    is_emulated: Callable[[], Awaitable[bool | None]]


@dataclass(frozen=True, slots=True)
class Site:
    flows: ConsoleFlows
    sessions: Sessions
    renderer: Renderer
    bodies: BodyReader
    #: The pages with the permission of each. The menu shows the pages that a visitor may see.
    menu: dict[str, Permission] = field(default_factory=dict)
    _limit: ConcurrencyLimit = field(default_factory=lambda: ConcurrencyLimit(AT_ONCE))

    def page(self, path: str, permission: Permission, show: Show) -> Route:
        """A page for visitors with this permission. Others get 403, and visitors without a session the login."""

        async def answer(request: Request) -> Response:
            visitor = await self.sessions.visitor(request)
            if visitor is None:
                return RedirectResponse(f"{ROOT}/login", 303, HEADERS | NOT_STORED)
            if not visitor.may(permission):
                return self._forbidden(visitor, permission)
            try:
                return await show(request, visitor)
            except Problem as problem:
                return self.problem(problem, visitor)

        self.menu[path] = permission
        return Route(ROOT + path, self._guarded(answer), methods=["GET"])

    def form(self, path: str, permission: Permission, write: Write) -> Route:
        """A form for visitors with this permission. It must come from our own page, with the token of the session."""

        async def answer(request: Request) -> Response:
            visitor = await self.sessions.visitor(request)
            if visitor is None:
                return RedirectResponse(f"{ROOT}/login", 303, HEADERS | NOT_STORED)
            form = await self.read_form(request)
            if not is_own_form(request, form, visitor.token):
                return self.foreign_form(visitor)
            if not visitor.may(permission):
                return self._forbidden(visitor, permission)
            try:
                response = await write(request, visitor, form)
            except Problem as problem:
                return self.problem(problem, visitor)
            _log.info(
                "console.form_sent", key_name=visitor.key.name, role=visitor.key.role, needs=permission.name.lower()
            )
            return response

        return Route(ROOT + path, self._guarded(answer), methods=["POST"])

    def public(self, path: str, method: str, answer: Callable[[Request], Awaitable[Response]]) -> Route:
        """A page or form for everybody: the login."""
        return Route(ROOT + path, self._guarded(answer), methods=[method])

    def files(self) -> Route:
        """Serve the stylesheet, the script and the icon. They hold no data, and the login needs them."""

        async def answer(request: Request) -> Response:
            found = self.renderer.files.get(request.path_params["name"])
            if found is None:
                return self.problem(Problem(404, "not_found", "There is no such file."), None)
            return Response(found[0], 200, HEADERS | KEPT, found[1])

        return Route(f"{ROOT}/static/{{name}}", answer, methods=["GET"])

    async def read_form(self, request: Request) -> dict[str, str]:
        """Read the fields of a form. Raises Problem 413 and 408."""
        async with self.bodies.read(request.receive, request.headers, MOST_FORM_BYTES) as body:
            return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=50))

    def show(self, request: Request, visitor: Visitor, template: str, here: str = "", **given: Any) -> Response:
        """Render a page with its menu, and with the notice of the form that led to it."""
        notice = unquote(request.cookies.get(NOTICE_COOKIE, "")) or None
        response = self.renderer.render(
            template,
            visitor=visitor,
            permissions=Permission,
            pages=self._pages_of(visitor),
            here=here,
            notice=notice,
            times=Times.of(request),
            # The answer to a form has no address to return to.
            can_return=request.method == "GET",
            **given,
        )
        if notice is not None:
            set_cookie(request, response, NOTICE_COOKIE, "", timedelta(0))
        return response

    def done(self, request: Request, path: str, notice: str) -> Response:
        """Show the page at `path` with a sentence about what was done. Loading it again does nothing again."""
        response = RedirectResponse(ROOT + path, 303, HEADERS | NOT_STORED)
        set_cookie(request, response, NOTICE_COOKIE, quote(notice), NOTICE_LASTS)
        return response

    def login(self, request: Request, problem: str | None = None, link: str = "", status: int = 200) -> Response:
        """Show the form of the login. Its token is of a cookie of its own."""
        token = request.cookies.get(LOGIN_COOKIE) or self.sessions.new_token()
        response = self.renderer.render("login.html", status, csrf=csrf_of(token), problem=problem, link=link)
        set_cookie(request, response, LOGIN_COOKIE, token, LASTS)
        return response

    def problem(self, problem: Problem, visitor: Visitor | None) -> Response:
        titles = {404: "Not found", 422: "Not accepted", 503: "Not available now"}
        return self.renderer.render(
            "message.html",
            problem.status,
            visitor=visitor,
            pages=self._pages_of(visitor),
            here="",
            title=titles.get(problem.status, "Not done"),
            detail=problem.detail,
            errors=problem.errors,
            still_true=STILL_TRUE if problem.status == 503 else None,
        )

    def foreign_form(self, visitor: Visitor | None) -> Response:
        detail = "The form did not come from a page of this session, so nothing was done. Load the page again."
        return self.problem(Problem(403, "forbidden", detail), visitor)

    def _pages_of(self, visitor: Visitor | None) -> set[str]:
        return {path for path, permission in self.menu.items() if visitor is not None and visitor.may(permission)}

    def _forbidden(self, visitor: Visitor, permission: Permission) -> Response:
        _log.warning("console.refused", key_name=visitor.key.name, role=visitor.key.role, needs=permission.name.lower())
        detail = f"A key of the role {visitor.key.role} may not {permission}. Sign in with another key."
        return self.problem(Problem(403, "forbidden", detail), visitor)

    def _guarded(self, answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """Limit how many requests there are at once and how long each may take, and show what is unavailable."""

        async def guarded(request: Request) -> Response:
            with self._limit.slot() as is_free:
                if not is_free:
                    return self.problem(unavailable(1), None)
                try:
                    async with asyncio.timeout(ANSWER_WITHIN_S):
                        if self.renderer.is_emulated is None:
                            self.renderer.is_emulated = await self.flows.is_emulated()
                        return await answer(request)
                except Problem as problem:
                    return self.problem(problem, None)
                except (Retryable, TimeoutError) as error:
                    _log.warning("http.unavailable", cause=type(error).__name__)
                    detail = "The database or a queue does not answer in time."
                    return self.problem(Problem(503, "unavailable", detail), None)

        return guarded
