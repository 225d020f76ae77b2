"""The page of API keys, and the forms that create and revoke one."""

from dataclasses import asdict, dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.domain.abt_event import iso
from ringback.domain.access import RESERVED_NAMES, Permission, Role
from ringback.domain.plain_text import has_unseen
from ringback.flows.operator.api_keys import create_key, revoke_key
from ringback.web.auth import hash_key, make_key
from ringback.web.console.sessions import Visitor
from ringback.web.console.site import Form, Site
from ringback.web.problems import FieldProblem, invalid

MOST_NAME_CHARS = 64
_TIMES = ("created_at", "last_used_at", "revoked_at")


@dataclass(frozen=True, slots=True)
class KeyPages:
    site: Site

    def routes(self) -> list[Route]:
        site = self.site
        return [
            site.page("/keys", Permission.MANAGE_KEYS, self.keys),
            site.form("/keys", Permission.MANAGE_KEYS, self.create),
            site.form("/keys/revoke", Permission.MANAGE_KEYS, self.revoke),
        ]

    async def keys(self, request: Request, visitor: Visitor, made: tuple[str, str] | None = None) -> Response:
        """Show every key. `made` has the name and the text of one that was just made."""
        records = await self.site.flows.keys.all()
        rows = [asdict(one) | {name: iso(getattr(one, name)) for name in _TIMES} for one in records]
        return self.site.show(request, visitor, "keys.html", "/settings", keys=rows, roles=list(Role), made=made)

    async def create(self, request: Request, visitor: Visitor, form: Form) -> Response:
        """Create a key, and show it once. It is in no address and in no cookie."""
        name, role = form.get("name", "").strip(), form.get("role", "")
        problems = []
        if not 0 < len(name) <= MOST_NAME_CHARS or has_unseen(name):
            message = f"A name has 1 to {MOST_NAME_CHARS} visible characters."
            problems.append(FieldProblem("form:name", "invalid", message))
        if name.startswith(RESERVED_NAMES):
            message = f"Names that begin with {RESERVED_NAMES} are reserved for the key of that setting."
            problems.append(FieldProblem("form:name", "reserved", message))
        if role not in set(Role):
            problems.append(FieldProblem("form:role", "unknown", f"A role is one of {', '.join(Role)}."))
        if problems:
            raise invalid(problems)
        flows, key = self.site.flows, make_key()
        if not await create_key(flows.keys, flows.clock.now(), name, hash_key(key), Role(role), visitor.actor):
            raise invalid([FieldProblem("form:name", "taken", "There is a key of that name, perhaps a revoked one.")])
        return await self.keys(request, visitor, (name, key))

    async def revoke(self, request: Request, visitor: Visitor, form: Form) -> Response:
        name = form.get("name", "")
        flows = self.site.flows
        is_found = await revoke_key(flows.keys, flows.clock.now(), name, visitor.actor)
        told = "1 key is revoked for good. Requests with it are refused within five seconds, and its sessions ended."
        return self.site.done(request, "/keys", told if is_found else "0 keys are revoked: there is none of that name.")
