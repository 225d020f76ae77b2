"""What an answer to hostile input must be: of the right status, and a problem that a program can read."""

import json
from collections.abc import Collection

from proof.findings import Findings
from proof.hostile.wire import Reply, Request
from proof.invariants import Invariant

PROBLEM = "application/problem+json"
#: The HTTP server's own, for what is no HTTP.
SERVERS_OWN = "Invalid HTTP request received."


def judge(
    found: Findings, invariant: Invariant, request: Request, reply: Reply, statuses: Collection[int] = ()
) -> None:
    """`statuses`: the permitted ones; none given: everything below 500."""
    wrong = fault(request, reply, statuses)
    if wrong:
        found.broke(
            invariant, f"{request.method} {request.target[:120]} ({request.name}): {wrong}", described(request, found)
        )
    found.tried(invariant)


def fault(request: Request, reply: Reply, statuses: Collection[int] = ()) -> str | None:
    if reply.status >= 500 or not reply.status:
        return f"answered {reply.status or 'nothing'}: {reply.text[:200]}"
    if statuses and reply.status not in statuses:
        return f"answered {reply.status}, not {sorted(statuses)}: {reply.text[:200]}"
    if reply.status < 400 or request.method == "HEAD" or reply.text == SERVERS_OWN:
        return None
    try:
        said = json.loads(reply.body)
        well_formed = said["status"] == reply.status and bool(said["code"]) and isinstance(said["errors"], list)
    except (ValueError, KeyError, TypeError):
        well_formed = False
    return (
        None
        if well_formed and reply.kind == PROBLEM
        else f"answered {reply.status} with no problem: {reply.text[:200]}"
    )


def described(request: Request, found: Findings) -> str:
    headers = [(name, text[:200]) for name, text in request.headers if name not in ("authorization", "x-api-key")]
    return f"seed {found.seed}, {len(request.body)} bytes {request.body[:300]!r}, headers {headers}"
