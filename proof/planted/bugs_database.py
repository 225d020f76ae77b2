"""Bugs that show in a fail-over or upgrade of the database, and in an unexpected error of a loop."""

import re

import asyncpg

from proof.planted.bug import Right, planted
from ringback.messages import CallRequested, encode
from ringback.ports import OutgoingMessage
from ringback.storage import OutboxRow

CONSUMER = "ringback.consumer"

_COLUMNS = "adapters/test_columns.py::"
_ERRORS = "test_consumer_errors.py::"


@planted(
    f"{CONSUMER}:ANOTHER_VERSION_WAITS_S",
    "I1",
    f"{_ERRORS}test_a_rollout_of_an_hour_fits_into_the_receives_that_a_queue_allows",
)
def a_newer_versions_message_comes_back_at_once(right: tuple[int, ...]) -> tuple[int, ...]:
    """A newer process may receive it sooner."""
    return (5, 10, 20, 40)


@planted(
    "ringback.adapters.postgres.acceptance:_INSERT",
    "I1",
    f"{_COLUMNS}test_a_call_is_accepted_into_tables_with_a_column_more",
)
def calls_have_the_columns_of_today(right: str) -> str:
    """The record is made from the table's own type, and the one column without a value in it gets one."""
    of_the_type = """INSERT INTO calls SELECT call.*
    FROM given, jsonb_populate_record(NULL::calls, given.call || '{"recount": false}') AS call"""
    return re.sub(r"INSERT INTO calls \([^)]*\) SELECT .*? AS call\b", of_the_type, right, count=1, flags=re.DOTALL)


@planted(
    "ringback.flows.outbox_delivery:_call_message",
    "I1",
    "flows/outbox_delivery/test_other_versions.py::test_a_call_message_with_a_field_more_leaves",
)
def a_newer_versions_payload_is_malformed(_: Right, row: OutboxRow) -> OutgoingMessage | None:
    """A payload with another field is none of ours."""
    try:
        return OutgoingMessage(encode(CallRequested(**row.payload)))
    except TypeError:
        return None


# To PostgreSQL, a limit of 0 is no limit.
@planted(
    "ringback.adapters.postgres.schema:_run_alembic",
    "I1",
    "adapters/test_schema.py::test_the_upgrade_waits_for_a_dump_and_the_others_go_on",
)
def a_migration_waits_as_long_as_the_dump(right: Right, database_url: str, lock_s: float) -> None:
    """The dump ends some time."""
    right(database_url, 0)


@planted(
    "ringback.adapters.postgres.pool:UNAVAILABLE",
    "I1",
    "adapters/test_changing_passwords.py::test_until_the_file_has_the_new_password_the_database_is_unavailable",
)
def a_refused_password_is_a_bug(right: tuple[type[BaseException], ...]) -> tuple[type[BaseException], ...]:
    """The process has connected before, so its password is right."""
    return tuple(kind for kind in right if kind is not asyncpg.InvalidAuthorizationSpecificationError)
