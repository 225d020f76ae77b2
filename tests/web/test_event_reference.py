"""docs/engage.md shows the events as they are, and says of their delivery what the code does."""

import json
import re
from pathlib import Path

from ringback.adapters.engage_http import TEMPORARY_4XX, TIMEOUT_S
from ringback.domain.abt_event import AbtType, FailReason
from ringback.domain.operations import RULES
from ringback.flows.outbox_delivery import ENGAGE_RETRY, REFUSED_TRIES, engage_channel
from ringback.web.event_models import EVENT_MODELS
from ringback.web.event_reference import fill, read_examples
from tests.event_schemas import checked_event

DOCUMENT = (Path(__file__).parents[2] / "docs" / "engage.md").read_text()


def code(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


def test_the_document_is_filled_with_what_the_code_says():
    """`python -m ringback.web.event_reference docs/engage.md` fills it anew."""
    assert fill(DOCUMENT) == DOCUMENT


def test_an_empty_place_and_an_old_one_are_filled_alike():
    place = re.compile(r"(<!-- (?!end)[^>]+ -->\n)\n.*?(?=<!-- end -->)", re.DOTALL)
    stale, empty = place.sub(r"\1\nold\n\n", DOCUMENT), place.sub(r"\1\n", DOCUMENT)
    assert stale != DOCUMENT != empty
    assert fill(stale) == fill(empty) == DOCUMENT


def test_every_type_and_every_reason_is_shown_with_a_true_example():
    shown = [json.loads(block) for block in code("json")]
    events = [each for each in shown if "specversion" in each]
    assert {event["type"] for event in events} == {*AbtType, "lead_qualified"}
    recorded = [event for stream in read_examples().values() for event in stream]
    for event in events:
        assert event in recorded
        checked_event(event)
    assert [each["reason"] for each in shown if "specversion" not in each] == list(FailReason)
    assert set(re.findall(r"^### (voice_ai_\w+)", DOCUMENT, re.MULTILINE)) == set(EVENT_MODELS) - {"custom_event"}


def test_the_answers_and_pauses_are_those_of_the_code():
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", DOCUMENT, re.MULTILINE))
    assert f"answer within {TIMEOUT_S:g} s" in rows
    assert f"{ENGAGE_RETRY.tries} times" in rows["408, 425, 429, 3xx, 5xx, none, or no connection"]
    assert {408, 425, 429} == TEMPORARY_4XX
    assert f"{REFUSED_TRIES} times" in rows["any other 4xx"]
    assert ENGAGE_RETRY.cap_s == 3600
    assert f"at most {engage_channel(None).max_in_flight} deliveries" in DOCUMENT
    days = {rule.what: rule.kept.days for rule in RULES}
    told = f"for {days['delivered_events_and_writes']} days, dead letters for {days['dead_outbox_rows']}"
    assert told in " ".join(DOCUMENT.split())


def test_the_receiver_is_one_block_that_needs_standardwebhooks_alone():
    (receiver,) = code("python")
    modules = re.findall(r"^(?:import|from) (\w+)", receiver, re.MULTILINE)
    assert modules == ["os", "sqlite3", "http", "standardwebhooks"]
    assert len(receiver.splitlines()) <= 35
