"""Apply what the provider tells about a call: inbox row, facts, consequences and outbox rows in one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from ringback.domain.attempt import Attempt, AttemptState
from ringback.domain.errors import NotAboutACall, Permanent, Retryable
from ringback.domain.outcome import occurred_at
from ringback.domain.provider_report import ProviderReport, ReportKind
from ringback.failpoints import Failpoint, reach
from ringback.flows.call_outcome import OutcomeRules, apply_report, bind_provider_call, suppress_after_opt_out
from ringback.flows.erased_people import ids_of, keep_stop_of_erased
from ringback.flows.inbound_calls import InboundStore, InboundTransaction, hear_inbound, lock_caller
from ringback.messages import WebhookReceived
from ringback.ports import Clock, Transaction

_log = structlog.get_logger(__name__)

#: An event of ours whose attempt is not there is parked this often before it is written down as foreign.
PARKED_TRIES = 3
PARKED_S = 2.0

#: Stands for the content of an event whose body was too large to be carried.
_NO_CONTENT = b""


@dataclass(slots=True)
class EventCounts:
    """Since the start; `foreign` are calls of other instances or without our metadata, `unhandled` concern no call,
    `erased` an erased person."""

    applied: int = 0
    repeated: int = 0
    foreign: int = 0
    unhandled: int = 0
    erased: int = 0


@dataclass(frozen=True, slots=True)
class EventProcessing:
    """`translate(body)` gives the report of a webhook, `identify(body)` the identity of its content."""

    store: InboundStore
    clock: Clock
    rules: OutcomeRules
    translate: Callable[[str], ProviderReport]
    identify: Callable[[str], bytes]
    counts: EventCounts

    async def apply_call_event(self, message: WebhookReceived, receive_count: int) -> None:
        """Raises Permanent for a body that is no event, Retryable for an event whose attempt is not there yet."""
        if message.body is None:
            await self._ask_provider_soon(message, receive_count)
            return
        try:
            report = self.translate(message.body)
        except NotAboutACall as event:
            await self._write_down_only(
                ProviderReport(ReportKind.OTHER, "", event.event_name), message.body, "unhandled"
            )
            return
        attempt = await self._whose(report)
        if await self._is_about_an_erased_person(report, attempt):
            async with self.store.transaction() as tx:
                await self._leave_erased(tx, report)
            return
        if attempt is None and report.direction == "inbound":
            await self._hear_inbound(report, message.body)
            return
        if attempt is None:
            if report.instance == await self.store.instance() and receive_count <= PARKED_TRIES:
                raise Retryable("an event of ours whose attempt is not there", PARKED_S)
            await self._write_down_only(report, message.body, "foreign")
            return
        now = self.clock.now()
        async with self.store.transaction() as tx:
            identity = self.identify(message.body)
            applied = await apply_evidence(tx, attempt, report, self.rules, now, inbox=(identity, message.body))
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

    async def _whose(self, report: ProviderReport) -> Attempt | None:
        """The attempt that the report is about; None if the call is none of ours."""
        ours = await self.store.instance()
        if report.direction == "inbound" or report.instance not in (None, ours):
            return None
        return await self.store.attempt_of(
            report.attempt_id if report.instance == ours else None, report.provider_call_id
        )

    async def _is_about_an_erased_person(self, report: ProviderReport, attempt: Attempt | None) -> bool:
        if attempt is not None:
            return attempt.is_erased
        return await self.store.is_erased(ids_of(report))

    async def _leave_erased(self, tx: InboundTransaction, report: ProviderReport) -> None:
        """Nothing of the event is kept, not even that it came, but a stop that the person asked for."""
        self.counts.erased += 1
        await keep_stop_of_erased(tx, report, self.rules, self.clock.now())
        _log.info("event.of_erased", event_name=report.event_name)

    async def _write_down_only(self, report: ProviderReport, body: str | None, fate: str) -> None:
        """Of a call that is not ours, nothing but that it was heard of: whoever it tells of is no business of ours."""
        self.counts.foreign += fate == "foreign"
        self.counts.unhandled += fate == "unhandled"
        identity = self.identify(body) if body is not None else _NO_CONTENT
        async with self.store.transaction() as tx:
            kept = body if fate == "unhandled" else None
            await tx.record_provider_event(report, None, identity, kept, fate, self.clock.now())
            reach(Failpoint.EVENT_NOT_OURS)
        _log.info("event.not_ours", provider_call_id=report.provider_call_id, event_name=report.event_name, fate=fate)

    async def _hear_inbound(self, report: ProviderReport, body: str) -> None:
        if await self.store.attempt_of(None, report.provider_call_id) is not None:
            # One of our own calls, which an inbound event has nothing to tell about.
            await self._write_down_only(report, body, "foreign")
            return
        if not await self._rang_here(report):
            await self._write_down_only(report, body, "inbound")
            return
        now = self.clock.now()
        async with self.store.transaction() as tx:
            caller = await lock_caller(tx, report, self.rules)
            if await tx.is_erased(ids_of(report)):
                # Between the look before and the locks.
                await self._leave_erased(tx, report)
                return
            if await tx.record_provider_event(report, None, self.identify(body), body, "inbound", now):
                await hear_inbound(tx, report, caller, self.rules, now)
                reach(Failpoint.INBOUND_HEARD)
        _log.info("event.inbound", provider_call_id=report.provider_call_id, event_name=report.event_name)

    async def _rang_here(self, report: ProviderReport) -> bool:
        """Whether the inbound call is one of ours.

        It has no mark of ours where our answer came too late for the provider. A call that we wrote down while it rang
        is ours all the same, and holds the person's tasks.
        """
        if report.instance is not None:
            return report.instance == await self.store.instance()
        async with self.store.transaction() as tx:
            return await tx.inbound_call(None, report.provider_call_id) is not None

    async def _ask_provider_soon(self, message: WebhookReceived, receive_count: int) -> None:
        """The webhook was too large for the queue; the watchdog asks for the call at once."""
        if message.provider_call_id is None:
            raise Permanent("a webhook without its body names its call")
        report = ProviderReport(ReportKind.OTHER, message.provider_call_id, message.event or "")
        known = await self.store.attempt_of(None, message.provider_call_id)
        if await self._is_about_an_erased_person(report, known):
            self.counts.erased += 1
            return
        if known is None and receive_count <= PARKED_TRIES:
            raise Retryable("a large event whose attempt is not there", PARKED_S)
        if known is None:
            await self._write_down_only(report, None, "foreign")
            return
        now = self.clock.now()
        async with self.store.transaction() as tx:
            await tx.lock_call(known.call_id)
            attempt = await tx.attempt(known.attempt_id)
            assert attempt is not None, "attempts are never deleted while their call is open"
            if attempt.is_erased:
                return
            await tx.record_provider_event(report, attempt, _NO_CONTENT, None, "unhandled", now)
            if attempt.state is not AttemptState.ANALYZED:
                attempt.next_check_at = now
                await tx.save(attempt)


async def lock_people_of_report(tx: Transaction, known: Attempt, report: ProviderReport) -> None:
    """Lock everyone whose calls the report may end; to be called before any call is locked, for the order of locks."""
    if report.says_stop:
        await tx.lock_contacts(await tx.phones_of_open_calls(known.phone, known.contact_id), known.contact_id)


async def apply_evidence(
    tx: Transaction,
    known: Attempt,
    report: ProviderReport,
    rules: OutcomeRules,
    now: datetime,
    *,
    inbox: tuple[bytes, str | None] | None = None,
) -> bool:
    """Bind and apply one report about an attempt of ours, under its call's lock. With `inbox`, the content's identity
    and body, a repeat changes nothing and gives False; so does every report once the attempt's person is erased."""
    await lock_people_of_report(tx, known, report)
    call = await tx.lock_call(known.call_id)
    attempt = await tx.attempt(known.attempt_id)
    assert call is not None and attempt is not None, "attempts and calls are never deleted while they are open"
    if attempt.is_erased:
        await keep_stop_of_erased(tx, report, rules, now)
        return False
    if inbox is not None and not await tx.record_provider_event(report, attempt, *inbox, "applied", now):
        return False
    reach(Failpoint.EVENT_TAKEN_IN)
    if not await bind_provider_call(tx, call, attempt, report.provider_call_id, now):
        if report.says_stop:
            # Nothing else of this other call is ours to tell, but what the person said there holds.
            await suppress_after_opt_out(tx, call, report.ended_at or occurred_at(attempt), rules, now)
        await tx.save(call)
        return True
    reach(Failpoint.EVENT_BOUND)
    await apply_report(tx, call, attempt, report, rules, now)
    reach(Failpoint.EVENT_APPLIED)
    return True
