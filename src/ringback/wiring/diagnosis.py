"""Open the targets of the doctor, with connections of its own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from ringback.adapters.clock import SystemClock
from ringback.adapters.engage_http import EngageHttp
from ringback.adapters.postgres.installation import PostgresInspection
from ringback.adapters.postgres.outbox import PostgresDeadOutbox
from ringback.adapters.postgres.person_hash import Hashing
from ringback.adapters.postgres.pool import Pool, open_pool
from ringback.adapters.postgres.rollup_rows import PostgresRollupRows
from ringback.adapters.retell.account import RetellAccount
from ringback.config import Settings
from ringback.domain.errors import Retryable
from ringback.flows.operator.diagnostics import DiagnosticTargets
from ringback.ports import MessageQueue
from ringback.wiring.queues import open_queue


@asynccontextmanager
async def open_diagnostic_targets(
    settings: Settings, known_elsewhere: frozenset[str] = frozenset()
) -> AsyncIterator[DiagnosticTargets]:
    """Open the targets of the settings. An unavailable one is given as its error.

    `known_elsewhere` has the settings that a running system has and this process lacks.
    """
    async with AsyncExitStack() as stack:
        pool: Pool | None = None
        unavailable: Retryable | None = None
        if settings.database_url is not None:
            try:
                pool = await open_pool(settings.database_url, max_size=2)
                stack.callback(pool.terminate)
            except Retryable as error:
                unavailable = error
        queues: dict[str, MessageQueue | Retryable] = {}
        for subject, name in {"call queue": settings.call_queue, "event queue": settings.event_queue}.items():
            is_in_database = not name.startswith("http")
            if is_in_database and settings.database_url is None:
                continue  # the finding about the database says that it is not set, or not known here
            try:
                if unavailable is not None and is_in_database:
                    raise unavailable
                queue = queues[subject] = await open_queue(name, pool, settings)
                stack.push_async_callback(queue.close)
            except Retryable as error:
                queues[subject] = error
        api_key = settings.retell_api_key
        engage = None
        if settings.engage_url is not None and settings.engage_secret is not None:
            engage = EngageHttp(settings.engage_url, settings.engage_secret, SystemClock())
            stack.push_async_callback(engage.close)
        yield DiagnosticTargets(
            clock=SystemClock(),
            database=PostgresInspection(pool, Hashing(settings.erasure_key)) if pool is not None else unavailable,
            outbox=PostgresDeadOutbox(pool) if pool is not None else None,
            queues=queues,
            account=RetellAccount(api_key, settings.retell_base_url) if api_key is not None else None,
            api_key=api_key,
            webhook_keys=settings.retell_webhook_key,
            engage=engage,
            engage_url=settings.engage_url,
            known_elsewhere=known_elsewhere,
            statistics=PostgresRollupRows(pool, settings.report_zone) if pool is not None else None,
        )
