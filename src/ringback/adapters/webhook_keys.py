"""Keys in AWS Secrets Manager, for the Lambda: read at its first event, and again every five minutes."""

import logging
from collections.abc import Callable, Sequence

from ringback.domain.errors import Retryable

#: A rotation sets both keys first, waits for this time, and only then switches at Retell.
REMEMBERED_S = 300.0
RETRY_S = 10.0
#: The first read may take long, because nothing can be verified before it.
FIRST_LIMIT_S = 2.5
#: A later read delays one webhook. With the sender's limit of 2.4 s Retell still gets a response within 3 s.
LATER_LIMIT_S = 0.4

_log = logging.getLogger(__name__)


class KeysUnavailable(Retryable):
    """The keys were never read, so no webhook can be verified."""


def split_keys(text: str) -> tuple[str, ...]:
    """Return the comma-separated keys, without empty ones."""
    return tuple(key.strip() for key in text.split(",") if key.strip())


def make_key_reader(secret_arn: str, monotonic: Callable[[], float]) -> Callable[[], Sequence[str]]:
    """Return a function that returns the keys in this secret: one, or several comma-separated.

    A later failure is logged, and the keys read before stay in force. The function raises KeysUnavailable if they were
    never read. This imports botocore (0.7 s).
    """
    from concurrent.futures import ThreadPoolExecutor

    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import get_session

    config = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 1})
    client = get_session().create_client("secretsmanager", region_name=secret_arn.split(":")[3], config=config)
    thread = ThreadPoolExecutor(1, thread_name_prefix="secret")
    keys: tuple[str, ...] = ()
    read_again_at = 0.0

    def read() -> Sequence[str]:
        nonlocal keys, read_again_at
        if keys and monotonic() < read_again_at:
            return keys
        reading = thread.submit(lambda: str(client.get_secret_value(SecretId=secret_arn)["SecretString"]))
        try:
            found = split_keys(reading.result(LATER_LIMIT_S if keys else FIRST_LIMIT_S))
            problem = None if found else "the secret is empty"
        except (BotoCoreError, ClientError, TimeoutError, KeyError) as error:
            found, problem = (), type(error).__name__
        if problem is not None:
            _log.error("webhook_keys.unavailable", extra={"problem": problem, "remembered": len(keys)})
        if not (found or keys):
            raise KeysUnavailable(f"the webhook keys cannot be read: {problem}")
        keys = found or keys
        read_again_at = monotonic() + (REMEMBERED_S if found else RETRY_S)
        return keys

    return read
