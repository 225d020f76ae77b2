"""The class of an error decides what the consumer does: acknowledge, delay or dead letter."""


class Retryable(Exception):
    """The same message may succeed later. It returns to the queue and keeps its receive count."""

    def __init__(self, message: str, retry_after_s: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Permanent(Exception):
    """The message can never succeed. It goes to the dead letters at once."""


class AnotherVersion(Exception):
    """The message is of a version that this process does not know.

    During a rolling upgrade another process may know it. The message returns to the queue with a long delay, until its
    receive count is used up.
    """


class NotAboutACall(Permanent):
    """The provider's event concerns no call, for example a chat."""

    def __init__(self, event_name: str) -> None:
        super().__init__("event without a call")
        self.event_name = event_name


class StoreUnavailable(Retryable):
    """The database is unavailable. Nothing was committed, or it is unclear whether it was."""


class ErasureKeyMissing(StoreUnavailable):
    """The process lacks a key of the database's hashes of erased people.

    It cannot tell whether a person must not be called.
    """

    def __init__(self) -> None:
        super().__init__(
            "RINGBACK_ERASURE_KEY: must hold every key that hashed erased people of this database, the newest first"
        )


class ClockIsOff(Retryable):
    """The local clock and the database's differ too much. Nothing may be judged due, late or expired by it."""


class ProviderUnavailable(Retryable):
    """Retell gave no usable answer to a look-up. Dials have answers of their own."""


class QueueUnavailable(Retryable):
    """The queue did not accept or return messages. Nothing may be reported as durable."""


class AcrossTheBorder(Retryable):
    """This installation's calls and its provider are not known to be on the same side: both emulated, or both real."""


class StartRefused(Exception):
    """This process must not start. The text is one sentence that says how to repair it."""
