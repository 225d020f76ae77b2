"""I15 by numbers: forged signatures at the Lambda's handler and at the three endpoints that ask for one."""

import base64
import hashlib
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from proof.findings import Findings
from proof.harness.http import Request
from proof.hostile.target import WINDOW_MS, Target, digest, genuine
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
        names = list(MANNERS)
        for number in range(count):
            name = names[number % len(names)]
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

    def of_another_body(self, body: bytes) -> str:
        other = self.rng.choice([one for one in self.bodies if one != body])
        return genuine(other, self.key, self.recent_ms)

    def flipped_digest(self, body: bytes) -> str:
        at_ms, good = self.seen(body)
        raw = bytearray.fromhex(good)
        raw[self.rng.randrange(32)] ^= 1 << self.rng.randrange(8)
        return f"v={at_ms},d={raw.hex()}"

    def flipped_body(self, body: bytes) -> tuple[str, bytes]:
        changed = bytearray(body)
        changed[self.rng.randrange(len(body))] ^= 1 << self.rng.randrange(8)
        return genuine(body, self.key, self.recent_ms), bytes(changed)

    def other_bytes(self, body: bytes) -> tuple[str, bytes]:
        """Same JSON, other bytes."""
        place = self.rng.choice([0, len(body)])
        padded = body[:place] + self.rng.choice([b" ", b"\n", b"\t", b"\r\n", b"\xef\xbb\xbf", b"\0"]) + body[place:]
        return genuine(body, self.key, self.recent_ms), padded

    def other_time(self, body: bytes) -> str:
        at_ms, good = self.seen(body)
        return f"v={at_ms + self.rng.choice([-1, 1]) * self.rng.randrange(1, 60_000)},d={good}"

    def replayed(self, body: bytes) -> str:
        # Some seconds beyond the window, because a slow machine may look at it later.
        early = self.now_ms - WINDOW_MS - self.rng.randrange(1, 10**9)
        late = self.now_ms + WINDOW_MS + self.rng.randrange(60_000, 10**9)
        return genuine(body, self.key, self.rng.choice([early, late]))

    def other_key(self, body: bytes) -> str:
        key = self.key
        keys = [self.hex(), "", key[:-1], key[1:], key + "0", key.swapcase(), key + "\0x", f"whsec_{key}", key[::-1]]
        return genuine(body, self.rng.choice(keys), self.recent_ms)

    def cut_digest(self, body: bytes) -> str:
        at_ms, good = self.seen(body)
        return f"v={at_ms},d={good[: self.rng.randrange(64)]}"

    def long_digest(self, body: bytes) -> str:
        at_ms, good = self.seen(body)
        return f"v={at_ms},d={good}{self.hex(self.rng.randrange(1, 65))}"

    def upper_digest(self, body: bytes) -> str:
        at_ms, good = self.seen(body)
        while good == good.upper():
            at_ms, good = self.seen(body)
        return f"v={at_ms},d={good.upper()}"

    def other_tags(self, body: bytes) -> str:
        at_ms, good = self.seen(body)
        written = ["V={v},D={d}", "t={v},v1={d}", "v1={v},d={d}", "d={d},v={v}", "v={v};d={d}", "v={v},d=sha256={d}"]
        written += ["v={v},d={d},d={d}", "v={v},v={v},d={d}", " v={v},d={d},", "v={v}, d={d}", "sha256={d}", "{d}"]
        written += ["v={v}", "v={v},d=", "v=,d={d}", "v={v},d={d},x=1", '"v={v},d={d}"', "v:{v},d:{d}"]
        return self.rng.choice(written).format(v=at_ms, d=good)

    def other_digits(self, body: bytes) -> str:
        at_ms, good = self.seen(body)
        zero = self.rng.choice([0x660, 0x966, 0xFF10, 0x1D7CE, 0x6F0])
        told = "".join(chr(zero + int(digit)) for digit in str(at_ms))
        odd = [f"{at_ms}.0", f"+{at_ms}", f"-{at_ms}", f"{at_ms:_}", f"{at_ms}e0", hex(at_ms), f"{at_ms / 1000:.3f}"]
        return f"v={self.rng.choice([told, *odd])},d={good}"

    def letters_for_digits(self, body: bytes) -> str:
        at_ms, good = self.seen(body)
        return f"v={at_ms},d={''.join(chr(ord(each) + 0xFEE0) for each in good)}"

    def huge_time(self, body: bytes) -> str:
        at = self.rng.choice(["9" * 20, "9" * 5000, "0", "-1", str(2**63), str(2**64), "1" * 19, ""])
        return f"v={at},d={digest(self.key.encode(), body + at.encode())}"

    def other_rule(self, body: bytes) -> str:
        at_ms, key = self.recent_ms, self.key.encode()
        at = str(at_ms).encode()
        rules = [
            digest(key, body),
            digest(key, at + body),
            digest(key, body + b"." + at),
            digest(key, at + b"." + body),
            digest(key, body + at, "sha512")[:64],
            digest(key, body + at, "blake2s"),
            hashlib.sha256(key + body + at).hexdigest(),
            hashlib.sha256(body + at).hexdigest(),
            digest(body + at, key),
            digest(key, body + str(at_ms // 1000).encode()),
        ]
        return f"v={at_ms},d={self.rng.choice(rules)}"

    def moved_border(self, body: bytes) -> tuple[str, bytes]:
        """Body and time are signed without anything between them, so a digit could change sides."""
        at_ms, good = self.seen(body)
        at = str(at_ms)
        moved = self.rng.randrange(1, len(at))
        return f"v={at[moved:]},d={good}", body + at[:moved].encode()

    def several(self, body: bytes) -> str:
        at_ms, good = self.seen(body)
        wrong = f"v={at_ms},d={self.hex()}"
        return self.rng.choice([", ", ",", ";", " "]).join([wrong, f"v={at_ms},d={good}"])

    def nonsense(self, body: bytes) -> str:
        letters = "vd=,;: 0123456789abcdefABCDEF\t\"'{}[]()\\/%\x7fäß€"
        return "".join(self.rng.choices(letters, k=self.rng.randrange(120)))


MANNERS: dict[str, Callable[[Forger, bytes], str | tuple[str, bytes] | None]] = {
    "none": lambda forger, body: None,
    "empty": lambda forger, body: "",
    "random": lambda forger, body: f"v={forger.recent_ms},d={forger.hex()}",
    **{
        manner.__name__: manner
        for manner in (
            *(Forger.of_another_body, Forger.flipped_digest, Forger.flipped_body, Forger.other_bytes),
            *(Forger.other_time, Forger.replayed, Forger.other_key, Forger.cut_digest, Forger.long_digest),
            *(Forger.upper_digest, Forger.other_tags, Forger.other_digits, Forger.letters_for_digits),
            *(Forger.huge_time, Forger.other_rule, Forger.moved_border, Forger.several, Forger.nonsense),
        )
    },
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
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "POST /retell/webhook",
        "headers": {} if forgery.header is None else {"x-retell-signature": forgery.header},
        "body": base64.b64encode(forgery.body).decode(),
        "isBase64Encoded": True,
    }
    status: int = handler(event, None)["statusCode"]
    return status


async def at_the_endpoints(found: Findings, target: Target, forger: Forger, count: int) -> None:
    """Over HTTP, `count` at each endpoint; nothing may be written by any of them."""
    before = await target.state()
    for endpoint in ENDPOINTS:
        forger.now_ms = time.time_ns() // 1_000_000
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
        seen = Findings("planted", found.seed)
        # The check of the head before the body is off too: it alone would stop an old signature.
        vars(receiver).update(verify=careless, may_be_genuine=lambda header, now_ms: True)
        try:
            at_the_handler(seen, forger, 10 * len(MANNERS))
        finally:
            vars(receiver).update(verify=true_verify, may_be_genuine=signature.may_be_genuine)
        found.plant(name, bool(seen.violations), Invariant.I15)


def _stated_ms(header: str | None, otherwise: int) -> int:
    match = re.match(r"v=([0-9]{1,20}),", header or "")
    return int(match[1]) if match else otherwise
