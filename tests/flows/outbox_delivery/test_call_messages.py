"""Call messages go to the queue in batches, and only what the queue refused goes again."""

from typing import Any

from ringback.flows.outbox_delivery import OutboxRelay
from ringback.messages import CallRequested
from tests.outbox import deliver_outbox


async def test_call_messages_leave_in_tens(relay: OutboxRelay, outbox: Any, queue: Any) -> None:
    for number in range(25):
        outbox.add_call_message(number)
    await deliver_outbox(relay)
    assert [len(batch) for batch in queue.batches] == [10, 10, 5]
    assert queue.batches[2][4] == CallRequested("call-24", "task-24", 1)
    assert outbox.delivered_statements == [list(range(1, 26))]


async def test_only_the_refused_entries_of_a_batch_are_sent_again(relay: OutboxRelay, outbox: Any, queue: Any) -> None:
    for number in range(5):
        outbox.add_call_message(number)
    queue.refusals = {"task-1": 1, "task-4": 1}
    await deliver_outbox(relay)
    assert [row.message_id for row in outbox.rows if row.open] == ["task-1:1", "task-4:1"]
    assert {row.last_error for row in outbox.rows if row.open} == {"entry_refused"}
    await outbox.record_all(relay)
    sent_again = [message.task_id for batch in queue.batches[1:] for message in batch]
    assert sorted(sent_again) == ["task-1", "task-4"]


async def test_a_call_message_never_dies_while_the_queue_is_unavailable(
    relay: OutboxRelay, outbox: Any, queue: Any
) -> None:
    row = outbox.add_call_message(1)
    queue.away = 500
    await outbox.record_all(relay)
    assert row.tries == 501
    assert row.delivered_at is not None


async def test_a_row_of_another_shape_does_not_take_its_batch_with_it(
    relay: OutboxRelay, outbox: Any, queue: Any
) -> None:
    outbox.add_call_message(1)
    broken = outbox.add("call_message", "old:1", payload={"call_id": "call-0", "job": 4})
    outbox.add_call_message(2)
    queue.refusals = {"task-2": 1}
    await deliver_outbox(relay)
    assert [row.last_error for row in outbox.rows] == [None, "malformed", "entry_refused"]
    await outbox.record_all(relay)
    assert broken.dead_at is not None
