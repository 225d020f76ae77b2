"""Words that are used nowhere else, and every spelling under which one of them could appear."""

import base64
import json
import random
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, quote_plus


@dataclass(frozen=True, slots=True)
class Canaries:
    """`phones`, `words` (names, transcripts, notes) and `secrets`, each by its meaning."""

    phones: Mapping[str, str]
    words: Mapping[str, str]
    secrets: Mapping[str, str]

    def spellings(self) -> dict[str, str]:
        """The texts to look for, each with the name of its canary."""
        found = {}
        for kind, group in (("phone", self.phones), ("word", self.words), ("secret", self.secrets)):
            for name, value in group.items():
                for text in phone_spellings(value) if kind == "phone" else text_spellings(value):
                    found[text] = f"{kind} {name}"
        return found


def make_canaries(rng: random.Random) -> Canaries:
    def word(length: int) -> str:
        return "".join(rng.choices(string.ascii_lowercase, k=length))

    phones = {
        name: _phone(rng)
        for name in ("answered", "refused", "silent", "inbound", "suppressed", "bad", "planned", "own")
    }
    kinds = ("first_name", "transcript", "summary", "note", "field", "metadata", "tool", "reason", "provider")
    # Beyond ASCII as well, because JSON and URLs write such letters in other ways.
    words = {name: f"Qo{word(9)}é" for name in kinds}
    # None has a prefix that a redactor could know.
    secrets = {name: word(6) + str(rng.randrange(10**9, 10**10)) + word(8) for name in ("api", "retell", "webhook")}
    secrets["database"] = "P" + word(14)
    secrets["engage"] = base64.b64encode(rng.randbytes(24)).decode()
    return Canaries(phones, words, secrets)


def _phone(rng: random.Random) -> str:
    """An ordinary number, so below the exchange 976; nine of its digits are enough to be found by."""
    area = rng.choice([415, 212, 312, 617, 206, 503, 404, 702, 713, 602])
    return f"+1{area}{rng.randrange(200, 976)}{rng.randrange(1000, 9999)}"


def phone_spellings(phone: str) -> set[str]:
    digits = phone[1:]
    area, exchange, line = digits[1:4], digits[4:7], digits[7:]
    grouped = {f"{area}{gap}{exchange}{gap}{line}" for gap in (" ", "-", ".", "%20", "+")}
    return {digits[1:], f"({area}) {exchange}-{line}", *grouped, *_base64(digits[1:].encode())}


def text_spellings(text: str) -> set[str]:
    escaped = json.dumps(text)[1:-1]
    unicode_form = text.encode("unicode_escape").decode()
    spellings = {text, text.lower(), text.upper(), quote(text), quote_plus(text), quote(text, safe=""), escaped}
    return spellings | {unicode_form, repr(text.encode())[2:-1]} | _base64(text.encode())


def _base64(raw: bytes) -> set[str]:
    """The parts that every base64 of a text with this inside contains."""
    found = set()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        skip = (0, 2, 3)[shift]
        whole = len(encoded) - (1 if (shift + len(raw)) % 3 else 0)
        found.add(encoded[skip:whole])
    return found | {text.replace("+", "-").replace("/", "_") for text in found}


def leaks(text: str, spellings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(the canary, its line) of every canary found."""
    for spelling, canary in spellings.items():
        position = text.find(spelling)
        if position >= 0:
            begin, end = text.rfind("\n", 0, position) + 1, text.find("\n", position)
            yield canary, text[max(begin, position - 150) : min(end if end >= 0 else len(text), position + 150)]
