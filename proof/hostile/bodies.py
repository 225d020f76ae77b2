"""Bodies, paths, queries and headers that no honest client sends, for every endpoint."""

import gzip
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from proof.findings import Size
from proof.harness.http import Header

KIB, MIB = 1024, 1024 * 1024

#: Values that no field of ours or of Retell's call object has.
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 17, 1.5, -0.0, 1e308, 5e-324, 2**31, 2**63, 2**64, -(2**63) - 1, 2**70, 10**30),
    *("", " ", "0", "null", "\0", "a\0b", "\ud800", "\udfff\ud800", "\uffff", "\ufeff", "é" * 200, "x" * 201, "𝔘" * 90),
    *("x" * 100_000, "‮gnp", "\r\nX-Injected: 1", "'; DROP TABLE calls; --", "{{ringback_attempt_id}}", "%00", "../.."),
    *("٣", "٣" * 9, "+1415555010٠", "+0000000000", "+1" + "0" * 40, "1e5", "NaN", "-Infinity", "abducted_by_aliens"),
    *("9999-12-31T23:59:59Z", "9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00+14:00", "2026-13-45T99:99:99Z"),
    *("2026-12-01T17:00:00.1234567890123Z", "Etc/../UTC", "C:", "x" * 5000),
    *([], {}, [[]], [None], [None, 1], [1] * 1000, ["a"] * 300, {"": None}, {"": ""}, {"\0": 1}, {"\0": "\ud800"}),
    *({"a" * 300: "b"}, {"ringback_x": 1}, {"__proto__": {}}, {str(number): number for number in range(3000)}),
)


@dataclass(frozen=True, slots=True)
class Broken:
    """A body that no JSON API can take; `must_refuse` is false where a lenient reader may make sense of it."""

    name: str
    body: bytes
    headers: tuple[Header, ...] = ()
    must_refuse: bool = True


def broken(good: bytes) -> Iterator[Broken]:
    """For any endpoint: these are no JSON object, or none that could be stored."""
    inner = good.strip()[1:-1] or b'"a":1'
    texts: dict[str, bytes] = {
        "nothing": b"",
        "spaces": b" \n\t ",
        "a word": b"hello",
        "cut": good[: len(good) // 2],
        "too much": good + good,
        "trailing comma": b"{" + inner + b",}",
        "single quotes": good.replace(b'"', b"'"),
        "comment": good + b"//",
        "array": b"[" + good + b"]",
        "string": json.dumps(good.decode()).encode(),
        "number": b"17",
        "null": b"null",
        "true": b"true",
        "latin-1": b'{"\xe9":"\xff",' + inner + b"}",
        "half a character": good[:-1] + b',"x":"\xe2\x82"}',
        "encoded surrogate": b'{"x":"\xed\xa0\x80",' + inner + b"}",
        "overlong": b'{"x":"\xc0\xaf",' + inner + b"}",
        "UTF-16": good.decode().encode("utf-16"),
        "UTF-32": good.decode().encode("utf-32"),
        "byte order mark": b"\xef\xbb\xbf" + good,
        "raw NUL": b'{"x":"a\0b",' + inner + b"}",
        "raw control": b'{"x":"a\nb",' + inner + b"}",
        "escaped NUL": b'{"x":"a\\u0000b",' + inner + b"}",
        "lone surrogate": b'{"x":"\\ud800",' + inner + b"}",
        "surrogate key": b'{"\\udfff":1,' + inner + b"}",
        "NaN": b'{"x":NaN,' + inner + b"}",
        "Infinity": b'{"x":-Infinity,' + inner + b"}",
        "infinite by size": b'{"x":1e999,' + inner + b"}",
        "huge whole number": b'{"x":' + b"9" * 5000 + b"," + inner + b"}",
        "beyond 64 bits": b'{"x":99999999999999999999999,' + inner + b"}",
        "hexadecimal": b'{"x":0x10,' + inner + b"}",
        "deep arrays": b"[" * 100_000,
        "deep arrays, closed": b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"," + inner + b"}",
        "deep objects": b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
        "gzip": gzip.compress(good, mtime=0),
    }
    for name, body in texts.items():
        yield Broken(name, body)
    yield Broken("gzip, announced", gzip.compress(good, mtime=0), (("content-encoding", "gzip"),))
    yield Broken("a form", b"a=1&b=2", (("content-type", "application/x-www-form-urlencoded"),))
    # The last of two keys counts, and the type is not asked for: both may be taken.
    yield Broken("twice the same key", b"{" + inner + b"," + inner + b"}", must_refuse=False)
    for kind in KINDS:
        yield Broken(f"as {kind}", good, (("content-type", kind),), must_refuse=False)


KINDS = ("text/plain", "application/xml", "multipart/form-data; boundary=x", "application/json; charset=utf-16", "é")


def mutations(good: Mapping[str, Any], rng: random.Random, size: Size) -> Iterator[tuple[str, bytes]]:
    """One field at a time, at every depth: an odd value in its place, missing, under another name, one too many."""
    paths = list(_paths(good, ()))
    cases = [(path, value) for path in paths for value in ODD_VALUES]
    if size is Size.SMALL:
        cases = rng.sample(cases, min(5, len(cases)))
    for path, value in cases:
        yield f"{'.'.join(path)} is {str(value)[:30]!r}", _encoded(_changed(good, path, value))
    for path in paths if size is Size.FULL else paths[:3]:
        yield f"without {'.'.join(path)}", _encoded(_without(good, path))
        yield f"beside {'.'.join(path)}", _encoded(_changed(good, (*path[:-1], f"{path[-1]}s"), "x"))


def _paths(value: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for name, inner in value.items():
        yield (*above, name)
        if isinstance(inner, dict):
            yield from _paths(inner, (*above, name))


def _changed(good: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    name, *rest = path
    return {**good, name: _changed(good.get(name, {}), tuple(rest), value) if rest else value}


def _without(good: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    name, *rest = path
    if rest:
        return {**good, name: _without(good[name], tuple(rest))}
    return {key: value for key, value in good.items() if key != name}


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


#: By path: the names in its query, one at a time. Each is refused or means nothing; none may be an error.
QUERIES = {
    "/v1/calls": ("cursor", "limit", "status", "contact_id", "unknown"),
    "/v1/suppressions": ("cursor", "limit", "phone", "contact_id"),
    "/v1/events": ("after", "limit"),
    "/v1/why": ("phone", "contact_id"),
}
ODD_TEXTS = (
    *("", "%00", "a%00b", "%ff%fe", "%ed%a0%80", "x" * 3000, "'%20OR%201=1", "-1", "0", "201", "1e3", "%D9%A3", "null"),
    *("0-0", "99999999999999999999-1", "1-99999999999999999999", "1-1-1", "-", "%F0%9F%98%80", "%2B14155550100", "+1"),
    *("999999999999999999-999999999999999999", "18446744073709551616-1", "01a20491-7446-7438-8476-b9da1cc0a52a", "%zz"),
    "%",
)
PATHS = (
    *("/v1/calls/{}", "/v1/calls/{}/timeline", "/v1/actions/{}", "/v1/retell/functions/{}", "/v1/{}", "/{}"),
    *("/v1/calls/{}/cancel", "/v1/suppressions/{}"),
)
ODD_STEPS = (
    *("", "%00", "a%00b", "%ff", "%ed%a0%80", "..", "%2e%2e", "%2f", "a%2fb", "x" * 3000, "null", "%F0%9F%98%80", "0"),
    *("'%20OR%201=1", ";", "a;b", "a%0d%0aX:1", "__proto__", "note_writeback%20", "NOTE_WRITEBACK", "{call_id}"),
)
KEYS: tuple[bytes, ...] = (
    *(b"", b" ", b"x" * 255, b"x" * 256, b"x" * 8000, b"\xff\xfe", "ключ".encode(), b"a\tb", b"'; --", b"%00", b"null"),
)
AUTHORIZATIONS: tuple[tuple[str, bytes], ...] = (
    *(
        ("authorization", text)
        for text in (b"", b"Bearer", b"Bearer ", b"bearer x", b"Basic eDp5", b"Bearer \xff", b"x" * 9000)
    ),
    *(("x-api-key", text) for text in (b"", b"x", b"\xff", b"rbk_" + b"x" * 43, b"null")),
)
