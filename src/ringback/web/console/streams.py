"""The streams of the live pages: the first page, a list of calls and one call."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.domain.access import Permission
from ringback.web.console.facts import Item, list_facts, now_facts, story_facts
from ringback.web.console.live import ListViewer, Live, NowViewer, StoryViewer, Text
from ringback.web.console.pages import PAGE_SIZE, read_query
from ringback.web.console.rendering import Times
from ringback.web.console.sessions import Visitor
from ringback.web.console.site import Site
from ringback.web.problems import found
from ringback.web.request_fields import known_id
from ringback.web.request_models import CallsQuery


@dataclass(frozen=True, slots=True)
class Streams:
    """A stream begins with the whole live part of its page, and goes on with what changes."""

    site: Site
    live: Live

    def routes(self) -> list[Route]:
        site = self.site
        return [
            site.page("/live/now", Permission.READ_ANALYTICS, self.now),
            site.page("/live/calls", Permission.READ_CALLS, self.calls),
            site.page("/live/calls/{call_id}", Permission.READ_CALLS, self.call),
        ]

    async def now(self, request: Request, visitor: Visitor) -> Response:
        return self.live.stream(NowViewer(visitor.session, Times.of(request)), request.method)

    async def calls(self, request: Request, visitor: Visitor) -> Response:
        """The rows of a list of calls. `newest` is the first call of the page, if new ones are counted."""
        asked = dict(request.query_params)
        newest = asked.pop("newest", None)
        _, query = read_query(self.site, CallsQuery, asked)
        wanted = query.filter()
        shown, _ = await self.site.flows.views.calls(wanted, cursor=query.cursor, limit=PAGE_SIZE)
        call_ids = [call["call_id"] for call in shown]
        viewer = ListViewer(visitor.session, Times.of(request), call_ids, wanted=wanted, newest=newest)
        return self.live.stream(viewer, request.method)

    async def call(self, request: Request, visitor: Visitor) -> Response:
        call_id = known_id(request.path_params["call_id"], "call")
        found(await self.site.flows.views.call(call_id), "call")
        return self.live.stream(StoryViewer(visitor.session, Times.of(request), [call_id]), request.method)


def live_updates(site: Site) -> Live:
    """Build the loop that reads for all viewers of the site."""
    flows = site.flows

    def text(template: str, facts: Item) -> Text:
        return cache(lambda times: site.renderer.text(template, times=times, **facts))

    async def render_now() -> Text:
        return text("now_live.html", await now_facts(flows))

    async def render_rows(call_ids: Collection[str]) -> dict[str, Text]:
        calls = await list_facts(flows, call_ids)
        return {call["call_id"]: text("calls_live.html", {"calls": [call]}) for call in calls}

    async def render_story(call_id: str) -> Text:
        facts = await story_facts(flows, call_id)
        return text("call_live.html", facts) if facts is not None else lambda _: ""

    return Live(
        calls=flows.views,
        sessions=site.sessions,
        clock=flows.clock,
        zone=site.renderer.zone,
        render_now=render_now,
        render_rows=render_rows,
        render_story=render_story,
    )
