"""The Lambda's sender to Amazon SQS: synchronous, on plain botocore, with a limit on its time."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ringback.adapters.message_limits import body_rejection
from ringback.domain.errors import QueueUnavailable
from ringback.messages import MAX_MESSAGE_BYTES

#: Retell waits 10 s, and the receiver promises a response within 3 s. The verification and Lambda itself need the rest.
SEND_LIMIT_S = 2.4
CONNECT_TIMEOUT_S = 0.7
READ_TIMEOUT_S = 1.5
MAX_THREADS = 16


def region_of(queue_url: str) -> str | None:
    """Return the region in an AWS queue URL. None for the URL of an emulator, where the SDK's own setting applies."""
    host = re.match(r"https?://(?:sqs[.]([a-z0-9-]+)|([a-z0-9-]+)[.]queue)[.]amazonaws[.]com(?:[.]cn)?/", queue_url)
    return (host[1] or host[2]) if host else None


def make_sender(
    queue_url: str,
    *,
    region: str | None = None,
    limit_s: float = SEND_LIMIT_S,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
) -> Callable[[str], None]:
    """Make a function that returns once SQS has the body, or raises QueueUnavailable within `limit_s` seconds.

    The queue's own limit is not read, because the function may only send.

    This imports botocore (0.7 s), so call it at the start. Raises QueueUnavailable without a region.
    """
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import get_session

    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"total_max_attempts": 1},
        max_pool_connections=MAX_THREADS,
    )
    try:
        client = get_session().create_client("sqs", region_name=region or region_of(queue_url), config=config)
    except BotoCoreError as error:
        raise QueueUnavailable(f"no client for the queue: {type(error).__name__}") from error

    # botocore's timeouts are per address and per read. Many dead addresses, or a response that trickles, last longer.
    threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="sqs-send")

    def attempt(body: str) -> None:
        try:
            client.send_message(QueueUrl=queue_url, MessageBody=body)
        except ClientError as error:
            raise QueueUnavailable(f"the queue refused: {error.response['Error']['Code']}") from error
        except (BotoCoreError, OSError) as error:
            raise QueueUnavailable(f"the queue is unavailable: {type(error).__name__}") from error

    def send(body: str) -> None:
        if reason := body_rejection(body, max_message_bytes):
            raise QueueUnavailable(f"the queue would reject this: {reason}")
        sending = threads.submit(attempt, body)
        try:
            sending.result(limit_s)
        except TimeoutError:
            sending.cancel()
            raise QueueUnavailable(f"no response from the queue within {limit_s} s") from None

    return send
