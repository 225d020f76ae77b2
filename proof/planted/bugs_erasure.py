"""Bugs of erasing a person: erased data comes back, or a stop that is kept as a hash does not hold."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from proof.invariants import Invariant
from proof.planted.bug import Right, edited, planted
from ringback.adapters.postgres.person_hash import PersonHashes
from ringback.domain.provider_report import ProviderReport
from ringback.flows.call_outcome import OutcomeRules
from ringback.storage import UnitOfWork

I8, I10, I19, I21 = Invariant.I8, Invariant.I10, Invariant.I19, Invariant.I21

ERASING = "ringback.adapters.postgres.erasure:PostgresEraser._erase"
STATEMENTS = "ringback.adapters.postgres.erasure:ERASE"
KEEPING_A_STOP = "ringback.flows.erased_people:keep_stop_of_erased"
HASHES = "ringback.adapters.postgres.person_hash:PersonHashes"
EVENTS = "ringback.flows.event_processing:EventProcessing"

_LATE = "flows/erased_people/test_late_evidence.py::"
_AFTER = f"{_LATE}test_no_table_has_the_person_again_after_the_erasure"
_BESIDE = f"{_LATE}test_what_waits_beside_the_erasure_for_the_person_leaves_nothing"
_KEYS = "flows/erased_people/test_keys.py::"
_STOP = "flows/erased_people/test_late_stop.py::"

compressed_messages_are_not_searched = edited(
    "ringback.adapters.postgres.erasure:_erase_rows",
    old='rows["queue_messages"] += await _erase_compressed(connection, pattern_of(person.phones), provider_call_ids)',
    new="",
    aims=(I21,),
    why="The search covers every message of the table.",
    tests=(f"{_LATE}test_compressed_messages_about_the_person_are_erased_and_no_others",),
)

tombstones_of_our_own_ids_alone = edited(
    ERASING,
    old="sorted({*ids, *provider_call_ids, *searched})",
    new="sorted(ids)",
    aims=(I21,),
    why="Every call that Ringback places has Ringback's ids in its metadata.",
    tests=(_AFTER,),
)

tombstones_of_the_provider_s_ids_alone = edited(
    ERASING,
    old="sorted({*ids, *provider_call_ids, *searched})",
    new="sorted({*provider_call_ids, *searched})",
    aims=(I21,),
    why="The provider names each of its calls by one id, in every event.",
    tests=(f"{_LATE}test_when_the_rows_are_gone_the_tombstones_still_know_the_person",),
)

evidence_that_waited_for_the_locks_is_applied = edited(
    "ringback.flows.event_processing:apply_evidence",
    old="attempt.is_erased",
    new="attempt.is_erased and inbox is None",
    aims=(I21,),
    why="The erasure was looked up before.",
    tests=(_BESIDE,),
)

inbound_evidence_that_waited_for_the_locks_is_written_down = edited(
    f"{EVENTS}._apply_inbound",
    old="await tx.is_erased(ids_of(report))",
    new="caller is None and await tx.is_erased(ids_of(report))",
    aims=(I21,),
    why="The erasure was looked up before.",
    tests=(_BESIDE,),
)

an_answer_to_the_dial_binds_an_erased_attempt = edited(
    "ringback.flows.call_outcome:bind_provider_call",
    old="attempt.is_erased",
    new="attempt.is_erased and attempt.provider_call_id is not None",
    aims=(I21,),
    why="An erased attempt has no call that could be compared.",
    tests=(f"{_LATE}test_an_answer_to_the_dial_that_comes_after_the_erasure_binds_nothing",),
)

systems_may_add_to_what_stands_in_for_an_erased_person = edited(
    "ringback.flows.business_operations.target:_of_contact",
    old="contact is None or contact.phone == ERASED",
    new="contact is None",
    aims=(I21,),
    why="It is a contact like every other, and its calls can be read.",
    tests=(_AFTER,),
)

the_idempotency_key_of_an_erased_call_is_kept_as_it_is = edited(
    ERASING,
    old="await renew_calls(connection, hashes, await connection.fetch(KEYED_CALLS, person.call_ids))",
    new="",
    aims=(I21,),
    why="A repeat of the request must find it.",
    tests=(_AFTER,),
)


@planted(
    STATEMENTS,
    aims=(I8, I21),
    why="Such a key often holds a person's id.",
    tests=(f"{_KEYS}test_a_repeated_request_makes_no_second_call_before_and_after_a_new_key",),
)
def the_idempotency_key_of_an_erased_call_is_forgotten(right: Mapping[str, str]) -> Mapping[str, str]:
    return {**right, "calls": right["calls"].replace("SET ", "SET idempotency_key = NULL, ")}


@planted(
    STATEMENTS,
    aims=(I21,),
    why="They say why a contact was called, which may be asked later.",
    tests=(_AFTER,),
)
def reasons_of_decisions_are_kept(right: Mapping[str, str]) -> Mapping[str, str]:
    return {**right, "gate_decisions": f"{right['gate_decisions']} AND kind = 'gate'"}


the_last_events_of_an_erased_person_are_kept = edited(
    "ringback.adapters.postgres.outbox:DELIVERED",
    old="DELETE FROM outbox WHERE",
    new="UPDATE outbox SET delivered_at = $2 WHERE",
    aims=(I21,),
    why="Engage may ask for them in the feed.",
    tests=(f"{_LATE}test_a_row_in_the_hands_of_a_relay_returns_without_what_was_said",),
)

bodies_of_others_calls_are_kept = edited(
    f"{EVENTS}._record_only",
    old='body if handling == "unhandled" else None',
    new="body",
    aims=(I21,),
    why="The body of another installation's event would explain why it came here.",
    tests=(f"{_LATE}test_the_body_of_a_call_that_is_not_ours_is_not_kept",),
)

a_number_is_looked_for_as_we_write_it = edited(
    "ringback.adapters.postgres.erasure:pattern_of",
    old='"[-. ()/]{0,3}".join(_national_digits(phone))',
    new="_national_digits(phone)",
    aims=(I21,),
    why="Every number in the database is in E.164.",
    tests=(_AFTER,),
)

an_erased_person_is_hashed_with_the_database_s_salt_alone = edited(
    f"{HASHES}.newest",
    old="*_, latest = self._forms(text)",
    new="latest, *_ = self._forms(text)",
    aims=(I21,),
    why="The salt is random, and such a hash is found without any setting.",
    tests=(f"{_KEYS}test_the_stored_hash_needs_the_key_that_is_not_in_the_database",),
)


@planted(
    f"{HASHES}.check",
    aims=(I10,),
    why="Without the setting there is nothing to compare.",
    tests=(f"{_KEYS}test_a_process_without_the_key_neither_accepts_nor_dials_nor_explains",),
)
def a_process_without_the_erasure_key_dials(right: Right, hashes: PersonHashes, in_use: Sequence[str]) -> None:
    if hashes.key_ids:
        right(hashes, in_use)


a_new_erasure_key_forgets_the_hashes_of_the_old_one = edited(
    f"{HASHES}.renewed",
    old="self.key_ids[older:]",
    new="self.key_ids[-1:]",
    aims=(I10,),
    why="The newest key is the one that counts.",
    tests=(f"{_KEYS}test_a_new_key_replaces_one_that_leaked",),
)


@planted(
    KEEPING_A_STOP,
    aims=(I10,),
    why="Nothing of an erased person's calls is kept.",
    tests=(f"{_STOP}test_a_stop_that_is_heard_of_after_the_erasure_holds",),
)
async def a_stop_in_late_evidence_is_dropped_with_it(
    right: Right, tx: UnitOfWork, report: ProviderReport, rules: OutcomeRules, now: datetime
) -> None:
    if not report.attempt_id:
        await right(tx, report, rules, now)


a_stop_in_late_evidence_brings_the_number_back = edited(
    KEEPING_A_STOP,
    old='Suppression(rules.new_id(), phone, None, "opt_out", "provider", now, of_erased=True)',
    new='Suppression(rules.new_id(), phone, None, "opt_out", "provider", now)',
    aims=(I21,),
    why="A stop has to name its person.",
    tests=(f"{_STOP}test_a_stop_that_is_heard_of_after_the_erasure_holds",),
)

an_error_of_erasing_quotes_the_database = edited(
    "ringback.adapters.postgres.erasure:PostgresEraser.erase",
    old="raise Retryable(type(error).__name__) from None",
    new="raise Retryable(str(error)) from error",
    aims=(I19,),
    why="An operator who sees the error wants to know the row.",
    tests=("flows/erased_people/test_beside_others.py::test_an_error_of_the_database_does_not_name_the_person",),
)
