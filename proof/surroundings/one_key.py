"""I8: many requests with one idempotency key at the same moment, through several processes, make one call."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random

from proof.findings import Findings
from proof.harness.databases import Databases
from proof.invariants import Invariant
from ringback.adapters.clock import SystemClock, new_id
from ringback.adapters.number_plan import PhoneNumbersPlan
from ringback.adapters.postgres.pool import Pool, open_pool
from ringback.adapters.postgres.store import PostgresStore
from ringback.domain.call import AcceptReceipt, KeyReused, NewCall, RetryPolicy
from ringback.domain.calling_hours import CallingHours
from ringback.domain.eligibility import DialPolicy
from ringback.flows.call_initiation import CallInitiation
from ringback.wiring import batched_acceptance

I8 = Invariant.I8
POLICY = DialPolicy(frozenset({"US"}), CallingHours.parse("always"), 100, 100, 0, 0, 60.0)
ENTRIES = 3
#: One in so many requests asks for something else under the same key.
ANOTHER_EVERY = 5

Accept = Callable[[NewCall, str | None], Awaitable[AcceptReceipt]]


@dataclass(frozen=True, slots=True)
class Asking:
    """`requests` for each of the `keys`; A key comes with two bodies."""

    keys: int
    requests: int
    seed: int

    @property
    def reproduce(self) -> str:
        return f"seed {self.seed}, {self.keys} keys, {self.requests} requests each, {ENTRIES} entries"

    def plan(self) -> list[tuple[str, int]]:
        rng = Random(f"{self.seed} one key")
        plan = [
            (f"key-{key}", int(rng.randrange(ANOTHER_EVERY) == 0))
            for key in range(self.keys)
            for _ in range(self.requests)
        ]
        rng.shuffle(plan)
        return plan


def request(key: str, body: int) -> NewCall:
    number = int(key.removeprefix("key-"))
    return NewCall(
        contact_id=f"crm-{number % 7}",
        phone=f"+1415555{number:04d}",
        time_zone=None,
        fields={},
        agent_id="agent_a",
        from_number="+14155550199",
        variables={"body": str(body)},
        metadata={},
        not_before=None,
        expires_at=None,
        retry=RetryPolicy(),
        fingerprint=f"body {body} of {key}",
    )


async def ask_at_once(entries: Sequence[Accept], asking: Asking) -> list[tuple[str, int, str | None]]:
    """(key, body, call id) in the order of the plan; None for a refusal because the key means another request."""

    async def ask(position: int, key: str, body: int) -> tuple[str, int, str | None]:
        try:
            return key, body, (await entries[position % len(entries)](request(key, body), key)).call_id
        except KeyReused:
            return key, body, None

    return await asyncio.gather(*(ask(position, *one) for position, one in enumerate(asking.plan())))


async def judge_keys(
    found: Findings, answers: Sequence[tuple[str, int, str | None]], pool: Pool, reproduce: str
) -> None:
    """One row in the database for each key, and every answer names it, or refuses what is not its request."""
    by_key: dict[str, list[tuple[int, str | None]]] = defaultdict(list)
    for key, body, call_id in answers:
        by_key[key].append((body, call_id))
    rows = await pool.fetch("SELECT call_id, phone, variables ->> 'body' AS body FROM calls")
    found.tried(I8, cases=len(by_key))
    for key, given in by_key.items():
        phone = request(key, 0).phone
        made = [(int(row["body"]), row["call_id"]) for row in rows if row["phone"] == phone]
        if len(made) != 1:
            found.broke(I8, f"{key} made {len(made)} calls", reproduce)
            continue
        wrong = [one for one in given if one != made[0] and (one[0] == made[0][0] or one[1] is not None)]
        if wrong:
            found.broke(I8, f"{key}: {len(wrong)} answers do not fit the one call that was made", reproduce)


async def run_one_key(databases: Databases, found: Findings, asking: Asking) -> None:
    await _trial(databases, found, asking, lambda accept: accept)


async def plant_no_key(databases: Databases, found: Findings, seed: int) -> None:
    """An entry that forgets the key: the same oracle must see several calls."""

    def forgetful(accept: Accept) -> Accept:
        return lambda request, _: accept(request, None)

    seen = Findings("planted", seed)
    await _trial(databases, seen, Asking(2, 5, seed), forgetful)
    found.plant("the idempotency key is not written down", bool(seen.violations), I8)


async def _trial(databases: Databases, found: Findings, asking: Asking, around: Callable[[Accept], Accept]) -> None:
    """Each entry has connections, batches and ids of its own, as a process has."""
    async with AsyncExitStack() as stack:
        entries, pool = [], None
        database_url = await databases.copy("keys")
        for _ in range(ENTRIES):
            pool = await open_pool(database_url, max_size=6)
            stack.callback(pool.terminate)
            initiation = CallInitiation(PostgresStore(pool), SystemClock(), new_id, PhoneNumbersPlan(), POLICY)
            entries.append(around(batched_acceptance(initiation)))
        assert pool is not None
        answers = await ask_at_once(entries, asking)
        # Again, when all is quiet: a stored answer is repeated.
        answers += await ask_at_once(entries[:1], asking)
        await judge_keys(found, answers, pool, asking.reproduce)
