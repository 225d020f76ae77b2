"""Bugs that show when the database fails over or is upgraded, or when a loop meets an error that no code foresaw."""

from proof.invariants import Invariant
from proof.planted.bug import TextPatch

I1, I16, I20 = Invariant.I1, Invariant.I16, Invariant.I20

POOL = "adapters/postgres/pool.py"
CONSUMER = "consumer.py"

_READ_ONLY = "adapters/test_read_only_server.py::"
_COLUMNS = "adapters/test_columns.py::"
_ERRORS = "test_consumer_errors.py::"

BUGS = (
    TextPatch(
        name="a_read_only_connection_is_lent_again",
        aims=(I1, I20),
        file=POOL,
        old="            except CONDEMNS as error:\n",
        new="            except OSError as error:\n",
        why="A server that refuses a write still answers: the connection is good.",
        tests=(f"{_READ_ONLY}test_no_connection_that_met_a_read_only_server_is_lent_again",),
    ),
    TextPatch(
        name="any_server_will_do",
        aims=(I1, I20),
        file=POOL,
        old="SessionAttribute.read_write",
        new="SessionAttribute.any",
        why="The URL names the primary.",
        tests=(f"{_READ_ONLY}test_a_read_only_server_is_not_connected_to",),
    ),
    TextPatch(
        name="ready_to_read",
        aims=(I1,),
        file="wiring.py",
        old='"SELECT 1 FROM installation FOR KEY SHARE"',
        new='"SELECT 1 FROM installation"',
        why="A check of readiness must not write.",
        tests=("web/test_readiness.py::test_a_process_whose_server_takes_no_writes_is_not_ready_until_it_has_another",),
    ),
    TextPatch(
        name="a_bug_in_one_pass_ends_the_process",
        aims=(I1, I16),
        file="loops.py",
        old="        except Exception as error:  # noqa: BLE001 - a bug in one pass must not end the process\n",
        new="        except Retryable as error:\n",
        why="What nobody foresaw should be seen.",
        tests=("test_loops.py::test_an_unforeseen_error_is_logged_by_type_counted_and_followed_by_a_pause",),
    ),
    TextPatch(
        name="a_defective_row_is_tried_for_ever",
        aims=(I16,),
        file="flows/outbox_delivery.py",
        old="            outcomes += [(row, Delivery(delivered=False, detail=name)) for row in rows]\n",
        new="",
        why="Its lease ends by itself.",
        tests=(
            "flows/outbox_delivery/test_failures.py"
            "::test_a_row_that_always_fails_is_dead_after_its_tries_and_holds_up_no_other",
        ),
    ),
    TextPatch(
        name="a_newer_versions_message_is_poison",
        aims=(I1, I16),
        file=CONSUMER,
        old="            if message.receive_count <= len(ANOTHER_VERSION_WAITS_S):\n",
        new="            if message.receive_count < 1:\n",
        why="Nobody here will ever understand it.",
        tests=(f"{_ERRORS}test_a_message_of_another_version_goes_back_for_long",),
    ),
    TextPatch(
        name="a_newer_versions_message_comes_back_at_once",
        aims=(I1,),
        file=CONSUMER,
        old="ANOTHER_VERSION_WAITS_S = (60, 600, 1200, 1800)\n",
        new="ANOTHER_VERSION_WAITS_S = (5, 10, 20, 40)\n",
        why="Somebody else may take it sooner.",
        tests=(f"{_ERRORS}test_a_rollout_of_an_hour_fits_into_the_receives_that_a_queue_allows",),
    ),
    TextPatch(
        name="calls_have_the_columns_of_today",
        aims=(I1,),
        file="adapters/postgres/acceptance.py",
        old='    INSERT INTO calls ({named_columns(Call, *_KEYED)}) SELECT {named_columns(Call, *_KEYED, of="call")}\n',
        new="    INSERT INTO calls SELECT call.*\n",
        why="The record is made from the table's own type.",
        tests=(f"{_COLUMNS}test_a_call_is_accepted_into_tables_with_a_column_more",),
    ),
    TextPatch(
        name="a_newer_versions_payload_is_malformed",
        aims=(I1,),
        file="flows/outbox_channels.py",
        old='        request = CallRequested(payload["call_id"], payload["task_id"], payload["dispatch"])\n'
        "    except KeyError:\n",
        new="        request = CallRequested(**payload)\n    except TypeError:\n",
        why="A payload with more in it is none of ours.",
        tests=("flows/outbox_delivery/test_other_versions.py::test_a_call_message_with_a_field_more_leaves",),
    ),
    TextPatch(
        name="a_migration_waits_as_long_as_the_dump",
        aims=(I1,),
        file="adapters/postgres/migrations/env.py",
        old="""f"{attributes.get('lock_s', 0)}s\"""",
        new='"0"',
        why="The dump ends some time.",
        tests=("adapters/test_schema.py::test_the_upgrade_waits_for_a_dump_and_the_others_go_on",),
    ),
)
