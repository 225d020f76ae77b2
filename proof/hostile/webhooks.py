"""Hostile webhooks at the real receiver: a refused one leaves no trace, a signed one is kept and harms no call."""

import json
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from proof.findings import Findings, Say, Size
from proof.harness.http import Request
from proof.hostile.target import (
    Placed,
    State,
    Target,
    call_of,
    finished,
    genuine,
    judge,
    lambda_event,
    now_ms,
    placed,
    told,
)
from proof.hostile.webhook_corpus import PATH, Sent, WebhookCorpus
from proof.invariants import Invariant
from ringback.services.webhook_lambda import make_handler


async def attack(found: Findings, target: Target, size: Size, say: Say) -> None:
    phones = target.canaries.phones
    done, abused, waiting = [await placed(target, phones[name]) for name in ("answered", "bad", "silent")]
    await finished(target, done)
    sample = told(target, abused, "call_ended")
    corpus = WebhookCorpus(target.webhook_key, sample, size)
    await _replay(found, target, done)
    await _refuse(found, target, corpus.refused())
    before = await target.state()
    await _take(found, target, corpus.taken(), done)
    await _take(found, target, corpus.taken(abused.provider_call_id, abused.marks), done)
    after = await target.state()
    odd = int(str(after["messages_ever"])) - int(str(before["messages_ever"]))
    say(f"webhooks: {odd} odd ones passed the queue")
    await _still_works(found, target, waiting)


async def _replay(found: Findings, target: Target, done: Placed) -> None:
    """Within five minutes a repeat is accepted, and changes nothing."""
    before = await target.state()
    for event in ("call_started", "call_ended", "call_analyzed"):
        body = told(target, done, event)
        for at_s in (0, 120, 290):
            at_ms = now_ms() - at_s * 1000
            headers = [("x-retell-signature", genuine(body, target.webhook_key, at_ms))]
            request = Request(f"{event} again", "POST", PATH, headers, body)
            judge(found, Invariant.I18, request, await target.ask(request), {204})
    await target.drained()
    _compare(found, before, await target.state(), "repeats inside the window", except_for=frozenset({"messages_ever"}))


async def _refuse(found: Findings, target: Target, corpus: Iterable[Sent]) -> None:
    before = await target.state()
    for sent in corpus:
        reply = await target.ask(sent.request)
        judge(found, Invariant.I18, sent.request, reply, sent.statuses)
        if 401 in sent.statuses:
            found.tried(Invariant.I15)
            if reply.status != 401:
                found.broke(Invariant.I15, f"{sent.request.name} answered {reply.status}", f"seed {found.seed}")
    _compare(found, before, await target.state(), "refused webhooks")


async def _take(found: Findings, target: Target, corpus: Iterable[Sent], done: Placed) -> None:
    before = await _trace(target, done)
    taken = 0
    for sent in corpus:
        judge(found, Invariant.I18, sent.request, await target.ask(sent.request), sent.statuses)
        taken += 1
    await target.drained()
    after = await _trace(target, done)
    kept = sum(after[where] - before[where] for where in ("events", "dead"))
    if kept != taken:
        found.broke(Invariant.I18, f"{taken} odd webhooks were taken and {kept} kept", f"seed {found.seed}")
    if before["done"] != after["done"]:
        found.broke(Invariant.I18, "an odd webhook changed another call", f"seed {found.seed}")
    for error in target.unforeseen():
        found.broke(Invariant.I18, f"an unforeseen error: {error}", f"seed {found.seed}")


async def _trace(target: Target, done: Placed) -> dict[str, int]:
    row = await target.query(
        "SELECT (SELECT count(*) FROM provider_events) AS events,"
        " (SELECT count(*) FROM queue_messages WHERE queue = 'events' AND dead_at IS NOT NULL) AS dead,"
        " (SELECT hashtext(a::text) FROM attempts a WHERE call_id = $1) AS done",
        done.call_id,
    )
    return dict(row[0])


async def _still_works(found: Findings, target: Target, waiting: Placed) -> None:
    """After all that, a genuine call reaches its end."""
    await finished(target, waiting)
    found.tried(Invariant.I18)
    status = (await call_of(target, waiting.call_id))["status"]
    if status != "completed":
        found.broke(Invariant.I18, f"after the odd webhooks a good call ended as {status}", f"seed {found.seed}")


def at_the_handler(found: Findings, key: str, size: Size) -> None:
    """The corpus without a network, and shapes of events that only the Lambda itself could get."""
    sent: list[str] = []
    handler = make_handler(sent.append, [key], now_ms)
    sample = json.dumps({"event": "call_ended", "call": {"call_id": "call_ü", "transcript": "t"}}).encode()
    corpus = WebhookCorpus(key, sample, size)
    for name, event, statuses, taken in (*_as_events(*corpus.refused(), *corpus.taken()), *_odd_events(key)):
        before, status = len(sent), handler(event, None)["statusCode"]
        found.tried(Invariant.I18)
        if status not in statuses or len(sent) - before != taken:
            found.broke(Invariant.I18, f"the handler answered {status} to {name}", f"seed {found.seed}")


#: The case, the event, the permitted statuses, and whether it is enqueued.
Event = tuple[str, dict[str, Any], Collection[int], bool]


def _as_events(*corpus: Sent) -> Iterator[Event]:
    for one in corpus:
        if one.request.method == "POST" and one.request.target == PATH:
            headers: dict[str, str] = {}
            for name, text in one.request.headers:
                headers[name] = f"{headers[name]},{text!s}" if name in headers else str(text)
            yield one.request.name, lambda_event(one.request.body, headers), one.statuses, one.taken


def _odd_events(key: str) -> Iterator[Event]:
    good = {"x-retell-signature": genuine(b"{}", key, now_ms())}
    shapes: list[dict[str, Any]] = [
        *({}, {"body": None, "headers": None}, {"headers": []}, {"body": "{}", "headers": {}}, {"body": 17}),
        {"body": "\ud800", "headers": good},
        {"body": "%%%", "isBase64Encoded": True, "headers": good},
        {"body": "é", "isBase64Encoded": True, "headers": good},
        {"body": "{}", "multiValueHeaders": {"x-retell-signature": [good["x-retell-signature"]]}},
    ]
    for shape in shapes:
        yield f"the event {shape!r}", shape, (400, 401), False


def _compare(found: Findings, before: State, after: State, what: str, except_for: frozenset[str] = frozenset()) -> None:
    changed = {
        name: (before[name], after[name]) for name in before if before[name] != after[name] and name not in except_for
    }
    found.tried(Invariant.I15)
    if changed:
        found.broke(Invariant.I15, f"{what} wrote: {changed}", f"seed {found.seed}")
