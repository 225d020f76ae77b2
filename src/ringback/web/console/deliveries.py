"""The page of deliveries to Engage, and the forms that send messages again."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.domain.abt_event import LIFECYCLE_NAMES, iso
from ringback.domain.access import Permission
from ringback.domain.deliveries import ENGAGE_KINDS, DeliveryFilter, DeliveryState, EngageKind
from ringback.flows.operator.deliveries import MOST_REPLAYED, NotReplayable
from ringback.web.console.facts import MOST_COUNTED
from ringback.web.console.pages import PAGE_SIZE, read_query
from ringback.web.console.rendering import query as address
from ringback.web.console.sessions import Visitor
from ringback.web.console.site import Site
from ringback.web.problems import FieldProblem, found, invalid
from ringback.web.request_fields import Cursor, Moment, Name, Sentence, known_id
from ringback.web.request_models import RequestModel

#: Delivered messages have no end, so a list of them begins here unless the address says otherwise.
DELIVERED_WITHIN = timedelta(days=1)
HEALTH_OF = timedelta(hours=1)


class DeliveriesQuery(RequestModel):
    state: Annotated[DeliveryState, Field(strict=False)] = DeliveryState.WAITING
    kind: EngageKind | None = None
    type: Name | None = None
    call_id: Cursor | None = None
    message_id: Name | None = None
    answer: Sentence | None = None
    since: Moment | None = None
    until: Moment | None = None
    cursor: Annotated[str, Field(pattern="^[0-9]{1,18}$")] | None = None

    def filter(self, now: datetime) -> DeliveryFilter:
        since = self.since
        is_delivered = self.state is DeliveryState.DELIVERED
        if is_delivered and since is None and self.call_id is None and self.message_id is None:
            since = now - DELIVERED_WITHIN
        return DeliveryFilter(
            state=self.state,
            kind=self.kind,
            event_type=self.type,
            call_id=self.call_id,
            message_id=self.message_id,
            answer=self.answer,
            since=since if is_delivered else None,
            until=self.until if is_delivered else None,
        )


@dataclass(frozen=True, slots=True)
class DeliveryPages:
    site: Site

    def routes(self) -> list[Route]:
        site = self.site
        return [
            site.page("/deliveries", Permission.READ_EVENTS, self.deliveries),
            site.form("/deliveries/replay", Permission.REPLAY, self.replay),
            site.form("/calls/{call_id}/replay", Permission.REPLAY, self.replay_event),
        ]

    async def deliveries(self, request: Request, visitor: Visitor) -> Response:
        flows = self.site.flows
        rows, now = flows.deliveries.rows, flows.clock.now()
        asked, query = read_query(self.site, DeliveriesQuery, request.query_params)
        wanted = query.filter(now)
        # Only events are sent again after their delivery.
        is_delivered = wanted.state is DeliveryState.DELIVERED
        replayed = replace(wanted, kind=wanted.kind or "abt_event") if is_delivered else wanted
        health, count, replayable, (items, cursor) = await asyncio.gather(
            rows.health(now - HEALTH_OF, MOST_COUNTED + 1),
            rows.count(wanted, MOST_COUNTED + 1),
            rows.count_replayable(replayed, MOST_COUNTED + 1),
            rows.page(wanted, cursor=int(query.cursor) if query.cursor else None, limit=PAGE_SIZE),
        )
        asked.pop("cursor", None)
        asked["state"] = wanted.state
        return self.site.show(
            request,
            visitor,
            "deliveries.html",
            "/deliveries",
            asked=asked,
            states=list(DeliveryState),
            kinds=ENGAGE_KINDS,
            types=sorted(LIFECYCLE_NAMES),
            since=iso(wanted.since) if wanted.since is not None else None,
            health=asdict(health) | {name: iso(getattr(health, name)) for name in ("delivered_at", "oldest_at")},
            items=[item | {"age_s": _age_s(item, now)} for item in items],
            next_cursor=cursor,
            count=count,
            most=MOST_COUNTED,
            replayable=0 if replayed.kind not in (None, "abt_event") and is_delivered else replayable,
            most_replayed=MOST_REPLAYED,
        )

    async def replay(self, request: Request, visitor: Visitor, form: Mapping[str, str]) -> Response:
        """Send one message again, or all that match the filter of the page."""
        given = {name: text for name, text in form.items() if name != "csrf"}
        asked, query = read_query(self.site, DeliveriesQuery, given)
        told = await self._replayed(query.filter(self.site.flows.clock.now()), visitor)
        back = {name: asked[name] for name in asked.keys() - {"cursor", "message_id"}}
        return self.site.done(request, f"/deliveries?{address(back)}", told)

    async def replay_event(self, request: Request, visitor: Visitor, form: Mapping[str, str]) -> Response:
        """Send one event of a call again, whether it was delivered, given up, or is waiting for its next try."""
        call_id = known_id(request.path_params["call_id"], "call")
        event_id = form.get("event_id", "")
        timeline = found(await self.site.flows.views.timeline(call_id), "call")
        event = next((one for one in timeline if event_id and one.get("event_id") == event_id), None)
        if event is None:
            raise invalid([FieldProblem("form:event_id", "unknown", "Choose one of the events of this call.")])
        wanted = DeliveryFilter(state=state_of(event), kind="abt_event", call_id=call_id, message_id=event_id)
        return self.site.done(request, f"/calls/{call_id}", await self._replayed(wanted, visitor))

    async def _replayed(self, wanted: DeliveryFilter, visitor: Visitor) -> str:
        try:
            count = await self.site.flows.deliveries.replay(wanted, visitor.actor)
        except NotReplayable as error:
            raise invalid([FieldProblem("form:kind", "not_replayable", str(error))]) from None
        if not count:
            return "0 messages are sent again: none matches any more, or it is on its way already."
        told = "1 message is sent again." if count == 1 else f"{count} messages are sent again, in their order."
        return told if count < MOST_REPLAYED else f"{told} Replay once more for the rest."


def state_of(entry: Mapping[str, Any]) -> DeliveryState:
    """The state of an event in a call's timeline, whose absent facts are left out."""
    if "delivered_at" in entry:
        return DeliveryState.DELIVERED
    return DeliveryState.FAILED if "dead_at" in entry else DeliveryState.WAITING


def _age_s(item: Mapping[str, Any], now: datetime) -> float:
    return (now - datetime.fromisoformat(item["created_at"])).total_seconds()
