"""Everything that could make the product say too much: good days, refusals, and every kind of failure."""

import asyncio
import json
import os
import signal
from typing import Any

from proof.findings import Size
from proof.hostile.canaries import phone_spellings
from proof.hostile.scenes import Placed, accepted, api, finished, from_retell, new_call, placed
from proof.hostile.victim import Victim, until
from proof.hostile.wire import Reply

#: What the provider may answer to a dial, each with a body that repeats the whole request; 0 hangs up.
DIAL_REFUSALS = {Size.SMALL: (422, 500), Size.FULL: (422, 400, 500, 429, 0, 409, 401)}


async def every_occasion(victim: Victim, size: Size) -> None:
    victim.world.words = victim.canaries.words["provider"]
    phones = victim.canaries.phones
    call = await placed(victim, phones["answered"])
    await _business(victim, call)
    await finished(victim, call)
    await _refused_requests(victim, call)
    await _suppressions(victim)
    await _refusing_engage(victim, size)
    await _unforeseen(victim)
    await _database_dies(victim)
    await _refusing_retell(victim, size)


async def _business(victim: Victim, call: Placed) -> None:
    words, phones = victim.canaries.words, victim.canaries.phones
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
        await from_retell(victim, f"/v1/retell/functions/{_step(action)}", tool)
        await api(victim, "POST", f"/v1/actions/{_step(action)}", {"call_id": call.call_id, "args": args})
        contact = {"contact_id": phones["answered"], "args": args}
        await api(victim, "POST", f"/v1/actions/{_step(action)}", contact)
    ringing = {"from_number": phones["inbound"], "to_number": phones["own"], "call_id": "call_in"}
    for body in ({"event": "call_inbound", "call_inbound": ringing}, {"event": phones["inbound"]}, [words["tool"]]):
        await from_retell(victim, "/v1/retell/inbound", json.dumps(body).encode())


def _step(text: str) -> str:
    return text.encode("ascii", "ignore").decode()


async def _refused_requests(victim: Victim, call: Placed) -> None:
    """The person's number and name in every place from which an error could repeat them."""
    words, phones, secrets = victim.canaries.words, victim.canaries.phones, victim.canaries.secrets
    phone, name = phones["bad"], words["first_name"]
    good = new_call(victim, phone)
    digits = (text for text in sorted(phone_spellings(phone)) if not text[-1].isalpha() and phone[-4:] in text)
    for text in (phone, *(text.replace("%20", " ") for text in digits)):
        await api(victim, "POST", "/v1/calls", {**good, "contact": {**good["contact"], "phone": f"{text} "}})
        await api(victim, "POST", "/v1/calls", {**good, text: text, "metadata": {f"ringback_{text}": text}})
        await api(victim, "POST", "/v1/calls", {**good, "variables": {text: {text: [text]}}, "from_number": text[:-1]})
    for body in (
        good | {"first_name": name},
        good | {"not_before": name},
        good | {"retry": {"of": name, "on": [name]}},
    ):
        await api(victim, "POST", "/v1/calls", body)
    for target in (
        f"phone={phone}",
        f"phone=%2B{phone[1:]}",
        f"phone={phone[1:]}",
        f"contact_id=%00{phone[1:]}",
        f"x={phone}",
    ):
        for path in ("/v1/why", "/v1/suppressions", "/v1/calls", "/v1/events"):
            await api(victim, "GET", f"{path}?{target}")
    for path in (f"/v1/calls/{phone}", f"/v1/{phone}", f"/{phone}", f"/v1/actions/{phone}", f"/retell/{phone}"):
        await api(victim, "GET", path)
        await api(victim, "POST", path, {"args": {}})
    await api(victim, "GET", f"/v1/calls/{call.call_id}", None, ("x-api-key", secrets["retell"]), ("cookie", phone))
    key = ("idempotency-key", f"{phone}-{_step(name)}")
    planned = {**good, "not_before": "2099-01-01T00:00:00Z"}
    for body in (planned, good | {"not_before": "2035-01-01T00:00:00Z"}, planned):
        await api(victim, "POST", "/v1/calls", body, key)


async def _suppressions(victim: Victim) -> None:
    phone, reason = victim.canaries.phones["suppressed"], victim.canaries.words["reason"]
    made = await api(victim, "POST", "/v1/suppressions", {"phone": phone, "reason": reason})
    await accepted(victim, new_call(victim, phone))
    for path in ("/v1/why", "/v1/suppressions"):
        assert (await api(victim, "GET", f"{path}?phone=%2B{phone[1:]}")).status == 200
    lifted = f"/v1/suppressions/{made.json()['suppression_id']}"
    for _ in range(2):
        await api(victim, "DELETE", lifted, {"reason": reason})
    await api(victim, "POST", "/v1/dialing/pause", {"reason": reason})
    await api(victim, "POST", "/v1/dialing/resume")


async def _refusing_engage(victim: Victim, size: Size) -> None:
    """It throws back what it was told; the rows say why in our words. One that is tried no more takes half a minute."""
    victim.world.engage_status = 400
    call = await placed(victim, victim.canaries.phones["silent"])
    await finished(victim, call)
    state = "dead_at IS NOT NULL" if size is Size.FULL else "last_error IS NOT NULL"

    async def is_refused() -> bool:
        rows = await victim.query(f"SELECT count(*) FROM outbox WHERE call_id = $1 AND {state}", call.call_id)
        return bool(rows[0][0])

    await until(is_refused, "Engage has refused an event")
    victim.world.engage_status = 200


async def _unforeseen(victim: Victim) -> None:
    """PostgreSQL refuses rows that it should take, and quotes them."""
    phone = victim.canaries.phones["bad"]
    call = await placed(victim, phone[:-1] + ("1" if phone[-1] != "1" else "2"))
    for table in ("calls", "notes", "provider_events", "action_results"):
        await victim.query(f"ALTER TABLE {table} ADD CONSTRAINT planted CHECK (false) NOT VALID")
    await api(victim, "POST", "/v1/calls", new_call(victim, phone))
    note = {"call_id": call.call_id, "args": {"note": victim.canaries.words["note"]}}
    await api(victim, "POST", "/v1/actions/note_writeback", note)
    said = {"call_id": call.provider_call_id, "metadata": call.marks, "transcript": victim.canaries.words["tool"]}
    tool = {"name": "note_writeback", "call": said, "args": note["args"]}
    await from_retell(victim, "/v1/retell/functions/note_writeback", tool)
    told = {"event": "call_ended", "call": said | {"disconnection_reason": "user_hangup"}}
    await from_retell(victim, "/retell/webhook", told)
    ringing = {"from_number": phone, "to_number": victim.canaries.phones["own"]}
    answered = await from_retell(victim, "/v1/retell/inbound", {"event": "call_inbound", "call_inbound": ringing})
    assert answered.status == 200, "a ringing phone is answered, whatever fails"
    await until(lambda: _logged(victim, "message.failed"), "the processor meets the error")
    for table in ("calls", "notes", "provider_events", "action_results"):
        await victim.query(f"ALTER TABLE {table} DROP CONSTRAINT planted")


async def _logged(victim: Victim, event: str) -> bool:
    return any(event in text for text in victim.logs().values())


async def _database_dies(victim: Victim) -> None:
    """In the middle of requests, and back again."""
    assert victim.postgres is not None and victim.postgres.pid is not None, "started"
    phones, words = victim.canaries.phones, victim.canaries.words
    asked = [api(victim, "POST", "/v1/calls", new_call(victim, phones["suppressed"])) for _ in range(20)]
    asked += [api(victim, "GET", f"/v1/why?phone=%2B{phones['silent'][1:]}") for _ in range(10)]
    tool = {"name": "note_writeback", "call": {"call_id": "c"}, "args": {"note": words["note"]}}
    asked += [from_retell(victim, "/v1/retell/functions/note_writeback", tool) for _ in range(5)]
    asked += [from_retell(victim, "/retell/webhook", {"event": "call_ended", "call": tool["call"]}) for _ in range(5)]
    under_way: list[asyncio.Task[Reply]] = [asyncio.create_task(one) for one in asked]
    await asyncio.sleep(0.01)
    os.kill(victim.postgres.pid, signal.SIGKILL)
    await asyncio.gather(*under_way)
    for path in ("/readyz", "/metrics"):
        victim.refusals.append((await api(victim, "GET", path)).text)
    await api(victim, "POST", "/v1/calls", new_call(victim, phones["suppressed"]))
    victim.postgres.start()

    async def is_back() -> bool:
        return (await api(victim, "GET", "/readyz")).status == 200

    await until(is_back, "ready again")


async def _refusing_retell(victim: Victim, size: Size) -> None:
    """The last occasion, because a refused account stops all dialing."""
    stem = victim.canaries.phones["refused"][:-1]
    for digit, status in enumerate(DIAL_REFUSALS[size]):
        phone = f"{stem}{digit}"
        victim.world.refused[phone] = status
        call_id = await accepted(victim, new_call(victim, phone))

        async def was_dialed(call_id: str = call_id) -> bool:
            state = "SELECT count(*) FROM attempts WHERE call_id = $1 AND state <> 'dialing'"
            return bool((await victim.query(state, call_id))[0][0])

        await until(was_dialed, f"the dial that is answered {status}")
