"""Wishes put together from parts: read as the moment that was meant or asked back, and never as another moment."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringback.adapters.spoken_time import EnglishSpokenTime

from .depth import checked
from .places import instants_in

pytestmark = pytest.mark.matrix

SPOKEN = EnglishSpokenTime()
ZONES = (
    "America/New_York",
    "America/Phoenix",
    "America/St_Johns",
    "Pacific/Honolulu",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FRAMES = (
    "{}",
    "please call me {}",
    "can you call me back {}?",
    "{} works for me",
    "{}, please",
    "“{}”",
    "({})",
    "how about {}?",
    "I'm free {}",
    "let's do {} sharp",
    "yeah, {} would be great, thanks",
)
NAMED_ZONES = {
    "Eastern": "America/New_York",
    "EST": "America/New_York",
    "Central time": "America/Chicago",
    "CT": "America/Chicago",
    "Pacific": "America/Los_Angeles",
    "PDT": "America/Los_Angeles",
    "Phoenix time": "America/Phoenix",
    "Hawaii time": "Pacific/Honolulu",
}
#: Each makes another wish of the one it stands in, or none at all.
TRAPS = (
    "not",
    "don't",
    "never",
    "or",
    "or 4:44pm",
    "and Sunday",
    "before",
    "after",
    "until",
    "by",
    "from",
    "between",
    "except",
    "but",
    "unless",
    "anything",
    "can't",
    "doesn't",
    "to 5pm",
    "- 11:11pm",
    "every",
    "last",
    "ago",
)


@st.composite
def days(draw, today, ahead):
    """Words for the day, and whether they may mean no other."""
    day = today + timedelta(days=ahead)
    weekday = DAYS[day.weekday()]
    month, written = f"{day:%B}", f"{day.month}/{day.day}"
    ways = [(f"{month} {day.day} {day.year}", True), (f"{day.day} {day:%b} {day.year}", True)]
    ways += [(f"{day:%Y-%m-%d}", True), (f"{written}/{day.year}", True), (f"{written}/{day:%y}", True)]
    if ahead:
        ways += [(f"{month} {day.day}", True), (f"{weekday}, {day:%b} {day.day}", True), (written, True)]
        ways += [(f"in {ahead} day{'s' * (ahead > 1)}", True), (f"{weekday[:3]} {written}", True)]
    if 0 < ahead < 7:
        ways += [(weekday, True), (weekday[:3], True), (f"this {weekday}", True), (f"next {weekday}", False)]
    if ahead == 7:
        ways += [(f"next {weekday}", True), ("in a week", True)]
    if ahead in (0, 1, 2):
        ways.append((("today", "tomorrow", "the day after tomorrow")[ahead], True))
    monday = today - timedelta(days=today.weekday())
    if (day - monday).days in range(7, 14):
        ways.append((f"{weekday} next week", False))
    return draw(st.sampled_from(ways))


@st.composite
def clocks(draw, said):
    """Words for the clock time, the half of the day or the twenty-four hours said as well."""
    hour, minute, half = said.hour % 12 or 12, f"{said.minute:02d}", "am" if said.hour < 12 else "pm"
    dotted = f"{half[0]}.m."
    ways = [f"at {hour}:{minute} {half}", f"{hour}:{minute}{half.upper()}", f"@ {hour}:{minute} {dotted}"]
    ways += [f"at {hour}{minute} {half}", f"at {said:%H%M} hours"]
    if said.hour > 12:
        ways += [f"{said:%H:%M}", f"at {said:%H%M}", f"at {said.hour - 12}:{minute} in the {_part(said.hour)}"]
    if said.minute == 0:
        ways += [f"at {hour} {half}", f"{hour}{half}", f"at {hour} o'clock {half}"]
    if said.minute == 30:
        ways.append(f"at half past {hour} {half}")
    if said.minute == 15:
        ways.append(f"at a quarter past {hour} {half}")
    if (said.hour, said.minute) == (12, 0):
        ways += ["noon", "at midday"]
    return draw(st.sampled_from(ways))


def _part(hour):
    return "afternoon" if hour < 17 else "evening"


@st.composite
def wishes(draw, today):
    ahead = draw(st.integers(0, 13))
    minutes = st.integers(0, 1439) | st.sampled_from([0, 15, 30]).flatmap(
        lambda minute: st.integers(0, 23).map(lambda hour: 60 * hour + minute)
    )
    said = datetime.combine(today + timedelta(days=ahead), datetime.min.time()) + timedelta(minutes=draw(minutes))
    day, is_certain = draw(days(today, ahead))
    clock = draw(clocks(said))
    return [day, clock] if draw(st.booleans()) else [clock, day], said, is_certain


@checked(300)
@given(st.data())
def test_a_wish_is_the_moment_that_was_meant_or_is_asked_back(data):
    zone = data.draw(st.sampled_from(ZONES))
    now = data.draw(instants_in(zone))
    parts, said, is_certain = data.draw(wishes(now.astimezone(ZoneInfo(zone)).date()))
    words = data.draw(st.sampled_from(FRAMES)).format(" ".join(parts))
    moment = SPOKEN.read(words, now, (zone,), "US")
    assert moment.local == said or (moment.ask is not None and not is_certain), (words, said, moment)


@checked(200)
@given(st.data())
def test_a_zone_in_a_wish_is_the_zone_of_its_moment_or_is_asked_back(data):
    name = data.draw(st.sampled_from(sorted(NAMED_ZONES)))
    named = NAMED_ZONES[name]
    home = data.draw(st.sampled_from([(), (named,), ("America/New_York",), ("America/Los_Angeles", "America/Boise")]))
    now = data.draw(instants_in(named))
    today = now.astimezone(ZoneInfo(home[0] if home else named)).date()
    (first, second), said, is_certain = data.draw(wishes(today))
    words = data.draw(st.sampled_from([f"{first} {second} {name}", f"{first} {second} ({name})"]))
    moment = SPOKEN.read(words, now, home, "US")
    is_same_day = all(now.astimezone(ZoneInfo(zone)).date() == today for zone in (named, *home))
    understood = (moment.local, moment.zone) == (said, named)
    if is_same_day:
        assert understood or not is_certain, (words, moment)
    # On another day there "tomorrow" may be asked for, or is counted in the zone that was named.
    assert understood or moment.ask is not None or not is_same_day, (words, moment)


@checked(300)
@given(st.data())
def test_a_word_that_changes_a_wish_is_never_passed_over(data):
    zone = data.draw(st.sampled_from(ZONES))
    now = data.draw(instants_in(zone))
    parts, _, _ = data.draw(wishes(now.astimezone(ZoneInfo(zone)).date()))
    words = " ".join(parts).split()
    words.insert(data.draw(st.integers(0, len(words))), data.draw(st.sampled_from(TRAPS)))
    phrase = data.draw(st.sampled_from(FRAMES)).format(" ".join(words))
    assert SPOKEN.read(phrase, now, (zone,), "US").ask is not None, phrase
