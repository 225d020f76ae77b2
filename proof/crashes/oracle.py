"""What a trial came to, judged by the ledgers of the emulators, the wire log and the database's rows alone."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise

import asyncpg

from proof.crashes.announcements import judge_events
from proof.crashes.case import Played
from proof.crashes.judgement import Evidence, Judgement, Kind
from proof.crashes.ledgers import Json, PhoneCall
from proof.crashes.modes import Mode
from proof.crashes.stage import Promise, Stop
from proof.invariants import Invariant

I = Invariant  # noqa: E741 - they are what every line here is about


async def read_evidence(database: "asyncpg.Pool[asyncpg.Record]", played: Played) -> Evidence:
    ledger, stage = played.ledger, played.stage
    ledger.read_calls()
    return Evidence(
        played.case.mode,
        len(played.case.kills),
        stage.promises,
        stage.stops,
        ledger.rings(),
        ledger.creates(),
        ledger.events(),
        ledger.writes(),
        ledger.calls,
        {row["call_id"]: dict(row) for row in await database.fetch("SELECT * FROM calls")},
        {row["attempt_id"]: dict(row) for row in await database.fetch("SELECT * FROM attempts")},
        [
            dict(row)
            for row in await database.fetch("SELECT phone, contact_id FROM suppressions WHERE lifted_at IS NULL")
        ],
        await database.fetchval("SELECT count(*) FROM outbox WHERE dead_at IS NOT NULL"),
        [row[0] for row in await database.fetch("SELECT body FROM queue_messages WHERE dead_at IS NOT NULL")],
        stage.dead_letters,
    )


def judge(played: Played, seen: Evidence) -> Judgement:
    found = Judgement()
    if played.problem is not None:
        found.broke(I.I20, Kind.UNRESOLVED, played.problem)
        return found
    _judge_promises(seen, found)
    _judge_rings(seen, found)
    _judge_requests(seen, found)
    _judge_people(seen, found)
    _judge_unknowns(seen, found)
    _judge_stops(seen, found)
    _judge_dead(seen, found)
    _judge_functions(seen, found)
    judge_events(seen, found)
    return found


def _judge_promises(seen: Evidence, found: Judgement) -> None:
    """Each accepted call exists once and ended as its kind may end."""
    found.looked_at |= {I.I1, I.I8}
    for promise in seen.promises:
        if len(promise.call_ids) > 1:
            found.broke(I.I8, Kind.DUPLICATED, f"{promise.act}: one key made {len(promise.call_ids)} calls")
        for call_id in promise.call_ids:
            call = seen.calls.get(call_id)
            if call is None or not call["final"]:
                found.broke(
                    I.I1, Kind.LOST, f"{promise.act}: call {call_id} was accepted and is {call and call['status']}"
                )
            elif call["status"] not in promise.ends and not _was_abandoned(promise, call, seen):
                found.broke(I.I20, Kind.UNEXPECTED, f"{promise.act}: call {call_id} ended as {call['status']}")
            elif promise.is_silent and call["status"] in promise.ends:
                found.looked_at.add(I.I13)
    strangers = seen.calls.keys() - {call_id for promise in seen.promises for call_id in promise.call_ids}
    for call_id in strangers:
        found.broke(I.I8, Kind.UNEXPECTED, f"call {call_id} is nobody's")


def _was_abandoned(promise: Promise, call: Json, seen: Evidence) -> bool:
    """Given up because it is not known whether the phone rang, which it did not: only where no resend may be made, or
    where the one that may be made died as well."""
    is_allowed = promise.may_be_abandoned or seen.mode is Mode.FORGETFUL or seen.kills > 1
    last = max(seen.attempts_of(call["call_id"]), key=lambda attempt: attempt["number"], default=None)
    is_unknown = last is not None and last["state"] == "abandoned"
    return is_allowed and call["status"] == "abandoned" and is_unknown


def _judge_rings(seen: Evidence, found: Judgement) -> None:
    """One ring for one attempt, bound to it, and only for calls that may ring."""
    found.looked_at |= {I.I2, I.I4}
    allowed = {call_id: promise for promise in seen.promises for call_id in promise.call_ids}
    for attempt_id, rings in Counter(ring["metadata"].get("ringback_attempt_id") for ring in seen.rings).items():
        if rings > 1:
            found.broke(I.I2, Kind.DUPLICATED, f"attempt {attempt_id} rang {rings} times")
    for ring in seen.rings:
        attempt = seen.attempts.get(ring["metadata"].get("ringback_attempt_id"))
        if attempt is None:
            found.broke(I.I4, Kind.UNEXPECTED, f"{ring['provider_call_id']} rang for no attempt")
        elif attempt["provider_call_id"] != ring["provider_call_id"]:
            bound_to = attempt["provider_call_id"]
            found.broke(I.I2, Kind.UNRESOLVED, f"{ring['provider_call_id']} rang; its attempt is bound to {bound_to}")
    for call_id, promise in allowed.items():
        rings = len(seen.rings_of(call_id))
        if rings > (0 if promise.never_rings else promise.attempts_at_most):
            found.broke(I.I2, Kind.UNEXPECTED, f"{promise.act}: call {call_id} rang {rings} times")
        if not rings and not promise.never_rings and _should_have_rung(call_id, seen):
            found.broke(I.I1, Kind.LOST, f"{promise.act}: call {call_id} never rang")


def _should_have_rung(call_id: str, seen: Evidence) -> bool:
    status = seen.calls.get(call_id, {}).get("status")
    return status not in ("abandoned", "cancelled", "expired")


def _judge_requests(seen: Evidence, found: Judgement) -> None:
    """Each create was preceded by its committed row, and those of one attempt are the same to the byte."""
    found.looked_at |= {I.I4, I.I5}
    bodies: dict[str, set[str]] = defaultdict(set)
    for create in seen.creates:
        bodies[create["attempt_id"]].add(create["body"])
        if create["row"] is None:
            found.broke(I.I4, Kind.UNEXPECTED, f"a create came before the row of attempt {create['attempt_id']}")
    for attempt_id, variants in bodies.items():
        if len(variants) > 1:
            found.broke(I.I5, Kind.UNEXPECTED, f"attempt {attempt_id} was sent with {len(variants)} different bodies")
    by_call: dict[str, list[Json]] = defaultdict(list)
    for attempt in sorted(seen.attempts.values(), key=lambda attempt: attempt["number"]):
        by_call[attempt["call_id"]].append(attempt)
    for call_id, attempts in by_call.items():
        for earlier in attempts[:-1]:
            if earlier["provider_call_id"] is None and earlier["state"] != "rejected":
                found.broke(
                    I.I5, Kind.UNEXPECTED, f"call {call_id}: a new attempt after the unclear {earlier['number']}"
                )


def _judge_people(seen: Evidence, found: Judgement) -> None:
    """No two calls to one phone at a time, by the emulator's book."""
    by_phone: dict[str, list[PhoneCall]] = defaultdict(list)
    for call in seen.phone_calls.values():
        if call.direction == "outbound":
            by_phone[call.phone].append(call)
    for calls in by_phone.values():
        calls.sort(key=lambda call: call.created_ms)
        found.looked_at |= {I.I3} if len(calls) > 1 else set()
        for one, other in pairwise(calls):
            if one.ended_ms is None or other.created_ms < one.ended_ms:
                found.broke(I.I3, Kind.UNEXPECTED, f"{one.call_id} and {other.call_id} rang one phone at a time")


def _judge_unknowns(seen: Evidence, found: Judgement) -> None:
    found.looked_at |= {I.I6}
    rung = {ring["metadata"].get("ringback_attempt_id") for ring in seen.rings}
    for attempt_id, attempt in seen.attempts.items():
        state = attempt["state"]
        if state in ("dialing", "unknown", "waiting"):
            found.broke(I.I6, Kind.UNRESOLVED, f"attempt {attempt_id} is left {state}")
        elif state == "abandoned" and attempt_id in rung:
            found.broke(I.I6, Kind.UNRESOLVED, f"attempt {attempt_id} rang and was abandoned")


def _judge_stops(seen: Evidence, found: Judgement) -> None:
    """Nothing is claimed after an acknowledged stop."""
    for stop in seen.stops:
        found.looked_at.add(I.I10)
        for attempt in seen.attempts.values():
            is_meant = not stop.call_ids or attempt["call_id"] in stop.call_ids
            if is_meant and attempt["claimed_at"] > stop.at and _was_claimed_before_its_end(stop, attempt, seen):
                found.broke(I.I10, Kind.UNEXPECTED, f"attempt {attempt['attempt_id']} was claimed after a {stop.what}")
    for attempt in seen.attempts.values():
        if attempt["claimed_at"] >= seen.calls[attempt["call_id"]]["expires_at"]:
            found.broke(I.I10, Kind.UNEXPECTED, f"attempt {attempt['attempt_id']} was claimed after its expiry")


def _was_claimed_before_its_end(stop: Stop, attempt: Json, seen: Evidence) -> bool:
    """A claim reads its time before it waits for the lock that a pause takes, so one from before the end of the pause
    may have been decided after it; one whose request was there before the end was not."""
    if stop.until is None:
        return True
    window_ms = range(int(stop.at.timestamp() * 1000), int(stop.until.timestamp() * 1000))
    sent_ms = (create["at_ms"] for create in seen.creates if create["attempt_id"] == attempt["attempt_id"])
    return any(at_ms in window_ms for at_ms in sent_ms)


def _judge_dead(seen: Evidence, found: Judgement) -> None:
    """Only what says nothing ends in the dead letters."""
    if seen.promised_dead_letters:
        found.looked_at.add(I.I16)
    if seen.dead_rows:
        found.broke(I.I1, Kind.LOST, f"{seen.dead_rows} rows died in the outbox")
    empty = [body for body in seen.dead_letters if '\\"call_id\\": null' in body]
    if len(empty) < min(1, seen.promised_dead_letters) or len(empty) < len(seen.dead_letters):
        found.broke(I.I16, Kind.LOST, f"{len(seen.dead_letters)} dead letters, {len(empty)} of them expected")


#: What a function's acknowledged answer must have left with Engage or in the database.
_WRITES = {"field_writeback": "fields", "note_writeback": "notes"}


def _judge_functions(seen: Evidence, found: Judgement) -> None:
    """What an agent was told is done is done, once."""
    keys: dict[tuple[str, str], set[str]] = defaultdict(set)
    for write in seen.writes:
        keys[write["contact_id"], write["kind"]].add(write["idempotency_key"])
    for call in seen.phone_calls.values():
        contact_id = f"crm-{call.phone[1:]}"
        for name, reply in call.tool_replies:
            if not reply["ok"]:
                continue
            if name in _WRITES and len(keys[contact_id, _WRITES[name]]) != 1:
                found.broke(I.I1, Kind.LOST, f"{name} was acknowledged and left {keys[contact_id, _WRITES[name]]}")
            if name == "set_disposition" and not _is_suppressed(call.phone, seen.suppressions):
                found.broke(I.I1, Kind.LOST, f"{call.phone} said stop and is not suppressed")
            if name == "reschedule_call" and not _was_rescheduled(call, seen.events):
                found.broke(I.I1, Kind.LOST, f"{call.call_id}: a callback was promised and is not announced")
    for (contact_id, kind), used in keys.items():
        if len(used) > 1:
            found.broke(I.I14, Kind.DUPLICATED, f"{contact_id}: {len(used)} writes of {kind}")


def _is_suppressed(phone: str, suppressions: Iterable[Json]) -> bool:
    return any(suppression["phone"] == phone for suppression in suppressions)


def _was_rescheduled(call: PhoneCall, events: Iterable[Json]) -> bool:
    call_id = call.metadata.get("ringback_call_id")
    return any(
        item["event"]["subject"] == call_id and item["event"]["type"].endswith("_rescheduled") for item in events
    )
