"""One number in many spellings: the required one of systems, and those of carriers, agents and files."""

import pytest

from ringback.adapters.number_plan import PhoneNumbersPlan

PLAN = PhoneNumbersPlan()

#: One number of each country that has a habit of its own, and how it is dialed inside the country.
COUNTRIES = {
    "US": ("+14155550160", "(415) 555-0160"),
    "CA": ("+14165550123", "1-416-555-0123"),
    "GB": ("+447400123456", "07400 123456"),
    "AU": ("+61412345678", "0412 345 678"),
    "DE": ("+4930123456", "030 123456"),
    "FR": ("+33612345678", "06 12 34 56 78"),
    "IN": ("+919876543210", "098765 43210"),
    "IE": ("+353851234567", "085 123 4567"),
    "SE": ("+46701234567", "070-123 45 67"),
    "TW": ("+886912345678", "0912 345 678"),
    "BR": ("+5571987654321", "(071) 98765-4321"),
    # The zero belongs to the number.
    "IT": ("+390612345678", "06 1234 5678"),
    "SM": ("+3780549882099", "0549 882099"),
    "CI": ("+2250701234567", "07 01 23 45 67"),
    # No trunk prefix at all, or another one than zero.
    "NO": ("+4721234567", "21 23 45 67"),
    "ES": ("+34612345678", "612 345 678"),
    "SG": ("+6565123456", "6512 3456"),
    "HU": ("+36301234567", "06 30 123 4567"),
    "RU": ("+79161234567", "8 (916) 123-45-67"),
    "MX": ("+525512345678", "55 1234 5678"),
    # The mobile mark 15 is dialed inside the country, and 9 from outside.
    "AR": ("+5491123456789", "011 15 2345-6789"),
}
OTHER_SPELLINGS = [
    ("+114155550160", "+14155550160"),
    ("+1114155550160", "+14155550160"),
    ("+114165550123", "+14165550123"),
    ("+119995550116", "+19995550116"),
    ("+4407400123456", "+447400123456"),
    ("+44447400123456", "+447400123456"),
    ("+444407400123456", "+447400123456"),
    ("+610412345678", "+61412345678"),
    ("+61610412345678", "+61412345678"),
    ("+49030123456", "+4930123456"),
    ("+330612345678", "+33612345678"),
    ("+9109876543210", "+919876543210"),
    ("+91919876543210", "+919876543210"),
    ("+3606301234567", "+36301234567"),
    ("+789161234567", "+79161234567"),
    ("+54111523456789", "+5491123456789"),
    # The metadata does not know them, and the zero is one all the same.
    ("+9720501234567", "+972501234567"),
    ("+8103012345678", "+813012345678"),
    # Toll-free, and it begins with the country's trunk prefix, which the library's own parser drops.
    ("+3758109829306", "+3758109829306"),
]


@pytest.mark.parametrize("country", COUNTRIES)
def test_a_number_that_is_right_as_it_is_written_stays_as_it_is(country):
    phone, _ = COUNTRIES[country]
    assert (PLAN.canonical(phone), PLAN.region(phone)) == (phone, country)


@pytest.mark.parametrize(("spelled", "phone"), OTHER_SPELLINGS)
def test_a_doubled_country_code_and_a_trunk_prefix_are_dropped(spelled, phone):
    assert PLAN.canonical(spelled) == phone


@pytest.mark.parametrize("phone", ["+14155550100", "+13572345678", "+19995550116", "+18005550100", "+80012345678"])
def test_a_number_that_no_metadata_need_know_is_kept(phone):
    assert PLAN.canonical(phone) == phone


@pytest.mark.parametrize(
    "phone",
    [
        "+1415555010",
        "+141555501000",
        "+15550100",
        "+1415555",
        "+10000000000",
        "+10155550100",
        "+14150550100",
        "+19115550100",
        "+4474001",
        "+44740012345678",
        "+123456789012345",
        "+5215512345678",
        "+9999999999",
        "+888888888888888",
    ],
)
def test_an_impossible_number_has_no_form(phone):
    assert PLAN.canonical(phone) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "14155550100",
        "+04155550100",
        "+123456",
        "+1234567890123456",
        "+1 415 555 0100",
        "+1-415-555-0100",
        "+14155550100\n",
        " +14155550100",
        "+1415555010\u0660",
        "tel:+14155550100",
    ],
)
def test_a_text_that_is_not_e164_has_no_form(text):
    assert PLAN.canonical(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "+14155550172",
        "14155550172",
        "4155550172",
        "+1 415 555 0172",
        "+1 (415) 555-0172",
        "1.415.555.0172",
        "415/555-0172",
        "tel:+1-415-555-0172",
        "tel:4155550172;phone-context=+1",
        "sip:+14155550172@host",
        "SIP:+14155550172@203.0.113.7:5060;transport=udp",
        "sips:4155550172@carrier.example;user=phone",
        '"Ada Lovelace" <sip:+14155550172@host>',
        "<tel:+14155550172>",
        "sip:%2B14155550172@host",
        "+14155550172@host",
        "0014155550172",
        "01114155550172",
        "+114155550172",
        "+1 415 555 0172 ext. 12",
        "(415) 555-0172 x12",
        "tel:+14155550172;ext=12",
        "  +1\u00a0415\u2011555\u20110172 ",
        "\u202a+14155550172\u202c",
        "\uff0b\uff11\uff14\uff11\uff15\uff15\uff15\uff15\uff10\uff11\uff17\uff12",
        "Ada +14155550172",
        "'+14155550172'",
        "client:+14155550172",
        "whatsapp:+14155550172",
        "sip:+14155550172:5060",
        "+14155550172,,,123",
        "+14155550172#",
        "+14155550172/home",
        "+14155550172\ufffd",
        "+14155550172,+14155550172",
    ],
)
def test_a_carriers_spelling_is_read_leniently(text):
    assert PLAN.read(text, "US") == "+14155550172"


@pytest.mark.parametrize("country", COUNTRIES)
def test_a_national_number_is_read_in_the_country_of_our_own_number(country):
    phone, national = COUNTRIES[country]
    assert PLAN.read(national, country) == phone
    assert PLAN.read(phone, country) == PLAN.read(phone.removeprefix("+"), country) == phone


@pytest.mark.parametrize(
    ("text", "country", "phone"),
    [
        ("447400123456", "US", "+447400123456"),
        ("+44 (0)7400 123456", "US", "+447400123456"),
        ("011 44 7400 123456", "US", "+447400123456"),
        ("00 1 415 555 0172", "GB", "+14155550172"),
        ("14155550172", None, "+14155550172"),
        ("011 2345 6789", "IN", "+911123456789"),  # a call within Delhi, and no call abroad
        ("3572345678", "US", "+13572345678"),  # an overlay that the metadata does not know yet
    ],
)
def test_a_number_of_another_country_is_read_too(text, country, phone):
    assert PLAN.read(text, country) == phone


@pytest.mark.parametrize(
    "text",
    [
        "",
        "anonymous",
        "Anonymous",
        "unknown",
        "Restricted",
        "private",
        "sip:anonymous@anonymous.invalid",
        "sip:ada@example.com",
        "+266696687",  # "anonymous" on a keypad
        "911",
        "5550172",
        "07400123456",
        "call_4155550172",
        "4155550172, 4155550173",
        "+14155550172,+14155550173",
        "+14155550172 or 4155550173",
        "call_+141555501720000000",
        "Ada 4155550172",
        "+",
        "00",
        "0" * 20,
        "+" + "9" * 20,
        "x" * 9000,
        "1" * 9000,
        "a\0b",
        "\ud800",
        "%41\ud800",
        "{{from_number}}",
    ],
)
def test_a_withheld_or_malformed_number_has_no_form(text):
    assert PLAN.read(text, "US") is None
    assert PLAN.read(text, None) is None


def test_a_national_number_without_a_country_has_no_form():
    assert PLAN.read("4155550172", None) is None
