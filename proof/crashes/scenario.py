"""The requests of a trial's acts, repeated across every kill, and what the system promised in return."""

import asyncio
import itertools
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import asyncpg

from proof.crashes.emulated import REFUSALS_KEY
from proof.crashes.on_sqs import TrialQueues
from proof.crashes.shared_page import SharedPage
from proof.harness.clients import until_2xx
from ringback.domain.abt_event import iso
from ringback_emulator.outgoing_requests import retell_signature

FROM_NUMBER = "+14155550199"
#: An id that no attempt has.
NO_ATTEMPT = "01900000-0000-7000-8000-000000000000"
_AREAS = (202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225, 228, 229)


@dataclass(frozen=True, slots=True)
class Addresses:
    """The URLs of a testbed's product and emulators, and their keys."""

    product: str
    retell: str
    engage: str
    api_key: str
    webhook_key: str


@dataclass(slots=True)
class Promise:
    """One requested call, and its permitted outcomes. `ends` are final statuses; `abandoned` is one for every call
    without a ring, where the settings or `may_be_abandoned` allow it."""

    act: str
    key: str
    phone: str
    body: Mapping[str, Any]
    ends: frozenset[str]
    copies: int = 1  # requests at the same time
    attempts_at_most: int = 1
    may_be_abandoned: bool = False
    never_rings: bool = False
    is_silent: bool = False  # its webhooks never arrive
    call_ids: set[str] = field(default_factory=set)

    @property
    def call_id(self) -> str:
        """One of them, if the key made several calls."""
        return min(self.call_ids)


@dataclass(frozen=True, slots=True)
class Stop:
    """From `at`, the testbed's time of the acknowledgement, until `until` none of these calls is claimed."""

    what: str
    call_ids: frozenset[str]
    at: datetime
    until: datetime | None = None


@dataclass
class Scenario:
    """The testbed as the acts see it, and their notes for the oracle."""

    addresses: Addresses
    session: aiohttp.ClientSession
    database: "asyncpg.Pool[asyncpg.Record]"
    page: SharedPage
    rng: random.Random
    promises: list[Promise] = field(default_factory=list)
    stops: list[Stop] = field(default_factory=list)
    dead_letters: int = 0
    queues: TrialQueues | None = None  # in the database
    pausing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def person(self) -> tuple[str, str]:
        """A phone of the fictional range for one contact alone, and the contact's id."""
        number = next(self._numbers)
        phone = f"+1{_AREAS[number // 100]}55501{number % 100:02d}"
        return phone, f"crm-{phone[1:]}"

    def at(self, ahead_s: float) -> str:
        moment = iso(self.page.now() + timedelta(seconds=ahead_s))
        assert moment is not None
        return moment

    async def place(
        self,
        act: str,
        scenario: str,
        ends: str,
        *,
        person: tuple[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        **allowed: Any,
    ) -> Promise:
        """Requests a call with one idempotency key until it is accepted. `scenario` is the emulator's, with a minus and
        the number of creates that fail before it rings. `ends` are final statuses, separated by spaces, and `allowed`
        the other fields of the promise."""
        scenario, _, refusals = scenario.partition("-")
        phone, contact_id = person or self.person()
        asked = {
            "contact": {"contact_id": contact_id, "phone": phone, "time_zone": "America/Los_Angeles"},
            "agent_id": "agent_sales",
            "from_number": FROM_NUMBER,
            "metadata": {"emulator_scenario": scenario, REFUSALS_KEY: int(refusals or 0)},
            **(body or {}),
        }
        key = f"key-{self.rng.getrandbits(64):016x}"
        promise = Promise(act, key, phone, asked, frozenset(ends.split()), **allowed)
        self.promises.append(promise)
        await asyncio.gather(*(self._ask(promise) for _ in range(promise.copies)))
        return promise

    async def _ask(self, promise: Promise) -> None:
        answer = await self.until_accepted("POST", "/v1/calls", promise.body, {"Idempotency-Key": promise.key})
        promise.call_ids.add(answer["call_id"])

    async def until_accepted(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """Returns the answer of the first 2xx. Raises NeverAnswered."""
        given = {"Authorization": f"Bearer {self.addresses.api_key}", **(headers or {})}
        return await until_2xx(self.session, method, self.addresses.product + path, lambda: (_encoded(body), given))

    async def webhook(self, body: Mapping[str, Any]) -> None:
        """Sends a webhook like one of Retell's until it is accepted."""
        content = json.dumps(body).encode()

        def signed() -> tuple[bytes, dict[str, str]]:
            now_ms = int(self.page.now().timestamp() * 1000)
            return content, {"x-retell-signature": retell_signature(content, self.addresses.webhook_key, now_ms)}

        await until_2xx(self.session, "POST", self.addresses.product + "/retell/webhook", signed)

    async def tell_retell(self, path: str, body: Mapping[str, Any]) -> Any:
        return await self._control(self.addresses.retell + path, body)

    async def tell_engage(self, path: str, body: Mapping[str, Any]) -> Any:
        return await self._control(self.addresses.engage + path, body)

    async def _control(self, url: str, body: Mapping[str, Any]) -> Any:
        key = {"Authorization": f"Bearer {self.addresses.api_key}"}
        return await until_2xx(self.session, "POST", url, lambda: (_encoded(body), key))

    def stopped(self, what: str, *call_ids: str) -> None:
        self.stops.append(Stop(what, frozenset(call_ids), self.page.now()))


def _encoded(body: Any) -> bytes | None:
    return None if body is None else json.dumps(body).encode()
