"""Bugs of the console that replace a whole function."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from proof.planted.bug import Right, planted

_SESSIONS = "web/console/test_sessions.py::"
_SAFETY = "web/console/test_safety.py::"


@planted("ringback.domain.masking:hide_phones", "", f"{_SAFETY}test_no_page_shows_a_phone_number[viewer]")
def a_phone_in_a_text_is_shown(_: Right, text: str) -> str:
    """Only the column of phones holds phones."""
    return text


@planted(
    "ringback.web.console.rendering:_finalize",
    "",
    f"{_SAFETY}test_a_stored_text_is_only_ever_text[script]",
)
def a_stored_text_is_markup(right: Right, value: object) -> object:
    """The API checks every text that it accepts."""
    return Markup(right(value)) if isinstance(value, str) else right(value)


@planted(
    "ringback.web.console.rendering:HEADERS",
    "",
    f"{_SAFETY}test_every_answer_forbids_frames_scripts_and_storing",
)
def pages_may_be_framed(right: Mapping[str, str]) -> Mapping[str, str]:
    """SameSite keeps the session out of frames."""
    return {name: text for name, text in right.items() if name not in ("Content-Security-Policy", "X-Frame-Options")}


@planted(
    "ringback.web.console.sessions:is_same_origin",
    "",
    f"{_SESSIONS}test_a_form_of_another_origin_is_refused[https://evil.example]",
    f"{_SESSIONS}test_a_login_of_another_origin_is_refused",
)
def a_form_may_come_from_anywhere(_: Right, request: object) -> bool:
    """The token is enough."""
    return True


@planted(
    "ringback.web.console.sessions:Sessions.end",
    "",
    f"{_SESSIONS}test_signing_out_ends_the_session_in_the_database",
)
async def signing_out_ends_nothing(_: Right, sessions: object, visitor: object) -> None:
    """The browser forgets the cookie."""


@planted(
    ("ringback.web.console.site:set_cookie", "ringback.web.console.writes:set_cookie"),
    "",
    f"{_SESSIONS}test_a_key_signs_in_and_the_cookie_is_safe",
)
def scripts_may_read_the_cookie(_: Right, request: Any, response: Any, name: str, value: str, lasts: Any) -> None:
    """There is no script."""
    response.set_cookie(name, value, max_age=int(lasts.total_seconds()), path="/console", samesite="strict")
