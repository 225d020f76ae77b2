"""Two corpora of requests: complete ones are read correctly or get a question, unclear ones are never read as a moment.

`pytest -s tests/adapters/spoken_time/test_corpus.py` prints the figures.
"""

import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ringback.adapters.spoken_time import EnglishSpokenTime
from ringback.ports import SpokenMoment

from . import complete, unclear

NOW = datetime(2026, 11, 22, 15, 0, tzinfo=ZoneInfo("America/New_York"))
HOME = ("America/New_York",)
COMPLETE = [tuple(part.strip() for part in line.split(" | ")) for line in complete.PHRASES.strip().splitlines()]
UNCLEAR = unclear.PHRASES.strip().splitlines()


def read(words: str, zones: tuple[str, ...] = HOME, country: str | None = "US") -> SpokenMoment:
    return EnglishSpokenTime().read(words, NOW, zones, country)


def meant(text: str) -> SpokenMoment:
    if text.startswith("+"):
        return SpokenMoment(instant=NOW.astimezone(UTC) + timedelta(minutes=int(text[1:])))
    day, clock, *zone = text.split()
    return SpokenMoment(local=datetime.fromisoformat(f"{day} {clock}"), zone=zone[0] if zone else None)


def is_past(moment: SpokenMoment) -> bool:
    zone = ZoneInfo(moment.zone or HOME[0])
    return moment.local is not None and moment.local.replace(tzinfo=zone) <= NOW


def test_the_corpora_are_large_enough_and_name_no_phrase_twice():
    assert len(COMPLETE) >= 150
    assert len(UNCLEAR) >= 100
    assert len({words for words, _ in COMPLETE} | set(UNCLEAR)) == len(COMPLETE) + len(UNCLEAR)


@pytest.mark.parametrize(("words", "moment"), COMPLETE)
def test_a_complete_request_is_understood(words, moment):
    assert read(words) == meant(moment)


@pytest.mark.parametrize("words", UNCLEAR)
def test_an_unclear_request_gets_a_question_or_is_past(words):
    moment = read(words)
    assert moment.ask is not None or is_past(moment), moment


@pytest.mark.parametrize("zones", [(), ("America/New_York", "America/Chicago")])
@pytest.mark.parametrize("words", [words for words, moment in COMPLETE if len(moment.split()) == 3])
def test_a_request_with_its_zone_needs_no_other(words, zones):
    assert read(words, zones) == meant(dict(COMPLETE)[words])


def test_the_figures():
    answers = [(read(words), meant(moment)) for words, moment in COMPLETE]
    right, asked = sum(answer == wanted for answer, wanted in answers), sum(bool(answer.ask) for answer, _ in answers)
    back = sum(bool(read(words).ask) or is_past(read(words)) for words in UNCLEAR)
    wrong = len(COMPLETE) - right - asked + len(UNCLEAR) - back
    figures = f"complete: {len(COMPLETE)} phrases, {right} right, {asked} asked back"
    figures += f"; unclear: {len(UNCLEAR)} phrases, {back} asked back or past; wrong: {wrong}"
    sys.stdout.write(f"\n{figures}\n")
    assert wrong == 0
