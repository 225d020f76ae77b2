"""Reduce a request to plain words: lower case, numbers as digits, only the words of a day or a time."""

import re
import unicodedata
from collections.abc import Iterator

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "ninety": 90}
_NUMBER = {word: number for number, word in enumerate(_UNITS.split())} | _TENS
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth"
)
_ORDINAL = {word: number for number, word in enumerate(_ORDINALS.split(), 1)} | {"twentieth": 20, "thirtieth": 30}
_SHORT = {
    "monday": "mon",
    "tuesday": "tue tues",
    "wednesday": "wed weds",
    "thursday": "thu thur thurs",
    "friday": "fri",
    "saturday": "sat",
    "sunday": "sun",
    "tomorrow": "tmrw tmr tomorow tommorow tommorrow",
}
_WHOLE = {short: whole for whole, shorts in _SHORT.items() for short in shorts.split()}
MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t|tember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)"
)
# In "dec 5 - 3pm" the dash separates a day and a clock time. In "5 - 7pm" it means "to".
_DAY_DASH = re.compile(
    rf"\b({MONTH} \d{{1,2}}(?:st|nd|rd|th)?|\d{{1,2}}/\d{{1,2}}(?:/\d{{2,4}})?) -+ (?=\d{{1,2}}(?::\d\d| ?[ap]m\b))"
)

# Words of a request that are not about its time. Any other unknown word is not understood, and the person is asked.
# Above all, these are absent: "not", "or", "before", "after", "between", "until", "by", "except", "if".
_CALL = r"(?:call|ring|phone|reach|try|buzz)"
_TALK = r"(?:talk|speak|chat|do|say|make it|go with|go for)"
_GOOD = r"(?:good|great|fine|perfect|ideal|best|okay|ok)"
_FOR_ME = r"(?: for (?:me|us))?"
_AROUND = re.compile(
    r"\b(?:"
    + "|".join(
        (
            # "can you call me", "I'd like you to ring me", "give me a call"
            rf"(?:can|could|would|will) (?:you|someone|somebody|we)(?: please| just)*(?= (?:{_CALL}|{_TALK}|give)\b)",
            rf"(?:you|someone|somebody) can(?= (?:{_CALL}|{_TALK}|give)\b)",
            r"(?:i would|i'd) (?:like|prefer|love)(?: (?:you|someone|it)(?= to\b))?(?: to)?",
            rf"(?:i|we) (?:want|need)(?: you)?(?= to (?:{_CALL}|{_TALK}|be called)\b)",
            rf"(?:to )?(?:{_CALL}(?: (?:me|us))?|be called)(?: back)?(?: again)?|callback|a call(?: ?back)?",
            r"give (?:me|us) an? (?:call|ring|buzz|shout)(?: back)?|give me(?= (?:an?|half|\d))",
            # "let's do", "reschedule it for", "I can talk"
            rf"(?:to |let's |let us |(?:we|i) (?:can|could) )?{_TALK}",
            r"(?:re)?schedule (?:it|me|the call|this|for)|move it to|set it (?:up )?for|(?:put|book) me (?:down|in)",
            # "works for me", "would be great", "I'm free", "if possible"
            rf"(?:that |it )?(?:works|would work|will work)(?: (?:{_GOOD}|well|better))?{_FOR_ME}",
            rf"(?:is|would be|will be|that's|it's|sounds) (?:(?:a|really|very|just) )*{_GOOD}(?: time)?{_FOR_ME}",
            rf"{_GOOD}|for (?:me|us)|(?:would )?suits? me(?: {_GOOD})?",
            r"(?:i'm|i am|i'll be|i will be|we're|we are) (?:free|available|around|home|at home)",
            r"if (?:possible|you (?:can|could|don't mind)|that (?:works|is okay|is ok)|that's (?:okay|ok))",
            r"on (?:this|my) (?:number|phone|cell|cell phone|mobile)|at this number|on the phone|by phone",
            # Politeness, hesitation, and how exact it has to be
            r"please|thanks|thank you|thx|yes|yeah|yep|yup|um|uh|uhm|er|hmm|well|sure|hey|hi|hello|so|then|just",
            r"actually|maybe|perhaps|how about|what about|like",
            r"about|around|roughly|approximately|approx|circa|or so|sharp|exactly|precisely|on the dot|promptly",
        )
    )
    + r")(?![\w'])"
)


def plain_words(text: str) -> str:
    """Return the plain words. The result is empty if the text is not English. Dashes between numbers stay ("to")."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = re.sub(r"[‘’`´]", "'", re.sub(r"[‐-―−]", "-", text))
    text = re.sub(r"[“”„«»\"()\[\]{}*_~]", " ", text)
    if not text.isascii():
        return ""
    text = re.sub(r"(?<![a-z0-9])'+|'+(?![a-z])", " ", re.sub(r"\bo ?'? ?clock\b", "oclock", text))
    text = re.sub(r"(?<=\d)\.(?=\d\d ?[ap]\.? ?m)", ":", text)
    text = re.sub(r"(?<![a-z])([ap])\.? ?m\b\.?|(?<=\d)([ap])\b", lambda half: f"{half[1] or half[2]}m", text)
    text = re.sub(r"[,;!?]|\.(?!\d)|:(?!\d)|(?<!\d):", " ", text.replace("@", " at "))
    text = _DAY_DASH.sub(r"\1 ", " ".join(text.split()))
    text = re.sub(r"(?<=[a-z])-+(?=\w)|(?<=\d)-+(?=[a-z])", " ", text)
    text = re.sub(r"(?<!\S)-+|-+(?!\S)", _without_dash, text)
    words = " ".join(_digits([_WHOLE.get(word, word) for word in text.split()]))
    return " ".join(_AROUND.sub(" ", words).split())


def _without_dash(dash: re.Match[str]) -> str:
    before, after = dash.string[: dash.start()].rstrip(), dash.string[dash.end() :].lstrip()
    return "-" if before[-1:].isdigit() and after[:1].isdigit() else " "


def _digits(words: list[str]) -> Iterator[str]:
    """Write numbers as digits: "twenty fifth" becomes "25th"."""
    tens = 0
    for word in words:
        unit, ordinal = _NUMBER.get(word, 0), _ORDINAL.get(word, 0)
        if tens and not (0 < unit < 10 or 0 < ordinal < 10):
            yield str(tens)
            tens = 0
        if word in _TENS and unit < 60:
            tens = unit
            continue
        if ordinal:
            yield f"{tens + ordinal}th"
        else:
            yield str(tens + unit) if word in _NUMBER else word
        tens = 0
    if tens:
        yield str(tens)
