"""Bugs of who a person is: a phone and a contact, and an attempt holds, and counts for, both."""

from proof.invariants import Invariant
from proof.planted.bug import TextPatch

I3, I10 = Invariant.I3, Invariant.I10

STATEMENTS = "adapters/postgres/statements.py"

_TWO_NUMBERS = "flows/dialing/test_two_numbers.py::"
_OLDER_VERSION = "flows/dialing/test_beside_older_version.py::"
_AT_ONCE = f"{_TWO_NUMBERS}test_two_calls_to_two_numbers_of_a_contact_at_once_dial_one"

BUGS = (
    TextPatch(
        name="an_attempt_holds_its_phone_alone",
        aims=(I3,),
        file=STATEMENTS,
        old='({_of_person("attempt_id", f"holds_person AND {_OTHERS}")}) AS holding\n',
        new="(SELECT attempt_id FROM attempts WHERE phone = $1 AND holds_person AND {_OTHERS}) AS holding\n",
        why="It is the phone that is busy.",
        tests=(_AT_ONCE,),
    ),
    TextPatch(
        name="attempts_of_the_older_version_hold_nobody",
        aims=(I3,),
        file=STATEMENTS,
        old='({_of_person("attempt_id", f"holds_person AND {_OTHERS}")}) AS holding\n',
        new='({_of_person("attempt_id", f"holds_person AND holds_contact AND {_OTHERS}")}) AS holding\n',
        why="It is the column that the index is on.",
        tests=(f"{_OLDER_VERSION}test_two_live_attempts_of_one_contact_both_hold_them_until_the_last_one_ends",),
    ),
    TextPatch(
        name="a_claim_does_not_lock_the_contact",
        aims=(I10,),
        file=STATEMENTS,
        old="SELECT pg_advisory_xact_lock(hashtextextended('phone:' || phone, 0)),\n"
        "       pg_advisory_xact_lock(hashtextextended('contact:' || contact_id, 0))\n",
        new="SELECT pg_advisory_xact_lock(hashtextextended('phone:' || phone, 0))\n",
        why="The index refuses a second attempt anyway.",
        tests=(
            f"{_TWO_NUMBERS}test_a_claim_to_a_new_number_waits_for_a_stop_of_its_contact_that_is_not_committed_yet",
        ),
    ),
    TextPatch(
        name="the_cap_counts_for_the_phone_alone",
        aims=(I3,),
        file=STATEMENTS,
        old='      FROM ({_of_person("attempt_id, sent_at", _IN_LAST_DAY)}) AS in_day) AS recent\n',
        new="      FROM attempts WHERE phone = $1 AND {_IN_LAST_DAY}) AS recent\n",
        why="Another number is another phone.",
        tests=(f"{_TWO_NUMBERS}test_the_daily_cap_counts_the_attempts_to_all_numbers_of_a_contact",),
    ),
    TextPatch(
        name="the_cap_counts_an_attempt_for_phone_and_contact",
        aims=(I3,),
        file=STATEMENTS,
        old='    return " UNION ".join(',
        new='    return " UNION ALL ".join(',
        why="A union without a sort is faster.",
        tests=(f"{_TWO_NUMBERS}test_the_daily_cap_counts_an_attempt_once_that_shares_phone_and_contact",),
    ),
    TextPatch(
        name="the_gap_counts_for_the_phone_alone",
        aims=(I3,),
        file=STATEMENTS,
        old='({_of_person("max(sent_at) AS sent_at", _OTHERS_THAT_RANG)}) AS last\n',
        new="(SELECT sent_at FROM attempts WHERE phone = $1 AND {_OTHERS_THAT_RANG}) AS last\n",
        why="Another number is another phone.",
        tests=(f"{_TWO_NUMBERS}test_the_gap_holds_between_two_numbers_of_a_contact",),
    ),
)
