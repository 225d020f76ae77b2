"""The page of help, and what the script needs of a page."""

import re
from importlib import resources

from ringback.web.console.pages import QUALIFIERS
from ringback.web.console.wording import STATUSES

from .conftest import Browser, place


async def test_help_explains_every_word_key_and_state(admin: Browser) -> None:
    page = (await admin.get("/console/help")).text
    assert [word for word in QUALIFIERS if f"<code>{word}:" not in page] == []
    assert [state for state in STATUSES if f"<code>{state}</code>" not in page] == []
    assert re.findall(r"<kbd>(.+?)</kbd>", page) == ["/", "g c", "g a", "g d", "j", "k", "Enter", "p", "?"]
    assert 'aria-current="page">Help</a>' in page


async def test_every_key_that_leads_somewhere_has_its_link(admin: Browser) -> None:
    page = (await admin.get("/console")).text
    links = dict(re.findall(r'href="([^"]+)" data-go="(.)"', page))
    assert set(links.values()) == {"c", "a", "d", "?"}
    for address in links:
        assert (await admin.get(address)).status_code == 200
    assert 'id="q"' in page


async def test_ids_have_a_button_that_copies_them(admin: Browser) -> None:
    call_id = await place(admin)
    page = (await admin.get(f"/console/calls/{call_id}")).text
    assert f'data-copy="{call_id}" aria-label="Copy the id of the call"' in page
    # Without the script the button would do nothing, so that the style hides it.
    style = resources.files("ringback.web.console").joinpath("static/console.css").read_text()
    assert "button.copy { display: none;" in style and ".scripted button.copy" in style
