"""A model's spelling in, the code that it means out: an opt-out is never lost, and a limit is never an opt-out."""

import pytest

from ringback.domain.catalog import built_in_catalog, parse_catalog
from ringback.domain.disposition_words import disposition_of

KNOWN = built_in_catalog().dispositions


@pytest.mark.parametrize(
    "text",
    [
        *(
            "do_not_call",
            "DO_NOT_CALL",
            "Do Not Call",
            "do-not-call",
            "doNotCall",
            "Do not call.",
            " do_not_call\n",
            '"DNC"',
        ),
        *(
            "do\u200bnot\u200bcall",
            "ＤＮＣ",
            "DNC",
            "dnc_requested",
            "DNC request",
            "add to DNC list",
            "Do not call list",
        ),
        *(
            "d.n.c.",
            "D N C",
            "not_interested_do_not_call",
            "not_interested and do_not_call",
            "do_not_call, no_decision",
        ),
        *("do not contact", "Do Not Contact Me", "don't call", "Don’t call me again", "do not call me any more"),
        *(
            "stop calling",
            "STOP",
            "please stop",
            "I want you to stop calling me",
            "stop contacting me",
            "no more calls",
        ),
        *("remove me", "remove_from_list", "take me off your list", "Customer requested to be removed from the list"),
        *("opt out", "opt_out", "opted_out", "OptOut", "OPTED-OUT", "unsubscribe", "Unsubscribed", "never call again"),
        *("does not want to be called", "I don't want any more calls", "no further contact", "do not call this number"),
        *("do not call at all", "do not call at this number", "not to be called", "blacklisted"),
    ],
)
def test_a_plain_opt_out_counts_however_it_is_spelled(text):
    disposition = disposition_of(text, KNOWN)
    assert disposition is not None
    assert (disposition.code, disposition.suppresses) == ("do_not_call", True)


@pytest.mark.parametrize(
    "text",
    [
        *("not before noon", "do not call before noon", "Do not call today", "don't call after 8", "do not call now"),
        *("stop calling at work", "do not call on Sundays", "do not call until Monday", "stop calling in the morning"),
        *("not opt out", "no opt out", "has not unsubscribed", "do not stop calling", "did not ask to stop calling"),
        *("remove the appointment", "stop by the office", "removed from meeting", "call me later", "busy", "", "  "),
    ],
)
def test_words_that_limit_or_deny_are_no_opt_out(text):
    assert disposition_of(text, KNOWN) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Not Interested", "not_interested"),
        ("INTERESTED", "interested"),
        ("wrong-number", "wrong_number"),
        ("CallbackRequested", "callback_requested"),
        ("no  decision", "no_decision"),
    ],
)
def test_every_code_is_known_however_it_is_spelled(text, code):
    assert disposition_of(text, KNOWN) == KNOWN[code]


@pytest.mark.parametrize(
    ("toml", "code"),
    [
        ("[dispositions.opted_out]\nsuppresses = true\n[dispositions.sold]", "opted_out"),
        ("[dispositions.opted_out]\n[dispositions.sold]", "do_not_call"),
        ("[dispositions.wrong_number]\nsuppresses = true", "do_not_call"),
        ("[dispositions.sold]", "do_not_call"),
    ],
)
def test_an_opt_out_counts_whatever_the_catalogue_holds(toml, code):
    disposition = disposition_of("please stop calling me", parse_catalog(toml).dispositions)
    assert disposition is not None
    assert (disposition.code, disposition.suppresses) == (code, True)
