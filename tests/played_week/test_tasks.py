"""Ten tasks of an operator by keyboard alone, with scripts and without: every read and every action is possible."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from ringback.domain.access import Role

from .conftest import KEYS, newest
from .test_crawl import RANGE

pytestmark = pytest.mark.matrix

#: Presses of Tab until a thing is reached. A page with a longest list has fewer stops.
MOST_TABS = 400


@dataclass
class Keyboard:
    """A person without a mouse."""

    page: Page

    def reach(self, thing: Locator) -> None:
        """Press Tab until the thing has the focus, and see that it shows."""
        expect(thing).to_have_count(1)
        for _ in range(MOST_TABS):
            self.page.keyboard.press("Tab")
            if thing.evaluate("one => one === document.activeElement"):
                outline = thing.evaluate("one => getComputedStyle(one).outlineStyle")
                assert outline != "none", "the focus is visible"
                return
        raise AssertionError(f"{thing} is not reached by the Tab key")

    def press(self, thing: Locator) -> None:
        self.reach(thing)
        self.page.keyboard.press("Enter")

    def follow(self, thing: Locator) -> None:
        """Press Enter on a link or a button, and wait for the page that it leads to."""
        self.reach(thing)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def write(self, thing: Locator, text: str) -> None:
        self.reach(thing)
        self.page.keyboard.press("ControlOrMeta+A")
        self.page.keyboard.type(text)

    def send(self, thing: Locator, text: str) -> None:
        """Write into the last field of a form, and send the form."""
        self.write(thing, text)
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def link(self, name: str) -> Locator:
        return self.page.get_by_role("link", name=name, exact=True)

    def notice(self) -> str:
        return self.page.get_by_role("status").inner_text()


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def keyboard(request: pytest.FixtureRequest, browser: Browser, console_url: str) -> Iterator[Keyboard]:
    """A person who has signed in with a key, which is the first task."""
    with browser.new_context(base_url=console_url, java_script_enabled=request.param) as context:
        person = Keyboard(context.new_page())
        person.page.goto("/console")
        person.send(person.page.get_by_label("API key"), KEYS[Role.OPERATOR])
        expect(person.page.get_by_role("heading", level=1)).to_have_text("Now")
        yield person


def test_what_needs_a_person_leads_to_its_list(keyboard: Keyboard) -> None:
    number = keyboard.page.locator("a[data-letters]")
    count = int(number.inner_text())
    keyboard.follow(number)
    expect(keyboard.page.locator("tr[data-row]")).to_have_count(count)


def test_a_pasted_id_opens_its_call(keyboard: Keyboard, visitor: httpx.Client) -> None:
    call_id, _ = newest(visitor, "completed")
    keyboard.send(keyboard.page.get_by_label("Search"), call_id)
    assert keyboard.page.url.endswith(f"/console/calls/{call_id}")
    keyboard.press(keyboard.page.get_by_text("Transcript", exact=True).first)
    assert "Agent:" in keyboard.page.locator("pre.transcript").first.inner_text()


def test_calls_are_filtered_and_the_next_page_is_read(keyboard: Keyboard) -> None:
    keyboard.follow(keyboard.link("Calls"))
    keyboard.reach(keyboard.page.get_by_label("state"))
    keyboard.page.keyboard.type("failed")
    keyboard.follow(keyboard.button("Show"))
    assert "status=failed" in keyboard.page.url
    count = int(keyboard.page.locator("strong[data-count]").inner_text())
    assert count == min(count, 50) == keyboard.page.locator("tr[data-row]").count()
    keyboard.follow(keyboard.link("every call"))
    keyboard.follow(keyboard.link("Older calls"))
    assert "cursor=" in keyboard.page.url


def test_a_person_is_asked_why(keyboard: Keyboard) -> None:
    keyboard.follow(keyboard.link("Calls"))
    keyboard.follow(keyboard.page.locator("tr[data-row] a[href*='contact_id=']").first)
    assert "because" in keyboard.page.locator("main > p").first.inner_text()


def test_dialing_is_paused_and_resumed(keyboard: Keyboard) -> None:
    keyboard.press(keyboard.page.get_by_text("Pause dialing", exact=True).first)
    keyboard.send(keyboard.page.get_by_label("Reason"), "the numbers are checked")
    assert keyboard.notice().startswith("Dialing is paused.")
    keyboard.follow(keyboard.button("Resume dialing"))
    assert keyboard.notice().startswith("Dialing is resumed.")


def test_a_planned_call_is_cancelled(keyboard: Keyboard, visitor: httpx.Client) -> None:
    call_id, _ = newest(visitor, "scheduled")
    keyboard.page.goto(f"/console/calls/{call_id}")
    keyboard.press(keyboard.page.get_by_text("Cancel this call", exact=True))
    keyboard.send(keyboard.page.get_by_label("Type cancel"), "cancel")
    assert keyboard.notice() == "1 call is cancelled: it will not dial."


def test_a_person_is_suppressed_and_the_suppression_is_lifted(keyboard: Keyboard, visitor: httpx.Client) -> None:
    keyboard.page.goto(f"/console/calls/{newest(visitor, 'completed')[0]}")
    keyboard.press(keyboard.page.get_by_text("Suppress this person", exact=True))
    keyboard.send(keyboard.page.get_by_label("Reason"), "asked by letter, twice")
    assert keyboard.notice().startswith("1 phone is suppressed.")
    keyboard.follow(keyboard.link("Suppressions"))
    row = keyboard.page.locator("tr[data-row]").filter(has_text="asked by letter, twice").first
    keyboard.press(row.get_by_text("Lift", exact=True).first)
    keyboard.send(row.get_by_label("Reason"), "asked again, by phone")
    assert keyboard.notice() == "1 suppression is lifted."


def test_a_contact_is_suppressed_by_its_id(keyboard: Keyboard) -> None:
    keyboard.follow(keyboard.link("Suppressions"))
    form = keyboard.page.locator("details").filter(has_text="Suppress a phone or a contact")
    keyboard.press(form.get_by_text("Suppress a phone or a contact", exact=True))
    keyboard.write(form.get_by_label("or contact"), "crm-never-called")
    keyboard.send(form.get_by_label("Reason"), "asked by e-mail")
    # The same task without scripts finds the suppression of the one with scripts.
    assert keyboard.notice().startswith(("1 contact is suppressed.", "This contact was suppressed before."))


def test_a_dead_letter_is_replayed(keyboard: Keyboard) -> None:
    keyboard.follow(keyboard.link("Deliveries"))
    keyboard.follow(keyboard.page.get_by_role("link", name="Dead letters of the queues"))
    before = keyboard.page.locator("tr[data-row]").count()
    keyboard.follow(keyboard.page.get_by_role("button", name="Replay 1").first)
    assert keyboard.notice() == "1 message is sent again."
    expect(keyboard.page.locator("tr[data-row]")).to_have_count(before - 1)


def test_a_number_of_the_statistics_leads_to_its_rows(keyboard: Keyboard) -> None:
    first, last = (part.partition("=")[2] for part in RANGE.split("&"))
    keyboard.follow(keyboard.link("Analytics"))
    keyboard.write(keyboard.page.get_by_label("from", exact=True), first)
    keyboard.send(keyboard.page.get_by_label("before", exact=True), last)
    assert f"from={first}" in unquote(keyboard.page.url)
    number = keyboard.page.locator("a[data-rows]").first
    count = int(number.get_attribute("data-rows") or 0)
    keyboard.follow(number)
    rows = keyboard.page.locator("tr[data-row]").count()
    assert rows == min(count, rows) > 0


def test_a_session_is_ended(keyboard: Keyboard) -> None:
    keyboard.follow(keyboard.button("Sign out"))
    keyboard.page.goto("/console/calls")
    assert keyboard.page.url.endswith("/console/login")
