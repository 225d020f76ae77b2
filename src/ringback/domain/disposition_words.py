"""Which code of the catalogue a model means by its spelling, and whether its words are a plain opt-out."""

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
#: What may stand beside these words without limiting them. Anything else, "before noon" or "at work", may be a limit:
#: then it is no opt-out, and the agent is asked to name a code.
_BESIDE = (
    "a add added again all and any anymore ask asked asks back be been call called caller calling calls cold contact "
    "customer database ever for from further future has he her him his i in is it kindly lead like list lists longer "
    "marketing me more my name number numbers on our out permanently person phone please registry request requested "
    "requests sales she system telemarketing the their them they this to us user want wanted wants was we wish wished "
    "wishes would you your"
)
#: Words that limit elsewhere and do not here.
_NO_LIMIT = re.compile(r"\b(?:at all|any more|(?:at|on) (?:this|that|my|the) number)\b")


def disposition_of(text: str, known: Mapping[str, DispositionCode]) -> DispositionCode | None:
    """The disposition that an agent means: a code of the catalogue however spelled, else a plain opt-out. None for
    everything else.

    An opt-out counts whatever the catalogue holds: as its `do_not_call`, or as the first of its codes that is an
    opt-out by its name and suppresses, or as the built-in one.
    """
    folded = _folded(text)
    for code, disposition in known.items():
        # Without blanks too: models join words, and separate them with characters that show nothing.
        if _folded(code).replace(" ", "") == folded.replace(" ", ""):
            return disposition
    if stop := _stop_among(folded, known):
        return stop
    if not _is_plain_opt_out(folded):
        return None
    if DO_NOT_CALL in known:
        return known[DO_NOT_CALL]
    by_name = (each for code, each in known.items() if each.suppresses and _is_plain_opt_out(_folded(code)))
    return next(by_name, DispositionCode(DO_NOT_CALL, suppresses=True))


def _stop_among(folded: str, known: Mapping[str, DispositionCode]) -> DispositionCode | None:
    """The code that suppresses, where the text is nothing but several codes: a stop is not lost beside another."""
    rest, named = folded, []
    for code in sorted(known, key=len, reverse=True):
        rest, count = re.subn(rf"\b{re.escape(_folded(code))}\b", " ", rest)
        named += [known[code]] * bool(count)
    if set(rest.split()) - {"and"}:
        return None
    return next((one for one in named if one.suppresses), None)


def _folded(text: str) -> str:
    """Words in lower case with one blank between them: `Do-Not_Call.`, "DO NOT CALL" and `doNotCall` are the same."""
    shown = "".join(char for char in unicodedata.normalize("NFKC", text) if char.isspace() or not is_unseen(char))
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", re.sub(r"['’`´]", "", shown))
    return " ".join(re.split(r"[\W_]+", words.casefold())).strip()


def _is_plain_opt_out(folded: str) -> bool:
    rest, count = _OPT_OUT.subn(" ", " ".join(_NO_LIMIT.sub(" ", folded).split()))
    return bool(count) and set(rest.split()) <= set(_BESIDE.split())
