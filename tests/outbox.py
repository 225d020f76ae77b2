"""One pass of a relay, for tests that hold its clock."""

import asyncio

from ringback.flows.outbox_delivery import OutboxRelay, deliver_due


async def deliver_outbox(relay: OutboxRelay) -> None:
    """Deliver what is due now on every channel. Raises the store's errors when all channels have ended."""
    passes = (deliver_due(relay, channel, asyncio.Event()) for channel in relay.channels)
    for end in await asyncio.gather(*passes, return_exceptions=True):
        if isinstance(end, BaseException):
            raise end
