"""The acts of the proxy: its treatment of one request of the product, and of a case from first to last."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, StrEnum

from proof.harness.http import Message, response_bytes

#: Makes the client's answer from the provider's; None: the provider was not asked.
Form = Callable[[Message | None], bytes]


class Forward(StrEnum):
    """When the request reaches the provider. AFTER_LOOKUPS counts answered look-ups. ON_RELEASE waits for the suite,
    AT_RESEND for the case's next create-phone-call."""

    NOW = "now"
    NEVER = "never"
    AFTER_SECONDS = "after seconds"
    AFTER_LOOKUPS = "after look-ups"
    AT_RESEND = "at the resend"
    ON_RELEASE = "on release"


class End(Enum):
    """The end of the connection after the bytes that were sent."""

    KEEP = "keep"
    CLOSE = "close"
    RESET = "reset"
    SILENCE = "silence"


def as_it_is(answer: Message | None) -> bytes:
    return answer.raw if answer is not None else b""


@dataclass(frozen=True, slots=True)
class Act:
    """`cut` is how many bytes of the answer are sent; `forward_after` is in seconds or look-ups; `delay_s` passes
    before the answer; `drip_s` between its parts; `repeats` sends it once more when the client has had it."""

    forward: Forward = Forward.NOW
    forward_after: float = 0.0
    form: Form = as_it_is
    delay_s: float = 0.0
    after_webhooks: bool = False
    cut: int | None = None
    end: End = End.KEEP
    drip_s: float = 0.0
    repeats: bool = False


PASS = Act()


@dataclass(frozen=True, slots=True)
class Plan:
    """The nth request of a kind is treated by the nth act, later ones pass. `loses_webhooks`: none arrives."""

    creates: tuple[Act, ...] = ()
    lookups: tuple[Act, ...] = ()
    polls: tuple[Act, ...] = ()
    loses_webhooks: bool = False


def answers(status: int, body: bytes = b"{}", *lines: str) -> Act:
    """The provider is not asked."""
    return Act(Forward.NEVER, form=lambda _: response_bytes(status, body, *lines))


def rings_and_answers(status: int, body: bytes = b"{}", *lines: str) -> Act:
    return Act(form=lambda _: response_bytes(status, body, *lines))


def lost(end: End) -> Act:
    """Read whole, and never forwarded."""
    return Act(Forward.NEVER, cut=0, end=end)


def answer_lost(end: End) -> Act:
    """The provider has accepted it; its answer does not arrive."""
    return Act(cut=0, end=end)


def late(forward: Forward, after: float = 0.0) -> Act:
    """The client gives up; then the request arrives at the provider after all."""
    return Act(forward, after, cut=0, end=End.SILENCE)
