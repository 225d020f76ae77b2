"""Match a model's words to a code of the catalogue, and recognise a plain opt-out."""

import re
import unicodedata
from collections.abc import Mapping

from ringback.domain.catalog import DispositionCode
from ringback.domain.plain_text import is_unseen

DO_NOT_CALL = "do_not_call"

_CONTACT = r"(?:call(?:s|ed|ing)?|contact(?:s|ed|ing)?|phon(?:e|ed|ing)|ring(?:ing)?)"
#: How people and models say that a person must not be called again, after folding.
_OPT_OUT = re.compile(
    r"\b(?:d ?n ?c|opt(?:ed|s|ing)? ?out|unsubscribed?|blacklist(?:ed)?"
    rf"|(?:do not|dont|never|not to be|stop|no more|no further|quit) (?:ever )?{_CONTACT}"
    r"|(?:do not|does not|did not|dont|doesnt|didnt) (?:want|wish|like)"
    rf"(?: to (?:be|get|receive))?(?: any)?(?: more| further)? {_CONTACT}"
    r"|(?:take|took|taken|removed?)(?: \w+){0,2} (?:off|from)|removed? (?:me|him|her|them|us)|remove|stop)\b"
)
#: Words beside an opt-out that do not limit it. Any other word ("before noon", "at work") may be a limit. Then it is no
#: opt-out, and the agent is asked to name a code.
_BESIDE = (
    "a add added again all and any anymore ask asked asks back be been call called caller calling calls cold contact "
    "customer database ever for from further future has he her him his i in is it kindly lead like list lists longer "
    "marketing me more my name number numbers on our out permanently person phone please registry request requested "
    "requests sales she system telemarketing the their them they this to us user want wanted wants was we wish wished "
    "wishes would you your"
)
#: Words that limit in other sentences, but not in an opt-out.
_NO_LIMIT = re.compile(r"\b(?:at all|any more|(?:at|on) (?:this|that|my|the) number)\b")


def disposition_of(text: str, known: Mapping[str, DispositionCode]) -> DispositionCode | None:
    """The disposition that an agent means: a code of the catalogue in any spelling, else a plain opt-out.

    Returns None for everything else. An opt-out counts under every catalogue: as its `do_not_call`, else as its first
    suppressing code with the name of an opt-out, else as the built-in one.
    """
    folded = _folded(text)
    for code, disposition in known.items():
        # Blanks do not count: models join words, and separate them with invisible characters.
        if _folded(code).replace(" ", "") == folded.replace(" ", ""):
            return disposition
    if stop := _stop_among(folded, known):
        return stop
    if not _is_plain_opt_out(folded):
        return None
    if DO_NOT_CALL in known:
        return known[DO_NOT_CALL]
    return next(filter(is_opt_out, known.values()), DispositionCode(DO_NOT_CALL, suppresses=True))


def is_opt_out(disposition: DispositionCode) -> bool:
    """Whether the person asked not to be called again, by the name of the code.

    A wrong number suppresses too, but the person did not ask.
    """
    return disposition.suppresses and _is_plain_opt_out(_folded(disposition.code))


def _stop_among(folded: str, known: Mapping[str, DispositionCode]) -> DispositionCode | None:
    """The suppressing code in a text that consists of several codes."""
    rest, named = folded, []
    for code in sorted(known, key=len, reverse=True):
        rest, count = re.subn(rf"\b{re.escape(_folded(code))}\b", " ", rest)
        named += [known[code]] * bool(count)
    if set(rest.split()) - {"and"}:
        return None
    return next((one for one in named if one.suppresses), None)


def _folded(text: str) -> str:
    """Words in lower case with one blank between: `Do-Not_Call.`, "DO NOT CALL" and `doNotCall` become the same."""
    shown = "".join(char for char in unicodedata.normalize("NFKC", text) if char.isspace() or not is_unseen(char))
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.sub(r"['’`´]", "", shown))
    return " ".join(re.split(r"[\W_]+", words.casefold())).strip()


def _is_plain_opt_out(folded: str) -> bool:
    rest, count = _OPT_OUT.subn(" ", " ".join(_NO_LIMIT.sub(" ", folded).split()))
    return bool(count) and set(rest.split()) <= set(_BESIDE.split())
