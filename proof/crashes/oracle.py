"""Judges a trial by the ledgers of the emulators, the wire log and the database's rows."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import asyncpg

from proof.crashes.cases import Case, Kill, Mode
from proof.crashes.ledgers import Json, Ledger, PhoneCall
from proof.crashes.scenario import NO_ATTEMPT, Promise, Scenario, Stop
from proof.harness.oracle import Blame, Expected, Kind, Observed, Problem, judge
from proof.invariants import Invariant
from ringback.failpoints import Failpoint

I = Invariant  # noqa: E741 - they are what every line here is about
BLAME = Blame(status=I.I20)
ALWAYS = frozenset({I.I1, I.I2, I.I4, I.I5, I.I6, I.I8, I.I14, I.I27})
_SUPPRESSED = "SELECT phone FROM suppressions WHERE lifted_at IS NULL"
_DEAD_BODIES = "SELECT body FROM queue_messages WHERE dead_at IS NOT NULL"


@dataclass
class Played:
    """A trial that is over. `hits` has one count per life, `killed` the kills that fired; `problem` is set when the
    trial did not come to an end."""

    case: Case
    scenario: Scenario
    ledger: Ledger
    hits: list[Counter[Failpoint]] = field(default_factory=list)
    killed: list[Kill] = field(default_factory=list)
    problem: str | None = None

    @property
    def all_kills_fired(self) -> bool:
        """Whether those that the case demands did."""
        return len(self.killed) >= len(self.case.kills)


@dataclass
class Judgement:
    problems: list[Problem] = field(default_factory=list)
    looked_at: set[Invariant] = field(default_factory=set)


@dataclass
class Evidence:
    """Everything that the oracle looks at, read once after the trial. `calls` and `attempts` are whole rows by id."""

    mode: Mode
    kills: int
    promises: Sequence[Promise]
    stops: Sequence[Stop]
    seen: Observed
    creates: list[Json]
    writes: list[Json]
    phone_calls: list[PhoneCall]
    suppressed: set[str]
    dead_rows: int
    dead_letters: list[str]
    promised_dead_letters: int
    differing: int = 0
    calls: dict[str, Json] = field(default_factory=dict)
    attempts: dict[str, list[Json]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self.calls = {call["call_id"]: call for call in self.seen.calls}
        for attempt in self.seen.attempts:
            self.attempts[attempt["call_id"]].append(attempt)


async def read_evidence(database: "asyncpg.Pool[asyncpg.Record]", played: Played, differing: int) -> Evidence:
    """`differing` is the number of cells of the statistics that differ from their rows."""
    ledger, scenario = played.ledger, played.scenario
    ledger.read_calls()
    calls = [dict(row) for row in await database.fetch("SELECT * FROM calls")]
    attempts = [dict(row) for row in await database.fetch("SELECT * FROM attempts ORDER BY number")]
    dead_letters = [row["body"] for row in await database.fetch(_DEAD_BODIES)]
    if scenario.queues is not None:
        dead_letters = await asyncio.to_thread(scenario.queues.dead_letters)
    return Evidence(
        mode=played.case.mode,
        kills=len(played.killed),
        promises=scenario.promises,
        stops=scenario.stops,
        seen=Observed(ledger.lines("rings"), ledger.lines("events"), calls, attempts),
        creates=ledger.lines("creates"),
        writes=ledger.lines("writes"),
        phone_calls=list(ledger.calls.values()),
        suppressed={row["phone"] for row in await database.fetch(_SUPPRESSED)},
        dead_rows=await database.fetchval("SELECT count(*) FROM outbox WHERE dead_at IS NOT NULL"),
        dead_letters=dead_letters,
        promised_dead_letters=scenario.dead_letters,
        differing=differing,
    )


def judge_trial(played: Played, seen: Evidence) -> Judgement:
    if played.problem is not None:
        return Judgement([Problem(I.I20, played.problem, Kind.UNRESOLVED)])
    expected = {call_id: _expected(promise, call_id, seen) for promise in seen.promises for call_id in promise.call_ids}
    found = Judgement(judge(seen.seen, expected, BLAME), set(ALWAYS))
    for check in (_promises, _requests, _people, _stops, _dead, _functions):
        found.problems += check(seen)
    if seen.differing:
        found.problems.append(Problem(I.I27, f"{seen.differing} numbers differ from their rows"))
    phones = Counter(call.phone for call in seen.phone_calls if call.direction == "outbound")
    for invariant, was_looked_at in {
        I.I3: any(calls > 1 for calls in phones.values()),
        I.I10: bool(seen.stops),
        I.I13: any(_ended_in_silence(promise, seen) for promise in seen.promises),
        I.I16: bool(seen.promised_dead_letters),
    }.items():
        found.looked_at |= {invariant} if was_looked_at else set()
    return found


def _expected(promise: Promise, call_id: str, seen: Evidence) -> Expected:
    """A call may be abandoned where no resend may be made, or where the one that was made died as well."""
    call, attempts = seen.calls.get(call_id), seen.attempts[call_id]
    status = call and call["status"]
    resend_died = seen.kills > 1 and bool(attempts) and attempts[-1]["resent"]
    may_be_abandoned = promise.may_be_abandoned or not seen.mode.remembers or resend_died
    is_unknown = bool(attempts) and attempts[-1]["state"] == "abandoned"
    statuses = {*promise.ends, *({"abandoned"} if may_be_abandoned and is_unknown else ())}
    if promise.never_rings:
        return Expected(promise.act, statuses, range(1))
    never_dialed = status in ("abandoned", "cancelled", "expired")
    return Expected(promise.act, statuses, range(0 if never_dialed else 1, promise.attempts_at_most + 1))


def _ended_in_silence(promise: Promise, seen: Evidence) -> bool:
    return promise.is_silent and any(
        seen.calls[call_id]["status"] in promise.ends for call_id in promise.call_ids if call_id in seen.calls
    )


def _promises(seen: Evidence) -> Iterator[Problem]:
    for promise in seen.promises:
        if len(promise.call_ids) > 1:
            what = f"{promise.act}: one key made {len(promise.call_ids)} calls"
            yield Problem(I.I8, what, Kind.DUPLICATED)


def _requests(seen: Evidence) -> Iterator[Problem]:
    """Each create was preceded by its committed row, and those of one attempt are the same to the byte."""
    bodies: dict[str, set[str]] = defaultdict(set)
    for create in seen.creates:
        bodies[create["attempt_id"]].add(create["body"])
        if create["row"] is None:
            yield Problem(I.I4, f"a create came before the row of attempt {create['attempt_id']}")
    for attempt_id, variants in bodies.items():
        if len(variants) > 1:
            yield Problem(I.I5, f"attempt {attempt_id} was sent with {len(variants)} different bodies")
    for call_id, attempts in seen.attempts.items():
        for earlier in attempts[:-1]:
            if earlier["provider_call_id"] is None and earlier["state"] != "rejected":
                yield Problem(I.I5, f"call {call_id}: a new attempt after the unclear {earlier['number']}")


def _people(seen: Evidence) -> Iterator[Problem]:
    """No two calls to one phone at a time, by the emulator's journal."""
    by_phone: dict[str, list[PhoneCall]] = defaultdict(list)
    for call in sorted(seen.phone_calls, key=lambda call: call.created_ms):
        if call.direction == "outbound":
            by_phone[call.phone].append(call)
    for calls in by_phone.values():
        for one, other in pairwise(calls):
            if one.ended_ms is None or other.created_ms < one.ended_ms:
                yield Problem(I.I3, f"{one.call_id} and {other.call_id} rang one phone at a time")


def _stops(seen: Evidence) -> Iterator[Problem]:
    """Nothing is claimed after an acknowledged stop, nor after the call's expiry."""
    for attempt in seen.seen.attempts:
        for stop in seen.stops:
            is_meant = not stop.call_ids or attempt["call_id"] in stop.call_ids
            if is_meant and attempt["claimed_at"] > stop.at and _was_claimed_before_its_end(stop, attempt, seen):
                yield Problem(I.I10, f"attempt {attempt['attempt_id']} was claimed after a {stop.what}")
        if attempt["claimed_at"] >= seen.calls[attempt["call_id"]]["expires_at"]:
            yield Problem(I.I10, f"attempt {attempt['attempt_id']} was claimed after its expiry")


def _was_claimed_before_its_end(stop: Stop, attempt: Json, seen: Evidence) -> bool:
    """A claim reads its time before it waits for the lock of the pause. So a claim with a time before the end of the
    pause may have been decided after it, unless its request arrived before the end."""
    if stop.until is None:
        return True
    window_ms = range(int(stop.at.timestamp() * 1000), int(stop.until.timestamp() * 1000))
    sent_ms = (create["at_ms"] for create in seen.creates if create["attempt_id"] == attempt["attempt_id"])
    return any(at_ms in window_ms for at_ms in sent_ms)


def _dead(seen: Evidence) -> Iterator[Problem]:
    """Only meaningless messages end in the dead letters. An event that waits for its attempt is received four of five
    times anyway, so it is one of them after two deaths."""
    if seen.dead_rows:
        yield Problem(I.I1, f"{seen.dead_rows} rows died in the outbox", Kind.LOST)
    empty = [body for body in seen.dead_letters if '\\"call_id\\": null' in body]
    waited = [body for body in seen.dead_letters if NO_ATTEMPT in body] if seen.kills > 1 else []
    if len(empty) < min(1, seen.promised_dead_letters) or len(empty) + len(waited) < len(seen.dead_letters):
        what = f"{len(seen.dead_letters)} dead letters, {len(empty)} of them expected"
        yield Problem(I.I16, what, Kind.LOST)


#: The acknowledged answer of a function means one write of this kind at Engage.
_WRITES = {"field_writeback": "fields", "note_writeback": "notes"}


def _functions(seen: Evidence) -> Iterator[Problem]:
    """Every acknowledged function of an agent is done, once."""
    keys: dict[tuple[str, str], set[str]] = defaultdict(set)
    for write in seen.writes:
        keys[write["contact_id"], write["kind"]].add(write["idempotency_key"])
    events = [item["event"] for item in seen.seen.deliveries]
    rescheduled = {event["subject"] for event in events if event["type"].endswith("_rescheduled")}
    for call in seen.phone_calls:
        contact_id = f"crm-{call.phone[1:]}"
        for name in (name for name, reply in call.tool_replies if reply["ok"]):
            if name in _WRITES and len(keys[contact_id, _WRITES[name]]) != 1:
                what = f"{name} was acknowledged and left {keys[contact_id, _WRITES[name]]}"
                yield Problem(I.I1, what, Kind.LOST)
            if name == "set_disposition" and call.phone not in seen.suppressed:
                yield Problem(I.I1, f"{call.phone} said stop and is not suppressed", Kind.LOST)
            if name == "reschedule_call" and call.metadata.get("ringback_call_id") not in rescheduled:
                what = f"{call.call_id}: a callback was promised and is not announced"
                yield Problem(I.I1, what, Kind.LOST)
    for (contact_id, kind), used in keys.items():
        if len(used) > 1:
            yield Problem(I.I14, f"{contact_id}: {len(used)} writes of {kind}", Kind.DUPLICATED)
