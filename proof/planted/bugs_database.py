"""Bugs that show in a fail-over or upgrade of the database, and in an unexpected error of a loop."""

import re

from proof.invariants import Invariant
from proof.planted.bug import Right, edited, planted
from ringback.messages import CallRequested, encode
from ringback.ports import OutgoingMessage
from ringback.storage import OutboxRow

I1, I16, I20 = Invariant.I1, Invariant.I16, Invariant.I20

POOL = "ringback.adapters.postgres.pool"
CONSUMER = "ringback.consumer"

_READ_ONLY = "adapters/test_read_only_server.py::"
_COLUMNS = "adapters/test_columns.py::"
_ERRORS = "test_consumer_errors.py::"

a_read_only_connection_is_lent_again = edited(
    f"{POOL}:connection_of",
    old="CONDEMNS",
    new="OSError",
    aims=(I1, I20),
    why="A server that refuses a write still responds, so the connection is good.",
    tests=(f"{_READ_ONLY}test_no_connection_that_met_a_read_only_server_is_lent_again",),
)

any_server_will_do = edited(
    f"{POOL}:open_pool",
    old="SessionAttribute.read_write",
    new="SessionAttribute.any",
    aims=(I1, I20),
    why="The URL names the primary.",
    tests=(f"{_READ_ONLY}test_a_read_only_server_is_not_connected_to",),
)

ready_to_read = edited(
    "ringback.adapters.postgres.monitoring:PostgresMonitoring.check",
    old='"SELECT 1 FROM installation FOR KEY SHARE"',
    new='"SELECT 1 FROM installation"',
    aims=(I1,),
    why="A check of readiness must not write.",
    tests=("web/test_readiness.py::test_a_process_whose_server_takes_no_writes_is_not_ready_until_it_has_another",),
)

a_bug_in_one_pass_ends_the_process = edited(
    "ringback.loops:Loop.guard",
    old="Exception",
    new="Retryable",
    aims=(I1, I16),
    why="An unexpected error should be seen.",
    tests=("test_loops.py::test_an_unforeseen_error_is_logged_by_type_counted_and_followed_by_a_pause",),
)

a_defective_row_is_tried_for_ever = edited(
    "ringback.flows.outbox_delivery:_outcomes",
    old="outcomes += [(row, Delivery(delivered=False, detail=name)) for row in rows]",
    new="",
    aims=(I16,),
    why="The row's lease ends by itself.",
    tests=(
        "flows/outbox_delivery/test_failures.py"
        "::test_a_row_that_always_fails_is_dead_after_its_tries_and_holds_up_no_other",
    ),
)

a_newer_versions_message_is_poison = edited(
    f"{CONSUMER}:Consumer._handle_failure",
    old="message.receive_count <= len(ANOTHER_VERSION_WAITS_S)",
    new="message.receive_count < 1",
    aims=(I1, I16),
    why="No process here will ever understand it.",
    tests=(f"{_ERRORS}test_a_message_of_another_version_goes_back_for_long",),
)


@planted(
    f"{CONSUMER}:ANOTHER_VERSION_WAITS_S",
    aims=(I1,),
    why="A newer process may receive it sooner.",
    tests=(f"{_ERRORS}test_a_rollout_of_an_hour_fits_into_the_receives_that_a_queue_allows",),
)
def a_newer_versions_message_comes_back_at_once(right: tuple[int, ...]) -> tuple[int, ...]:
    return (5, 10, 20, 40)


@planted(
    "ringback.adapters.postgres.acceptance:_INSERT",
    aims=(I1,),
    why="The record is made from the table's own type.",
    tests=(f"{_COLUMNS}test_a_call_is_accepted_into_tables_with_a_column_more",),
)
def calls_have_the_columns_of_today(right: str) -> str:
    return re.sub(r"INSERT INTO calls \([^)]*\) SELECT [^()]*? FROM ", "INSERT INTO calls SELECT call.* FROM ", right)


@planted(
    "ringback.flows.outbox_delivery:_call_message",
    aims=(I1,),
    why="A payload with another field is none of ours.",
    tests=("flows/outbox_delivery/test_other_versions.py::test_a_call_message_with_a_field_more_leaves",),
)
def a_newer_versions_payload_is_malformed(_: Right, row: OutboxRow) -> OutgoingMessage | None:
    try:
        return OutgoingMessage(encode(CallRequested(**row.payload)))
    except TypeError:
        return None


# To PostgreSQL, a limit of 0 is no limit.
@planted(
    "ringback.adapters.postgres.schema:_run_alembic",
    aims=(I1,),
    why="The dump ends some time.",
    tests=("adapters/test_schema.py::test_the_upgrade_waits_for_a_dump_and_the_others_go_on",),
)
def a_migration_waits_as_long_as_the_dump(right: Right, database_url: str, lock_s: float) -> None:
    right(database_url, 0)


a_message_in_progress_is_received_again = edited(
    "ringback.adapters.postgres.message_queue:_RECEIVE",
    old="AND visible_at <= (SELECT clock_timestamp())",
    new="",
    aims=(I20, I16),
    why="The index has only one of the two times.",
    tests=("adapters/test_hot_updates.py::test_what_the_previous_version_wrote_is_taken_when_it_is_due",),
)
