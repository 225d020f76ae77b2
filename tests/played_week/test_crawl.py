"""Every link of every page is followed. The list behind a number has exactly that many rows."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

import httpx
import pytest

from ringback.domain.metrics import METRICS
from ringback.flows.analytics import BREAKDOWNS

from .conftest import UNTIL, WEEK

pytestmark = pytest.mark.matrix

#: The attributes of numbers, and the largest number that is counted exactly.
COUNTS, MOST = ("data-count", "data-rows", "data-letters"), 1000
#: Pages of one call or one person, of which a few are read.
OF_ONE, FEW = ("/console/calls/", "/console/people"), 30
RANGE = f"from={(UNTIL - WEEK.lasts).date()}&to={UNTIL.date()}"
START = (
    "/console",
    "/",
    "/console/find?q=state%3Afailed",
    *(f"/console/analytics?{RANGE}&step=day&metric={name}&by=agent" for name in METRICS),
    *(f"/console/analytics?{RANGE}&step=hour&metric=attempts&by={name}" for name in BREAKDOWNS),
)


@dataclass
class Page(HTMLParser):
    """The links of a page: addresses, and numbers with the address of their list. None: the list is on this page."""

    address: str
    text: str
    links: list[str] = field(default_factory=list)
    numbers: list[tuple[int, str | None]] = field(default_factory=list)
    rows: int = 0
    following: str | None = None

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        href = urldefrag(urljoin(self.address, given["href"]))[0] if given.get("href") else None
        if tag == "a" and href is not None and urlsplit(href).netloc == urlsplit(self.address).netloc:
            self.links.append(href)
            if given.get("rel") == "next":
                self.following = href
        self.rows += "data-row" in given
        self.numbers += [(int(given[name] or 0), href) for name in COUNTS if name in given]


class Crawl:
    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.pages: dict[str, Page] = {}
        self.broken: list[str] = []

    def page(self, address: str) -> Page:
        if address not in self.pages:
            answer = self.http.get(address, follow_redirects=True)
            if answer.status_code >= 400 or "/console/login" in str(answer.url):
                self.broken.append(f"{answer.status_code} {address}")
            self.pages[address] = Page(str(answer.url), answer.text)
        return self.pages[address]

    def rows(self, address: str) -> int:
        """The rows of a list, over all its pages."""
        count, following = 0, address
        while following is not None:
            page = self.page(following)
            count, following = count + page.rows, page.following
        return count

    def everything(self) -> None:
        """Read every page that can be reached, a few of those of one call or one person."""
        waiting, seen, read_of_one = list(START), set(START), dict.fromkeys(OF_ONE, 0)
        while waiting:
            for link in self.page(waiting.pop()).links:
                path = urlsplit(link).path
                kind = next((one for one in OF_ONE if path.startswith(one)), None)
                if link in seen or (kind is not None and read_of_one[kind] >= FEW):
                    continue
                seen.add(link)
                waiting.append(link)
                if kind is not None:
                    read_of_one[kind] += 1


def test_every_link_works_and_every_number_is_that_of_its_list(visitor: httpx.Client) -> None:
    crawl = Crawl(visitor)
    crawl.everything()
    wrong, checked = set(), 0
    for page in list(crawl.pages.values()):
        # A later page of a list has the number of the whole list.
        first_page = re.sub(r"[?&]cursor=[^&]*", "", page.address)
        for number, address in page.numbers:
            found = crawl.rows(address or first_page)
            checked += 1
            if found != number and not (number > MOST and found > MOST):
                wrong.add(f"{number} on {page.address} leads to {found} rows at {address or first_page}")
    assert crawl.broken == []
    assert sorted(wrong) == []
    paths = {urlsplit(page.address).path for page in crawl.pages.values()}
    assert paths >= {"/console", "/console/calls", "/console/analytics", "/console/rows", "/console/suppressions"}
    assert checked > 300, f"{checked} numbers on {len(crawl.pages)} pages"
