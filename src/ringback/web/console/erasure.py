"""The form that erases a person, and the page of what was erased."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.domain.access import Permission
from ringback.domain.contact import StillInProgress
from ringback.web.console.pages import read_query
from ringback.web.console.sessions import Visitor
from ringback.web.console.site import Form, Site
from ringback.web.console.writes import required_reason
from ringback.web.problems import FieldProblem, Problem, found, invalid
from ringback.web.request_models import WhyQuery


@dataclass(frozen=True, slots=True)
class ErasureForm:
    site: Site

    def routes(self) -> list[Route]:
        return [self.site.form("/people/erase", Permission.ERASE, self.erase)]

    async def erase(self, request: Request, visitor: Visitor, form: Form) -> Response:
        """Erase a person, and show the counts once, with the calls that Retell still holds: nothing else knows them.

        Raises Problem 404 for an unknown contact, 409 while a call is in progress, 422 without the confirmation.
        """
        erasure = self.site.flows.erasure
        _, asked = read_query(self.site, WhyQuery, {name: form.get(name, "") for name in ("phone", "contact_id")})
        problems = []
        if (asked.phone is None) == (asked.contact_id is None):
            problems.append(FieldProblem("form:phone", "required", "Either a phone or a contact is required."))
        if form.get("confirm", "").strip().lower() != "erase":
            problems.append(FieldProblem("form:confirm", "required", "Type the word erase to erase the person."))
        if problems:
            raise invalid(problems)
        reason = required_reason(form)
        if erasure is None:
            raise Problem(409, "no_erasure_key", "RINGBACK_ERASURE_KEY must be set for every process.")
        phone = found(asked.phone or await erasure.phone_of(asked.contact_id), "contact")
        try:
            erased = await erasure.erase(phone, reason, visitor.actor)
        except StillInProgress as error:
            detail = f"Planned calls have ended. Nothing is erased: {error}."
            raise Problem(409, "in_progress", detail) from None
        return self.site.show(request, visitor, "erased.html", "/calls", erased=erased)
