"""The webhooks of one attempt as Retell sent them, with phone numbers masked."""

import json
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.domain.access import Permission
from ringback.web.console.facts import Item
from ringback.web.console.pages import read_query
from ringback.web.console.sessions import Visitor
from ringback.web.console.site import Site
from ringback.web.problems import found
from ringback.web.request_fields import Cursor, known_id
from ringback.web.request_models import RequestModel

#: A page stays below 100 KB. Retell sends three webhooks, of about 20 KB each.
MOST_WEBHOOKS, MOST_CHARS = 4, 20_000


class WebhooksQuery(RequestModel):
    attempt: Cursor


@dataclass(frozen=True, slots=True)
class WebhooksPage:
    site: Site

    def routes(self) -> list[Route]:
        return [self.site.page("/calls/{call_id}/webhooks", Permission.READ_CALLS, self.show)]

    async def show(self, request: Request, visitor: Visitor) -> Response:
        call_id = known_id(request.path_params["call_id"], "call")
        _, query = read_query(self.site, WebhooksQuery, request.query_params)
        call = found(await self.site.flows.views.call_in_detail(call_id), "call")
        attempt = found(next((one for one in call["attempts"] if one["attempt_id"] == query.attempt), None), "attempt")
        webhooks = await self.site.flows.views.webhooks(call_id, query.attempt, limit=MOST_WEBHOOKS)
        return self.site.show(
            request,
            visitor,
            "webhooks.html",
            "/calls",
            call=call,
            contact_zone=call["time_zone"],
            attempt=attempt,
            webhooks=[_shown(one) for one in webhooks],
            most_chars=MOST_CHARS,
        )


def _shown(webhook: Item) -> Item:
    text = webhook["body"]
    if text is not None:
        text = json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    return webhook | {"text": text and text[:MOST_CHARS], "is_cut": text is not None and len(text) > MOST_CHARS}
