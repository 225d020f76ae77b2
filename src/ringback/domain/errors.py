"""An error carries its fate: the consumer decides acknowledge, delay or dead letter by these classes alone."""


class Retryable(Exception):
    """The same message may succeed later; it returns to the queue and its receive count goes on."""

    def __init__(self, message: str, retry_after_s: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Permanent(Exception):
    """The message can never succeed; it goes to the dead letters at once."""


class StoreUnavailable(Retryable):
    """The database cannot be reached or has just gone away; nothing was committed, or it is unclear whether it was."""


class ProviderUnavailable(Retryable):
    """Retell did not answer a question (a look-up, not a dial) in a usable way."""


class QueueUnavailable(Retryable):
    """The queue did not take or give messages; nothing may be called durable."""
