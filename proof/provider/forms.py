"""Answers as no provider should give them: strange contents, strange framings, failed look-ups."""

import gzip
from collections.abc import Mapping

from proof.harness.http import Message
from proof.provider.acts import Act, End, Form, Forward, answers

_DEEP = b"[" * 5000 + b"]" * 5000

#: A name, the status, the body, further header lines.
STRANGE_SUCCESSES: tuple[tuple[str, int, bytes, tuple[str, ...]], ...] = (
    ("no body", 200, b"", ()),
    ("no content", 204, b"", ()),
    ("an empty object", 201, b"{}", ()),
    ("a list", 201, b"[]", ()),
    ("null", 201, b"null", ()),
    ("an empty call id", 201, b'{"call_id": ""}', ()),
    ("a number as call id", 201, b'{"call_id": 7}', ()),
    ("null as call id", 201, b'{"call_id": null}', ()),
    ("half of a JSON text", 201, b'{"call_id": "call_1234', ()),
    ("not UTF-8", 201, b'{"call_id": "\xff\xfe"}', ()),
    ("very deep JSON", 201, _DEEP, ()),
    ("a web page", 200, b"<html>Welcome</html>", ("x-portal: yes",)),
    ("gzip that is none", 201, b"\x1f\x8b\x08garbage", ("content-encoding: gzip",)),
    ("cut gzip", 201, gzip.compress(b'{"call_id": "call_1"}')[:20], ("content-encoding: gzip",)),
    ("an unknown encoding", 201, b"\x00\x01", ("content-encoding: br",)),
    ("accepted for later", 202, b'{"status": "accepted"}', ()),
)


def _given(answer: Message | None) -> Message:
    assert answer is not None, "a framing needs an answer"
    return answer


def _head_without_length(answer: Message, *lines: bytes) -> bytes:
    kept = [line for line in answer.head.split(b"\r\n") if line and not line.lower().startswith(b"content-length")]
    return b"\r\n".join([*kept, *lines]) + b"\r\n\r\n"


def chunked(answer: Message | None) -> bytes:
    whole = _given(answer)
    middle = len(whole.body) // 2
    parts = (whole.body[:middle], whole.body[middle:], b"")
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return _head_without_length(whole, b"transfer-encoding: chunked") + chunks


def until_close(answer: Message | None) -> bytes:
    """The end of the body is the end of the connection, so that a cut one looks whole."""
    whole = _given(answer)
    return _head_without_length(whole, b"connection: close") + whole.body


def _with_length(change: int) -> Form:
    def form(answer: Message | None) -> bytes:
        whole = _given(answer)
        return _head_without_length(whole, b"content-length: %d" % (len(whole.body) + change)) + whole.body

    return form


def _before(prefix: bytes) -> Form:
    return lambda answer: prefix + _given(answer).raw


def _after(suffix: bytes) -> Form:
    return lambda answer: _given(answer).raw + suffix


def _twice(answer: Message | None) -> bytes:
    return _given(answer).raw * 2


def _old_http(answer: Message | None) -> bytes:
    return until_close(answer).replace(b"HTTP/1.1", b"HTTP/1.0", 1)


def _huge_header(answer: Message | None) -> bytes:
    return _head_without_length(_given(answer), b"x-long: " + b"a" * 70_000) + _given(answer).body


_too_long = _with_length(7)
_too_short = _with_length(-7)

FRAMINGS: Mapping[str, Form] = {
    "100 before it": _before(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "103 before it": _before(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"),
    "garbage before it": _before(b"\x00\x01\x02garbage\r\n"),
    "more bytes after it": _after(b"and more"),
    "a second answer with it": _twice,
    "chunked": chunked,
    "until the connection closes": until_close,
    "HTTP/1.0": _old_http,
    "a length too long": _too_long,
    "a length too short": _too_short,
    "a huge header": _huge_header,
    "a length that is no number": lambda answer: _head_without_length(_given(answer), b"content-length: many"),
}

#: Those whose end only the closing connection shows; without it they are a silence.
NEED_CLOSE: tuple[Form, ...] = (until_close, _old_http)

FAILED_LOOKUPS: tuple[tuple[str, Act], ...] = (
    ("500", answers(500)),
    ("401", answers(401)),
    ("404", answers(404)),
    ("429", answers(429)),
    ("a redirect", answers(302, b"", "location: /elsewhere")),
    ("closed", Act(Forward.NEVER, cut=0, end=End.CLOSE)),
    ("reset", Act(Forward.NEVER, cut=0, end=End.RESET)),
    ("silence", Act(Forward.NEVER, cut=0, end=End.SILENCE)),
    ("cut in the head", Act(cut=30, end=End.CLOSE)),
    ("cut in the body", Act(cut=200, end=End.CLOSE)),
    ("garbage", answers(200, b"\x00\xff")),
    ("a list", answers(200, b"[]")),
    ("no items", answers(200, b"{}")),
    ("null as items", answers(200, b'{"items":null}')),
    ("an item that is no call", answers(200, b'{"items":[7]}')),
    ("more, but not where", answers(200, b'{"items":[],"has_more":true}')),
    ("a list cut until close", Act(form=until_close, cut=150, end=End.CLOSE)),
)

FAILED_POLLS: tuple[tuple[str, Act], ...] = (
    ("500", answers(500)),
    ("404", answers(404)),
    ("401", answers(401)),
    ("closed", Act(Forward.NEVER, cut=0, end=End.CLOSE)),
    ("silence", Act(Forward.NEVER, cut=0, end=End.SILENCE)),
    ("cut", Act(cut=400, end=End.CLOSE)),
    ("cut until close", Act(form=until_close, cut=400, end=End.CLOSE)),
    ("garbage", answers(200, b"\x00\xff")),
    ("another call", answers(200, b'{"call_id": "call_of_somebody_else", "call_status": "error"}')),
)
