"""Bugs of phone numbers: two spellings become two people, or a number is dialed that must not be."""

from proof.invariants import Invariant
from proof.planted.bug import TextPatch

I1, I18, I22 = Invariant.I1, Invariant.I18, Invariant.I22

PLAN = "adapters/number_plan.py"
REQUESTS = "web/request_fields.py"
INBOUND = "flows/inbound_calls.py"

_SPELLINGS = "adapters/test_number_spellings.py::"
_PLAN = "adapters/test_number_plan.py::"
_PERSON = "services/test_one_person.py::"
_CALLERS = "flows/business_operations/test_caller_spellings.py::"

BUGS = (
    TextPatch(
        name="the_raw_text_is_the_number",
        aims=(I22,),
        file=REQUESTS,
        old='No country has a number of this form.")\n    return phone\n',
        new='No country has a number of this form.")\n    return text\n',
        why="Engage looks for what it has sent.",
        tests=(
            f"{_PERSON}test_a_person_who_is_suppressed_in_one_spelling_is_not_called_in_another"
            "[+114155550160-+14155550160]",
        ),
    ),
    TextPatch(
        name="a_trunk_zero_is_another_person",
        aims=(I22,),
        file=PLAN,
        old="    return [phone, _formatted(number) or phone, without_zero, *doubled]\n",
        new="    return [phone, *doubled]\n",
        why="E.164 has no trunk zero.",
        tests=(f"{_SPELLINGS}test_a_doubled_country_code_and_a_trunk_prefix_are_dropped",),
    ),
    TextPatch(
        name="a_doubled_country_code_is_another_person",
        aims=(I22,),
        file=PLAN,
        old="    return [phone, _formatted(number) or phone, without_zero, *doubled]\n",
        new="    return [phone, _formatted(number) or phone, without_zero]\n",
        why="The library's parser drops it, as it does for +1.",
        tests=(f"{_SPELLINGS}test_a_doubled_country_code_and_a_trunk_prefix_are_dropped",),
    ),
    TextPatch(
        name="every_leading_zero_is_a_trunk_zero",
        aims=(I22,),
        file=PLAN,
        old="    return [phone, _formatted(number) or phone, without_zero, *doubled]\n",
        new="    return [without_zero, *doubled]\n",
        why="No number abroad begins with a zero.",
        tests=(f"{_SPELLINGS}test_a_number_that_is_right_as_it_is_written_stays_as_it_is",),
    ),
    TextPatch(
        name="a_stored_suppression_keeps_its_spelling",
        aims=(I22,),
        file="adapters/postgres/migrations/versions/0003_canonical_phones.py",
        old='TABLES = ("suppressions", "contacts",',
        new='TABLES = ("contacts",',
        why="A suppression is what somebody asked for, word for word.",
        tests=(
            "adapters/test_canonical_phones_migration.py::test_a_suppression_of_another_spelling_covers_the_person_after_the_upgrade",
        ),
    ),
    TextPatch(
        name="a_caller_id_without_a_plus_is_nobody",
        aims=(I22,),
        file=PLAN,
        old="        national = _formatted(_parse(digits, country)) if country is not None else None\n",
        new="        national = None\n",
        why="Retell sends E.164.",
        tests=(f"{_CALLERS}test_a_contact_who_calls_is_known_and_their_task_is_held[4155550172]",),
    ),
    TextPatch(
        name="every_caller_lives_where_we_dial",
        aims=(I22,),
        file="flows/caller_ids.py",
        old='    return rules.numbers.read(text or "", country or rules.policy.only_country)\n',
        new='    return rules.numbers.read(text or "", rules.policy.only_country or country)\n',
        why="We call the United States only.",
        tests=(f"{_CALLERS}test_a_national_number_belongs_to_the_country_that_was_called",),
    ),
    TextPatch(
        name="an_unknown_callers_opt_out_is_kept_as_it_came",
        aims=(I22,),
        file="flows/business_operations/set_disposition.py",
        old="        phone = person_of(report, self.rules)\n",
        new="        phone = report.from_number\n",
        why="Retell knows who calls.",
        tests=(f"{_CALLERS}test_an_unknown_caller_who_says_stop_is_not_called[sip:+14155550172@host]",),
    ),
    TextPatch(
        name="a_reported_opt_out_needs_a_plus",
        aims=(I22,),
        file=INBOUND,
        old="caller_number(report.from_number, report.to_number, rules)\n",
        new='rules.numbers.canonical(report.from_number or "")\n',
        why="It is the same number that rang.",
        tests=(f"{_CALLERS}test_an_opt_out_that_the_provider_reports_is_heard[4155550172]",),
    ),
    TextPatch(
        name="an_impossible_number_is_taken",
        aims=(I18,),
        file=REQUESTS,
        old="    phone = numbers.canonical(text)\n",
        new="    phone = numbers.canonical(text) or text\n",
        why="Retell will say that it cannot be reached.",
        tests=(f"{_PERSON}test_an_impossible_number_is_422_wherever_it_is_named",),
    ),
    TextPatch(
        name="a_premium_number_is_an_american_like_any_other",
        aims=(I1,),
        file="flows/call_initiation.py",
        old="self.numbers.number_type(request.phone))\n",
        new="None)\n",
        why="Its country is allowed.",
        tests=("flows/test_call_initiation.py::test_a_kind_of_number_that_is_not_allowed_ends_at_once",),
    ),
    TextPatch(
        name="the_gate_asks_for_the_country_alone",
        aims=(),
        file="domain/eligibility.py",
        old="    if refused := policy.refusal(candidate.region, candidate.number_type):\n",
        new="    if refused := policy.refusal(candidate.region, None):\n",
        why="The kind was looked at when the call was accepted.",
        tests=("flows/dialing/test_claim.py::test_a_kind_of_number_that_is_not_allowed_is_not_dialed",),
    ),
    TextPatch(
        name="a_976_exchange_is_like_any_other",
        aims=(),
        file=PLAN,
        old='_PREMIUM_EXCHANGE, _WITH_PREMIUM_EXCHANGE = "976", ',
        new='_PREMIUM_EXCHANGE, _WITH_PREMIUM_EXCHANGE = "", ',
        why="The library knows which numbers are premium.",
        tests=(f"{_PLAN}test_a_number_that_costs_or_belongs_to_no_line_has_a_kind",),
    ),
    TextPatch(
        name="a_fictional_toll_free_number_is_a_line",
        aims=(),
        file=PLAN,
        old='    NumberType.TOLL_FREE: "800 822 833 844 855 866 877 888",\n',
        new="",
        why="The library knows which numbers are toll-free.",
        tests=(f"{_PLAN}test_a_number_that_costs_or_belongs_to_no_line_has_a_kind",),
    ),
)
