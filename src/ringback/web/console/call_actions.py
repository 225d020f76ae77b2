"""Forms of one call that run business actions: reschedule it, and note something about its contact."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.domain.access import Permission
from ringback.flows.business_operations.action import ActionRequest, Reply, Scope
from ringback.web.console.sessions import Visitor
from ringback.web.console.site import Form, Site
from ringback.web.problems import FieldProblem, Problem, invalid
from ringback.web.request_fields import known_id

#: Of a page. A form that is sent twice gets the first reply again.
_FORM_KEY = re.compile(r"[0-9A-Za-z_-]{8,64}")


@dataclass(frozen=True, slots=True)
class CallActions:
    """The forms. The actions are those of the Business API, with their rules."""

    site: Site

    def routes(self) -> list[Route]:
        site = self.site
        return [
            site.form("/calls/{call_id}/reschedule", Permission.ACT, self.reschedule),
            site.form("/calls/{call_id}/note", Permission.ADD_NOTES, self.note),
        ]

    async def reschedule(self, request: Request, visitor: Visitor, form: Form) -> Response:
        args = {name: form.get(name, "").strip() for name in ("when", "reason")}
        reply = await self._perform(
            "reschedule_call", request, visitor, form, {n: text for n, text in args.items() if text}
        )
        result = reply.result
        at = datetime.fromisoformat(result["due_at"])
        when = f"{at:%Y-%m-%d %H:%M} UTC"
        if result["local_time"]:
            local = result["local_time"].replace("T", " ")[:16]
            when = f"{local} {result['time_zone']}, {when}"
        told = f"1 attempt is planned for {when}. The attempt that was planned before is replaced."
        return self.site.done(request, f"/calls/{request.path_params['call_id']}", told)

    async def note(self, request: Request, visitor: Visitor, form: Form) -> Response:
        await self._perform("note_writeback", request, visitor, form, {"note": form.get("note", "").strip()})
        told = "1 note is kept, and on its way to the CRM."
        return self.site.done(request, f"/calls/{request.path_params['call_id']}", told)

    async def _perform(
        self, action: str, request: Request, visitor: Visitor, form: Form, args: Mapping[str, str]
    ) -> Reply:
        """Perform an action about the call of the address. Raises Problem 404, and 422 with what the rule says."""
        operations = self.site.flows.operations
        call_id, key = known_id(request.path_params["call_id"], "call"), form.get("key", "")
        asked = ActionRequest(action, Scope.SYSTEMS, "", args, call_id=call_id, actor=visitor.actor)
        # Another text from the same page, after going back, is another request.
        form_key = key if _FORM_KEY.fullmatch(key) else operations.rules.new_id()
        reply = await operations.perform(replace(asked, key=f"console:{form_key}:{asked.fingerprint}"))
        if reply.ok:
            return reply
        if reply.code == "not_found":
            raise Problem(404, "not_found", "There is no such call.")
        # `say` is a sentence for the person on the phone. An operator gets the rule.
        known = operations.actions[action].declaration.codes.get(reply.code, reply.say)
        errors = reply.result.get("errors", {})
        told = " ".join([known, *(f"{name}: {why}." for name, why in errors.items())])
        raise invalid([FieldProblem(f"form:{next(iter(args), 'when')}", reply.code, told)])
