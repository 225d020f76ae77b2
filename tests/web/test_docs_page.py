"""/docs loads nothing from elsewhere, and what it loads is served here."""

import re
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from ringback.telemetry import make_metrics
from ringback.web.app import create_application


@pytest.fixture
async def http():
    app = create_application("test", [], [], make_metrics())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
        yield client


class References(HTMLParser):
    """Every address that a browser would load from a page, and every script within it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline = ""
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href", "data", "action", "srcset")]
        self._in_script = tag == "script"

    def handle_endtag(self, tag):
        self._in_script = False

    def handle_data(self, data):
        self.inline += data.strip() if self._in_script else ""


async def test_the_page_and_everything_it_refers_to_is_served_here(http):
    page = await http.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    references = References(page.text)
    assert references.inline == ""  # the policy would not let it run
    addresses = [urljoin("http://test/docs", found) for found in references.found if not found.startswith("data:")]
    start = next(address for address in addresses if address.endswith("start.js"))
    addresses += [
        urljoin("http://test/docs", found) for found in re.findall(r'url: "(.*)"', (await http.get(start)).text)
    ]
    assert {urlsplit(address).path for address in addresses} == {
        "/docs/swagger-ui.css",
        "/docs/swagger-ui-bundle.js",
        "/docs/start.js",
        "/openapi.json",
    }
    for address in addresses:
        assert urlsplit(address).netloc == "test"
        answer = await http.get(address)
        assert answer.status_code == 200
        assert answer.headers["content-type"].partition(";")[0] in ("text/css", "text/javascript", "application/json")
    style = (await http.get("/docs/swagger-ui.css")).text
    assert [url for url in re.findall(r"url\(([^)]*)", style) if not url.strip("\"'").startswith("data:")] == []
    assert "@import" not in style
    script = (await http.get("/docs/swagger-ui-bundle.js")).text
    assert "SwaggerUIBundle" in script


async def test_the_policy_lets_the_page_load_nothing_else(http):
    for path in ("/docs", "/docs/start.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css"):
        answer = await http.get(path)
        rules = dict(rule.strip().partition(" ")[::2] for rule in answer.headers["content-security-policy"].split(";"))
        assert rules["default-src"] == "'none'"
        assert rules["script-src"] == rules["connect-src"] == "'self'"
        assert "http" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


async def test_nothing_else_of_the_wheel_is_served(http):
    for path in (
        "/redoc",
        "/docs/redoc.standalone.js",
        "/docs/..%2fcore.py",
        "/docs/favicon.png",
        "/docs/oauth2-redirect",
    ):
        assert (await http.get(path)).status_code == 404
