"""I15 by numbers: forged signatures at the Lambda's handler and at the three endpoints that ask for one."""

import hashlib
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any
from unittest import mock

from proof.findings import Findings
from proof.harness.http import Request
from proof.hostile.target import WINDOW_MS, Target, digest, genuine, lambda_event, now_ms
from proof.invariants import Invariant
from ringback.adapters.retell import signature
from ringback.services import webhook_lambda as receiver
from ringback.services.webhook_lambda import Handler, make_handler


@dataclass(frozen=True, slots=True)
class Forgery:
    """`header` None: none is sent."""

    kind: str
    body: bytes
    header: str | None


class Forger:
    """An attacker who has seen genuine deliveries, one as old as the window permits, and not the key."""

    def __init__(self, rng: random.Random, key: str, now_ms: int, bodies: list[bytes]) -> None:
        self.rng, self.key, self.now_ms, self.bodies = rng, key, now_ms, bodies

    def forgeries(self, count: int) -> Iterator[Forgery]:
        for name, _ in zip(cycle(MANNERS), range(count), strict=False):
            body = self.rng.choice(self.bodies)
            made = MANNERS[name](self, body)
            header, sent = made if isinstance(made, tuple) else (made, body)
            yield Forgery(name, sent, header)

    @property
    def recent_ms(self) -> int:
        return self.now_ms - self.rng.randrange(WINDOW_MS - 120_000)

    def seen(self, body: bytes) -> tuple[int, str]:
        """The time and the digest of a genuine delivery."""
        at_ms = self.recent_ms
        return at_ms, genuine(body, self.key, at_ms).partition("d=")[2]

    def hex(self, length: int = 64) -> str:
        return f"{self.rng.getrandbits(4 * length):0{length}x}"


Made = str | tuple[str, bytes] | None
_TAGS = (
    *("V={v},D={d}", "t={v},v1={d}", "v1={v},d={d}", "d={d},v={v}", "v={v};d={d}", "v={v},d=sha256={d}", "v:{v},d:{d}"),
    *(
        "v={v},d={d},d={d}",
        "v={v},v={v},d={d}",
        " v={v},d={d},",
        "v={v}, d={d}",
        "sha256={d}",
        "{d}",
        "v={v},d={d},x=1",
    ),
    *("v={v}", "v={v},d=", "v=,d={d}", '"v={v},d={d}"'),
)
_ODD_TIMES = ("9" * 20, "9" * 5000, "0", "-1", str(2**63), str(2**64), "1" * 19, "")
_PADDING = (b" ", b"\n", b"\t", b"\r\n", b"\xef\xbb\xbf", b"\0")
_NONSENSE = "vd=,;: 0123456789abcdefABCDEF\t\"'{}[]()\\/%\x7fäß€"


def _of_seen(make: Callable[[Forger, int, str], str]) -> Callable[[Forger, bytes], Made]:
    """From the time and the digest of a genuine delivery of the body."""
    return lambda forger, body: make(forger, *forger.seen(body))


def _flipped(forger: Forger, whole: bytes) -> bytes:
    changed = bytearray(whole)
    changed[forger.rng.randrange(len(whole))] ^= 1 << forger.rng.randrange(8)
    return bytes(changed)


def _other_bytes(forger: Forger, body: bytes) -> Made:
    """Same JSON, other bytes."""
    place = forger.rng.choice([0, len(body)])
    padded = body[:place] + forger.rng.choice(_PADDING) + body[place:]
    return genuine(body, forger.key, forger.recent_ms), padded


def _replayed(forger: Forger, body: bytes) -> Made:
    # Some seconds beyond the window, because a slow machine may look at it later.
    early = forger.now_ms - WINDOW_MS - forger.rng.randrange(1, 10**9)
    late = forger.now_ms + WINDOW_MS + forger.rng.randrange(60_000, 10**9)
    return genuine(body, forger.key, forger.rng.choice([early, late]))


def _other_key(forger: Forger, body: bytes) -> Made:
    key = forger.key
    keys = [forger.hex(), "", key[:-1], key[1:], key + "0", key.swapcase(), key + "\0x", f"whsec_{key}", key[::-1]]
    return genuine(body, forger.rng.choice(keys), forger.recent_ms)


def _other_digits(forger: Forger, at_ms: int, good: str) -> str:
    zero = forger.rng.choice([0x660, 0x966, 0xFF10, 0x1D7CE, 0x6F0])
    told = "".join(chr(zero + int(digit)) for digit in str(at_ms))
    odd = [f"{at_ms}.0", f"+{at_ms}", f"-{at_ms}", f"{at_ms:_}", f"{at_ms}e0", hex(at_ms), f"{at_ms / 1000:.3f}"]
    return f"v={forger.rng.choice([told, *odd])},d={good}"


def _odd_time(forger: Forger, body: bytes) -> Made:
    at = forger.rng.choice(_ODD_TIMES)
    return f"v={at},d={digest(forger.key.encode(), body + at.encode())}"


def _other_rule(forger: Forger, body: bytes) -> Made:
    at_ms, key = forger.recent_ms, forger.key.encode()
    at = str(at_ms).encode()
    signed = [body, at + body, body + b"." + at, at + b"." + body, body + str(at_ms // 1000).encode()]
    rules = [digest(key, one) for one in signed]
    rules += [digest(key, body + at, "sha512")[:64], digest(key, body + at, "blake2s"), digest(body + at, key)]
    rules += [hashlib.sha256(key + body + at).hexdigest(), hashlib.sha256(body + at).hexdigest()]
    return f"v={at_ms},d={forger.rng.choice(rules)}"


def _moved_border(forger: Forger, body: bytes) -> Made:
    """Body and time are signed without anything between them, so a digit could change sides."""
    at_ms, good = forger.seen(body)
    at = str(at_ms)
    moved = forger.rng.randrange(1, len(at))
    return f"v={at[moved:]},d={good}", body + at[:moved].encode()


def _several(forger: Forger, at_ms: int, good: str) -> str:
    return forger.rng.choice([", ", ",", ";", " "]).join([f"v={at_ms},d={forger.hex()}", f"v={at_ms},d={good}"])


MANNERS: dict[str, Callable[[Forger, bytes], Made]] = {
    "none": lambda forger, body: None,
    "empty": lambda forger, body: "",
    "random": lambda forger, body: f"v={forger.recent_ms},d={forger.hex()}",
    "of_another_body": lambda forger, body: genuine(
        forger.rng.choice([one for one in forger.bodies if one != body]), forger.key, forger.recent_ms
    ),
    "flipped_digest": _of_seen(lambda forger, at, good: f"v={at},d={_flipped(forger, bytes.fromhex(good)).hex()}"),
    "flipped_body": lambda forger, body: (genuine(body, forger.key, forger.recent_ms), _flipped(forger, body)),
    "other_bytes": _other_bytes,
    "other_time": _of_seen(
        lambda forger, at, good: f"v={at + forger.rng.choice([-1, 1]) * forger.rng.randrange(1, 60_000)},d={good}"
    ),
    "replayed": _replayed,
    "other_key": _other_key,
    "cut_digest": _of_seen(lambda forger, at, good: f"v={at},d={good[: forger.rng.randrange(64)]}"),
    "long_digest": _of_seen(lambda forger, at, good: f"v={at},d={good}{forger.hex(forger.rng.randrange(1, 65))}"),
    "upper_digest": _of_seen(lambda forger, at, good: f"v={at},d={good.upper()}"),
    "other_tags": _of_seen(lambda forger, at, good: forger.rng.choice(_TAGS).format(v=at, d=good)),
    "other_digits": _of_seen(_other_digits),
    "letters_for_digits": _of_seen(lambda _, at, good: f"v={at},d={''.join(chr(ord(each) + 0xFEE0) for each in good)}"),
    "odd_time": _odd_time,
    "other_rule": _other_rule,
    "moved_border": _moved_border,
    "several": _of_seen(_several),
    "nonsense": lambda forger, body: "".join(forger.rng.choices(_NONSENSE, k=forger.rng.randrange(120))),
}


Verify = Callable[[bytes, str | None, Sequence[str], int], bool]

ENDPOINTS = ("/retell/webhook", "/v1/retell/functions/note_writeback", "/v1/retell/inbound")


def at_the_handler(found: Findings, forger: Forger, count: int) -> None:
    """Without a network: the handler that the Lambda runs, over a queue that counts."""
    sent: list[str] = []
    handler = make_handler(sent.append, [forger.key, "key_of_the_rotation"], lambda: forger.now_ms)
    for forgery in forger.forgeries(count):
        status = answered(handler, forgery)
        if status != 401 or sent:
            found.broke(Invariant.I15, f"{forgery.kind} answered {status}, {len(sent)} enqueued", described(forgery))
            sent.clear()
    found.tried(Invariant.I15, cases=count)
    # The oracle sees what it should: the genuine ones pass.
    body = forger.bodies[0]
    status = answered(handler, Forgery("genuine", body, genuine(body, forger.key, forger.now_ms)))
    if (status, len(sent)) != (204, 1):
        found.broke(Invariant.I15, f"a genuine webhook was answered {status}", repr(body[:80]))


def answered(handler: Handler, forgery: Forgery) -> int:
    headers = {} if forgery.header is None else {"x-retell-signature": forgery.header}
    return int(handler(lambda_event(forgery.body, headers), None)["statusCode"])


async def at_the_endpoints(found: Findings, target: Target, forger: Forger, count: int) -> None:
    """Over HTTP, `count` at each endpoint; nothing may be written by any of them."""
    before = await target.state()
    for endpoint in ENDPOINTS:
        forger.now_ms = now_ms()
        for forgery in forger.forgeries(count):
            reply = await target.ask(as_request(endpoint, forgery))
            # The server itself refuses what is no header by RFC 9110.
            allowed = {401} if _sendable(forgery.header) else {401, 400}
            if reply.status not in allowed:
                found.broke(Invariant.I15, f"{endpoint}: {forgery.kind} answered {reply.status}", described(forgery))
    after = await target.state()
    if before != after:
        changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
        found.broke(Invariant.I15, f"forged requests wrote: {changed}", f"seed {found.seed}")
    found.tried(Invariant.I15, cases=count * len(ENDPOINTS))


def as_request(endpoint: str, forgery: Forgery) -> Request:
    headers = [("content-type", "application/json")]
    if forgery.header is not None:
        headers.append(("x-retell-signature", forgery.header))
    return Request(forgery.kind, "POST", endpoint, headers, forgery.body)


def _sendable(header: str | None) -> bool:
    return header is None or (header.isprintable() and header.isascii())


def described(forgery: Forgery) -> str:
    return f"kind {forgery.kind}, header {forgery.header!r}, body {forgery.body[:200]!r}"


def planted(found: Findings, forger: Forger) -> None:
    """Two careless verifiers, each of which has been seen in the wild, must not go unnoticed."""
    true_verify = signature.verify
    bugs: dict[str, Verify] = {
        "the age of a signature is not looked at": lambda body, header, keys, now_ms: true_verify(
            body, header, keys, _stated_ms(header, now_ms)
        ),
        "the body is stripped before it is verified": lambda body, header, keys, now_ms: true_verify(
            body.strip(), header, keys, now_ms
        ),
    }
    for name, careless in bugs.items():
        # The check of the head before the body is off too: it alone would stop an old signature.
        wrong: Any = {"verify": careless, "may_be_genuine": lambda header, now_ms: True}
        with found.planting(name, Invariant.I15) as seen, mock.patch.multiple(receiver, **wrong):
            at_the_handler(seen, forger, 10 * len(MANNERS))


def _stated_ms(header: str | None, otherwise: int) -> int:
    match = re.match(r"v=([0-9]{1,20}),", header or "")
    return int(match[1]) if match else otherwise
