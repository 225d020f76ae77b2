"""The pages about dialing, calls, people, statistics, suppressions and dead letters."""

import asyncio
import json
import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ringback.domain.abt_event import FailReason, iso
from ringback.domain.access import Permission
from ringback.domain.analytics_query import NotAggregated
from ringback.domain.metrics import METRICS
from ringback.flows.analytics import BREAKDOWNS
from ringback.flows.operator.dead_letters import DeadLetterEntry
from ringback.storage import CallFilter
from ringback.web.analytics_models import ReportQuery, RowsQuery
from ringback.web.console.facts import (
    MOST_COUNTED,
    Item,
    erasure_preview,
    funnel,
    now_facts,
    only,
    story_facts,
    with_sums,
    written_facts,
    zone_of,
)
from ringback.web.console.sessions import HEADERS, NOT_STORED, ROOT, Visitor
from ringback.web.console.site import Site
from ringback.web.problems import FieldProblem, Problem, found, from_pydantic, invalid, query_pointer
from ringback.web.request_fields import ID, known_id
from ringback.web.request_models import CallsQuery, RequestModel, SuppressionsQuery, WhyQuery

PAGE_SIZE = 50
#: A chart of a week by hours is still readable, and its page stays below 100 KB.
MOST_BARS = 168
#: A phone as people write it, with its country's code.
_SPACED_PHONE = re.compile(r"\+[\d\s().-]{7,24}")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
#: The qualifiers of the search box, and the parameters of the list that they set.
QUALIFIERS = {
    "contact": "contact_id",
    "phone": "phone",
    "state": "status",
    "reason": "reason",
    "agent": "agent_id",
    "number": "from_number",
    "after": "since",
    "before": "until",
}


@dataclass(frozen=True, slots=True)
class Pages:
    """Each method reads what its page shows through the flows and views of the API."""

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
            site.page("", Permission.READ_ANALYTICS, self.now),
            site.page("/analytics", Permission.READ_ANALYTICS, self.analytics),
            site.page("/rows", Permission.READ_ANALYTICS, self.rows),
            site.page("/people", Permission.EXPLAIN, self.person),
            site.page("/suppressions", Permission.READ_SUPPRESSIONS, self.suppressions),
            site.page("/dead-letters", Permission.READ_EVENTS, self.dead_letters),
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
        wanted, cursor = query.filter(), query.cursor
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
            asked=Asked(asked),
            reasons=list(FailReason),
            qualifiers=list(QUALIFIERS),
            calls=[with_sums(item) for item in items],
            next_cursor=next_cursor,
            newest=items[0]["call_id"] if items and cursor is None else None,
            count=count,
            most=MOST_COUNTED,
        )

    async def call(self, request: Request, visitor: Visitor, revealed: str | None = None) -> Response:
        call_id = known_id(request.path_params["call_id"], "call")
        facts = found(await story_facts(self.site.flows, call_id), "call")
        explained = await self.site.flows.operator.why(phone=facts["call"]["phone"], contact_id=None)
        return self.site.show(
            request,
            visitor,
            "call.html",
            "/calls",
            revealed=revealed,
            planned=len(explained["open_tasks"]) if explained else 0,
            form_key=self.site.flows.operations.rules.new_id(),
            **facts,
        )

    async def find(self, request: Request, visitor: Visitor) -> Response:
        text = request.query_params.get("q", "").strip()
        if re.fullmatch(ID, text) and (call_id := await self.site.flows.views.call_with_id(text)) is not None:
            return RedirectResponse(f"{ROOT}/calls/{call_id}", 303, HEADERS | NOT_STORED)
        return RedirectResponse(f"{ROOT}/calls?{urlencode(search(text))}", 303, HEADERS | NOT_STORED)

    async def now(self, request: Request, visitor: Visitor) -> Response:
        return self.site.show(request, visitor, "now.html", **await now_facts(self.site.flows))

    async def analytics(self, request: Request, visitor: Visitor) -> Response:
        flow = self.site.flows.analytics
        asked, query = read_query(self.site, ReportQuery, request.query_params)
        wanted = query.filter(flow.report_zone, flow.clock.now())
        step = query.step or ("hour" if wanted.until - wanted.since <= timedelta(days=2) else "day")
        summary, series, breakdown = await asyncio.gather(
            or_refused(flow.summary(wanted, compare=True)),
            or_refused(flow.series(wanted, query.metric, step, compare=True)),
            or_refused(flow.breakdown(wanted, query.metric, query.by, PAGE_SIZE, compare=True)),
        )
        if isinstance(series, dict) and len(series["items"]) > MOST_BARS:
            series = NotAggregated(f"A chart has at most {MOST_BARS} steps: choose a shorter range or a longer step.")
        return self.site.show(
            request,
            visitor,
            "analytics.html",
            "/analytics",
            asked=Asked(asked),
            link=str(request.url),
            metric=query.metric,
            by=query.by,
            step=step,
            metrics=list(METRICS),
            breakdowns=list(BREAKDOWNS),
            since=iso(wanted.since),
            until=iso(wanted.until),
            summary=summary,
            funnel=funnel(summary["metrics"]) if isinstance(summary, dict) else [],
            series=series,
            breakdown=breakdown,
        )

    async def rows(self, request: Request, visitor: Visitor) -> Response:
        analytics = self.site.flows.analytics
        asked, query = read_query(self.site, RowsQuery, request.query_params)
        wanted = query.filter(analytics.report_zone, analytics.clock.now())
        try:
            rows, next_cursor = await analytics.rows(wanted, query.measure, cursor=query.cursor, limit=query.limit)
        except NotAggregated as refused:
            raise invalid([FieldProblem("query:measure", "not_aggregated", refused.detail)]) from None
        return self.site.show(
            request,
            visitor,
            "rows.html",
            "/analytics",
            asked=asked,
            measure=query.measure,
            keys=wanted.keys,
            since=iso(wanted.since),
            until=iso(wanted.until),
            rows=rows,
            next_cursor=next_cursor,
        )

    async def dead_letters(self, request: Request, visitor: Visitor) -> Response:
        letters, source = self.site.flows.dead_letters, request.query_params.get("source", "")
        if source and source not in letters.sources:
            message = f"Choose one of {', '.join(letters.sources)}."
            raise invalid([FieldProblem("query:source", "unknown", message)])
        asked = only(letters, source) if source else letters
        return self.site.show(
            request,
            visitor,
            "dead_letters.html",
            "/deliveries",
            source=source,
            sources=list(letters.sources),
            letters=[_letter(entry) for entry in await asked.list(MOST_COUNTED)],
        )

    async def person(self, request: Request, visitor: Visitor) -> Response:
        return await self.explain(request, visitor, request.query_params)

    async def explain(
        self, request: Request, visitor: Visitor, given: Mapping[str, str], revealed: str | None = None
    ) -> Response:
        """Show the person of a phone or a contact. `revealed` is the phone of the first contact."""
        flows = self.site.flows
        asked, query = read_query(self.site, WhyQuery, given)
        if (query.phone is None) == (query.contact_id is None):
            message = "Either a phone or a contact_id is required."
            raise invalid([FieldProblem("query:phone", "required", message)])
        told = found(await flows.operator.why(phone=query.phone, contact_id=query.contact_id), "contact")
        wanted = CallFilter(phone=query.phone, contact_id=query.contact_id)
        count, written, erased = await asyncio.gather(
            flows.views.count_calls(wanted, MOST_COUNTED + 1),
            written_facts(flows, [contact["contact_id"] for contact in told["contacts"]]),
            erasure_preview(flows, visitor, query.phone, query.contact_id),
        )
        return self.site.show(
            request,
            visitor,
            "person.html",
            "/calls",
            asked=Asked(asked),
            revealed=revealed,
            told=told,
            contact_zone=zone_of(told),
            count=count,
            written=written,
            can_erase=flows.erasure is not None,
            erased=erased,
            most=MOST_COUNTED,
        )

    async def suppressions(self, request: Request, visitor: Visitor) -> Response:
        asked, query = read_query(self.site, SuppressionsQuery, request.query_params)
        items, next_cursor = await self.site.flows.views.suppressions(**dict(query))
        asked.pop("cursor", None)
        return self.site.show(
            request,
            visitor,
            "suppressions.html",
            "/suppressions",
            asked=Asked(asked),
            items=items,
            next_cursor=next_cursor,
        )

    async def missing(self, request: Request, visitor: Visitor) -> Response:
        if not request.path_params["rest"]:
            return RedirectResponse(ROOT, 303, HEADERS | NOT_STORED)
        raise Problem(404, "not_found", "There is no such page.")


async def or_refused(answer: Awaitable[Item]) -> Item | NotAggregated:
    """Return the answer, or why the statistics have none."""
    try:
        return await answer
    except NotAggregated as refused:
        return refused


def _letter(entry: DeadLetterEntry) -> Item:
    """The facts about a dead letter that a page shows. A queue's letter is no JSON of ours where it is poison."""
    try:
        body = json.loads(entry.letter.body)
    except ValueError:
        body = None
    facts = body if isinstance(body, dict) else {}
    call_id = facts.get("call_id")
    return {
        "name": entry.name,
        "dead_at": iso(entry.letter.dead_at),
        "reason": entry.letter.reason or "not recorded",
        "what": str((facts.get("payload") or {}).get("type") or facts.get("kind") or "message of a queue"),
        "tries": facts.get("tries", ""),
        "call_id": call_id if isinstance(call_id, str) and re.fullmatch(ID, call_id) else None,
    }


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

    Raises Problem 422 for a second value of one qualifier, and for one without a value.
    """
    if _SPACED_PHONE.fullmatch(text):
        return {"phone": "+" + re.sub(r"\D", "", text)}
    asked: dict[str, str] = {}
    for word in text.split():
        name, colon, value = word.partition(":")
        if not colon or name not in QUALIFIERS:
            # The id of a contact may have a colon.
            name, value = "phone" if re.fullmatch(r"\+\d{7,15}", word) else "contact", word
        if not value or QUALIFIERS[name] in asked:
            why = "is given twice" if value else "has no value"
            message = f"{name}: {why}. A search has each of {', '.join(f'{one}:' for one in QUALIFIERS)} at most once."
            raise invalid([FieldProblem("query:q", "unknown", message)])
        asked[QUALIFIERS[name]] = value
    return asked


class Asked(dict[str, str]):
    """The parameters of an address. Those that were not given are empty."""

    def __missing__(self, name: str) -> str:
        return ""
