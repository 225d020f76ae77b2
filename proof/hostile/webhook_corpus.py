"""Webhooks that no provider sends: each with its permitted answers, and whether it may leave a trace."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from proof.findings import Size
from proof.harness.http import Header, Request
from proof.hostile.bodies import MIB, ODD_VALUES, broken
from proof.hostile.target import WINDOW_MS, genuine, now_ms

PATH = "/retell/webhook"
LIMIT = 6 * MIB


@dataclass(frozen=True, slots=True)
class Sent:
    """`taken`: answered 204 and kept; otherwise refused, and nothing may be written."""

    request: Request
    statuses: frozenset[int]
    taken: bool = False


class WebhookCorpus:
    def __init__(self, key: str, sample: bytes, size: Size) -> None:
        self.key, self.sample, self.size = key, sample, size

    def signed(self, name: str, body: bytes, *, chunked: bool = False, status: int) -> Sent:
        headers = self._headers(genuine(body, self.key, now_ms()))
        request = Request(name, "POST", PATH, headers, body, chunked)
        return Sent(request, frozenset({status}), status == 204)

    def _headers(self, *signatures: str) -> list[Header]:
        return [("content-type", "application/json"), *(("x-retell-signature", one) for one in signatures)]

    def refused(self) -> Iterator[Sent]:
        """Forged, altered, replayed or no webhook at all."""
        yield from self._altered()
        yield from self._signed_wrongly()
        yield from self._no_webhooks()

    def _altered(self) -> Iterator[Sent]:
        sample, now = self.sample, now_ms()
        headers, unauthorized = self._headers(genuine(sample, self.key, now)), frozenset({401})
        step = 1 if self.size is Size.FULL else 61
        parsed = json.loads(sample)
        others = {
            "indented": json.dumps(parsed, indent=1),
            "sorted": json.dumps(parsed, sort_keys=True),
            "compact": json.dumps(parsed, separators=(",", ":")),
            "reversed": json.dumps(dict(reversed(parsed.items()))),
        }
        for end in range(0, len(sample), step):
            yield Sent(Request(f"cut at {end}", "POST", PATH, headers, sample[:end]), unauthorized)
        for name, text in others.items():
            if text.encode() != sample:
                yield Sent(Request(name, "POST", PATH, headers, text.encode()), unauthorized)

    def _signed_wrongly(self) -> Iterator[Sent]:
        sample, now, unauthorized = self.sample, now_ms(), frozenset({401})
        good, wrong = genuine(sample, self.key, now), genuine(sample, "key_of_nobody", now)
        signatures = {
            "replayed": [genuine(sample, self.key, now - WINDOW_MS - 1)],
            "from the future": [genuine(sample, self.key, now + WINDOW_MS + 60_000)],
            "another's key": [wrong],
            "no signature": [],
            "wrong, then good": [wrong, good],
            "good, then wrong": [good, wrong],
            "good twice": [good, good],
        }
        for name, given in signatures.items():
            yield Sent(Request(name, "POST", PATH, self._headers(*given), sample), unauthorized)
        for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS"):
            yield Sent(Request(method, method, PATH, self._headers(good), sample), frozenset({405}))
        for path in (f"{PATH}/", f"{PATH}/x", "/retell", "//retell/webhook", "/retell/webhook%00"):
            # A path that is another one with a slash too many may be pointed to the right one.
            yield Sent(Request(path, "POST", path, self._headers(good), sample), frozenset({404, 307}))

    def _no_webhooks(self) -> Iterator[Sent]:
        bodies = {
            **{case.name: case.body for case in broken(self.sample) if not _is_an_object(case.body)},
            "deep and too large for the queue": _deep(150_000, noise=_noise(600_000)),
            "large, and nothing usable": b'{"event":"' + _noise(600_000) + b'"}',
        }
        for name, body in bodies.items():
            yield self.signed(name, body, status=400)
        too_large = b'{"event":"' + b"x" * LIMIT + b'"}'
        yield self.signed("six MiB and more", too_large, status=413)
        yield self.signed("six MiB and more, in chunks", too_large, chunked=True, status=413)

    def taken(self, provider_call_id: str | None = None, marks: Any = None) -> Iterator[Sent]:
        """Signed objects, which are all kept: of unknown calls, or of the one call given."""
        for number, (name, envelope) in enumerate(self._envelopes(provider_call_id, marks)):
            text = envelope if isinstance(envelope, str) else json.dumps(envelope | {"nonce": number})
            yield self.signed(name, text.encode(), status=204)

    def _envelopes(self, provider_call_id: str | None, marks: Any) -> Iterator[tuple[str, Any]]:
        parsed = json.loads(self.sample)
        base = dict(parsed["call"]) | ({"metadata": marks} if marks is not None else {})
        base.pop("metadata", None) if marks is None else None
        every = 1 if self.size is Size.FULL else 11
        odd = [(name, value) for name in sorted(base) for value in ODD_VALUES if name != "call_id"]
        for number, (name, value) in enumerate(odd[::every]):
            call = {**base, "call_id": provider_call_id or f"call_odd_{number:05d}", name: value}
            yield f"{name} is {str(value)[:30]!r}", {"event": parsed["event"], "call": call}
        for number, event in enumerate(("call_transcribed_v9", "call_", "CALL_ENDED", "x" * 3000, "call_ended ", "\0")):
            call = {**base, "call_id": provider_call_id or f"call_event_{number:05d}"}
            yield f"event {event[:20]!r}", {"event": event, "call": call}
        if provider_call_id is None:
            yield from self._nonsense()

    def _nonsense(self) -> Iterator[tuple[str, Any]]:
        for number, value in enumerate((*ODD_VALUES, "call_ended")):
            yield f"event is {str(value)[:30]!r}", {"event": value, "n": number}
            yield f"call is {str(value)[:30]!r}", {"event": "call_ended", "call": value, "n": number}
            yield f"call_id is {str(value)[:30]!r}", {"event": f"e{number}", "call": {"call_id": value}, "n": number}
        yield "empty", "{}"
        yield "braces", "{{}}"
        yield "NUL", '{"event":"call_ended","call":{"call_id":"a\0b"}}'
        yield "twice the same key", '{"event":"x","event":"call_ended","call":{"call_id":"t1"},"call":{"call_id":"t2"}}'
        yield "not numbers", '{"event":"call_ended","call":{"call_id":"n1","duration_ms":NaN,"start_timestamp":1e999}}'
        yield "long number", '{"event":"call_ended","call":{"call_id":"n2","duration_ms":' + "9" * 6000 + "}}"
        yield "deep", _deep(20_000).decode()
        yield "deeper", _deep(100_000).decode()
        yield "deep, large and compressed", _deep(150_000).decode()
        yield "large, compressed, and nothing usable", '{"event":"' + "x" * 400_000 + '"}'
        yield "deep objects", '{"event":"call_ended","call":{"call_id":"d2","a":' + '{"a":' * 9000 + "1" + "}" * 9002
        yield "unended", '{"event":"call_ended","call":{"call_id":"u"}'


def _is_an_object(body: bytes) -> bool:
    """The receiver looks no further, because the processor records what it can of any object."""
    try:
        text = body.decode().strip()
    except UnicodeDecodeError:
        return False
    return text.startswith("{") and text.endswith("}")


def _deep(levels: int, noise: bytes = b"") -> bytes:
    nested = b"[" * levels + b"]" * levels
    return b'{"event":"call_ended","call":{"call_id":"d1","a":' + nested + b',"b":"' + noise + b'"}}'


def _noise(characters: int) -> bytes:
    """Text that is more than half as long when it is compressed."""
    return random.Random(characters).randbytes(characters // 2).hex().encode()
