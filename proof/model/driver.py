"""The model's steps, done to the product: what a step supposes of time is written into the rows, the clock stands."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from proof.model.facts import News, Word, report_of, retry_of
from proof.model.offer import Step
from proof.model.state import Bounds, Phase, Situation
from proof.model.transaction import rank
from ringback.adapters.retell.events import report_from_call
from ringback.adapters.retell.wire import identified
from ringback.adapters.spoken_time import EnglishSpokenTime
from ringback.domain.attempt import DialAnswer, DialAnswerKind, DialRequest, VoicemailAction
from ringback.domain.catalog import built_in_catalog
from ringback.domain.errors import ProviderUnavailable
from ringback.domain.provider_report import ProviderReport
from ringback.flows.business_operations import business_actions
from ringback.flows.business_operations.action import ActionRequest, Scope
from ringback.flows.business_operations.runner import BusinessOperations
from ringback.flows.event_processing import apply_evidence
from ringback.messages import CallRequested

PHONES, CONTACTS, INSTANCE = ("+14155550100", "+14155550107"), ("crm-1", "crm-2"), "test-instance"

Stack = Any  # of tests/flows/call_processing, which is typed loosely


@dataclass(slots=True)
class Dial:
    """A worker between its claim and its answer."""

    work: asyncio.Task[None]
    answer: asyncio.Future[DialAnswer]


class SteppedProvider:
    """Says what it is told to say, when it is told to. `answers` are the dials that wait, `lookup` the look-up."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[asyncio.Future[DialAnswer]] = asyncio.Queue()
        self.lookup: asyncio.Future[list[ProviderReport]] | None = None
        self.known: list[ProviderReport] = []
        self.is_reachable = True

    async def is_emulated(self) -> bool:
        return True

    async def voicemail_action(self, agent_id: str) -> VoicemailAction:
        return VoicemailAction.MESSAGE

    async def dial(self, request: DialRequest, lease_deadline: float) -> DialAnswer:
        answer: asyncio.Future[DialAnswer] = asyncio.get_running_loop().create_future()
        self.answers.put_nowait(answer)
        return await answer

    async def find_attempt(self, attempt_id: str) -> list[ProviderReport]:
        if not self.is_reachable:
            raise ProviderUnavailable("list-calls does not answer")
        if self.lookup is not None and not self.known:
            return await self.lookup
        return self.known

    async def fetch_call(self, provider_call_id: str) -> ProviderReport | None:
        if not self.is_reachable:
            raise ProviderUnavailable("get-call does not answer")
        return self.known[0] if self.known else None

    async def stop_call(self, provider_call_id: str) -> None: ...


class ProductDriver:
    """One trace's. Every step that changes rows has a method of its name; the others happen elsewhere."""

    def __init__(self, stack: Stack, bounds: Bounds) -> None:
        self.bounds = bounds
        lookups = (5, 30, 120, 600, 1800)[: bounds.lookups]
        window_s = 2700 if bounds.resends else 0
        self.stack = stack.with_deadlines(unknown_lookups_s=lookups, same_key_window_s=window_s)
        self.provider = self.stack.provider = SteppedProvider()
        actions = business_actions(
            stack.rules, built_in_catalog(), EnglishSpokenTime(), report_from_call, identified, stack.clock.now
        )
        self._operations = BusinessOperations(stack.store, stack.clock, actions, stack.rules)
        self._dials: list[Dial | None] = [None] * bounds.workers
        self._slow: asyncio.Task[int] | None = None
        self._messages: dict[tuple[int, int], list[CallRequested]] = {}
        self._keys = 0

    def call_id(self, c: int) -> str:
        return f"call-{c + 1}"

    async def accept_calls(self) -> None:
        for c in range(self.bounds.calls):
            retry = retry_of(self.bounds.attempts, voicemails=self.bounds.voicemails)
            phone, contact_id = PHONES[c % self.bounds.phones], CONTACTS[c % self.bounds.contacts]
            await self.stack.accept(phone, contact_id=contact_id, due_at=self.stack.clock.now(), retry=retry)

    async def take(self, situation: Situation, step: Step) -> None:
        name, *args = step.label
        do: Callable[..., Awaitable[None]] | None = getattr(
            self, f"_{str(name).replace(' ', '_').replace('-', '_')}", None
        )
        if do is not None:
            await do(situation, step, *args)
        order = sorted(range(self.bounds.workers), key=lambda w: rank(step.tx.workers[w]))
        self._dials = [self._dials[w] for w in order]

    async def let_go(self) -> None:
        works: list[asyncio.Task[Any]] = [dial.work for dial in self._dials if dial is not None]
        works += [self._slow] if self._slow is not None else []
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)

    async def _sql(self, statement: str, *args: object) -> None:
        async with self.stack.pool.acquire() as connection:
            await connection.execute(statement, *args)

    async def _attempt_id(self, c: int, a: int) -> str:
        return str((await self.stack.attempts(self.call_id(c)))[a]["attempt_id"])

    async def _release(self, situation: Situation, step: Step, c: int, t: int) -> None:
        due = "CASE WHEN call_id = $1 THEN $2::timestamptz ELSE $2::timestamptz + interval '1 day' END"
        await self._sql(
            f"UPDATE tasks SET due_at = {due} WHERE status = 'pending'", self.call_id(c), self.stack.clock.now()
        )
        self._messages.setdefault((c, t), []).extend(await self.stack.release())

    async def _lose_message(self, situation: Situation, step: Step, c: int, t: int) -> None:
        newest = max(message.dispatch for message in self._messages[c, t])
        self._messages[c, t] = [message for message in self._messages[c, t] if message.dispatch != newest]

    async def _sweep(self, situation: Situation, step: Step, c: int, t: int) -> None:
        ago = "CASE WHEN call_id = $1 THEN interval '2 hours' ELSE interval '0' END"
        await self._sql(
            f"UPDATE tasks SET dispatched_at = $2::timestamptz - {ago}, redispatches = 0 WHERE status = 'dispatched'",
            self.call_id(c),
            self.stack.clock.now(),
        )
        await self.stack.scheduled.publish_lost_calls()
        self._messages.setdefault((c, t), []).extend(await self.stack.published())

    async def _deliver(self, situation: Situation, step: Step, c: int, t: int) -> None:
        message = max(self._messages[c, t], key=lambda message: message.dispatch)
        self._messages[c, t].remove(message)
        await self._place(situation, message)

    async def _deliver_and_keep(self, situation: Situation, step: Step, c: int, t: int) -> None:
        await self._place(situation, max(self._messages[c, t], key=lambda message: message.dispatch))

    async def _deliver_stale(self, situation: Situation, step: Step, c: int, t: int) -> None:
        message = min(self._messages[c, t], key=lambda message: message.dispatch)
        self._messages[c, t].remove(message)
        await self._place(situation, message)

    async def _place(self, situation: Situation, message: CallRequested) -> None:
        idle = next(w for w, worker in enumerate(situation.workers) if worker.phase is Phase.IDLE)
        work = asyncio.ensure_future(self.stack.place(message))
        parked = asyncio.ensure_future(self.provider.answers.get())
        await asyncio.wait({work, parked}, return_when=asyncio.FIRST_COMPLETED)
        if parked.done():
            self._dials[idle] = Dial(work, parked.result())
            return
        parked.cancel()
        await work

    async def _record(self, situation: Situation, step: Step, w: int, kind: DialAnswerKind) -> None:
        dial, worker = self._dials[w], situation.workers[w]
        assert dial is not None, "a claim is parked in its dial"
        self._dials[w] = None
        ring = _ring_id(worker.call, worker.attempt) if kind is DialAnswerKind.PLACED else None
        dial.answer.set_result(DialAnswer(kind, "told", ring, retry_after_s=1.0))
        await dial.work

    async def _crash(self, situation: Situation, step: Step, w: int) -> None:
        dial = self._dials[w]
        assert dial is not None, "a claim is parked in its dial"
        self._dials[w] = None
        dial.work.cancel()
        with suppress(asyncio.CancelledError):
            await dial.work

    async def _check(self, c: int, a: int) -> None:
        await self._only_due(c, a)
        await self.stack.reconcile()

    async def _only_due(self, c: int, a: int) -> None:
        due = "CASE WHEN attempt_id = $1 THEN $2::timestamptz ELSE $2::timestamptz + interval '1 day' END"
        await self._sql(
            f"UPDATE attempts SET next_check_at = {due}", await self._attempt_id(c, a), self.stack.clock.now()
        )

    async def _lease_over(self, situation: Situation, step: Step, c: int, a: int) -> None:
        await self._check(c, a)

    async def _found(self, situation: Situation, step: Step, c: int, a: int, news: News = Word.POLL) -> None:
        self.provider.known = [await self._report(situation, (c, a), news)]
        await self._check(c, a)
        self.provider.known = []

    _poll = _found

    async def _poll_late(self, situation: Situation, step: Step, c: int, a: int) -> None:
        await self._found(situation, step, c, a, Word.POLL_LATE)

    async def _poll_gives_up(self, situation: Situation, step: Step, c: int, a: int) -> None:
        await self._found(situation, step, c, a, Word.POLL_GIVEN_UP)

    async def _not_found(self, situation: Situation, step: Step, c: int, a: int) -> None:
        self.provider.lookup = asyncio.get_running_loop().create_future()
        await self._only_due(c, a)
        self._slow = asyncio.ensure_future(self.stack.reconcile())
        while (await self.stack.attempts(self.call_id(c)))[a]["next_check_at"] <= self.stack.clock.now():
            await asyncio.sleep(0.001)

    async def _count_look_up(self, situation: Situation, step: Step, c: int, a: int) -> None:
        assert self.provider.lookup is not None and self._slow is not None, "it was asked"
        self.provider.lookup.set_result([])
        await self._slow
        self.provider.lookup = self._slow = None

    async def _unreachable(self, c: int, a: int, ago: str = "") -> None:
        if ago:
            await self._sql(f"UPDATE attempts SET {ago} WHERE attempt_id = $1", await self._attempt_id(c, a))
        self.provider.is_reachable = False
        await self._check(c, a)
        self.provider.is_reachable = True

    async def _look_up_fails(self, situation: Situation, step: Step, c: int, a: int) -> None:
        await self._unreachable(c, a)

    async def _look_ups_impossible(self, situation: Situation, step: Step, c: int, a: int) -> None:
        await self._unreachable(c, a, "unknown_since = unknown_since - interval '25 hours'")

    async def _polls_impossible(self, situation: Situation, step: Step, c: int, a: int) -> None:
        past = "placed_at = placed_at - interval '25 hours', ended_at = ended_at - interval '2 days'"
        await self._unreachable(c, a, past)

    async def _window_over(self, situation: Situation, step: Step, c: int, a: int) -> None:
        past = "sent_at = sent_at - interval '46 minutes'"
        await self._sql(f"UPDATE attempts SET {past} WHERE attempt_id = $1", await self._attempt_id(c, a))

    async def _report(self, situation: Situation, at: tuple[int, int], news: News) -> ProviderReport:
        ring = situation.calls[at[0]].attempts[at[1]].ring
        assert ring is not None, "what is heard of has rung"
        marks = {"attempt_id": await self._attempt_id(*at), "call_id": self.call_id(at[0]), "instance": INSTANCE}
        report = report_of(ring.stage, ring.end, news)
        return replace(report, provider_call_id=_ring_id(*at), **marks)  # type: ignore[arg-type]

    async def _webhook(self, situation: Situation, step: Step, c: int, a: int, hook: News = Word.OTHER) -> None:
        report = await self._report(situation, (c, a), hook)
        known = await self.stack.store.attempt_of(report.attempt_id, report.provider_call_id)
        inbox = (f"{report.provider_call_id} {hook!r}".encode(), None)
        async with self.stack.store.transaction() as tx:
            await apply_evidence(tx, known, report, self.stack.rules, self.stack.clock.now, inbox=inbox)

    _webhook_twice = _other_webhook = _webhook

    async def _suppress(self, situation: Situation, step: Step) -> None:
        """By what all calls have in common."""
        await self.stack.suppress(**({"phone": PHONES[0]} if self.bounds.phones == 1 else {"contact_id": CONTACTS[0]}))

    async def _cancel(self, situation: Situation, step: Step, c: int) -> None:
        await self.stack.cancel(self.call_id(c))

    async def _delete(self, situation: Situation, step: Step, c: int) -> None:
        await self._ask("delete_scheduled_task", {}, call_id=self.call_id(c))

    async def _reschedule(self, situation: Situation, step: Step, scope: str, c: int, a: int | None = None) -> None:
        args = {"when": "in two hours"}
        if a is None:
            await self._ask("reschedule_call", args, call_id=self.call_id(c))
            return
        report = await self._report(situation, (c, a), Word.TOOL)
        ids = {"attempt_id": report.attempt_id, "provider_call_id": report.provider_call_id}
        await self._ask("reschedule_call", args, scope=Scope.RETELL, report=report, **ids)

    async def _ask(self, action: str, args: dict[str, str], *, scope: Scope = Scope.SYSTEMS, **target: Any) -> None:
        self._keys += 1
        await self._operations.perform(ActionRequest(action, scope, f"key-{self._keys}", args, **target))

    async def _pause(self, situation: Situation, step: Step) -> None:
        await self._sql("UPDATE installation SET paused_at = now()")

    async def _resume(self, situation: Situation, step: Step) -> None:
        await self._sql("UPDATE installation SET paused_at = NULL")

    async def _expire(self, situation: Situation, step: Step, c: int) -> None:
        past = "expires_at = $2::timestamptz - interval '1 second'"
        await self._sql(f"UPDATE calls SET {past} WHERE call_id = $1", self.call_id(c), self.stack.clock.now())

    async def _end_expired(self, situation: Situation, step: Step, c: int) -> None:
        await self.stack.scheduled.end_expired_calls()


def _ring_id(c: int, a: int) -> str:
    return f"ring-{c}-{a}"
