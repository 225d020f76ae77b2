"""Bugs of a person's identity: a person is a phone and a contact, and an attempt counts for both and holds both."""

from proof.planted.bug import planted
from ringback.adapters.postgres.attempts import of_person
from ringback.adapters.postgres.person_facts import _IN_LAST_DAY, _OTHERS, _OTHERS_THAT_RANG

PERSON_FACTS = "ringback.adapters.postgres.person_facts:PERSON_FACTS"
HOLDING = of_person("attempt_id", f"holds_person AND {_OTHERS}")

_TWO_NUMBERS = "flows/call_processing/test_two_numbers.py::"
_OLDER_VERSION = "flows/call_processing/test_beside_older_version.py::"
_AT_ONCE = f"{_TWO_NUMBERS}test_two_calls_to_two_numbers_of_a_contact_at_once_dial_one"


@planted(PERSON_FACTS, "I3", _AT_ONCE)
def an_attempt_holds_its_phone_alone(right: str) -> str:
    """It is the phone that is busy."""
    return right.replace(HOLDING, f"SELECT attempt_id FROM attempts WHERE phone = $1 AND holds_person AND {_OTHERS}")


@planted(
    PERSON_FACTS, "I3", f"{_OLDER_VERSION}test_two_live_attempts_of_one_contact_both_hold_them_until_the_last_one_ends"
)
def attempts_of_the_older_version_hold_no_person(right: str) -> str:
    """It is the column that the index is on."""
    return right.replace(HOLDING, of_person("attempt_id", f"holds_person AND holds_contact AND {_OTHERS}"))


@planted(PERSON_FACTS, "I3", f"{_TWO_NUMBERS}test_the_daily_cap_counts_the_attempts_to_all_numbers_of_a_contact")
def the_cap_counts_for_the_phone_alone(right: str) -> str:
    """Another number is another phone."""
    of_phone = f"SELECT attempt_id, sent_at FROM attempts WHERE phone = $1 AND {_IN_LAST_DAY}"
    return right.replace(of_person("attempt_id, sent_at", _IN_LAST_DAY), of_phone)


@planted(PERSON_FACTS, "I3", f"{_TWO_NUMBERS}test_the_daily_cap_counts_an_attempt_once_that_shares_phone_and_contact")
def the_cap_counts_an_attempt_for_phone_and_contact(right: str) -> str:
    """A union without a sort is faster."""
    return right.replace(" UNION ", " UNION ALL ")


@planted(PERSON_FACTS, "I3", f"{_TWO_NUMBERS}test_the_gap_holds_between_two_numbers_of_a_contact")
def the_gap_counts_for_the_phone_alone(right: str) -> str:
    """Another number is another phone."""
    of_phone = f"SELECT sent_at FROM attempts WHERE phone = $1 AND {_OTHERS_THAT_RANG}"
    return right.replace(of_person("max(sent_at) AS sent_at", _OTHERS_THAT_RANG), of_phone)
