"""Forms of the login, dialing, suppressions, dead letters and phone numbers.

Each runs one existing flow, and says in numbers what it did.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringback.domain.access import Permission
from ringback.domain.operations import counted
from ringback.domain.plain_text import has_unseen
from ringback.flows.operator.dead_letters import UnknownSource
from ringback.flows.suppression import Suppressed, SuppressionOrder
from ringback.web.console.pages import Pages, read_query
from ringback.web.console.rendering import TIMES_COOKIE, TIMES_LAST, Times
from ringback.web.console.sessions import (
    COOKIE,
    HEADERS,
    LASTS,
    LOGIN_COOKIE,
    NOT_STORED,
    ROOT,
    Visitor,
    is_own_form,
    set_cookie,
)
from ringback.web.console.site import Site
from ringback.web.problems import FieldProblem, found, invalid
from ringback.web.request_fields import known_id
from ringback.web.request_models import WhyQuery

MOST_REASON_CHARS = 500


@dataclass(frozen=True, slots=True)
class Forms:
    """The forms, and what each does."""

    site: Site
    pages: Pages

    def routes(self) -> list[Route]:
        site = self.site
        return [
            site.public("/login", "POST", self.log_in),
            site.form("/logout", Permission.USE_CONSOLE, self.log_out),
            site.form("/times", Permission.USE_CONSOLE, self.choose_times),
            site.form("/pause", Permission.PAUSE, self.pause),
            site.form("/resume", Permission.PAUSE, self.resume),
            site.form("/calls/{call_id}/cancel", Permission.CANCEL_CALLS, self.cancel),
            site.form("/suppressions", Permission.SUPPRESS, self.add_suppression),
            site.form("/suppressions/lift", Permission.SUPPRESS, self.lift),
            site.form("/dead-letters/replay", Permission.REPLAY, self.replay),
            site.form("/calls/{call_id}/suppress", Permission.SUPPRESS, self.suppress),
            site.form("/calls/{call_id}/reveal", Permission.REVEAL, self.reveal_of_call),
            site.form("/people/reveal", Permission.REVEAL, self.reveal_of_contact),
        ]

    async def log_in(self, request: Request) -> Response:
        form = await self.site.read_form(request)
        if not is_own_form(request, form, request.cookies.get(LOGIN_COOKIE)):
            return self.site.login(
                request, "The form was too old, or came from another site. Sign in again.", status=403
            )
        token = await self.site.sessions.begin(api_key=form.get("api_key", "").strip(), link=form.get("link", ""))
        if token is None:
            used = "This link was used already, or is older than an hour. Sign in with an API key."
            wrong = "This key is unknown or revoked, or its role may not use the console."
            return self.site.login(request, used if form.get("link") else wrong, status=401)
        response = RedirectResponse(f"{ROOT}/signed-in", 303, HEADERS | NOT_STORED)
        set_cookie(request, response, COOKIE, token, LASTS)
        return response

    async def log_out(self, request: Request, visitor: Visitor, form: Mapping[str, str]) -> Response:
        await self.site.sessions.end(visitor)
        return RedirectResponse(f"{ROOT}/login", 303, HEADERS | NOT_STORED)

    async def choose_times(self, request: Request, visitor: Visitor, form: Mapping[str, str]) -> Response:
        """Keep the zone of times in this browser, and return to the page of the form.

        A browser that does not say which page that is gets the first one. An address in the form would repeat the
        phones that a page masks.
        """
        if form.get("times") not in set(Times):
            raise invalid([FieldProblem("form:times", "unknown", f"Choose one of {', '.join(Times)}.")])
        page = urlsplit(request.headers.get("referer", ""))
        is_ours = page.netloc == request.headers.get("host") and page.path.startswith(f"{ROOT}/")
        response = RedirectResponse(
            urlunsplit(("", "", page.path, page.query, "")) if is_ours else ROOT, 303, HEADERS | NOT_STORED
        )
        set_cookie(request, response, TIMES_COOKIE, form["times"], TIMES_LAST)
        return response

    async def pause(self, request: Request, visitor: Visitor, form: Mapping[str, str]) -> Response:
        state = await self.site.flows.operator.pause(reason_of(form), visitor.actor)
        return self.site.done(
            request, "", f"Dialing is paused. {_attempts(state['live'])} may be ringing and continue."
        )

    async def resume(self, request: Request, visitor: Visitor, form: Mapping[str, str]) -> Response:
        state = await self.site.flows.operator.resume(visitor.actor)
        was = "Dialing is resumed." if state["was_paused_at"] else "Dialing was not paused, and nothing changed."
        return self.site.done(request, "", f"{was} {_attempts(state['live'])} may be ringing.")

    async def cancel(self, request: Request, visitor: Visitor, form: Mapping[str, str]) -> Response:
        call_id = known_id(request.path_params["call_id"], "call")
        if form.get("confirm", "").strip().lower() != "cancel":
            raise invalid([FieldProblem("form:confirm", "required", "Type the word cancel to cancel the call.")])
        result = found(await self.site.flows.voice.cancel(call_id, visitor.actor), "call")
        told = "1 call is cancelled: it will not dial."
        if result == "already_dispatched":
            told = "1 attempt had begun already and may be ringing. No other follows."
        return self.site.done(request, f"/calls/{call_id}", told)

    async def suppress(self, request: Request, visitor: Visitor, form: Mapping[str, str]) -> Response:
        call_id = known_id(request.path_params["call_id"], "call")
        call = found(await self.site.flows.views.call_in_detail(call_id), "call")
        order = SuppressionOrder(
            phone=call["phone"], contact_id=None, reason=required_reason(form), actor=visitor.actor
        )
        told = _told_of("phone", await self.site.flows.voice.suppress(order))
        return self.site.done(request, f"/calls/{call_id}", told)

    async def add_suppression(self, request: Request, visitor: Visitor, form: Mapping[str, str]) -> Response:
        reason = required_reason(form)
        given = {name: form.get(name, "") for name in ("phone", "contact_id")}
        _, asked = read_query(self.site, WhyQuery, given)
        if (asked.phone is None) == (asked.contact_id is None):
            raise invalid([FieldProblem("form:phone", "required", "Either a phone or a contact is required.")])
        order = SuppressionOrder(phone=asked.phone, contact_id=asked.contact_id, reason=reason, actor=visitor.actor)
        what = "phone" if asked.phone is not None else "contact"
        told = _told_of(what, await self.site.flows.voice.suppress(order))
        return self.site.done(request, "/suppressions", told)

    async def lift(self, request: Request, visitor: Visitor, form: Mapping[str, str]) -> Response:
        suppression_id = known_id(form.get("suppression_id", ""), "suppression")
        is_lifted = await self.site.flows.voice.lift(suppression_id, required_reason(form), visitor.actor)
        told = "1 suppression is lifted." if is_lifted else "0 suppressions are lifted: this one is not in force."
        return self.site.done(request, "/suppressions", told)

    async def replay(self, request: Request, visitor: Visitor, form: Mapping[str, str]) -> Response:
        name = form.get("name", "")
        try:
            # Without an id this would replay every letter of the source.
            count = await self.site.flows.dead_letters.replay(name, visitor.actor) if name.partition(":")[2] else 0
        except UnknownSource:
            count = 0
        told = (
            "1 message is sent again." if count else "0 messages are sent again: it was replayed already, or is gone."
        )
        return self.site.done(request, "/dead-letters", told)

    async def reveal_of_call(self, request: Request, visitor: Visitor, form: Mapping[str, str]) -> Response:
        """Show the page of the call once with the whole number, which is in no address and in no cookie."""
        call_id = known_id(request.path_params["call_id"], "call")
        phone = found(await self.site.flows.reveal.of_call(call_id, visitor.actor), "call")
        return await self.pages.call(request, visitor, revealed=phone)

    async def reveal_of_contact(self, request: Request, visitor: Visitor, form: Mapping[str, str]) -> Response:
        _, asked = read_query(self.site, WhyQuery, {"contact_id": form.get("contact_id", "")})
        if asked.contact_id is None:
            raise invalid([FieldProblem("form:contact_id", "required", "A contact is required.")])
        phone = found(await self.site.flows.reveal.of_contact(asked.contact_id, visitor.actor), "contact")
        return await self.pages.explain(request, visitor, {"contact_id": asked.contact_id}, revealed=phone)


def required_reason(form: Mapping[str, str]) -> str:
    """Return the reason of a form. Raises Problem 422 for an empty one, as the API does."""
    reason = reason_of(form)
    if reason is None:
        raise invalid([FieldProblem("form:reason", "required", "A reason is required.")])
    return reason


def reason_of(form: Mapping[str, str]) -> str | None:
    """Return the reason of a form, None for an empty one. Raises Problem 422, as the API does."""
    reason = form.get("reason", "").strip()
    if len(reason) > MOST_REASON_CHARS or has_unseen(reason):
        message = f"A reason has at most {MOST_REASON_CHARS} visible characters."
        raise invalid([FieldProblem("form:reason", "invalid", message)])
    return reason or None


def _told_of(what: str, suppressed: Suppressed) -> str:
    is_done = f"1 {what} is suppressed." if suppressed.is_new else f"This {what} was suppressed before."
    return f"{is_done} {_attempts(len(suppressed.already_dispatched))} may be ringing."


def _attempts(count: int) -> str:
    return counted(count, "attempt", "attempts")
