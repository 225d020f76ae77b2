"""The composition root: builds the adapters, and gives each flow its ports."""

import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import structlog

from ringback.adapters.clock import SystemClock, ids_of
from ringback.adapters.engage_http import EngageHttp
from ringback.adapters.number_plan import PhoneNumbersPlan
from ringback.adapters.postgres.analytics import PostgresAnalytics
from ringback.adapters.postgres.api_keys import PostgresApiKeys
from ringback.adapters.postgres.audit import PostgresAudit
from ringback.adapters.postgres.console_sessions import PostgresConsoleSessions
from ringback.adapters.postgres.deliveries import PostgresDeliveries
from ringback.adapters.postgres.erasure import PostgresEraser
from ringback.adapters.postgres.export_rows import PostgresExportRows
from ringback.adapters.postgres.installation import PostgresBorder, PostgresDialingSwitch, PostgresInspection
from ringback.adapters.postgres.monitoring import PostgresMonitoring
from ringback.adapters.postgres.outbox import PostgresDeadOutbox
from ringback.adapters.postgres.person_hash import Hashing
from ringback.adapters.postgres.pool import Pool, connection_of, open_pool
from ringback.adapters.postgres.purge import PostgresPurge
from ringback.adapters.postgres.rollup_rows import PostgresRollupRows
from ringback.adapters.postgres.schema import require_schema
from ringback.adapters.postgres.store import PostgresStore
from ringback.adapters.postgres.views import PostgresViews
from ringback.adapters.postgres.written import PostgresWritten
from ringback.adapters.retell.client import RetellProvider
from ringback.adapters.retell.events import report_from_call, report_from_webhook
from ringback.adapters.retell.functions import inbound_reply, parse_inbound_call, parse_tool_call, tool_definition
from ringback.adapters.retell.signature import may_be_genuine, verify
from ringback.adapters.retell.wire import content_identity, identified
from ringback.adapters.spoken_time import EnglishSpokenTime
from ringback.adapters.traces import traces as traces
from ringback.config import Settings, SettingsError, describe
from ringback.domain.catalog import Catalog, CatalogError, built_in_catalog, parse_catalog
from ringback.domain.errors import ErasureKeyMissing
from ringback.flows.analytics import Analytics
from ringback.flows.border import Border, stop_call_here
from ringback.flows.business_operations import business_actions, declarations
from ringback.flows.business_operations.runner import BusinessOperations
from ringback.flows.call_initiation import CallInitiation, batched_acceptance
from ringback.flows.call_outcome import OutcomeRules
from ringback.flows.call_processing import CallProcessing
from ringback.flows.ending_calls import cancel_call
from ringback.flows.event_processing import EventCounts, EventProcessing
from ringback.flows.exports import Exports
from ringback.flows.operator.dead_letters import DeadLetters
from ringback.flows.operator.deliveries import Deliveries
from ringback.flows.operator.dialing_control import pause_dialing, resume_dialing
from ringback.flows.operator.eligibility import EligibilityExplainer
from ringback.flows.operator.erasure import Erasure
from ringback.flows.operator.monitoring import Monitoring, database_dependency, queue_dependency
from ringback.flows.operator.retention import Retention
from ringback.flows.operator.reveal import PhoneReveal
from ringback.flows.outbox_delivery import OutboxRelay, OutboxWakeup
from ringback.flows.reconciliation import Reconciliation
from ringback.flows.rollups import Rollups
from ringback.flows.scheduled_calls import ScheduledCalls
from ringback.flows.suppression import lift_suppression, suppress_now
from ringback.loops import Loops
from ringback.ports import Clock, MessageQueue
from ringback.telemetry import Metrics, make_metrics
from ringback.web.analytics_models import rows_url
from ringback.web.auth import ApiKeys, hash_key, require_api_key
from ringback.web.console.rendering import Renderer
from ringback.web.console.sessions import Sessions
from ringback.web.console.site import ConsoleFlows, Site
from ringback.web.health import IsPaused
from ringback.web.limits import WEBHOOKS_AT_ONCE, BodyReader, ConcurrencyLimit
from ringback.web.routes.calls import VoiceApi
from ringback.web.routes.operator import OperatorRoutes
from ringback.wiring.diagnosis import open_diagnostic_targets
from ringback.wiring.queues import open_queue as open_queue

_log = structlog.get_logger(__name__)

#: Connections of one process. A loop or a request holds one for a unit of work, never longer.
POOL_SIZE = 24


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The dependencies that the services of a process share. They are closed in reverse order."""

    settings: Settings
    clock: Clock
    pool: Pool
    store: PostgresStore
    hashing: Hashing
    views: PostgresViews
    api_keys: PostgresApiKeys
    systems: ApiKeys
    call_queue: MessageQueue
    event_queue: MessageQueue
    provider: RetellProvider
    numbers: PhoneNumbersPlan
    rules: OutcomeRules
    catalog: Catalog
    metrics: Metrics
    loops: Loops
    bodies: BodyReader  # of Retell's endpoints
    webhooks_waiting: ConcurrencyLimit
    relay: OutboxRelay
    outbox_wakeup: OutboxWakeup

    def call_initiation(self) -> CallInitiation:
        return CallInitiation(self.store, self.clock, self.rules.new_id, self.numbers, self.rules.policy)

    def call_processing(self) -> CallProcessing:
        return CallProcessing(self.store, self.provider, self.clock, self.rules.new_id, self.rules)

    def event_processing(self) -> EventProcessing:
        return EventProcessing(self.store, self.clock, self.rules, report_from_webhook, content_identity, EventCounts())

    def reconciliation(self) -> Reconciliation:
        return Reconciliation(self.store, self.provider, self.clock, self.rules)

    def scheduled_calls(self) -> ScheduledCalls:
        return ScheduledCalls(self.store, self.clock, self.call_queue, self.rules.policy.most_dispatched)

    def business_operations(self) -> BusinessOperations:
        spoken_time = EnglishSpokenTime()
        actions = business_actions(self.rules, self.catalog, spoken_time, report_from_call, identified, self.clock.now)
        return BusinessOperations(self.store, self.clock, actions, self.rules)

    def operator(self) -> OperatorRoutes:
        switch = PostgresDialingSwitch(self.pool)
        return OperatorRoutes(
            pause=partial(pause_dialing, switch, self.clock),
            resume=partial(resume_dialing, switch, self.clock),
            why=EligibilityExplainer(self.views, self.clock, self.numbers, self.rules.policy).explain,
            settings=partial(describe, self.settings),
            views=self.views,
            audit=PostgresAudit(self.pool),
            numbers=self.numbers,
        )

    def voice_api(self) -> VoiceApi:
        initiation = self.call_initiation()
        return VoiceApi(
            accept=batched_acceptance(initiation),
            answered_before=initiation.answered_before,
            cancel=partial(cancel_call, self.store, self.clock),
            suppress=partial(suppress_now, self.store, self.clock, self.rules.new_id),
            lift=partial(lift_suppression, self.store, self.clock),
            views=self.views,
            now=self.clock.now,
            numbers=self.numbers,
        )

    def console(self) -> Site:
        eraser = PostgresEraser(self.pool, self.hashing) if self.settings.erasure_key else None
        flows = ConsoleFlows(
            views=self.views,
            written=PostgresWritten(self.pool),
            analytics=self.analytics(),
            exports=self.exports(),
            dead_letters=self.dead_letters(),
            work=PostgresInspection(self.pool, self.hashing).work,
            operator=self.operator(),
            voice=self.voice_api(),
            deliveries=Deliveries(PostgresDeliveries(self.pool), self.clock),
            operations=self.business_operations(),
            reveal=PhoneReveal(self.store, self.clock),
            erasure=Erasure(self.store, eraser, self.clock) if eraser is not None else None,
            keys=self.api_keys,
            diagnostics=partial(open_diagnostic_targets, self.settings),
            numbers=self.numbers,
            clock=self.clock,
            is_emulated=self.store.emulated,
        )
        sessions = Sessions(PostgresConsoleSessions(self.pool), self.systems, self.clock)
        return Site(flows, sessions, Renderer(self.settings.report_zone), BodyReader(self.metrics))

    def is_paused(self) -> IsPaused:
        return PostgresMonitoring(self.pool).is_paused

    def monitoring(self, needs: Collection[str]) -> Monitoring:
        """Return the monitoring of a process that needs these dependencies."""
        dependencies = {
            "database": database_dependency(PostgresMonitoring(self.pool), self.settings.max_live_calls),
            "call_queue": queue_dependency("call_queue", self.call_queue),
            "event_queue": queue_dependency("event_queue", self.event_queue),
        }
        needed = {name: one for name, one in dependencies.items() if name in needs}
        return Monitoring(needed, self.metrics.gauges, self.loops.availability)

    def retention(self) -> Retention:
        return Retention(PostgresPurge(self.pool), self.clock)

    def rollups(self) -> Rollups:
        return Rollups(PostgresRollupRows(self.pool, self.settings.report_zone), self.clock)

    def analytics(self) -> Analytics:
        return Analytics(PostgresAnalytics(self.pool), self.clock, self.settings.report_zone, rows_url)

    def exports(self) -> Exports:
        return Exports(PostgresExportRows(self.pool), self.clock, self.settings.report_zone)

    async def check_schema(self) -> None:
        """Raise StartRefused if the database is not upgraded."""
        await require_schema(self.pool)

    async def check_erasure_key(self) -> None:
        """Raise SettingsError without a key in use: the process could not recognise suppressions of erased people."""
        try:
            async with connection_of(self.pool) as connection:
                await self.hashing.check(connection)
        except ErasureKeyMissing as error:
            raise SettingsError([str(error)]) from None

    def dead_letters(self) -> DeadLetters:
        queues = {"calls": self.call_queue, "events": self.event_queue}
        return DeadLetters.of(PostgresDeadOutbox(self.pool), queues, PostgresAudit(self.pool), self.clock)

    def require_key(self) -> Callable[..., Awaitable[None]]:
        return require_api_key(self.systems)

    def border(self, before: bool | None = None) -> Border:
        return Border(PostgresBorder(self.pool), self.provider, before)

    async def put_api_key(self) -> bool:
        """Register the key of the settings. Returns False if it was revoked; it then stays revoked."""
        if self.settings.api_key is None:
            return True
        put = self.api_keys.put_setting if "RINGBACK_API_KEY" in self.settings.given else self.api_keys.add_of_up
        return await put(hash_key(self.settings.api_key), self.clock.now())

    def may_be_retells(self, signature: str | None) -> bool:
        return may_be_genuine(signature, self.now_ms())

    def verify_retell(self, body: bytes, signature: str | None) -> bool:
        return verify(body, signature, self.settings.retell_webhook_key, self.now_ms())

    def now_ms(self) -> int:
        return int(self.clock.now().timestamp() * 1000)

    parse_tool_call = staticmethod(parse_tool_call)
    parse_inbound_call = staticmethod(parse_inbound_call)
    inbound_reply = staticmethod(inbound_reply)


def tool_definitions(settings: Settings, functions_url: str, *, args_at_root: bool) -> list[dict[str, Any]]:
    """Return the custom functions of a Retell agent. Raises SettingsError."""
    catalog = read_catalog(settings)
    return [
        tool_definition(
            one.name,
            one.description,
            one.arguments,
            functions_url,
            speech=catalog.tools[one.name],
            args_at_root=args_at_root,
        )
        for one in declarations(catalog)
        if one.for_agents
    ]


def quoted(body: str) -> str:
    """Write a webhook's body as JSON in ASCII, in a fifth of the time of the standard library."""
    return msgspec.json.encode(body).decode() if body.isascii() else json.dumps(body)


@asynccontextmanager
async def open_dependencies(settings: Settings, another_clock: Clock | None = None) -> AsyncIterator[Dependencies]:
    """Build the dependencies. Raises StoreUnavailable if the database is unavailable now; later it is waited for.

    Dialing compares the machine's clock with the database's, but no other clock.
    """
    assert settings.database_url is not None, "the caller has checked that the process has a database"
    async with AsyncExitStack() as stack:
        clock, outbox_wakeup, loops = another_clock or SystemClock(), OutboxWakeup(), Loops()
        pool = await open_pool(settings.database_url, max_size=POOL_SIZE)
        stack.callback(pool.terminate)
        hashing = Hashing(settings.erasure_key)
        metrics, api_keys = make_metrics(), PostgresApiKeys(pool)
        store = PostgresStore(
            pool,
            on_outbox=outbox_wakeup.notify,
            on_final=lambda type_, after_s: metrics.call_to_final_event_s.labels(type_).observe(after_s),
            clock_is_real=another_clock is None,
            hashing=hashing,
            report_zone=settings.report_zone,
        )
        call_queue = await open_queue(settings.call_queue, pool, settings, loops)
        stack.push_async_callback(call_queue.close)
        event_queue = await open_queue(settings.event_queue, pool, settings, loops)
        stack.push_async_callback(event_queue.close)
        provider = RetellProvider(
            settings.retell_api_key or "",
            clock,
            base_url=settings.retell_base_url,
            create_timeout_s=settings.create_timeout_s,
            max_connections=max(100, settings.max_live_calls),
        )
        stack.push_async_callback(provider.close)
        engage = None
        if settings.engage_url is not None and settings.engage_secret is not None:
            # Engage compares the time of a signature with its own clock.
            engage = EngageHttp(settings.engage_url, settings.engage_secret, SystemClock())
            stack.push_async_callback(engage.close)
        numbers, stop_call = PhoneNumbersPlan(), partial(stop_call_here, store, provider)
        yield Dependencies(
            settings=settings,
            clock=clock,
            pool=pool,
            store=store,
            hashing=hashing,
            views=PostgresViews(pool, hashing),
            api_keys=api_keys,
            systems=ApiKeys(api_keys.find, clock.monotonic),
            call_queue=call_queue,
            event_queue=event_queue,
            provider=provider,
            numbers=numbers,
            rules=OutcomeRules(settings.dial_policy, settings.deadlines, numbers, ids_of(another_clock)),
            catalog=read_catalog(settings),
            metrics=metrics,
            bodies=BodyReader(metrics),
            webhooks_waiting=ConcurrencyLimit(WEBHOOKS_AT_ONCE),
            loops=loops,
            relay=OutboxRelay(store, clock, random.Random(), queue=call_queue, engage=engage, stop_call=stop_call),
            outbox_wakeup=outbox_wakeup,
        )


def read_catalog(settings: Settings) -> Catalog:
    """Read the catalogue in force. Raises SettingsError."""
    if settings.catalog is None:
        return built_in_catalog()
    try:
        return parse_catalog(settings.catalog.read_text())
    except OSError as error:
        raise SettingsError([f"RINGBACK_CATALOG: {settings.catalog} cannot be read ({error.strerror})"]) from None
    except UnicodeDecodeError:
        raise SettingsError([f"RINGBACK_CATALOG: {settings.catalog} is not UTF-8 text"]) from None
    except CatalogError as error:
        raise SettingsError([f"RINGBACK_CATALOG: {error}"]) from None
