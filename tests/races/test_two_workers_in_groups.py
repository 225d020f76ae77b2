"""Two call processors claim the same calls in groups: each call is dialed once, and never more than the slots allow."""

import asyncio
import contextlib
from collections import Counter
from random import Random

from ringback.adapters.postgres.groups import Grouping
from ringback.adapters.postgres.pool import open_pool
from ringback.failpoints import Failpoint, arm

from .trial import UnhurriedStore

CALLS, PEOPLE, SLOTS = 40, 32, 20


async def test_two_workers_dial_each_call_once_and_keep_to_the_slots(stack, database_url, monkeypatch, trials, seed):
    monkeypatch.setattr(UnhurriedStore, "grouping", Grouping.ALWAYS)
    reached: Counter[Failpoint] = Counter()
    with contextlib.ExitStack() as ending:
        other_pool = await open_pool(database_url, max_size=10)
        ending.callback(other_pool.terminate)
        ending.callback(arm, None)
        arm(lambda point: reached.update([point]))
        for number in range(max(2, trials // 10)):
            await one_trial(stack, other_pool, Random(f"{seed}:two workers:{number}"))
    assert reached[Failpoint.CLAIM_WRITTEN] > reached[Failpoint.GROUP_COUNTED] > 0, "the claims were in groups"


async def one_trial(shared, other_pool, rng):
    phones = [shared.new_phone() for _ in range(PEOPLE)]
    in_hand = [await shared.accept(phones[number % PEOPLE]) for number in range(CALLS)]
    shared.provider.by_call.clear()
    workers = [shared.on_its_own(rng).with_policy(max_live_calls=SLOTS) for _ in range(2)]
    workers[1].store = UnhurriedStore(other_pool, rng)
    deliveries = [(worker, message) for worker in workers for message in in_hand]
    rng.shuffle(deliveries)
    live = []

    async def count(_):
        live.append((await shared.one("SELECT count(*) FROM attempts WHERE holds_slot"))["count"])

    shared.provider.during_dial = count
    await asyncio.gather(*(worker.place(message) for worker, message in deliveries))
    shared.provider.during_dial = None
    dials = [attempt for message in in_hand for attempt in shared.provider.by_call[message.call_id]]
    assert len(dials) == len(set(dials)) == SLOTS
    assert max(live) <= SLOTS
    held = "SELECT phone FROM attempts WHERE holds_person GROUP BY phone HAVING count(*) > 1"
    assert await shared.all(held) == []
    claims = "SELECT call_id FROM attempts GROUP BY call_id HAVING count(*) > 1 OR max(fence) > 1"
    assert await shared.all(claims) == []
    await shared.all("UPDATE attempts SET holds_slot = false, holds_person = false, holds_contact = NULL RETURNING 1")
    await shared.all("UPDATE tasks SET status = 'consumed' RETURNING 1")
