"""Recorded calls, and the HTTP API over their statistics."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from ringback.adapters.number_plan import PhoneNumbersPlan
from ringback.adapters.postgres.analytics import PostgresAnalytics
from ringback.adapters.postgres.api_keys import PostgresApiKeys
from ringback.adapters.postgres.export_rows import PostgresExportRows
from ringback.flows.analytics import Analytics
from ringback.flows.exports import Exports
from ringback.telemetry import make_metrics
from ringback.web.analytics_models import rows_url
from ringback.web.app import create_application
from ringback.web.auth import ApiKeys, hash_key
from ringback.web.routes.analytics import analytics_routes
from ringback.web.routes.exports import export_routes
from tests.audit_log import entry_at
from tests.flows.rollups.conftest import ZONE, CountingStack, database_url, stack

__all__ = ["KEY", "Api", "database_url", "stack"]
KEY = "rbk_a-key-for-tests"


class Api:
    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        answer = await self.client.get(path, params=query or None)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def refused(self, path: str, **query: Any) -> dict[str, Any]:
        answer = await self.client.get(path, params=query)
        assert answer.status_code == 422, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def rows(self, url: str) -> list[dict[str, Any]]:
        """All pages, small ones."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = await self.get(f"{url}&limit=3&cursor={cursor}")
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found


@pytest.fixture
async def application(stack: CountingStack) -> ASGIApp:
    keys = PostgresApiKeys(stack.pool)
    await keys.add("tests", hash_key(KEY), entry_at(stack.clock.now()))
    guard = ApiKeys(keys.find, stack.clock.monotonic).require
    numbers = PhoneNumbersPlan()
    analytics = Analytics(PostgresAnalytics(stack.pool), stack.clock, ZONE, rows_url)
    exports = Exports(PostgresExportRows(stack.pool), stack.clock, ZONE)
    routers = [analytics_routes(analytics, numbers, guard), export_routes(exports, numbers, guard)]
    return create_application("test", routers, [], make_metrics())


@pytest.fixture
async def api(application: ASGIApp) -> AsyncIterator[Api]:
    transport = httpx.ASGITransport(application, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers={"X-API-Key": KEY}) as client:
        yield Api(client)
