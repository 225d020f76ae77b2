"""The acts of systems and people in the week: requests, cancellations, suppressions, and calls to our numbers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from ringback.up.played_week.campaigns import CAMPAIGNS, REQUESTS_BY_HOUR, REQUESTS_BY_WEEKDAY, Campaign
from ringback.up.played_week.people import People, Person

ZONE = ZoneInfo("America/New_York")
#: Of a thousand requests: to a number that may not be called, soon over, for later, cancelled, then suppressed,
#: answered by an inbound call.
REFUSED, SHORT_LIVED, LATER, CANCELLED, SUPPRESSED, CALLS_BACK = 5, 12, 80, 12, 4, 25
#: A fictional number in London, and a toll-free number.
NOT_CALLED = ("+442079460958", "+18005550199")
INBOUND_SCENARIOS = ("talk", "talk", "tools", "reschedule", "hang_up")
#: An operator pauses dialing once, on the third day.
PAUSED_AT, PAUSED_FOR = timedelta(days=2, hours=16, minutes=20), timedelta(minutes=35)


@dataclass(frozen=True, slots=True)
class Act:
    """One act at a time. `call` names the request of a call, by which a later act finds it."""

    at: datetime
    what: str  # place, cancel, suppress, inbound, pause, resume
    body: Mapping[str, Any]
    call: str = ""


def acts_of_week(people: People, since: datetime, until: datetime, calls: int, seed: int) -> list[Act]:
    """Draw the acts of a week, or of another range, in order."""
    rng = Random(f"{seed} requests")
    acts: list[Act] = []
    times = _times(since, until, calls, rng)
    campaigns = rng.choices(CAMPAIGNS, [campaign.share for campaign in CAMPAIGNS], k=calls)
    others = list(people.all)
    rng.shuffle(others)
    for number, (at, campaign, person) in enumerate(zip(times, campaigns, cycle(others), strict=False)):
        acts += _acts_of_call(f"{campaign.name}-{number:05}", at, campaign, person, rng)
    paused_at = since + PAUSED_AT
    acts.append(Act(paused_at, "pause", {"reason": "the contact list is being corrected"}))
    acts.append(Act(paused_at + PAUSED_FOR, "resume", {}))
    return sorted((act for act in acts if since <= act.at < until), key=lambda act: act.at)


def _times(since: datetime, until: datetime, calls: int, rng: Random) -> list[datetime]:
    """Draw times by the curve of the day and of the week."""
    hours = [since + timedelta(hours=hour) for hour in range(int((until - since) / timedelta(hours=1)))]
    local = [hour.astimezone(ZONE) for hour in hours]
    weights = [REQUESTS_BY_HOUR.get(one.hour, 0) * REQUESTS_BY_WEEKDAY[one.weekday()] for one in local]
    drawn = rng.choices(hours, weights, k=calls)
    return sorted(hour + timedelta(seconds=rng.uniform(0, 3600)) for hour in drawn)


def _acts_of_call(name: str, at: datetime, campaign: Campaign, person: Person, rng: Random) -> Iterator[Act]:
    body: dict[str, Any] = {
        "contact": {"contact_id": person.contact_id, "phone": person.phone, "time_zone": person.zone},
        "agent_id": campaign.agent_id,
        "from_number": rng.choice(campaign.from_numbers),
        "variables": {"first_name": person.first_name},
        "metadata": {"campaign": campaign.name},
    }
    if campaign.retry is not None:
        body["retry"] = campaign.retry
    lot = rng.randrange(1000)
    after = at + timedelta(minutes=rng.uniform(3, 180))
    if lot < REFUSED:
        body["contact"] = {"contact_id": f"{person.contact_id}-work", "phone": rng.choice(NOT_CALLED)}
    elif (lot := lot - REFUSED) < SHORT_LIVED:
        body["expires_at"] = (at + timedelta(minutes=rng.uniform(20, 120))).isoformat()
        body["not_before"] = (at + timedelta(minutes=18)).isoformat()
    elif (lot := lot - SHORT_LIVED) < LATER:
        body["not_before"] = (at + timedelta(hours=rng.uniform(1, 20))).isoformat()
    elif (lot := lot - LATER) < CANCELLED:
        yield Act(after, "cancel", {}, name)
    elif (lot := lot - CANCELLED) < SUPPRESSED:
        yield Act(after, "suppress", {"phone": person.phone, "reason": "asked by letter"})
    elif lot - SUPPRESSED < CALLS_BACK:
        scenario = rng.choice(INBOUND_SCENARIOS)
        caller = {"from_number": person.phone, "to_number": body["from_number"], "agent_id": campaign.agent_id}
        yield Act(after, "inbound", {**caller, "scenario": scenario})
    yield Act(at, "place", body, name)
