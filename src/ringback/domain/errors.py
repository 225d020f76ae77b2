"""An error carries its fate: the consumer decides acknowledge, delay or dead letter by these classes alone."""


class Retryable(Exception):
    """The same message may succeed later; it returns to the queue and its receive count goes on."""

    def __init__(self, message: str, retry_after_s: float = 5.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Permanent(Exception):
    """The message can never succeed; it goes to the dead letters at once."""


class AnotherVersion(Exception):
    """The message is of a version that this process does not know. During a rolling upgrade another process may: the
    message goes back to the queue for long, until it has been received too often to be of use."""


class NotAboutACall(Permanent):
    """An event of the provider's that concerns no call, a chat's for example: there is nothing to apply it to."""

    def __init__(self, event_name: str) -> None:
        super().__init__("event without a call")
        self.event_name = event_name


class StoreUnavailable(Retryable):
    """The database cannot be reached or has just gone away; nothing was committed, or it is unclear whether it was."""


class ErasureKeyMissing(StoreUnavailable):
    """The database holds hashes of erased people under a key that this process does not have, so it cannot tell whether
    a person must not be called."""

    def __init__(self) -> None:
        super().__init__(
            "RINGBACK_ERASURE_KEY: must hold every key that hashed erased people of this database, the newest first"
        )


class ClockIsOff(Retryable):
    """Our clock and the database's differ by more than can be trusted; nothing is due, late or over by it."""


class ProviderUnavailable(Retryable):
    """Retell did not answer a question (a look-up, not a dial) in a usable way."""


class QueueUnavailable(Retryable):
    """The queue did not take or give messages; nothing may be called durable."""


class AcrossTheBorder(Retryable):
    """The calls of this installation and the provider at hand are not known to be on the same side: both emulated, or
    both real."""


class StartRefused(Exception):
    """This process must not start. The text is one sentence that says what to do."""
