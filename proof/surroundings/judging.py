"""After the faults: judges calls and answers."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from proof.findings import Findings
from proof.harness.databases import rows
from proof.harness.oracle import Blame, Expected, Observed, judge, observe, report
from proof.invariants import Invariant
from proof.surroundings.load import Load, Posted, call_id_in
from tests.stories.running_system import SystemClient

I1, I2, I6, I8, I12, I14 = Invariant.I1, Invariant.I2, Invariant.I6, Invariant.I8, Invariant.I12, Invariant.I14
LIMIT_S = 3.0
#: The machine adds so much to an answer, for each runnable process that waits for one of its cores.
LOADED_S = 1.5
#: A ring without a committed attempt is one that nothing resolves.
BLAME = Blame(binding=I6)


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

    counts = defaultdict[str, Any](int, found.counts)
    counts["webhooks_accepted"] += sum(one.accepted for one in posted)
    counts["webhooks_refused"] += sum(not one.accepted for one in posted)
    slowest_s = max((one.took_s for one in posted), default=0.0)
    counts["webhook_answer_limit_s"] = max(round(limit_s, 1), counts["webhook_answer_limit_s"])
    counts["slowest_webhook_answer_s"] = max(round(slowest_s, 2), counts["slowest_webhook_answer_s"])
    found.counts |= counts
