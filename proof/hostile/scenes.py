"""What honest people do meanwhile: a call is placed, Retell tells of it, and everything settles."""

import json
import time
from dataclasses import dataclass
from typing import Any

from proof.hostile.forgeries import genuine
from proof.hostile.victim import Victim, until
from proof.hostile.wire import Header, Reply, Request
from tests.flows.event_processing import recordings

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Placed:
    call_id: str
    provider_call_id: str
    marks: Json


def with_key(victim: Victim, *more: Header) -> list[Header]:
    bearer = f"Bearer {victim.canaries.secrets['api']}"
    return [("authorization", bearer), ("content-type", "application/json"), *more]


async def api(victim: Victim, method: str, path: str, body: Any = None, *more: Header) -> Reply:
    """A request as a system sends it, with its key."""
    content = b"" if body is None else json.dumps(body).encode()
    return await victim.ask(Request(f"{method} {path}", method, path, with_key(victim, *more), content))


def signed(victim: Victim, body: bytes, at_ms: int | None = None) -> list[Header]:
    when = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    return [("content-type", "application/json"), ("x-retell-signature", genuine(body, victim.webhook_key, when))]


async def from_retell(victim: Victim, path: str, body: bytes | Json, name: str = "genuine") -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await victim.ask(Request(name, "POST", path, signed(victim, content), content))


def new_call(victim: Victim, phone: str, **more: Any) -> Json:
    words = victim.canaries.words
    contact = {"contact_id": f"crm-{len(phone)}-{phone[-4:]}", "phone": phone, "fields": {"x": words["field"]}}
    variables = {"first_name": words["first_name"]}
    metadata = {"told": words["metadata"]}
    own = victim.canaries.phones["own"]
    body = {"contact": contact, "agent_id": "agent_sales", "from_number": own, "variables": variables}
    return {**body, "metadata": metadata, **more}


async def accepted(victim: Victim, body: Json) -> str:
    reply = await api(victim, "POST", "/v1/calls", body)
    assert reply.status == 202, (reply.status, reply.text)
    call_id: str = reply.json()["call_id"]
    return call_id


async def placed(victim: Victim, phone: str) -> Placed:
    """A call that rings, as the provider sees it; its answer is written down, so that nothing follows by itself."""
    call_id = await accepted(victim, new_call(victim, phone))

    async def rings() -> Placed | None:
        call = victim.world.rung_for(call_id)
        if not call or not await victim.query("SELECT FROM attempts WHERE provider_call_id = $1", call["call_id"]):
            return None
        return Placed(call_id, call["call_id"], call["metadata"])

    return await until(rings, f"{call_id} rings")


def told(victim: Victim, call: Placed, event: str, **changes: Any) -> bytes:
    """A genuine webhook's body of a call that was answered, in the canaries' words."""
    words = victim.canaries.words
    talk = f"Agent: Hello {words['first_name']}.\nUser: {words['transcript']}\n"
    over = {"transcript": talk, "transcript_object": None, "to_number": victim.canaries.phones["answered"]}
    if event != "call_started":
        changes = {**over, **changes}
    if event == "call_analyzed":
        changes = {"call_analysis": recordings.analysis(True, call_summary=words["summary"]), **changes}
    return recordings.play(recordings.COMPLETED, event, call.provider_call_id, call.marks, **changes).encode()


async def call_of(victim: Victim, call_id: str) -> Json:
    reply = await api(victim, "GET", f"/v1/calls/{call_id}")
    assert reply.status == 200, reply.text
    call: Json = reply.json()
    return call


async def finished(victim: Victim, call: Placed) -> None:
    """Told to its end, which must be reached."""
    for event in ("call_started", "call_ended", "call_analyzed"):
        reply = await from_retell(victim, "/retell/webhook", told(victim, call, event))
        assert reply.status == 204, reply.status

    async def is_final() -> bool:
        return bool((await call_of(victim, call.call_id))["final"])

    await until(is_final, f"{call.call_id} is final")
