"""Bugs of erasing a person: erased data comes back, or a stop that is kept as a hash does not hold."""

from collections.abc import Mapping, Sequence
from typing import Any

from proof.planted.bug import Right, planted
from ringback.adapters.postgres.person_hash import PersonHashes
from ringback.domain.provider_report import ProviderReport
from ringback.storage import UnitOfWork

STATEMENTS = "ringback.adapters.postgres.erasure:ERASE"
KEEPING_A_STOP = "ringback.flows.erased_people:keep_stop_of_erased"
HASHES = "ringback.adapters.postgres.person_hash:PersonHashes"

_LATE = "flows/erased_people/test_late_evidence.py::"
_AFTER = f"{_LATE}test_no_table_has_the_person_again_after_the_erasure"
_KEYS = "flows/erased_people/test_keys.py::"
_STOP = "flows/erased_people/test_late_stop.py::"


@planted(STATEMENTS, "I8 I21", f"{_KEYS}test_a_repeated_request_makes_no_second_call_before_and_after_a_new_key")
def the_idempotency_key_of_an_erased_call_is_forgotten(right: Mapping[str, str]) -> Mapping[str, str]:
    """Such a key often holds a person's id."""
    return {**right, "calls": right["calls"].replace("SET ", "SET idempotency_key = NULL, ")}


@planted(STATEMENTS, "I21", _AFTER)
def reasons_of_decisions_are_kept(right: Mapping[str, str]) -> Mapping[str, str]:
    """They say why a contact was called, which may be asked later."""
    return {**right, "gate_decisions": f"{right['gate_decisions']} AND kind = 'gate'"}


@planted(f"{HASHES}.check", "I10", f"{_KEYS}test_a_process_without_the_key_neither_accepts_nor_dials_nor_explains")
def a_process_without_the_erasure_key_dials(right: Right, hashes: PersonHashes, in_use: Sequence[str]) -> None:
    """Without the setting there is nothing to compare."""
    if hashes.key_ids:
        right(hashes, in_use)


@planted(KEEPING_A_STOP, "I10", f"{_STOP}test_a_stop_that_is_heard_of_after_the_erasure_holds")
async def a_stop_in_late_evidence_is_dropped_with_it(
    right: Right, tx: UnitOfWork, report: ProviderReport, *rest: Any
) -> None:
    """Nothing of an erased person's calls is kept."""
    if not report.attempt_id:
        await right(tx, report, *rest)
