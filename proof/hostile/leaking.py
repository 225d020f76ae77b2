"""Every occasion on which the product could say too much: good days, refusals, and every kind of failure."""

import asyncio
import json
import os
import signal
from typing import Any

from proof.findings import Size
from proof.harness.http import Reply
from proof.harness.waiting import until
from proof.hostile.canaries import phone_spellings
from proof.hostile.target import Placed, Target, accepted, api, finished, from_retell, new_call, placed

#: The statuses of the provider's refusals, each with a body that repeats the whole request; 0 hangs up.
DIAL_REFUSALS = {Size.SMALL: (422, 500), Size.FULL: (422, 400, 500, 429, 0, 409, 401)}


async def every_occasion(target: Target, size: Size) -> None:
    target.peers.words = target.canaries.words["provider"]
    phones = target.canaries.phones
    call = await placed(target, phones["answered"])
    await _business(target, call)
    await finished(target, call)
    await _refused_requests(target, call)
    await _suppressions(target)
    await _refusing_engage(target, size)
    await _unforeseen(target)
    await _database_dies(target)
    await _refusing_retell(target, size)


async def _business(target: Target, call: Placed) -> None:
    words, phones = target.canaries.words, target.canaries.phones
    said = {
        "call_id": call.provider_call_id,
        "call_status": "ongoing",
        "metadata": call.marks,
        "transcript": words["tool"],
    }
    asked: dict[str, dict[str, Any]] = {
        "note_writeback": {"note": f"{words['note']}, call {phones['answered']}"},
        "field_writeback": {
            "fields": {"first_name": words["field"], "email": f"{words['field']}@example.com", "budget": "x"}
        },
        "reschedule_call": {"when": f"{words['reason']} {phones['answered']}", "reason": words["reason"]},
        "set_disposition": {"code": words["reason"], "note": words["note"]},
        "send_abt_event": {"type": words["reason"], "data": {"name": words["field"]}},
        "update_timezone": {"time_zone": words["reason"]},
        words["reason"]: {phones["answered"]: words["note"]},
    }
    for action, args in asked.items():
        tool = {"name": action, "call": said, "args": args}
        await from_retell(target, f"/v1/retell/functions/{_step(action)}", tool)
        await api(target, "POST", f"/v1/actions/{_step(action)}", {"call_id": call.call_id, "args": args})
        contact = {"contact_id": phones["answered"], "args": args}
        await api(target, "POST", f"/v1/actions/{_step(action)}", contact)
    ringing = {"from_number": phones["inbound"], "to_number": phones["own"], "call_id": "call_in"}
    for body in ({"event": "call_inbound", "call_inbound": ringing}, {"event": phones["inbound"]}, [words["tool"]]):
        await from_retell(target, "/v1/retell/inbound", json.dumps(body).encode())


def _step(text: str) -> str:
    return text.encode("ascii", "ignore").decode()


async def _refused_requests(target: Target, call: Placed) -> None:
    """The person's number and name in every place from which an error could repeat them."""
    words, phones, secrets = target.canaries.words, target.canaries.phones, target.canaries.secrets
    phone, name = phones["bad"], words["first_name"]
    good = new_call(target, phone)
    digits = (text for text in sorted(phone_spellings(phone)) if not text[-1].isalpha() and phone[-4:] in text)
    for text in (phone, *(text.replace("%20", " ") for text in digits)):
        await api(target, "POST", "/v1/calls", {**good, "contact": {**good["contact"], "phone": f"{text} "}})
        await api(target, "POST", "/v1/calls", {**good, text: text, "metadata": {f"ringback_{text}": text}})
        await api(target, "POST", "/v1/calls", {**good, "variables": {text: {text: [text]}}, "from_number": text[:-1]})
    for body in (
        good | {"first_name": name},
        good | {"not_before": name},
        good | {"retry": {"of": name, "on": [name]}},
    ):
        await api(target, "POST", "/v1/calls", body)
    for query in (
        f"phone={phone}",
        f"phone=%2B{phone[1:]}",
        f"phone={phone[1:]}",
        f"contact_id=%00{phone[1:]}",
        f"x={phone}",
    ):
        for path in ("/v1/why", "/v1/suppressions", "/v1/calls", "/v1/events"):
            await api(target, "GET", f"{path}?{query}")
    for path in (f"/v1/calls/{phone}", f"/v1/{phone}", f"/{phone}", f"/v1/actions/{phone}", f"/retell/{phone}"):
        await api(target, "GET", path)
        await api(target, "POST", path, {"args": {}})
    await api(target, "GET", f"/v1/calls/{call.call_id}", None, ("x-api-key", secrets["retell"]), ("cookie", phone))
    key = ("idempotency-key", f"{phone}-{_step(name)}")
    planned = {**good, "not_before": "2099-01-01T00:00:00Z"}
    for body in (planned, good | {"not_before": "2035-01-01T00:00:00Z"}, planned):
        await api(target, "POST", "/v1/calls", body, key)


async def _suppressions(target: Target) -> None:
    phone, reason = target.canaries.phones["suppressed"], target.canaries.words["reason"]
    made = await api(target, "POST", "/v1/suppressions", {"phone": phone, "reason": reason})
    await accepted(target, new_call(target, phone))
    for path in ("/v1/why", "/v1/suppressions"):
        assert (await api(target, "GET", f"{path}?phone=%2B{phone[1:]}")).status == 200
    lifted = f"/v1/suppressions/{made.json()['suppression_id']}"
    for _ in range(2):
        await api(target, "DELETE", lifted, {"reason": reason})
    await api(target, "POST", "/v1/dialing/pause", {"reason": reason})
    await api(target, "POST", "/v1/dialing/resume")


async def _refusing_engage(target: Target, size: Size) -> None:
    """Engage repeats the event in its refusal; the rows say why in the product's words. A dead row takes 30 s."""
    target.peers.engage_status = 400
    call = await placed(target, target.canaries.phones["silent"])
    await finished(target, call)
    state = "dead_at IS NOT NULL" if size is Size.FULL else "last_error IS NOT NULL"

    async def is_refused() -> bool:
        rows = await target.query(f"SELECT count(*) FROM outbox WHERE call_id = $1 AND {state}", call.call_id)
        return bool(rows[0][0])

    await until(is_refused, "Engage has refused an event")
    target.peers.engage_status = 200


async def _unforeseen(target: Target) -> None:
    """PostgreSQL refuses rows that it should take, and quotes them."""
    phone = target.canaries.phones["bad"]
    call = await placed(target, phone[:-1] + ("1" if phone[-1] != "1" else "2"))
    for table in ("calls", "notes", "provider_events", "action_results"):
        await target.query(f"ALTER TABLE {table} ADD CONSTRAINT planted CHECK (false) NOT VALID")
    await api(target, "POST", "/v1/calls", new_call(target, phone))
    note = {"call_id": call.call_id, "args": {"note": target.canaries.words["note"]}}
    await api(target, "POST", "/v1/actions/note_writeback", note)
    said = {"call_id": call.provider_call_id, "metadata": call.marks, "transcript": target.canaries.words["tool"]}
    tool = {"name": "note_writeback", "call": said, "args": note["args"]}
    await from_retell(target, "/v1/retell/functions/note_writeback", tool)
    told = {"event": "call_ended", "call": said | {"disconnection_reason": "user_hangup"}}
    await from_retell(target, "/retell/webhook", told)
    ringing = {"from_number": phone, "to_number": target.canaries.phones["own"]}
    answered = await from_retell(target, "/v1/retell/inbound", {"event": "call_inbound", "call_inbound": ringing})
    assert answered.status == 200, "a ringing phone is answered, whatever fails"
    await until(lambda: _logged(target, "message.failed"), "the processor meets the error")
    for table in ("calls", "notes", "provider_events", "action_results"):
        await target.query(f"ALTER TABLE {table} DROP CONSTRAINT planted")


async def _logged(target: Target, event: str) -> bool:
    return any(event in text for text in target.logs().values())


async def _database_dies(target: Target) -> None:
    """In the middle of requests, and started again."""
    assert target.postgres is not None and target.postgres.pid is not None, "started"
    phones, words = target.canaries.phones, target.canaries.words
    asked = [api(target, "POST", "/v1/calls", new_call(target, phones["suppressed"])) for _ in range(20)]
    asked += [api(target, "GET", f"/v1/why?phone=%2B{phones['silent'][1:]}") for _ in range(10)]
    tool = {"name": "note_writeback", "call": {"call_id": "c"}, "args": {"note": words["note"]}}
    asked += [from_retell(target, "/v1/retell/functions/note_writeback", tool) for _ in range(5)]
    asked += [from_retell(target, "/retell/webhook", {"event": "call_ended", "call": tool["call"]}) for _ in range(5)]
    in_progress: list[asyncio.Task[Reply]] = [asyncio.create_task(one) for one in asked]
    await asyncio.sleep(0.01)
    os.kill(target.postgres.pid, signal.SIGKILL)
    await asyncio.gather(*in_progress)
    for path in ("/readyz", "/metrics"):
        target.refusals.append((await api(target, "GET", path)).text)
    await api(target, "POST", "/v1/calls", new_call(target, phones["suppressed"]))
    target.postgres.start()

    async def is_back() -> bool:
        return (await api(target, "GET", "/readyz")).status == 200

    await until(is_back, "ready again")


async def _refusing_retell(target: Target, size: Size) -> None:
    """The last occasion, because a refused account stops all dialing."""
    stem = target.canaries.phones["refused"][:-1]
    for digit, status in enumerate(DIAL_REFUSALS[size]):
        phone = f"{stem}{digit}"
        target.peers.refused[phone] = status
        call_id = await accepted(target, new_call(target, phone))

        async def was_dialed(call_id: str = call_id) -> bool:
            state = "SELECT count(*) FROM attempts WHERE call_id = $1 AND state <> 'dialing'"
            return bool((await target.query(state, call_id))[0][0])

        await until(was_dialed, f"the dial that is answered {status}")
