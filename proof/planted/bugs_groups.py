"""Bugs of groups: units of several calls in one transaction that does not treat each as alone."""

from proof.invariants import Invariant
from proof.planted.bug import edited

I1, I2, I3, I4, I10, I16 = (
    Invariant.I1,
    Invariant.I2,
    Invariant.I3,
    Invariant.I4,
    Invariant.I10,
    Invariant.I16,
)
GROUPS = "ringback.adapters.postgres.groups"
_UNITS = "adapters/test_groups.py::"
_CLAIMS = "flows/call_processing/test_claims_in_groups.py::"

a_member_sends_before_the_commit = edited(
    f"{GROUPS}:Groups._membership",
    old="await member.committed",
    new="await asyncio.sleep(0)",
    aims=(I4, I2),
    why="The group writes the changes of a member that has left.",
    tests=(
        f"{_CLAIMS}test_a_group_that_is_not_committed_dials_nothing",
        f"{_CLAIMS}test_a_claim_of_a_group_is_seen_by_others_before_it_is_dialed",
    ),
)

two_members_take_one_slot = edited(
    f"{GROUPS}:Group._give_turn",
    old="self._turns += 1",
    new="",
    aims=(I10,),
    why="The slots are counted under the lock.",
    tests=(f"{_CLAIMS}test_each_claim_of_a_group_takes_a_slot_of_its_own",),
)

a_probe_is_not_seen_in_its_group = edited(
    f"{GROUPS}:Group._lend_connection",
    old="self._turn = None",
    new="",
    aims=(I10,),
    why="The row was read under the lock, and the lock is still held.",
    tests=(f"{_CLAIMS}test_one_claim_of_a_group_tries_a_refused_account",),
)

a_failed_write_drops_the_neighbours = edited(
    f"{GROUPS}:Group._write",
    old="await connection.execute(_SAVEPOINT)\nself._conclude(member, await _write_or_undo(connection, member.writes))",
    new="self._conclude(member, None)",
    aims=(I1, I4),
    why="The error was raised to the one that caused it.",
    tests=(
        f"{_CLAIMS}test_a_claim_that_loses_its_task_does_not_stop_the_others",
        f"{_UNITS}test_a_row_that_changed_meanwhile_fails_its_own_unit_only",
    ),
)

a_locked_person_is_let_into_a_group = edited(
    f"{GROUPS}:Group._lock_people",
    old='row["locked"] and not own & people and not member.joined.done()',
    new="not own & people and not member.joined.done()",
    aims=(I3, I10),
    why="The statement takes the locks.",
    tests=(f"{_UNITS}test_a_unit_whose_person_is_locked_waits_without_its_group",),
)

a_person_is_twice_in_a_group = edited(
    f"{GROUPS}:Group._lock_people",
    old='row["locked"] and not own & people and not member.joined.done()',
    new='row["locked"] and not member.joined.done()',
    aims=(I3, I10),
    why="The lock says that the person is free. A session gets its own lock again.",
    tests=(f"{_UNITS}test_a_person_is_in_a_group_once",),
)

an_error_in_a_group_keeps_what_the_unit_wrote = edited(
    f"{GROUPS}:Group._lend_connection",
    old="await connection.execute(_UNDO)",
    new="pass",
    aims=(I1, I16),
    why="The writes of a unit that fails are never made.",
    tests=(f"{_UNITS}test_an_error_after_a_statement_of_its_own_undoes_that_too",),
)

what_postgresql_refuses_is_asked_for_all = edited(
    "ringback.adapters.postgres.questions:question",
    old='if "\\\\u0000" in encoded:\n    return None',
    new="",
    aims=(I16,),
    why="JSON has a form for every character.",
    tests=(f"{_UNITS}test_a_value_that_postgresql_refuses_fails_its_own_unit_only",),
)
