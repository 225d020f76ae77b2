"""I15 by numbers: forged signatures at the Lambda's handler and at the three doors that ask for one."""

import base64
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from proof.findings import Findings
from proof.hostile.forgeries import MANNERS, Forger, Forgery, genuine
from proof.hostile.victim import Victim
from proof.hostile.wire import Request
from proof.invariants import Invariant
from ringback.adapters.retell import signature
from ringback.services import webhook_lambda as receiver
from ringback.services.webhook_lambda import Handler, make_handler

Verify = Callable[[bytes, str | None, Sequence[str], int], bool]

DOORS = ("/retell/webhook", "/v1/retell/functions/note_writeback", "/v1/retell/inbound")


def at_the_handler(found: Findings, forger: Forger, count: int) -> None:
    """Without a network: the handler that the Lambda runs, over a queue that counts."""
    sent: list[str] = []
    handler = make_handler(sent.append, [forger.key, "key_of_the_rotation"], lambda: forger.now_ms)
    for forgery in forger.forgeries(count):
        status = answered(handler, forgery)
        if status != 401 or sent:
            found.broke(Invariant.I15, f"{forgery.kind} answered {status}, {len(sent)} enqueued", described(forgery))
            sent.clear()
    found.tried(Invariant.I15, cases=count)
    # The oracle sees what it should: the genuine ones pass.
    body = forger.bodies[0]
    status = answered(handler, Forgery("genuine", body, genuine(body, forger.key, forger.now_ms)))
    if (status, len(sent)) != (204, 1):
        found.broke(Invariant.I15, f"a genuine webhook was answered {status}", repr(body[:80]))


def answered(handler: Handler, forgery: Forgery) -> int:
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "POST /retell/webhook",
        "headers": {} if forgery.header is None else {"x-retell-signature": forgery.header},
        "body": base64.b64encode(forgery.body).decode(),
        "isBase64Encoded": True,
    }
    status: int = handler(event, None)["statusCode"]
    return status


async def at_the_doors(found: Findings, victim: Victim, forger: Forger, count: int) -> None:
    """Over HTTP, `count` at each door; nothing may be written by any of them."""
    before = await victim.state()
    for door in DOORS:
        forger.now_ms = time.time_ns() // 1_000_000
        for forgery in forger.forgeries(count):
            reply = await victim.ask(as_request(door, forgery))
            # What is no header by RFC 9110 is refused by the server before it gets to us.
            allowed = {401} if _sendable(forgery.header) else {401, 400}
            if reply.status not in allowed:
                found.broke(Invariant.I15, f"{door}: {forgery.kind} answered {reply.status}", described(forgery))
    after = await victim.state()
    if before != after:
        changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
        found.broke(Invariant.I15, f"forged requests wrote: {changed}", f"seed {found.seed}")
    found.tried(Invariant.I15, cases=count * len(DOORS))


def as_request(door: str, forgery: Forgery) -> Request:
    headers = [("content-type", "application/json")]
    if forgery.header is not None:
        headers.append(("x-retell-signature", forgery.header))
    return Request(forgery.kind, "POST", door, headers, forgery.body)


def _sendable(header: str | None) -> bool:
    return header is None or (header.isprintable() and header.isascii())


def described(forgery: Forgery) -> str:
    return f"kind {forgery.kind}, header {forgery.header!r}, body {forgery.body[:200]!r}"


def planted(found: Findings, forger: Forger) -> None:
    """Two careless verifiers, each of which has been seen in the wild, must not go unnoticed."""
    true_verify = signature.verify
    bugs: dict[str, Verify] = {
        "the age of a signature is not looked at": lambda body, header, keys, now_ms: true_verify(
            body, header, keys, _stated_ms(header, now_ms)
        ),
        "the body is stripped before it is verified": lambda body, header, keys, now_ms: true_verify(
            body.strip(), header, keys, now_ms
        ),
    }
    for name, careless in bugs.items():
        seen = Findings("planted", found.seed)
        # The head is not looked at before the body either: that alone would stop what is too old.
        vars(receiver).update(verify=careless, may_be_genuine=lambda header, now_ms: True)
        try:
            at_the_handler(seen, forger, 10 * len(MANNERS))
        finally:
            vars(receiver).update(verify=true_verify, may_be_genuine=signature.may_be_genuine)
        found.plant(name, bool(seen.violations), Invariant.I15)


def _stated_ms(header: str | None, otherwise: int) -> int:
    match = re.match(r"v=([0-9]{1,20}),", header or "")
    return int(match[1]) if match else otherwise
