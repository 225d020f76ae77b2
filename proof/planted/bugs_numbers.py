"""Bugs of phone numbers: two spellings become two people, or a number is dialed that must not be."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from proof.invariants import Invariant
from proof.planted.bug import Right, TextPatch, edited, planted
from ringback.domain.eligibility import Candidate, DialPolicy, EligibilityDecision, PersonFacts
from ringback.domain.phone_number import NumberType

I1, I18, I22 = Invariant.I1, Invariant.I18, Invariant.I22

SPELLINGS = "ringback.adapters.number_plan:_spellings"
#: Pydantic's type of a phone keeps the function that reads it, so its bugs are text patches.
REQUESTS = "web/request_fields.py"

_SPELLINGS = "adapters/test_number_spellings.py::"
_PLAN = "adapters/test_number_plan.py::"
_PERSON = "services/test_one_person.py::"
_CALLERS = "flows/caller_ids/test_spellings.py::"

the_raw_text_is_the_number = TextPatch(
    REQUESTS,
    old='No country has a number of this form.")\n    return phone\n',
    new='No country has a number of this form.")\n    return text\n',
    aims=(I22,),
    why="Engage looks for the number that it sent.",
    tests=(
        f"{_PERSON}test_a_person_who_is_suppressed_in_one_spelling_is_not_called_in_another"
        "[+114155550160-+14155550160]",
    ),
)

a_trunk_zero_is_another_person = edited(
    SPELLINGS,
    old="[phone, _formatted(number) or phone, without_zero, *doubled]",
    new="[phone, *doubled]",
    aims=(I22,),
    why="E.164 has no trunk zero.",
    tests=(f"{_SPELLINGS}test_a_doubled_country_code_and_a_trunk_prefix_are_dropped",),
)

a_doubled_country_code_is_another_person = edited(
    SPELLINGS,
    old="[phone, _formatted(number) or phone, without_zero, *doubled]",
    new="[phone, _formatted(number) or phone, without_zero]",
    aims=(I22,),
    why="The library's parser drops it, as it does for +1.",
    tests=(f"{_SPELLINGS}test_a_doubled_country_code_and_a_trunk_prefix_are_dropped",),
)

every_leading_zero_is_a_trunk_zero = edited(
    SPELLINGS,
    old="[phone, _formatted(number) or phone, without_zero, *doubled]",
    new="[without_zero, *doubled]",
    aims=(I22,),
    why="No number abroad begins with a zero.",
    tests=(f"{_SPELLINGS}test_a_number_that_is_right_as_it_is_written_stays_as_it_is",),
)

# A text patch, because Alembic runs the file and does not import it.
a_stored_suppression_keeps_its_spelling = TextPatch(
    "adapters/postgres/migrations/versions/0003_canonical_phones.py",
    old='TABLES = ("suppressions", "contacts",',
    new='TABLES = ("contacts",',
    aims=(I22,),
    why="A suppression is kept word for word.",
    tests=(
        "adapters/test_canonical_phones_migration.py"
        "::test_a_suppression_of_another_spelling_covers_the_person_after_the_upgrade",
    ),
)

a_caller_id_without_a_plus_is_unknown = edited(
    "ringback.adapters.number_plan:PhoneNumbersPlan.read",
    old="_formatted(_parse(digits, country)) if country is not None else None",
    new="None",
    aims=(I22,),
    why="Retell sends E.164.",
    tests=(f"{_CALLERS}test_a_contact_who_calls_is_known_and_their_task_is_held[4155550172]",),
)

every_caller_lives_where_we_dial = edited(
    "ringback.flows.caller_ids:caller_number",
    old="country or rules.policy.only_country",
    new="rules.policy.only_country or country",
    aims=(I22,),
    why="Ringback calls the United States only.",
    tests=(f"{_CALLERS}test_a_national_number_belongs_to_the_country_that_was_called",),
)

an_unknown_callers_opt_out_is_kept_as_it_came = edited(
    "ringback.flows.business_operations.set_disposition:SetDisposition._of_unknown_caller",
    old="person_of(report, self.rules)",
    new="report.from_number",
    aims=(I22,),
    why="Retell knows the caller's number.",
    tests=(f"{_CALLERS}test_an_unknown_caller_who_says_stop_is_not_called[sip:+14155550172@host]",),
)

a_reported_opt_out_needs_a_plus = edited(
    "ringback.flows.inbound_calls:lock_caller",
    old="caller_number(report.from_number, report.to_number, rules)",
    new='rules.numbers.canonical(report.from_number or "")',
    aims=(I22,),
    why="It is the same number that rang.",
    tests=(f"{_CALLERS}test_an_opt_out_that_the_provider_reports_is_heard[4155550172]",),
)

an_impossible_number_is_taken = TextPatch(
    REQUESTS,
    old="    phone = numbers.canonical(text)\n",
    new="    phone = numbers.canonical(text) or text\n",
    aims=(I18,),
    why="Retell will say that it cannot be reached.",
    tests=(f"{_PERSON}test_an_impossible_number_is_422_wherever_it_is_named",),
)

a_premium_number_is_an_american_like_any_other = edited(
    "ringback.flows.call_initiation:CallInitiation._refusal",
    old="self.numbers.number_type(request.phone)",
    new="None",
    aims=(I1,),
    why="Its country is allowed.",
    tests=("flows/test_call_initiation.py::test_a_kind_of_number_that_is_not_allowed_ends_at_once",),
)


@planted(
    "ringback.domain.eligibility:deny",
    aims=(),
    why="The kind was checked when the call was accepted.",
    tests=("flows/call_processing/test_claim.py::test_a_kind_of_number_that_is_not_allowed_is_not_dialed",),
)
def eligibility_reads_the_country_alone(
    right: Right, asked: Candidate, person: PersonFacts, policy: DialPolicy, now: datetime
) -> EligibilityDecision | None:
    return right(replace(asked, number_type=None), person, policy, now)


@planted(
    "ringback.adapters.number_plan:_PREMIUM_EXCHANGE",
    aims=(),
    why="The library knows which numbers are premium.",
    tests=(f"{_PLAN}test_a_number_that_costs_or_belongs_to_no_line_has_a_kind",),
)
def a_976_exchange_is_like_any_other(_: str) -> str:
    return ""


@planted(
    "ringback.adapters.number_plan:_SERVICE_CODES",
    aims=(),
    why="The library knows which numbers are toll-free.",
    tests=(f"{_PLAN}test_a_number_that_costs_or_belongs_to_no_line_has_a_kind",),
)
def a_fictional_toll_free_number_is_a_line(right: Mapping[NumberType, str]) -> Mapping[NumberType, str]:
    return {kind: codes for kind, codes in right.items() if kind is not NumberType.TOLL_FREE}
