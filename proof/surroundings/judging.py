"""After the faults: wait until every accepted call has ended, then judge calls and answers."""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from proof.findings import Findings
from proof.harness.databases import rows
from proof.harness.oracle import Blame, Expected, Observed, judge, observe, report
from proof.invariants import Invariant
from proof.surroundings.load import Load, Posted, call_id_in
from tests.stories.running_system import SystemClient

I1, I2, I6, I8, I12, I14 = Invariant.I1, Invariant.I2, Invariant.I6, Invariant.I8, Invariant.I12, Invariant.I14
#: Without any progress. A slow machine still makes some.
STUCK_AFTER_S = 180.0
LIMIT_S = 3.0
#: The machine adds so much to an answer, for each runnable process that waits for one of its cores.
LOADED_S = 1.5
#: A ring without a committed attempt is one that nothing resolves.
BLAME = Blame(binding=I6)


def wait_finished(database_url: str, call_ids: Iterable[str]) -> float:
    """Seconds until all are final and Engage has accepted everything, or until nothing moves any more."""
    began = moved = time.monotonic()
    wanted, least = list(call_ids), (10**9, 10**9)
    open_calls = "SELECT count(*) FROM calls WHERE NOT final AND call_id = ANY($1::text[])"
    open_rows = "SELECT count(*) FROM outbox WHERE delivered_at IS NULL AND dead_at IS NULL AND kind = 'abt_event'"
    while time.monotonic() - moved < STUCK_AFTER_S:
        left = rows(database_url, open_calls, wanted)[0]["count"], rows(database_url, open_rows)[0]["count"]
        if left == (0, 0):
            break
        if left < least:
            least, moved = left, time.monotonic()
        time.sleep(0.5)
    return time.monotonic() - began


def judge_calls(
    found: Findings, seen: Observed, expected: Mapping[str, Expected], reproduce: str, blame: Blame = BLAME
) -> None:
    """Rings, ends, events and unknown attempts of these calls."""
    mine = replace(
        seen,
        rings=[ring for ring in seen.rings if ring["metadata"]["ringback_call_id"] in expected],
        attempts=[attempt for attempt in seen.attempts if attempt["call_id"] in expected],
    )
    found.tried(I1, I14, cases=len(expected))
    found.tried(I2, cases=len(mine.attempts))
    found.tried(I6, cases=len(mine.rings))
    report(found, judge(mine, expected, blame, with_strangers=False), reproduce)


def judge_all(
    found: Findings, client: SystemClient, database_url: str, call_ids: Sequence[str], reproduce: str
) -> None:
    """Without a retry policy a call is one attempt, and so one ring at the most."""
    found.tried(I2, cases=len(call_ids))
    expected = dict.fromkeys(call_ids, Expected(rings=range(2)))
    judge_calls(found, observe(client, database_url), expected, reproduce)


def judge_load(found: Findings, load: Load, database_url: str | None, reproduce: str) -> None:
    """The answers themselves. With the database, each accepted webhook is also looked for after the queue."""
    found.tried(I8, cases=len(load.accepted))
    for key in load.doubled:
        found.broke(I8, f"{key} was answered with two calls", reproduce)
    for odd in load.odd:
        found.broke(Invariant.I18 if "answered" in odd else I1, odd, reproduce)
    durable = None
    if database_url is not None:
        applied = rows(database_url, "SELECT provider_call_id FROM provider_events")
        queued = rows(database_url, "SELECT body::json ->> 'body' AS body FROM queue_messages WHERE queue = 'events'")
        durable = {row["provider_call_id"] for row in applied} | {call_id_in(row["body"]) for row in queued}
    judge_posts(found, load.posted, durable, reproduce)


def judge_posts(found: Findings, posted: Sequence[Posted], durable: set[str] | None, reproduce: str) -> None:
    """`durable` names the webhooks in the queue, or that came out of it; None: not known, then only the time counts."""
    found.tried(I12, cases=len(posted))
    limit_s = LIMIT_S + LOADED_S * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    for one in posted:
        if one.accepted and durable is not None and one.name not in durable:
            found.broke(I12, f"{one.name} was answered {one.status} and is not in the queue", reproduce)
        if not one.accepted and not 500 <= one.status < 600:
            found.broke(I12, f"{one.name} was answered {one.status}", reproduce)
        if one.took_s > limit_s:
            found.broke(I12, f"{one.name} was answered after {one.took_s:.1f} s", reproduce)

    def before(name: str) -> float:
        return float(str(found.counts.get(name, 0)))

    accepted = sum(one.accepted for one in posted)
    slowest_s = max((one.took_s for one in posted), default=0.0)
    found.counts |= {
        "webhooks_accepted": int(before("webhooks_accepted")) + accepted,
        "webhooks_refused": int(before("webhooks_refused")) + len(posted) - accepted,
        "webhook_answer_limit_s": max(round(limit_s, 1), before("webhook_answer_limit_s")),
        "slowest_webhook_answer_s": max(round(slowest_s, 2), before("slowest_webhook_answer_s")),
    }


def poll(is_so: Callable[[], bool], within_s: float) -> bool:
    give_up_at = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.1)
    return True
