"""Make the screenshots of docs/console.md: `python -m tests.played_week.screenshots docs/console`."""

import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import httpx
from playwright.sync_api import sync_playwright

from ringback.logs import configure_logs
from ringback.process import run_loop
from ringback.up.demo import make_console
from ringback.up.played_week.command import SETTINGS, Week, play_week
from ringback.up.stack import Plan, make_plan
from ringback.web.server import listen

from .conftest import cookies, find_browser, newest, served, sign_in

CALLS, SEED, LASTS = 300, 1, timedelta(days=6)
WINDOW = {"width": 1180, "height": 820}
#: A file of a repository stays in its history for ever.
MOST_BYTES = 150 * 1024
WEDNESDAY = 2


def next_wednesday() -> datetime:
    """Half past three in New York. The database's clock is then behind, so no planned call looks late."""
    today = datetime.now(UTC).date()
    return datetime.combine(today + timedelta(days=(WEDNESDAY - today.weekday()) % 7 or 7), time(20, 30), UTC)


@contextmanager
def played_week(until: datetime) -> Iterator[Plan]:
    with tempfile.TemporaryDirectory(prefix="ringback-screenshots-") as directory:
        data_dir = Path(directory)
        bound = listen("127.0.0.1", 0)
        plan = make_plan(data_dir, "127.0.0.1", bound.getsockname()[1], SETTINGS)
        assert plan.server is not None and plan.engage is not None
        try:
            run_loop(_play(plan, bound, Week(CALLS, SEED, until, LASTS)))
            yield plan
        finally:
            plan.server.stop()


async def _play(plan: Plan, bound: socket.socket, week: Week) -> None:
    assert plan.engage is not None
    await plan.engage.start()
    try:
        assert await play_week(plan, bound, week, make_console(sys.stdout))
    finally:
        await plan.engage.stop()


def pages_of(http: httpx.Client, until: datetime) -> dict[str, str]:
    """The address of each picture."""
    week = f"from={(until - LASTS).date()}&to={(until + timedelta(days=1)).date()}"
    call_id, contact_id = newest(http, "completed")
    return {
        "now": "/console",
        "calls": "/console/calls",
        "call": f"/console/calls/{call_id}",
        "person": f"/console/people?contact_id={contact_id}",
        "analytics": f"/console/analytics?{week}&step=day&metric=human_rate&by=agent",
    }


def photograph(url: str, api_key: str, until: datetime, folder: Path) -> None:
    with httpx.Client(base_url=url, timeout=30) as http:
        sign_in(http, api_key)
        addresses, session = pages_of(http, until), cookies(http)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser())
        context = browser.new_context(base_url=url, viewport=WINDOW, color_scheme="light")
        context.add_cookies(session)
        page = context.new_page()
        for name, address in addresses.items():
            page.goto(address)
            picture = page.screenshot(path=folder / f"{name}.png")
            assert len(picture) <= MOST_BYTES, f"{name}.png has {len(picture)} bytes"
            sys.stdout.write(f"{folder / name}.png: {len(picture)} bytes\n")
        browser.close()


def main(folder: Path) -> None:
    if find_browser() is None:
        sys.exit("no browser is installed: `make chromium` installs one")
    configure_logs("json", open("/dev/null", "w"))  # noqa: SIM115 - until the process ends
    folder.mkdir(parents=True, exist_ok=True)
    until = next_wednesday()
    with played_week(until) as plan, served(plan.settings, until) as url:
        photograph(url, plan.state.api_key, until, folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
