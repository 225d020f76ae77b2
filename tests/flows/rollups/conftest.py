"""The stack that plays recorded calls, and a database of this folder's own: the check reads all of it."""

import uuid
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ringback.adapters.clock import id_of
from ringback.adapters.postgres.pool import Pool
from ringback.adapters.postgres.rollup_rows import PostgresRollupRows
from ringback.adapters.postgres.store import PostgresStore
from ringback.adapters.retell.events import report_from_call
from ringback.adapters.retell.wire import identified
from ringback.adapters.spoken_time import EnglishSpokenTime
from ringback.domain.catalog import built_in_catalog
from ringback.domain.provider_report import ProviderReport, ReportKind
from ringback.flows.business_operations import business_actions
from ringback.flows.business_operations.action import ActionRequest, Reply, Scope
from ringback.flows.business_operations.runner import BusinessOperations
from ringback.flows.rollups import Rollups
from tests.flows.event_processing.conftest import EventStack, Talk
from tests.postgresql import short_lived_copy

ZONE = ZoneInfo("America/New_York")


@pytest.fixture
def database_url(server_url: str, template_database: str) -> Iterator[str]:
    with short_lived_copy(server_url, template_database) as url:
        yield url


class CountingStack(EventStack):
    """A stack whose days are those of New York, and whose ids are UUIDv7, as those of the product."""

    def __init__(self, pool: Pool, clock: Any) -> None:
        super().__init__(PostgresStore(pool, clock_is_real=False, report_zone=ZONE), pool, clock)
        self.rows = PostgresRollupRows(pool, ZONE)
        self.rollups = Rollups(self.rows, self.clock)

    def _next_id(self) -> str:
        self.last_id += 1
        first = uuid.UUID(id_of(self.clock.now()))
        return str(uuid.UUID(int=first.int | self.person << 20 | self.last_id))

    async def tool(self, talk: Talk, action: str, args: dict[str, Any]) -> Reply:
        """Ask as the agent of a conversation."""
        actions = business_actions(
            self.rules, built_in_catalog(), EnglishSpokenTime(), report_from_call, identified, self.clock.now
        )
        marks = {"attempt_id": talk.attempt_id, "provider_call_id": talk.provider_call_id}
        report = ProviderReport(
            ReportKind.TOOL, **marks, call_id=talk.call_id, instance="test-instance", started_at=self.clock.now()
        )
        request = ActionRequest(
            action, Scope.RETELL, f"{talk.attempt_id}:{action}:{args}", args, **marks, report=report
        )
        return await BusinessOperations(self.store, self.clock, actions, self.rules).perform(request)

    async def shown(self, table: str, *keys: str) -> dict[Any, dict[str, int]]:
        """The cells of a rollup table after a fold, by these keys, without zeros."""
        while await self.rollups.fold_deltas():
            pass
        cells: dict[Any, dict[str, int]] = {}
        for row in await self.all(f"SELECT * FROM {table} WHERE NOT purged"):
            cell = cells.setdefault(tuple(row[key] for key in keys), {})
            for name, value in row.items():
                if isinstance(value, int) and name not in ("purged", "attempt_no", "weekday", "local_hour", "bucket"):
                    cell[name] = cell.get(name, 0) + value
        return {
            key: {name: value for name, value in cell.items() if value}
            for key, cell in cells.items()
            if any(cell.values())
        }


@pytest.fixture
def stack(pool: Pool, clock: Any) -> CountingStack:
    return CountingStack(pool, clock)
