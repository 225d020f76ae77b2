"""Accept calls: one durable intent, its task and its outgoing message in one commit, or nothing."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from ringback.batching import Batcher
from ringback.domain.abt_event import FailReason
from ringback.domain.call import (
    DEFAULT_LIFETIME,
    AcceptReceipt,
    Call,
    CallStatus,
    KeyReused,
    NewCall,
    Task,
    TaskKind,
    TaskStatus,
    close,
)
from ringback.domain.contact import Contact
from ringback.domain.eligibility import DialPolicy
from ringback.domain.errors import StoreUnavailable
from ringback.domain.phone_number import NumberPlan
from ringback.domain.zone_names import candidate_zones
from ringback.failpoints import Failpoint, reach
from ringback.flows.abt_events import closing_event
from ringback.messages import CallRequested
from ringback.ports import Clock
from ringback.storage import Acceptance, AcceptedCall, PersonNow

_log = structlog.get_logger(__name__)

#: Requests in one commit. Requests that arrive during a commit form the next batch, without a timer.
ACCEPTED_TOGETHER = 50
#: Without a zone the calling hours are unknown. The eligibility check looks again this much later and never guesses.
_HOURS_UNKNOWN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class AcceptRequest:
    request: NewCall
    idempotency_key: str | None = None


#: An error: this request was not accepted, as far as is known.
AcceptResult = AcceptReceipt | Exception


@dataclass(frozen=True, slots=True)
class CallInitiation:
    """The flow that accepts calls."""

    store: Acceptance
    clock: Clock
    new_id: Callable[[], str]
    numbers: NumberPlan
    policy: DialPolicy

    async def accept_call(self, request: NewCall, idempotency_key: str | None = None) -> AcceptReceipt:
        """Accept one call. It is durable on return. Raises KeyReused and StoreUnavailable."""
        answer = (await self.accept_calls([AcceptRequest(request, idempotency_key)]))[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def answered_before(self, idempotency_key: str, fingerprint: str) -> AcceptReceipt | None:
        """The stored answer to the same request under its key. Raises StoreUnavailable."""
        response = (await self.store.stored_answers({idempotency_key: fingerprint})).get(idempotency_key)
        return _replay(response) if response is not None else None

    async def accept_calls(self, asked: Sequence[AcceptRequest]) -> list[AcceptResult]:
        """Accept several calls with few statements. Each succeeds or fails alone. The results are in their order.

        Errors are returned and not raised: a caller that repeated all requests would have some accepted twice.
        """
        answers: dict[int, AcceptResult] = {}
        for wave in _waves(asked):
            answers |= await self._accept_apart({position: asked[position] for position in wave})
        return [answers[position] for position in range(len(asked))]

    async def _accept_apart(self, asked: dict[int, AcceptRequest]) -> dict[int, AcceptResult]:
        """Accept all together, or one by one after an error of one request."""
        try:
            return await self._accept_wave(asked)
        except StoreUnavailable as error:
            # The commit may be unclear, so nothing is tried again.
            return dict.fromkeys(asked, error)
        except Exception as error:  # noqa: BLE001 - rolled back; each request has a caller of its own
            if len(asked) == 1:
                return dict.fromkeys(asked, error)
        answers: dict[int, AcceptResult] = {}
        for position, one in asked.items():
            answers |= await self._accept_apart({position: one})
        return answers

    async def _accept_wave(self, asked: dict[int, AcceptRequest]) -> dict[int, AcceptResult]:
        """Accept requests of which no two share a contact or a key."""
        answers = await self._replays(asked)
        fresh = {position: one for position, one in asked.items() if position not in answers}
        if not fresh:
            return answers
        now = self.clock.now()
        wanted = [(one.request.contact_id, one.request.phone) for one in fresh.values()]
        most = self._most_dispatched(fresh.values(), now)
        people, dispatched = await self.store.people_now(wanted, most)
        room = most - dispatched
        drafts: dict[int, tuple[AcceptedCall, AcceptReceipt]] = {}
        for position, one in fresh.items():
            row, answer = self._draft(one, people[one.request.contact_id], now, may_dispatch=room > 0)
            drafts[position] = row, answer
            room -= row.message is not None
        reach(Failpoint.ACCEPT_DRAFTED)
        written = await self.store.insert_accepted([row for row, _ in drafts.values()], now)
        reach(Failpoint.ACCEPT_COMMITTED)
        for row, answer in drafts.values():
            if row.call.call_id in written:
                _log.info("call.accepted", call_id=answer.call_id, status=answer.status, reason=answer.reason)
        answers |= {position: answer for position, (row, answer) in drafts.items() if row.call.call_id in written}
        late = {position: one for position, one in asked.items() if position not in answers}
        try:
            # Other requests with these keys have committed by now, so their answers are stored.
            return answers | await self._replays(late)
        except StoreUnavailable as error:
            return answers | dict.fromkeys(late, error)  # written ones stay accepted

    def _most_dispatched(self, asked: Iterable[AcceptRequest], now: datetime) -> int:
        """How many calls may be on their way to the processors. The others wait in the database, in order of due times.

        Without a limit, thousands of calls that are due at once would be dialed before every callback that is due.
        """
        if all(one.request.not_before is not None and one.request.not_before > now for one in asked):
            return 0  # none is dispatched, so that nothing is counted
        return self.policy.most_dispatched

    async def _replays(self, asked: dict[int, AcceptRequest]) -> dict[int, AcceptResult]:
        keyed = {one.idempotency_key: position for position, one in asked.items() if one.idempotency_key is not None}
        fingerprints = {key: asked[position].request.fingerprint for key, position in keyed.items()}
        stored = await self.store.stored_answers(fingerprints) if keyed else {}
        return {keyed[key]: KeyReused() if response is None else _replay(response) for key, response in stored.items()}

    def _draft(
        self, asked: AcceptRequest, person: PersonNow, now: datetime, *, may_dispatch: bool
    ) -> tuple[AcceptedCall, AcceptReceipt]:
        request = asked.request
        contact = Contact(
            request.contact_id, request.phone, request.time_zone, "crm" if request.time_zone else None, request.fields
        )
        call = self._new_call(request, now)
        refused = self._refusal(request, person)
        if refused is not None:
            event = closing_event(call, refused, now)
            close(call, CallStatus.FAILED, event.event_id)
            answer = AcceptReceipt(call.call_id, call.status, None, refused)
            row = AcceptedCall(contact, call, None, closing=event, decision={"reason": refused})
        else:
            zone = request.time_zone
            if person.time_zone is not None and (person.time_zone_source == "person" or zone is None):
                zone = person.time_zone  # after the write too: the person's zone outranks the CRM's
            task = self._first_task(call, zone, request, now)
            if task.due_at <= now and may_dispatch:
                # Due at once: released here, so that the first message does not wait for the scheduler.
                task.status, task.dispatch, task.dispatched_at = TaskStatus.DISPATCHED, 1, now
            message = CallRequested(call.call_id, task.task_id, task.dispatch) if task.dispatch else None
            status = CallStatus.QUEUED if message is not None else CallStatus.SCHEDULED
            answer = AcceptReceipt(call.call_id, status, task.due_at)
            row = AcceptedCall(contact, call, task, message=message)
        if asked.idempotency_key is not None:
            row = replace(
                row,
                idempotency_key=asked.idempotency_key,
                request_hash=request.fingerprint,
                response=answer.as_json(),
            )
        return row, answer

    def _new_call(self, request: NewCall, now: datetime) -> Call:
        due_at = max(now, request.not_before or now)
        return Call(
            call_id=self.new_id(),
            contact_id=request.contact_id,
            phone=request.phone,
            agent_id=request.agent_id,
            from_number=request.from_number,
            variables=request.variables,
            metadata=request.metadata,
            retry=request.retry,
            accepted_at=now,
            expires_at=request.expires_at or due_at + DEFAULT_LIFETIME,
            expiry_is_explicit=request.expires_at is not None,
        )

    def _refusal(self, request: NewCall, person: PersonNow) -> FailReason | None:
        if person.suppressed:
            return FailReason.SUPPRESSED
        return self.policy.refusal(self.numbers.region(request.phone), self.numbers.number_type(request.phone))

    def _first_task(self, call: Call, zone: str | None, request: NewCall, now: datetime) -> Task:
        wanted = max(now, request.not_before or now)
        zones = candidate_zones(zone, self.numbers.time_zones(call.phone))
        opens = self.policy.opens_at(wanted, zones)
        due_at = opens or wanted + _HOURS_UNKNOWN
        return Task(self.new_id(), call.call_id, TaskKind.FIRST, due_at, created_at=now)


def _waves(asked: Sequence[AcceptRequest]) -> Iterator[list[int]]:
    """Split the positions, in order, into parts without a repeated contact or key."""
    left = list(range(len(asked)))
    while left:
        wave: list[int] = []
        seen: set[tuple[str, str]] = set()
        for position in left:
            one = asked[position]
            marks = {("contact", one.request.contact_id)}
            if one.idempotency_key is not None:
                marks.add(("key", one.idempotency_key))
            if not marks & seen:
                wave.append(position)
            seen |= marks
        yield wave
        left = [position for position in left if position not in wave]


def _replay(response: Mapping[str, Any]) -> AcceptReceipt:
    due_at = response["next_eligible_at"]
    return AcceptReceipt(
        response["call_id"],
        CallStatus(response["status"]),
        datetime.fromisoformat(due_at) if due_at else None,
        # Answers that an earlier version stored have no reason.
        response.get("reason"),
        replayed=True,
    )


def batched_acceptance(initiation: CallInitiation) -> Callable[[NewCall, str | None], Awaitable[AcceptReceipt]]:
    """Return `accept_call` with its writes in batches. It raises KeyReused and StoreUnavailable."""
    batcher: Batcher[AcceptRequest, AcceptResult] = Batcher(
        initiation.accept_calls, limit=ACCEPTED_TOGETHER, parallel=2
    )

    async def accept(request: NewCall, idempotency_key: str | None) -> AcceptReceipt:
        result = await batcher(AcceptRequest(request, idempotency_key))
        if isinstance(result, Exception):
            raise result
        return result

    return accept
