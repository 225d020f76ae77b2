"""Apply the provider's reports: inbox row, facts, consequences and outbox rows in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from ringback import tracing
from ringback.domain.attempt import Attempt, AttemptState
from ringback.domain.errors import NotAboutACall, Permanent, Retryable
from ringback.domain.outcome import occurred_at
from ringback.domain.provider_report import ProviderReport, ReportKind
from ringback.failpoints import Failpoint, reach
from ringback.flows.call_outcome import OutcomeRules, apply_report, bind_provider_call, suppress_after_opt_out
from ringback.flows.erased_people import ids_of, keep_stop_of_erased
from ringback.flows.inbound_calls import apply_inbound, lock_caller
from ringback.messages import WebhookReceived
from ringback.ports import Clock
from ringback.storage import Store, UnitOfWork
from ringback.tracing import AttemptIds, SpanKind

_log = structlog.get_logger(__name__)

#: An event whose attempt is missing is parked this often before it is recorded as foreign.
PARKED_TRIES = 3
PARKED_S = 2.0

#: The content of an event whose body was too large for the queue.
_NO_CONTENT = b""


@dataclass(slots=True)
class EventCounts:
    """Counts since the start.

    `foreign`: calls of other instances, or without metadata. `unhandled`: no call. `erased`: an erased person.
    """

    applied: int = 0
    repeated: int = 0
    foreign: int = 0
    unhandled: int = 0
    erased: int = 0


@dataclass(frozen=True, slots=True)
class EventProcessing:
    """The flow that applies webhooks. `translate(body)` returns a report, `identify(body)` the content's identity."""

    store: Store
    clock: Clock
    rules: OutcomeRules
    translate: Callable[[str], ProviderReport]
    identify: Callable[[str], bytes]
    counts: EventCounts

    async def apply_call_event(
        self, message: WebhookReceived, receive_count: int, traceparent: str | None = None
    ) -> None:
        """Apply one webhook. Raises Permanent for a body that is no event, Retryable if the attempt is missing yet.

        The message carried `traceparent`.
        """
        if message.body is None:
            await self._ask_provider_soon(message, receive_count)
            return
        try:
            report = self.translate(message.body)
        except NotAboutACall as event:
            await self._record_only(ProviderReport(ReportKind.OTHER, "", event.event_name), message.body, "unhandled")
            return
        own_instance, attempt = await self.store.instance(), None
        if report.direction != "inbound" and report.instance in (None, own_instance):
            attempt_id = report.attempt_id if report.instance == own_instance else None
            attempt = await self.store.attempt_of(attempt_id, report.provider_call_id)
        if await self._is_about_an_erased_person(report, attempt):
            async with self.store.transaction() as tx:
                await self._drop_erased(tx, report)
            return
        if attempt is None and report.direction == "inbound":
            await self._apply_inbound(report, message.body)
            return
        if attempt is None:
            if report.instance == own_instance and receive_count <= PARKED_TRIES:
                raise Retryable("an event whose attempt is missing", PARKED_S)
            await self._record_only(report, message.body, "foreign")
            return
        inbox, ids = (self.identify(message.body), message.body), AttemptIds(attempt.attempt_id, attempt.number)
        with tracing.span(
            "webhook.apply", attempt.call_id, ids, follows=traceparent, kind=SpanKind.CONSUMER
        ) as applying:
            applying.note(event_name=report.event_name)
            async with self.store.transaction() as tx:
                applied = await apply_evidence(tx, attempt, report, self.rules, self.clock.now, inbox=inbox)
            applying.note(applied=applied)
        reach(Failpoint.EVENT_COMMITTED)
        if applied:
            self.counts.applied += 1
        else:
            self.counts.repeated += 1
        _log.info(
            "event.applied" if applied else "event.repeated",
            call_id=attempt.call_id,
            attempt_id=attempt.attempt_id,
            event_name=report.event_name,
        )

    async def _is_about_an_erased_person(self, report: ProviderReport, attempt: Attempt | None) -> bool:
        if attempt is not None:
            return attempt.is_erased
        return await self.store.is_erased(ids_of(report))

    async def _drop_erased(self, tx: UnitOfWork, report: ProviderReport) -> None:
        """Keep only a stop that the person asked for. Nothing else of the event is recorded."""
        self.counts.erased += 1
        await keep_stop_of_erased(tx, report, self.rules, self.clock.now())
        _log.info("event.of_erased", event_name=report.event_name)

    async def _record_only(self, report: ProviderReport, body: str | None, handling: str) -> None:
        """Record that an event of another installation's call arrived, without its content."""
        self.counts.foreign += handling == "foreign"
        self.counts.unhandled += handling == "unhandled"
        identity = self.identify(body) if body is not None else _NO_CONTENT
        async with self.store.transaction() as tx:
            kept = body if handling == "unhandled" else None
            await tx.provider_events.record(report, None, identity, kept, handling, self.clock.now())
            reach(Failpoint.EVENT_NOT_OURS)
        _log.info(
            "event.not_ours", provider_call_id=report.provider_call_id, event_name=report.event_name, fate=handling
        )

    async def _apply_inbound(self, report: ProviderReport, body: str) -> None:
        if await self.store.attempt_of(None, report.provider_call_id) is not None:
            # An outbound call of this installation. An inbound event says nothing about it.
            await self._record_only(report, body, "foreign")
            return
        if report.instance is None:
            # Ringback's answer came too late to mark the call. It counts if it was recorded while it rang.
            async with self.store.transaction() as tx:
                rang_here = await tx.inbound_calls.find(None, report.provider_call_id) is not None
        else:
            rang_here = report.instance == await self.store.instance()
        if not rang_here:
            await self._record_only(report, body, "inbound")
            return
        async with self.store.transaction() as tx:
            caller = await lock_caller(tx, report, self.rules)
            now = self.clock.now()
            if await tx.is_erased(ids_of(report)):
                # Erased between the first check and the locks.
                await self._drop_erased(tx, report)
                return
            if await tx.provider_events.record(report, None, self.identify(body), body, "inbound", now):
                await apply_inbound(tx, report, caller, self.rules, now)
                reach(Failpoint.INBOUND_HEARD)
        _log.info("event.inbound", provider_call_id=report.provider_call_id, event_name=report.event_name)

    async def _ask_provider_soon(self, message: WebhookReceived, receive_count: int) -> None:
        """Make the follow-up of the call due at once: its webhook was too large for the queue."""
        if message.provider_call_id is None:
            raise Permanent("a webhook without its body names its call")
        report = ProviderReport(ReportKind.OTHER, message.provider_call_id, message.event or "")
        known = await self.store.attempt_of(None, message.provider_call_id)
        if await self._is_about_an_erased_person(report, known):
            self.counts.erased += 1
            return
        if known is None and receive_count <= PARKED_TRIES:
            raise Retryable("a large event whose attempt is missing", PARKED_S)
        if known is None:
            await self._record_only(report, None, "foreign")
            return
        async with self.store.transaction() as tx:
            await tx.lock_call(known.call_id)
            now = self.clock.now()
            attempt = await tx.attempts.get(known.attempt_id)
            assert attempt is not None, "attempts are never deleted while their call is open"
            if attempt.is_erased:
                return
            await tx.provider_events.record(report, attempt, _NO_CONTENT, None, "unhandled", now)
            if attempt.state is not AttemptState.ANALYZED:
                attempt.next_check_at = now
                await tx.save(attempt)


async def lock_people_of_report(tx: UnitOfWork, known: Attempt, report: ProviderReport) -> None:
    """Lock all people whose calls the report may end. The order of locks demands this before any call's lock."""
    if report.says_stop:
        await tx.lock_contacts(await tx.calls.phones_of_open(known.phone, known.contact_id), known.contact_id)


async def apply_evidence(
    tx: UnitOfWork,
    known: Attempt,
    report: ProviderReport,
    rules: OutcomeRules,
    read_time: Callable[[], datetime],
    *,
    inbox: tuple[bytes, str | None] | None = None,
) -> bool:
    """Bind and apply one report about an attempt, under its call's lock.

    `read_time` is asked after the wait for the lock, so that the times of a call's events follow their order.
    `inbox` is the content's identity and body. With it, a repeat changes nothing and returns False. So does every
    report after the attempt's person was erased.
    """
    await lock_people_of_report(tx, known, report)
    call = await tx.lock_call(known.call_id)
    attempt = await tx.attempts.get(known.attempt_id)
    assert call is not None and attempt is not None, "attempts and calls are never deleted while they are open"
    now = read_time()
    if attempt.is_erased:
        await keep_stop_of_erased(tx, report, rules, now)
        return False
    if inbox is not None and not await tx.provider_events.record(report, attempt, *inbox, "applied", now):
        return False
    reach(Failpoint.EVENT_RECORDED)
    if not await bind_provider_call(tx, call, attempt, report.provider_call_id, now):
        if report.says_stop:
            # The other call changes nothing, but the person's stop applies.
            await suppress_after_opt_out(tx, call, report.ended_at or occurred_at(attempt), rules, now)
        await tx.save(call)
        return True
    reach(Failpoint.EVENT_BOUND)
    await apply_report(tx, call, attempt, report, rules, now)
    reach(Failpoint.EVENT_APPLIED)
    return True
