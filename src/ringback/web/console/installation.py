"""Pages about the installation: settings, the checks of the doctor, our numbers, and help."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ringback.domain.abt_event import FailReason, iso
from ringback.domain.access import Permission
from ringback.domain.analytics_query import Filter
from ringback.flows.operator.diagnostics import diagnose
from ringback.web.console.facts import Item
from ringback.web.console.sessions import Visitor
from ringback.web.console.site import Site
from ringback.web.problems import Problem

#: Below the time in which a page must be answered.
CHECKED_WITHIN_S = 6.0
#: Goals are counted by person, who may be called from several numbers.
OF_NUMBERS = ("attempts", "connect_rate", "human_rate", "cost")
NUMBERS_OF = timedelta(days=7)
MOST_NUMBERS = 200


@dataclass(frozen=True, slots=True)
class InstallationPages:
    site: Site
    #: Checks open connections of their own, so only one visitor at a time runs them.
    _checking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def routes(self) -> list[Route]:
        site = self.site
        return [
            site.page("/numbers", Permission.READ_ANALYTICS, self.numbers),
            site.page("/settings", Permission.READ_SETTINGS, self.settings),
            site.page("/doctor", Permission.READ_SETTINGS, self.doctor),
            site.page("/help", Permission.USE_CONSOLE, self.help),
        ]

    async def numbers(self, request: Request, visitor: Visitor) -> Response:
        """The numbers that calls came from in the last seven days, each with its results."""
        analytics = self.site.flows.analytics
        zone = analytics.report_zone
        tomorrow = analytics.clock.now().astimezone(zone).date() + timedelta(days=1)
        week = Filter.of_days(tomorrow - NUMBERS_OF, tomorrow, zone)
        found = await asyncio.gather(
            *(analytics.breakdown(week, name, "number", MOST_NUMBERS, compare=True) for name in OF_NUMBERS)
        )
        numbers: dict[str, Item] = {}
        for name, breakdown in zip(OF_NUMBERS, found, strict=True):
            for one in breakdown["items"]:
                numbers.setdefault(one["key"]["from_number"], {})[name] = one
        return self.site.show(
            request,
            visitor,
            "numbers.html",
            "/numbers",
            numbers=numbers,
            metrics=OF_NUMBERS,
            since=iso(week.since),
            others=found[0]["others"],
        )

    async def settings(self, request: Request, visitor: Visitor) -> Response:
        settings = self.site.flows.operator.settings()
        return self.site.show(request, visitor, "settings.html", "/settings", settings=settings)

    async def doctor(self, request: Request, visitor: Visitor) -> Response:
        try:
            async with asyncio.timeout(CHECKED_WITHIN_S), self._checking, self.site.flows.diagnostics() as targets:
                checks = await diagnose(targets)
        except TimeoutError:
            detail = f"The checks did not end within {CHECKED_WITHIN_S:g} s. On a shell, ringback doctor waits longer."
            raise Problem(503, "unavailable", detail) from None
        wrong, warnings = sum(check.wrong for check in checks), sum(check.warning for check in checks)
        return self.site.show(
            request, visitor, "doctor.html", "/settings", checks=checks, wrong=wrong, warnings=warnings
        )

    async def help(self, request: Request, visitor: Visitor) -> Response:
        return self.site.show(request, visitor, "help.html", "/help", reasons=list(FailReason))
