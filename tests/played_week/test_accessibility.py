"""Every page and state in a real browser: axe finds nothing in light and dark, and pages are small and alone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Response

from ringback.domain.access import Role

from .conftest import KEYS, cookies, newest, sign_in
from .test_crawl import RANGE

pytestmark = pytest.mark.matrix

#: A page with everything that it loads, by a browser that has nothing of it yet.
MOST_BYTES = 100 * 1024
#: A window of 1280 pixels at a zoom of 200 %.
ZOOMED = {"width": 640, "height": 500}
#: The pages and their states, as patterns of `Pages.address`.
PAGES = {
    "now": "/console",
    "calls": "/console/calls",
    "calls of a state": "/console/calls?status=failed",
    "no call matches": "/console/calls?contact_id=no-such-contact",
    "a completed call": "/console/calls/{completed}",
    "a failed call": "/console/calls/{failed}",
    "a planned call": "/console/calls/{scheduled}",
    "a person": "/console/people?contact_id={person}",
    "a call with a note": "/console/calls/{noted}",
    "notes": "/console/written?kind=notes&call_id={noted}",
    "dispositions": "/console/written?kind=dispositions&contact_id={person}",
    "no fields": "/console/written?kind=fields&call_id={scheduled}",
    "suppressions": "/console/suppressions",
    "no suppression": "/console/suppressions?contact_id=no-such-contact",
    "analytics of today": "/console/analytics",
    "analytics by day": f"/console/analytics?{RANGE}&step=day&metric=human_rate&by=agent",
    "analytics by hour": f"/console/analytics?{RANGE}&step=hour&metric=attempts&by=local_hour",
    "not counted together": f"/console/analytics?{RANGE}&by=number&agent_id=agent_offers",
    "heatmap": "/console/heatmap",
    "heatmap without counts": "/console/heatmap?month=2020-01",
    "counted rows": f"/console/rows?measure=attempts&{RANGE}",
    "no counted row": "/console/rows?measure=attempts&from=2020-01-01&to=2020-01-02",
    "deliveries that wait": "/console/deliveries",
    "deliveries of a day": "/console/deliveries?state=delivered",
    "no delivery": "/console/deliveries?state=failed&kind=crm_note",
    "audit": "/console/audit",
    "dead letters": "/console/dead-letters",
    "our numbers": "/console/numbers",
    "settings": "/console/settings",
    "the doctor": "/console/doctor",
    "API keys": "/console/keys",
    "no dead letter": "/console/dead-letters?source=calls",
    "help": "/console/help",
    "not found": "/console/no-such-page",
    "a wrong question": "/console/calls?since=yesterday",
}
OF_STRANGERS = {"login": "/console/login", "login by link": "/console/login?link=abc"}


@dataclass
class Pages:
    """The pages in one browser context each: every page is loaded as by a new visitor."""

    browser: Browser
    visitor: httpx.Client

    def context(self, is_signed_in: bool = True, **options: Any) -> BrowserContext:
        context = self.browser.new_context(base_url=str(self.visitor.base_url), **options)
        if is_signed_in:
            context.add_cookies(cookies(self.visitor))
        return context

    def address(self, pattern: str) -> str:
        """The address of a page.

        `{failed}` is the newest failed call, `{person}` the person of a completed one, `{noted}` a call with a note.
        """
        if "{noted}" in pattern:
            return pattern.replace("{noted}", self.noted())
        state = next((one for one in ("completed", "failed", "scheduled") if f"{{{one}}}" in pattern), "completed")
        call_id, contact_id = newest(self.visitor, state)
        return pattern.replace(f"{{{state}}}", call_id).replace("{person}", contact_id)

    def noted(self) -> str:
        """The newest completed or partially completed call in which the agent has written a note."""
        for state in ("completed", "partially_completed"):
            listed = self.visitor.get(f"/console/calls?status={state}").text
            for call_id in dict.fromkeys(re.findall(r'data-key="([0-9a-f-]{36})"', listed)):
                if "kind=notes" in self.visitor.get(f"/console/calls/{call_id}").text:
                    return call_id
        raise AssertionError("no agent of the week has written a note")


@pytest.fixture(scope="module")
def pages(visitor: httpx.Client, browser: Browser) -> Pages:
    return Pages(browser, visitor)


@pytest.fixture(scope="module")
def axe() -> Axe:
    return Axe()


def loaded(page: Page, address: str) -> Iterator[Response]:
    """Load a page, and yield the answer to each request of it. A stream has no end, so it is left out."""
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))
    page.goto(address, wait_until="load")
    yield from (answer for answer in answers if answer.request.resource_type != "eventsource")


def violations(axe: Axe, page: Page, **options: Any) -> list[str]:
    """The findings of axe, each with its elements."""
    found = axe.run(page, options=options or None).response["violations"]
    return [f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}" for one in found]


def open_everything(page: Page) -> None:
    """Open each disclosure: a form or a table in it is part of the page too."""
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")


def check(pages: Pages, axe: Axe, address: str, is_signed_in: bool = True) -> None:
    with pages.context(is_signed_in) as context:
        page = context.new_page()
        answers = list(loaded(page, address))
        hosts = {urlsplit(answer.url).netloc for answer in answers}
        assert hosts == {urlsplit(str(pages.visitor.base_url)).netloc}
        assert sum(len(answer.body()) for answer in answers) <= MOST_BYTES
        open_everything(page)
        assert violations(axe, page) == []
        page.emulate_media(color_scheme="dark")
        assert violations(axe, page, runOnly=["color-contrast"]) == [], "dark"
        page.set_viewport_size(ZOOMED)
        wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide[0] <= wide[1], "a zoom of 200 % needs no sideways scrolling"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_small_and_alone(pages: Pages, axe: Axe, name: str) -> None:
    check(pages, axe, pages.address(PAGES[name]))


@pytest.mark.parametrize("name", OF_STRANGERS)
def test_the_login_is_accessible_small_and_alone(pages: Pages, axe: Axe, name: str) -> None:
    check(pages, axe, OF_STRANGERS[name], is_signed_in=False)


def test_what_axe_must_find_is_found(browser: Browser, axe: Axe) -> None:
    with browser.new_context(color_scheme="dark") as context:
        page = context.new_page()
        page.set_content("<h1>Pale</h1><p style='color: #ccc; background: #fff'>text</p><img src='x.png'>")
        found = {one.partition(":")[0] for one in violations(axe, page)}
    assert found >= {"color-contrast", "image-alt", "html-has-lang"}


def test_every_page_of_the_menu_is_among_them(visitor: httpx.Client) -> None:
    menu = visitor.get("/console").text.partition('<nav aria-label="Main">')[2].partition("</nav>")[0]
    addresses = {part.partition('"')[0] for part in menu.split('href="')[1:]}
    assert addresses and addresses <= {pattern.partition("?")[0] for pattern in PAGES.values()}


def test_the_states_after_a_form_and_without_a_permission_are_accessible(pages: Pages, axe: Axe) -> None:
    with httpx.Client(base_url=str(pages.visitor.base_url), timeout=30) as http:
        sign_in(http, KEYS[Role.OPERATOR])
        with pages.browser.new_context(base_url=str(http.base_url)) as context:
            context.add_cookies(cookies(http))
            page = context.new_page()
            page.goto("/console")
            page.get_by_text("Pause dialing").first.click()
            page.get_by_role("button", name="Pause dialing").click()
            assert page.get_by_role("status").inner_text().startswith("Dialing is paused.")
            assert violations(axe, page) == []
            page.get_by_role("button", name="Resume dialing").click()
            assert page.get_by_role("status").inner_text().startswith("Dialing is resumed.")
            page.get_by_role("button", name="Sign out").click()
            page.get_by_label("API key").fill("rbk_unknown")
            page.get_by_role("button", name="Sign in").click()
            assert page.get_by_role("alert").is_visible()
            assert violations(axe, page) == []
