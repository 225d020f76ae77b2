"""The people of the week: where each lives, and what each does when the phone rings."""

import itertools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from zoneinfo import ZoneInfo

from ringback.up.played_week.campaigns import (
    ANSWERS_BY_HOUR,
    ANSWERS_BY_WEEKDAY,
    AREA_CODES,
    CAMPAIGNS,
    DISTRUSTED,
    FIRST_NAMES,
    NOT_ANSWERED,
    NUMBERS_PER_CODE,
    RINGS_S,
    TALKS_S,
    TALKS_WITH_GOAL,
    TALKS_WITHOUT_GOAL,
)
from ringback_emulator.call_request import CallRequest
from ringback_emulator.engage import GONE_CONTACT
from ringback_emulator.scenarios import Behaviour

#: Of a thousand people, so many are no longer at Engage: writes about them are refused.
GONE_OF_THOUSAND = 25
#: A person who asked for a callback answers it.
ANSWERS_CALLBACK = 0.85
CALLBACK_ASKED = ("07", "20", "25")
_BY_AGENT = {campaign.agent_id: campaign for campaign in CAMPAIGNS}


@dataclass(frozen=True, slots=True)
class Person:
    """`answers` is how often the person answers, beside the mean."""

    contact_id: str
    phone: str
    zone: str
    first_name: str
    answers: float


class People:
    """Everybody who may be called. The seed decides what each does, whatever the order of the calls."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        rng = Random(f"{seed} people")
        every = [(zone, code) for zone, codes in AREA_CODES.items() for code in codes]
        found = itertools.product(every, range(NUMBERS_PER_CODE - 1))  # 0199 is a number that calls
        self.all = [self._person(place, zone, code, last, rng) for place, ((zone, code), last) in enumerate(found)]
        self._by_phone = {person.phone: person for person in self.all}
        # Of each phone: the idempotency keys of its calls in order, and what the person did last.
        self._keys: dict[str, list[str]] = defaultdict(list)
        self._last: dict[str, str] = {}

    @staticmethod
    def _person(place: int, zone: str, code: str, last: int, rng: Random) -> Person:
        is_gone = rng.randrange(1000) < GONE_OF_THOUSAND
        contact_id = f"{GONE_CONTACT if is_gone else 'crm-'}{10_000 + place}"
        return Person(contact_id, f"+1{code}55501{last:02}", zone, rng.choice(FIRST_NAMES), rng.uniform(0.7, 1.3))

    def behaviour(self, request: CallRequest, now_ms: int) -> Behaviour:
        """Return what the called person does. A request that is sent again gets the same."""
        phone, keys = request.to_number, self._keys[request.to_number]
        key = request.idempotency_key or ""
        if key not in keys:
            keys.append(key)
        rng = Random(f"{self._seed} {phone} {keys.index(key)}")
        campaign = _BY_AGENT[request.agent_id]
        person = self._by_phone[phone]
        local = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(ZoneInfo(person.zone))
        share = campaign.human * ANSWERS_BY_HOUR.get(local.hour, 0.5) * ANSWERS_BY_WEEKDAY[local.weekday()]
        share *= person.answers * DISTRUSTED.get(request.from_number, 1.0)
        if self._last.get(phone) in CALLBACK_ASKED:
            share = ANSWERS_CALLBACK
        if rng.random() >= share:
            scenario = _drawn(NOT_ANSWERED, rng)
        else:
            scenario = _drawn(TALKS_WITH_GOAL if rng.random() < campaign.goal else TALKS_WITHOUT_GOAL, rng)
        self._last[phone] = scenario
        ring_s = rng.uniform(*RINGS_S.get(scenario, (4.0, 17.0)))
        return Behaviour(scenario, ring_s, TALKS_S.get(scenario, campaign.talk_s) * rng.lognormvariate(0.0, 0.45))


def _drawn(weights: Mapping[str, int], rng: Random) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]
