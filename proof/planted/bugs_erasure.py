"""Bugs of erasing a person: what was erased comes back, or a stop that was kept as a hash does not hold."""

from proof.invariants import Invariant
from proof.planted.bug import TextPatch

I8, I10, I19, I21 = Invariant.I8, Invariant.I10, Invariant.I19, Invariant.I21

ERASURE = "adapters/postgres/erasure.py"
HASHES = "adapters/postgres/person_hash.py"
EVENTS = "flows/event_processing.py"
TARGET = "flows/business_operations/target.py"

_LATE = "flows/erasure/test_late_evidence.py::"
_AFTER = f"{_LATE}test_no_table_has_the_person_again_after_the_erasure"
_BESIDE = f"{_LATE}test_what_waits_beside_the_erasure_for_the_person_leaves_nothing"
_KEYS = "flows/erasure/test_keys.py::"
_STOP = "flows/erasure/test_late_stop.py::"

BUGS = (
    TextPatch(
        name="tombstones_of_our_own_ids_alone",
        aims=(I21,),
        file=ERASURE,
        old="marks_of(sorted({*ids, *provider_call_ids, *searched}))",
        new="marks_of(sorted(ids))",
        why="Every call that we place carries our own ids in its metadata.",
        tests=(_AFTER,),
    ),
    TextPatch(
        name="tombstones_of_the_provider_s_ids_alone",
        aims=(I21,),
        file=ERASURE,
        old="marks_of(sorted({*ids, *provider_call_ids, *searched}))",
        new="marks_of(sorted({*provider_call_ids, *searched}))",
        why="The provider names each of its calls by one id, in every event.",
        tests=(f"{_LATE}test_when_the_rows_are_gone_the_tombstones_still_know_the_person",),
    ),
    TextPatch(
        name="evidence_that_waited_for_the_locks_is_applied",
        aims=(I21,),
        file=EVENTS,
        old="    if attempt.is_erased:\n        await keep_stop_of_erased(tx, report, rules, now)\n",
        new="    if attempt.is_erased and inbox is None:\n        await keep_stop_of_erased(tx, report, rules, now)\n",
        why="Whether the person was erased has been looked at before.",
        tests=(_BESIDE,),
    ),
    TextPatch(
        name="inbound_evidence_that_waited_for_the_locks_is_written_down",
        aims=(I21,),
        file=EVENTS,
        old="            if await tx.is_erased(ids_of(report)):\n",
        new="            if caller is None and await tx.is_erased(ids_of(report)):\n",
        why="Whether the person was erased has been looked at before.",
        tests=(_BESIDE,),
    ),
    TextPatch(
        name="an_answer_to_the_dial_binds_an_erased_attempt",
        aims=(I21,),
        file="flows/call_outcome.py",
        old="    if attempt.is_erased:\n",
        new="    if attempt.is_erased and attempt.provider_call_id is not None:\n",
        why="What was erased has no call that could be compared.",
        tests=(f"{_LATE}test_an_answer_to_the_dial_that_comes_after_the_erasure_binds_nothing",),
    ),
    TextPatch(
        name="systems_may_add_to_what_stands_in_for_an_erased_person",
        aims=(I21,),
        file=TARGET,
        old="    if contact is None or contact.phone == ERASED:\n",
        new="    if contact is None:\n",
        why="It is a contact like every other, and its calls can be read.",
        tests=(_AFTER,),
    ),
    TextPatch(
        name="the_idempotency_key_of_an_erased_call_is_kept_as_it_is",
        aims=(I21,),
        file=ERASURE,
        old="        await renew_calls(connection, hashes, await connection.fetch(KEYED_CALLS, person.call_ids))\n",
        new="",
        why="A repeat of the request must find it.",
        tests=(_AFTER,),
    ),
    TextPatch(
        name="the_idempotency_key_of_an_erased_call_is_forgotten",
        aims=(I8, I21),
        file=ERASURE,
        old="UPDATE calls SET contact_id = asked.stand_in, phone = 'erased',",
        new="UPDATE calls SET idempotency_key = NULL, contact_id = asked.stand_in, phone = 'erased',",
        why="Such a key often holds a person's id.",
        tests=(f"{_KEYS}test_a_repeated_request_makes_no_second_call_before_and_after_a_new_key",),
    ),
    TextPatch(
        name="reasons_of_decisions_are_kept",
        aims=(I21,),
        file=ERASURE,
        old='DELETE FROM gate_decisions USING asked WHERE call_id = ANY (asked.call_ids)"',
        new="DELETE FROM gate_decisions USING asked WHERE call_id = ANY (asked.call_ids) AND kind = 'gate'\"",
        why="They say why somebody was called, which is asked for later.",
        tests=(_AFTER,),
    ),
    TextPatch(
        name="the_last_events_of_an_erased_person_are_kept",
        aims=(I21,),
        file="adapters/postgres/outbox.py",
        old="DELETE FROM outbox WHERE id = ANY($1::bigint[]) AND erased)",
        new="UPDATE outbox SET delivered_at = $2 WHERE id = ANY($1::bigint[]) AND erased)",
        why="Engage may ask for them in the feed.",
        tests=(f"{_LATE}test_a_row_in_the_hands_of_a_relay_returns_without_what_was_said",),
    ),
    TextPatch(
        name="bodies_of_others_calls_are_kept",
        aims=(I21,),
        file=EVENTS,
        old='            kept = body if fate == "unhandled" else None\n',
        new="            kept = body\n",
        why="What another installation hears of would explain why it came here.",
        tests=(f"{_LATE}test_the_body_of_a_call_that_is_not_ours_is_not_kept",),
    ),
    TextPatch(
        name="a_number_is_looked_for_as_we_write_it",
        aims=(I21,),
        file=ERASURE,
        old='"[-. ()/]{0,3}".join(_national_digits(phone))',
        new="_national_digits(phone)",
        why="Every number in the database is in E.164.",
        tests=(_AFTER,),
    ),
    TextPatch(
        name="an_erased_person_is_hashed_with_the_database_s_salt_alone",
        aims=(I21,),
        file=HASHES,
        old="        *_, latest = self._forms(text)\n",
        new="        latest, *_ = self._forms(text)\n",
        why="The salt is random, and such a hash is found without any setting.",
        tests=(f"{_KEYS}test_the_stored_hash_needs_the_key_that_is_not_in_the_database",),
    ),
    TextPatch(
        name="a_process_without_the_erasure_key_dials",
        aims=(I10,),
        file=HASHES,
        old="        if list(in_use) != self.key_ids[: len(in_use)]:\n",
        new="        if self._keys and list(in_use) != self.key_ids[: len(in_use)]:\n",
        why="Where the setting is not used there is nothing to compare.",
        tests=(f"{_KEYS}test_a_process_without_the_key_neither_accepts_nor_dials_nor_explains",),
    ),
    TextPatch(
        name="a_new_erasure_key_forgets_the_hashes_of_the_old_one",
        aims=(I10,),
        file=HASHES,
        old="        for key_id in self.key_ids[older:]:\n",
        new="        for key_id in self.key_ids[-1:]:\n",
        why="The newest key is the one that counts.",
        tests=(f"{_KEYS}test_a_new_key_replaces_one_that_leaked",),
    ),
    TextPatch(
        name="a_stop_in_late_evidence_is_dropped_with_it",
        aims=(I10,),
        file="flows/erased_people.py",
        old="    if phone is None or report.end_facts is None or not report.end_facts.opt_out:\n",
        new="    if phone is None or report.end_facts is None or not report.end_facts.opt_out or report.attempt_id:\n",
        why="Nothing of an erased person's calls is kept.",
        tests=(f"{_STOP}test_a_stop_that_is_heard_of_after_the_erasure_holds",),
    ),
    TextPatch(
        name="a_stop_in_late_evidence_brings_the_number_back",
        aims=(I21,),
        file="flows/erased_people.py",
        old='"opt_out", "provider", now, of_erased=True)',
        new='"opt_out", "provider", now)',
        why="A stop has to name whom it is about.",
        tests=(f"{_STOP}test_a_stop_that_is_heard_of_after_the_erasure_holds",),
    ),
    TextPatch(
        name="an_error_of_erasing_quotes_the_database",
        aims=(I19,),
        file=ERASURE,
        old="            raise Retryable(type(error).__name__) from None\n",
        new="            raise Retryable(str(error)) from error\n",
        why="Whoever sees the error wants to know which row it was.",
        tests=("flows/erasure/test_beside_others.py::test_an_error_of_the_database_does_not_name_the_person",),
    ),
)
