"""The facts of the live pages, read once for a page that is loaded or for every viewer of it."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ringback.domain.abt_event import iso
from ringback.domain.access import Permission
from ringback.domain.analytics_query import Filter
from ringback.domain.contact import ERASED
from ringback.domain.operations import MOST_WAITING
from ringback.flows.analytics import Analytics
from ringback.flows.operator.dead_letters import DeadLetters
from ringback.storage import CallFilter
from ringback.web.console import wording
from ringback.web.console.sessions import Visitor
from ringback.web.console.site import ConsoleFlows

Item = dict[str, Any]

#: Counts stop here: a page needs no exact number above.
MOST_COUNTED = 1000
#: A note has up to 5,000 characters, and a page stays below 100 KB.
FEW_WRITTEN, PAGE_OF_WRITTEN = 4, 10
#: The states of calls that are not over, and the metrics of the first page.
UNFINISHED = ("scheduled", "queued", "dialing", "in_progress", "unknown")
OF_TODAY = ("attempts", "human_rate", "goal_rate", "cost")
UTC_ZONE = ZoneInfo("UTC")


async def now_facts(flows: ConsoleFlows) -> Item:
    """The facts of the first page."""
    filters = [CallFilter(stuck=True), *(CallFilter(status=status) for status in UNFINISHED)]
    (stuck, *counts), work, dead, today, curve = await asyncio.gather(
        asyncio.gather(*(flows.views.count_calls(one, MOST_COUNTED + 1) for one in filters)),
        flows.work(),
        flows.dead_letters.counts(),
        flows.analytics.summary(_today(flows.analytics), compare=True),
        flows.analytics.series(_last_day(flows.analytics), "human_rate", "hour", compare=False),
    )
    times = {name: iso(getattr(work, name)) for name in ("paused_at", "breaker_until", "oldest")}
    if work.breaker_until is not None and work.breaker_until <= flows.clock.now():
        times["breaker_until"] = None
    return {
        "stuck": stuck,
        "by_status": dict(zip(UNFINISHED, counts, strict=True)),
        "most": MOST_COUNTED,
        "most_waiting": MOST_WAITING,
        "dead": dead,
        "work": {one.name: getattr(work, one.name) for one in fields(work)} | times,
        "today": {name: today["metrics"][name] for name in OF_TODAY},
        "coverage": today["coverage"],
        "curve": [_attempts_of(rate) for rate in curve["items"]],
    }


async def list_facts(flows: ConsoleFlows, call_ids: Collection[str]) -> list[Item]:
    """The calls of a list that exist."""
    return [with_sums(call) for call in await flows.views.calls_by_id(call_ids)]


async def story_facts(flows: ConsoleFlows, call_id: str) -> Item | None:
    """The facts of one call. None: there is no such call."""
    call, timeline = await asyncio.gather(flows.views.call_in_detail(call_id), flows.views.timeline(call_id))
    if call is None or timeline is None:
        return None
    events = [entry | {"state": wording.delivery(entry)} for entry in timeline if entry["kind"] == "abt_event"]
    written = await written_facts(flows, contacts_of(call), call_id)
    story = [wording.story(entry) for entry in timeline]
    return {
        "call": with_sums(call),
        "contact_zone": call["time_zone"],
        "story": story,
        "events": events,
        "written": written,
        "most": MOST_COUNTED,
    }


def contacts_of(call: Item) -> list[str]:
    """The contact of a call in detail, none if the person was erased: what was written about them is not shown."""
    return [] if call["phone"] == ERASED else [call["contact_id"]]


def zone_of(told: Item) -> str | None:
    """The zone of the first contact of an explained person."""
    return next((contact["time_zone"] for contact in told["contacts"]), None)


async def written_facts(flows: ConsoleFlows, contact_ids: Sequence[str], call_id: str | None = None) -> Item:
    """The newest dispositions, notes and fields that were written about contacts, and how many there are."""
    found = await flows.written.newest(contact_ids, call_id, limit=FEW_WRITTEN, most=MOST_COUNTED + 1)
    return {kind: {"items": items, "count": count} for kind, (items, count) in found.items()}


async def erasure_preview(
    flows: ConsoleFlows, visitor: Visitor, phone: str | None, contact_id: str | None
) -> dict[str, int]:
    """Count what an erasure of the person would erase. Empty for visitors who may not erase, and without a key."""
    if flows.erasure is None or not visitor.may(Permission.ERASE):
        return {}
    phone = phone or await flows.erasure.phone_of(contact_id or "")
    return await flows.erasure.preview(phone) if phone is not None else {}


def only(letters: DeadLetters, source: str) -> DeadLetters:
    return replace(letters, sources={source: letters.sources[source]})


def with_sums(call: Item) -> Item:
    costs = [one["cost_cents"] for one in call["attempts"] if one["cost_cents"] is not None]
    talks = [one["duration_ms"] for one in call["attempts"] if one["duration_ms"] is not None]
    return call | {
        "why": wording.why(call),
        "cost_cents": sum(costs) if costs else None,
        "talk_ms": sum(talks) if talks else None,
    }


def funnel(metrics: Item) -> list[Item]:
    """The steps from an attempt to the goal, from the metrics of a summary. Each has a name, a count and its rows.

    Goals are counted by call, so they are no share of the attempts, and only where the summary has them.
    """
    steps = [
        ("attempts", "attempts", "numerator", "rows_url"),
        ("answered", "connect_rate", "numerator", "rows_url"),
        ("a human", "human_rate", "numerator", "rows_url"),
        ("a conversation", "analysis_coverage", "denominator", "denominator_rows_url"),
        ("calls with the goal", "goal_rate", "numerator", "rows_url"),
    ]
    return [
        {
            "name": name,
            "count": metrics[metric][count],
            "rows_url": metrics[metric][url],
            "is_of_attempts": metric != "goal_rate",
        }
        for name, metric, count, url in steps
        if metric in metrics
    ]


def _attempts_of(rate: Item) -> Item:
    """The attempts of a step of the human rate, which is of them."""
    attempts = rate["denominator"]
    return {
        "at": rate["at"],
        "value": attempts,
        "rows": attempts,
        "rows_url": rate["denominator_rows_url"],
        "rate": rate,
    }


def _today(analytics: Analytics) -> Filter:
    zone, today = analytics.report_zone, analytics.clock.now().astimezone(analytics.report_zone).date()
    return Filter.of_days(today, today + timedelta(days=1), zone)


def _last_day(analytics: Analytics) -> Filter:
    """The last 24 hours, the current one included. Hours of UTC are counted, whatever the report zone is."""
    until = analytics.clock.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return Filter(since=until - timedelta(days=1), until=until, zone=UTC_ZONE)
