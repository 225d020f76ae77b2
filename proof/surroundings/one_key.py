"""I8: many requests with one idempotency key at the same moment, through several processes, make one call."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from random import Random

from proof.findings import Findings
from proof.harness.databases import Databases, fetch
from proof.invariants import Invariant
from ringback.adapters.clock import SystemClock, new_id
from ringback.adapters.number_plan import PhoneNumbersPlan
from ringback.adapters.postgres.pool import open_pool
from ringback.adapters.postgres.store import PostgresStore
from ringback.domain.call import AcceptReceipt, KeyReused, NewCall, RetryPolicy
from ringback.domain.calling_hours import CallingHours
from ringback.domain.eligibility import DialPolicy
from ringback.flows.call_initiation import CallInitiation, batched_acceptance

I8 = Invariant.I8
POLICY = DialPolicy(frozenset({"US"}), CallingHours.parse("always"), 100, 100, 0, 0, 60.0)
ENTRIES = 3
#: For each key: the requests, of which one in so many asks for something else.
REQUESTS = {100: 40}
FEW_REQUESTS = 10
ANOTHER_EVERY = 5

Accept = Callable[[NewCall, str | None], Awaitable[AcceptReceipt]]
#: The key, which of its two bodies, and the call's id: None for a refusal because the key means another request.
Answer = tuple[str, int, str | None]


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


async def ask(
    databases: Databases, found: Findings, keys: int, around: Callable[[Accept], Accept] = lambda accept: accept
) -> None:
    """Each entry has connections, batches and ids of its own, as a process has."""
    rng, requests = Random(f"{found.seed} one key"), REQUESTS.get(keys, FEW_REQUESTS)
    plan = [(f"key-{key}", int(rng.randrange(ANOTHER_EVERY) == 0)) for key in range(keys) for _ in range(requests)]
    rng.shuffle(plan)
    database_url = await databases.copy("keys")
    async with AsyncExitStack() as stack:
        entries = []
        for _ in range(ENTRIES):
            pool = await open_pool(database_url, max_size=6)
            stack.callback(pool.terminate)
            initiation = CallInitiation(PostgresStore(pool), SystemClock(), new_id, PhoneNumbersPlan(), POLICY)
            entries.append(around(batched_acceptance(initiation)))
        answers = await _ask_at_once(entries, plan)
        # Again, when all is quiet: a stored answer is repeated.
        answers += await _ask_at_once(entries[:1], plan)
    await _judge(found, answers, database_url, f"seed {found.seed}, {keys} keys, {requests} requests each")


async def ask_without_key(databases: Databases, found: Findings) -> None:
    await ask(databases, found, 2, lambda accept: lambda request, _: accept(request, None))


async def _ask_at_once(entries: Sequence[Accept], plan: Sequence[tuple[str, int]]) -> list[Answer]:
    async def one(position: int, key: str, body: int) -> Answer:
        try:
            return key, body, (await entries[position % len(entries)](request(key, body), key)).call_id
        except KeyReused:
            return key, body, None

    return await asyncio.gather(*(one(position, *asked) for position, asked in enumerate(plan)))


async def _judge(found: Findings, answers: Sequence[Answer], database_url: str, reproduce: str) -> None:
    """One row in the database for each key, and every answer names it, or refuses what is not its request."""
    by_key: dict[str, list[tuple[int, str | None]]] = defaultdict(list)
    for key, body, call_id in answers:
        by_key[key].append((body, call_id))
    rows = await fetch(database_url, "SELECT call_id, phone, variables ->> 'body' AS body FROM calls")
    found.tried(I8, cases=len(by_key))
    for key, given in by_key.items():
        made = [(int(row["body"]), row["call_id"]) for row in rows if row["phone"] == request(key, 0).phone]
        if len(made) != 1:
            found.broke(I8, f"{key} made {len(made)} calls", reproduce)
            continue
        wrong = [one for one in given if one != made[0] and (one[0] == made[0][0] or one[1] is not None)]
        if wrong:
            found.broke(I8, f"{key}: {len(wrong)} answers do not fit the one call that was made", reproduce)
