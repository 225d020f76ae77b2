"""The pages of the console: what each shows, read through the flows and views of the API."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringback.domain.access import Permission
from ringback.storage import CallFilter
from ringback.web.console import wording
from ringback.web.console.sessions import HEADERS, NOT_STORED, ROOT, Visitor
from ringback.web.console.site import Site
from ringback.web.problems import Problem, found, from_pydantic, invalid, query_pointer
from ringback.web.request_fields import known_id
from ringback.web.request_models import CallsQuery, RequestModel

Item = dict[str, Any]

#: Counts stop here: a page needs no exact number above.
MOST_COUNTED = 1000
PAGE_SIZE = 50
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: The qualifiers of the search box, and the parameters of the list that they set.
QUALIFIERS = {
    "contact": "contact_id",
    "phone": "phone",
    "state": "status",
    "agent": "agent_id",
    "after": "since",
    "before": "until",
}


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages, and what each shows."""

    site: Site

    def routes(self) -> list[Route]:
        site = self.site
        return [
            Route("/", self.start, methods=["GET"]),
            site.public("/login", "GET", self.login),
            site.public("/signed-in", "GET", self.signed_in),
            site.page("/calls", Permission.READ_CALLS, self.calls),
            site.page("/calls/{call_id}", Permission.READ_CALLS, self.call),
            site.page("/find", Permission.READ_CALLS, self.find),
            site.page("", Permission.USE_CONSOLE, self.first),
            site.files(),
            site.page("/{rest:path}", Permission.USE_CONSOLE, self.missing),
        ]

    async def start(self, request: Request) -> Response:
        return RedirectResponse(ROOT, 307, HEADERS | NOT_STORED)

    async def login(self, request: Request) -> Response:
        return self.site.login(request, link=request.query_params.get("link", "")[:200])

    async def signed_in(self, request: Request) -> Response:
        if await self.site.sessions.visitor(request) is not None:
            return RedirectResponse(ROOT, 303, HEADERS | NOT_STORED)
        message = "The browser kept no cookie. The console needs HTTPS everywhere but on this machine (localhost)."
        return self.site.login(request, message, status=401)

    async def calls(self, request: Request, visitor: Visitor) -> Response:
        asked, query = read_query(self.site, CallsQuery, request.query_params)
        given = dict(query)
        cursor = given.pop("cursor")
        del given["limit"]
        wanted = CallFilter(**given)
        count, (items, next_cursor) = await asyncio.gather(
            self.site.flows.views.count_calls(wanted, MOST_COUNTED + 1),
            self.site.flows.views.calls_in_detail(wanted, cursor=cursor, limit=PAGE_SIZE),
        )
        asked.pop("cursor", None)
        return self.site.show(
            request,
            visitor,
            "calls.html",
            "/calls",
            asked=_Asked(asked),
            calls=[_with_sums(item) for item in items],
            next_cursor=next_cursor,
            count=count,
            most=MOST_COUNTED,
        )

    async def call(self, request: Request, visitor: Visitor) -> Response:
        call_id = known_id(request.path_params["call_id"], "call")
        item = found(await self.site.flows.views.call_in_detail(call_id), "call")
        timeline = found(await self.site.flows.views.timeline(call_id), "call")
        explained = await self.site.flows.operator.why(phone=item["phone"], contact_id=None)
        return self.site.show(
            request,
            visitor,
            "call.html",
            "/calls",
            call=_with_sums(item),
            story=[wording.story(entry) for entry in timeline],
            planned=len(explained["open_tasks"]) if explained else 0,
        )

    async def find(self, request: Request, visitor: Visitor) -> Response:
        text = request.query_params.get("q", "").strip()
        if _UUID.fullmatch(text) and await self.site.flows.views.call(text) is not None:
            return RedirectResponse(f"{ROOT}/calls/{text}", 303, HEADERS | NOT_STORED)
        return RedirectResponse(f"{ROOT}/calls?{urlencode(search(text))}", 303, HEADERS | NOT_STORED)

    async def first(self, request: Request, visitor: Visitor) -> Response:
        return RedirectResponse(f"{ROOT}/calls", 303, HEADERS | NOT_STORED)

    async def missing(self, request: Request, visitor: Visitor) -> Response:
        if not request.path_params["rest"]:
            return RedirectResponse(ROOT, 303, HEADERS | NOT_STORED)
        raise Problem(404, "not_found", "There is no such page.")


def read_query(site: Site, model: type[RequestModel], given: Mapping[str, str]) -> tuple[dict[str, str], Any]:
    """Read the query of a page as the API reads it. Returns what was typed, and the model. Raises Problem 422.

    Empty fields of a form count as not given. A day stands for its first moment in UTC.
    """
    asked = {name: text.strip() for name, text in given.items() if text.strip()}
    moments = {name: f"{text}T00:00:00Z" for name in ("since", "until") if _DAY.fullmatch(text := asked.get(name, ""))}
    try:
        return asked, model.model_validate(asked | moments, context=site.flows.numbers)
    except ValidationError as error:
        raise invalid(from_pydantic(error.errors(include_url=False), query_pointer)) from None


def search(text: str) -> dict[str, str]:
    """Turn the text of the search box into the parameters of the list of calls.

    `state:failed agent:agent_1` sets qualifiers. Other words are a phone if they look like one, else a contact id.
    """
    asked: dict[str, str] = {}
    for word in text.split():
        name, colon, value = word.partition(":")
        if colon and name in QUALIFIERS:
            asked[QUALIFIERS[name]] = value
        elif re.fullmatch(r"\+\d{7,15}", word):
            asked["phone"] = word
        else:
            asked["contact_id"] = word
    return asked


def _with_sums(call: Item) -> Item:
    costs = [one["cost_cents"] for one in call["attempts"] if one["cost_cents"] is not None]
    talks = [one["duration_ms"] for one in call["attempts"] if one["duration_ms"] is not None]
    return call | {
        "why": wording.why(call),
        "cost_cents": sum(costs) if costs else None,
        "talk_ms": sum(talks) if talks else None,
    }


class _Asked(dict[str, str]):
    """The parameters of an address. Those that were not given are empty."""

    def __missing__(self, name: str) -> str:
        return ""
