"""The differences between the SQS server of these tests and AWS's documentation. The adapter follows AWS.

Each test shows the server's behaviour, so a change by an upgrade is seen, and that the adapter is right in both cases.
The Amazon SQS API reference is the source of every "AWS" line.
"""

import pytest

from ringback.domain.errors import QueueUnavailable
from ringback.ports import OutgoingMessage


@pytest.mark.parametrize("build_rig", ["sqs"], indirect=True)
class TestMinistack:
    async def test_stale_receipt(self, rig):
        """AWS: deleting with it succeeds and deletes nothing. Ministack: the entry fails, as the sender's fault."""
        await rig.queue.send([OutgoingMessage("x")])
        [stale] = await rig.queue.receive(1, 2, 0)
        await rig.queue.receive(1, 2, 30)
        entry = {"Id": "0", "ReceiptHandle": stale.receipt}
        answer = await rig.extra["client"].delete_message_batch(QueueUrl=rig.extra["url"], Entries=[entry])
        assert [failed["Code"] for failed in answer["Failed"]] == ["ReceiptHandleIsInvalid"]
        await rig.queue.delete([stale.receipt])

    async def test_visibility_of_a_message_that_is_not_in_flight(self, rig):
        """AWS: refused (MessageNotInflight), the message stays visible. Ministack: hides it."""
        await rig.queue.send([OutgoingMessage("x")])
        [given_back] = await rig.queue.receive(1, 2, 0)
        await rig.queue.change_visibility([given_back.receipt], 30)
        assert await rig.queue.receive(1, 0, 30) == []

    async def test_delay_out_of_range(self, rig):
        """AWS: 0 to 900 s. Ministack: anything. The adapter rejects it before sending."""
        entry = {"Id": "0", "MessageBody": "x", "DelaySeconds": 901}
        answer = await rig.extra["client"].send_message_batch(QueueUrl=rig.extra["url"], Entries=[entry])
        assert answer["Failed"] == []
        with pytest.raises(QueueUnavailable):
            await rig.queue.send([OutgoingMessage("x", delay_s=901)])

    async def test_size_of_attributes(self, rig):
        """AWS: names, types and values count. Ministack: only the body. The adapter counts them."""
        message = OutgoingMessage("x" * (rig.queue.max_message_bytes - 10), attributes={"traceparent": "00-1"})
        assert await rig.queue.send([OutgoingMessage("good"), message]) == [1]

    async def test_characters_outside_xml(self, rig):
        """AWS: refused (InvalidMessageContents), on an older page replaced by U+FFFD. Ministack: refused. The adapter
        never sends them."""
        entry = {"Id": "0", "MessageBody": "nul \0"}
        answer = await rig.extra["client"].send_message_batch(QueueUrl=rig.extra["url"], Entries=[entry])
        assert [failed["Code"] for failed in answer["Failed"]] == ["InvalidMessageContents"]
        assert await rig.queue.send([OutgoingMessage("nul \0"), OutgoingMessage("good")]) == [0]
