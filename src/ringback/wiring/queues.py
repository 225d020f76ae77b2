"""Open the queues of the settings."""

from ringback.adapters.postgres.message_queue import PostgresQueue
from ringback.adapters.postgres.pool import Pool
from ringback.config import Settings
from ringback.loops import Loops
from ringback.messages import MAX_MESSAGE_BYTES
from ringback.ports import MessageQueue


async def open_queue(
    name_or_url: str, pool: Pool | None, settings: Settings, loops: Loops | None = None
) -> MessageQueue:
    """Open an SQS queue by its URL, or a queue in the database by its name."""
    forced = settings.max_message_bytes
    if name_or_url.startswith("http"):
        # Importing the SDK takes a sixth of a process's start, and queues in tables do not need it.
        from ringback.adapters.sqs.queue import open_sqs_queue

        return await open_sqs_queue(name_or_url, region=settings.aws_region, max_message_bytes=forced)
    assert pool is not None, "a queue in the database needs the database"
    return PostgresQueue(pool, name_or_url, loops=loops, max_message_bytes=forced or MAX_MESSAGE_BYTES)
