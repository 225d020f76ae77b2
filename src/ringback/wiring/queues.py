"""Open the queues of the settings."""

from ringback.adapters.postgres.message_queue import PostgresQueue
from ringback.adapters.postgres.pool import Pool
from ringback.adapters.sqs.queue import open_sqs_queue
from ringback.loops import Loops
from ringback.ports import MessageQueue


async def open_queue(
    name_or_url: str, pool: Pool | None, region: str | None, loops: Loops | None = None
) -> MessageQueue:
    """Open an SQS queue by its URL, or a queue in the database by its name."""
    if name_or_url.startswith("http"):
        return await open_sqs_queue(name_or_url, region=region)
    assert pool is not None, "a queue in the database needs the database"
    return PostgresQueue(pool, name_or_url, loops=loops)
