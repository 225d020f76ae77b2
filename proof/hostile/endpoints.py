"""I18: bad input at every endpoint of the APIs is answered 4xx, never 5xx, and is refused before it is written."""

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from proof.findings import Findings, Say, Size
from proof.harness.http import Header, Request
from proof.hostile import bodies
from proof.hostile.bodies import KIB, MIB
from proof.hostile.target import Placed, Target, accepted, judge, new_call, placed, signed, with_key
from proof.invariants import Invariant

REFUSED = frozenset({400, 404, 409, 413, 415, 422})
#: An agent always gets something to say, and a ringing phone is always answered.
TOLD = REFUSED | {200}
ACTIONS: dict[str, dict[str, Any]] = {
    "field_writeback": {"fields": {"email": "a@example.com", "budget": 7}},
    "reschedule_call": {"when": "tomorrow at 3pm", "reason": "busy"},
    "delete_scheduled_task": {"reason": "asked"},
    "update_timezone": {"time_zone": "America/Denver", "source": "crm"},
    "incoming_call": {"from_number": "+14155550111", "to_number": "+14155550199"},
    "set_disposition": {"code": "interested", "note": "n"},
    "send_abt_event": {"type": "lead_qualified", "data": {"a": 1}},
    "call_analysed": {"analysis": {"call_summary": "s"}, "source": "x", "version": 1},
    "note_writeback": {"note": "n"},
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`good` is accepted; `signed`: Retell's signature instead of a key; `answers` are those of bad input."""

    method: str
    path: str
    good: dict[str, Any]
    signed: bool = False
    answers: frozenset[int] = REFUSED
    limit: int = 256 * KIB
    takes_nothing: bool = False  # a body is optional

    def headers(self, target: Target, body: bytes) -> list[Header]:
        return signed(target, body) if self.signed else with_key(target)

    def request(self, target: Target, name: str, body: bytes, *more: Header, chunked: bool = False) -> Request:
        replaced = {header for header, _ in more}
        headers = [pair for pair in self.headers(target, body) if pair[0] not in replaced]
        return Request(name, self.method, self.path, [*headers, *more], body, chunked)


async def endpoints(target: Target, in_progress: Placed) -> list[Endpoint]:
    """The agents' functions are about a call in progress, each system's action about a planned one."""
    planned = new_call(target, target.canaries.phones["planned"], **_two_days_ahead())
    retry = {"max_attempts": 2, "delay_s": [60], "on": ["busy"]}
    found = [
        Endpoint("POST", "/v1/calls", planned | {"retry": retry}),
        Endpoint("POST", "/v1/suppressions", {"phone": target.canaries.phones["suppressed"], "reason": "asked"}),
        Endpoint("DELETE", "/v1/suppressions/01a20491-7446-7438-8476-b9da1cc0a52a", {"reason": "asked"}),
        Endpoint("POST", "/v1/dialing/pause", {"reason": "lunch"}, takes_nothing=True),
    ]
    for action, args in ACTIONS.items():
        call_id = await accepted(target, planned)
        found.append(
            Endpoint("POST", f"/v1/actions/{action}", {"call_id": call_id, "args": args, "idempotency_key": "k"})
        )
    said = {"call_id": in_progress.provider_call_id, "call_status": "ongoing", "metadata": in_progress.marks}
    for action in ("note_writeback", "reschedule_call", "field_writeback"):
        body = {"name": action, "call": said, "args": ACTIONS[action]}
        found.append(_retells(f"/v1/retell/functions/{action}", body))
    caller = {"from_number": target.canaries.phones["inbound"], "to_number": target.canaries.phones["own"]}
    return [*found, _retells("/v1/retell/inbound", {"event": "call_inbound", "call_inbound": caller})]


def _two_days_ahead() -> dict[str, str]:
    moments = {"not_before": 2, "expires_at": 4}
    now = datetime.now(UTC)
    return {name: (now + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ") for name, days in moments.items()}


def _retells(path: str, good: dict[str, Any]) -> Endpoint:
    return Endpoint("POST", path, good, signed=True, answers=TOLD, limit=6 * MIB)


async def attack(found: Findings, target: Target, size: Size, say: Say) -> None:
    rng = random.Random(f"{found.seed}/endpoints")
    in_progress = await placed(target, target.canaries.phones["own"][:-1] + "0")
    every = 1 if size is Size.FULL else 7
    for endpoint in await endpoints(target, in_progress):
        before = found.cases[Invariant.I18]
        await _broken(found, target, endpoint, every)
        # Six MiB three times over is most of what the small size could cost.
        if size is Size.FULL or not endpoint.signed or endpoint.path.endswith("/inbound"):
            await _too_large(found, target, endpoint)
        await _mutated(found, target, endpoint, rng, size)
        if size is Size.FULL:
            say(f"endpoints: {endpoint.method} {endpoint.path}: {found.cases[Invariant.I18] - before} cases")
    await _addresses(found, target, every)
    await _headers(found, target)
    # A paused system would do nothing wrong.
    await target.ask(Request("resume", "POST", "/v1/dialing/resume", with_key(target)))
    for error in target.unforeseen():
        found.broke(Invariant.I18, f"an unforeseen error: {error}", f"seed {found.seed}")


async def _broken(found: Findings, target: Target, endpoint: Endpoint, every: int) -> None:
    good = json.dumps(endpoint.good).encode()
    before = await target.state()
    lenient = []
    for case in list(bodies.broken(good))[::every]:
        if not case.must_refuse or (endpoint.takes_nothing and not case.body):
            lenient.append(case)
            continue
        request = endpoint.request(target, case.name, case.body, *case.headers)
        judge(found, Invariant.I18, request, await target.ask(request), endpoint.answers)
    if not endpoint.signed:
        changed = {name for name, value in (await target.state()).items() if value != before[name]}
        if changed:
            found.broke(
                Invariant.I18, f"{endpoint.path}: broken bodies changed {sorted(changed)}", f"seed {found.seed}"
            )
    for case in lenient:
        request = endpoint.request(target, case.name, case.body, *case.headers)
        judge(found, Invariant.I18, request, await target.ask(request))


async def _too_large(found: Findings, target: Target, endpoint: Endpoint) -> None:
    """One byte more than the limit is 413, announced or not; what just fits is read."""
    for chunked in (False, True):
        body = b'{"x":"' + b"x" * (endpoint.limit + 1 - 8) + b'"}'
        request = endpoint.request(target, f"{len(body)} bytes, chunked {chunked}", body, chunked=chunked)
        judge(found, Invariant.I18, request, await target.ask(request), {413})
    request = endpoint.request(target, "as large as allowed", body[:-3] + b'"}')
    judge(found, Invariant.I18, request, await target.ask(request), endpoint.answers - {413})


async def _mutated(found: Findings, target: Target, endpoint: Endpoint, rng: random.Random, size: Size) -> None:
    for name, body in bodies.mutations(endpoint.good, rng, size):
        request = endpoint.request(target, name, body)
        judge(found, Invariant.I18, request, await target.ask(request))


async def _addresses(found: Findings, target: Target, every: int) -> None:
    addresses = [
        f"{path}?{name}={odd}" for path, names in bodies.QUERIES.items() for name in names for odd in bodies.ODD_TEXTS
    ]
    addresses += [f"{path}?cursor=a&cursor=b&limit=1&limit=2" for path in bodies.QUERIES]
    for address in addresses[::every]:
        request = Request("query", "GET", address, with_key(target))
        judge(found, Invariant.I18, request, await target.ask(request))
    for path in bodies.PATHS:
        for odd in bodies.ODD_STEPS[::every]:
            for method in ("GET", "POST"):
                # A signature and a key together reach every handler.
                headers = [*with_key(target), *signed(target, b"{}")[1:]]
                request = Request("path", method, path.format(odd), headers, b"{}" if method == "POST" else b"")
                judge(found, Invariant.I18, request, await target.ask(request))
    for method in ("HEAD", "OPTIONS", "TRACE", "PATCH", "PUT", "CONNECT", "BREW", "get"):
        for path in ("/v1/calls", "/retell/webhook", "/v1/retell/inbound", "/healthz", "/metrics", "/docs"):
            request = Request("method", method, path, with_key(target))
            judge(found, Invariant.I18, request, await target.ask(request))


async def _headers(found: Findings, target: Target) -> None:
    call = json.dumps(new_call(target, "+1")).encode()  # no number, so no call is made with any key
    for key in bodies.KEYS:
        for path in ("/v1/calls", "/v1/actions/note_writeback"):
            request = Request(f"key {key[:20]!r}", "POST", path, with_key(target, ("idempotency-key", key)), call)
            judge(found, Invariant.I18, request, await target.ask(request), REFUSED)
    for header in bodies.AUTHORIZATIONS:
        for path in ("/v1/calls", "/v1/events"):
            request = Request(f"authorization {header[1][:20]!r}", "GET", path, [header])
            judge(found, Invariant.I18, request, await target.ask(request), {401, 400})
    odd: tuple[Header, ...] = (
        ("content-length", "99999999999999999999"),
        ("content-length", "-1"),
        ("content-length", "٣"),
        ("transfer-encoding", "chunked, chunked"),
        ("transfer-encoding", "gzip"),
        ("expect", "200-ok"),
        ("host", "\r"),
        ("x-forwarded-for", "a" * 5000),
        ("accept", "text/html"),
        ("cookie", "x=" + "y" * 30_000),
    )
    for one in odd:
        request = Request(f"header {one[0]}", "GET", "/v1/events", with_key(target, one))
        judge(found, Invariant.I18, request, await target.ask(request))
