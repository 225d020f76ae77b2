"""An examination: the receiver, fresh messages for it, and the shape of its rules and verdicts."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ringback.cli.conformance import streams
from ringback.cli.conformance.receiver import Answer, Message, Receiver, name_of
from ringback.cli.conformance.streams import CrmWrite, Event


@dataclass(slots=True)
class Examination:
    """The receiver, and fresh streams of events by the names of the examples.

    Without `has_writes` no CRM writes are sent. `contact_url` is a page of the receiver's that shows a contact, with
    `{contact_id}` in it.
    """

    receiver: Receiver
    examples: dict[str, list[Event]]
    run: str
    has_writes: bool = True
    contact_url: str | None = None
    made: int = 0

    def stream(self, name: str) -> list[Event]:
        return streams.renewed(self.examples[name], self.next_run())

    def event(self, name: str = "completed") -> Event:
        return self.stream(name)[-1]

    def writes(self) -> list[CrmWrite]:
        return streams.writes(self.next_run()) if self.has_writes else []

    def one_of_each(self) -> list[Message]:
        """A new event, and new writes of fields and of a note."""
        return [self.event(), *self.writes()[:2]]

    def next_run(self) -> str:
        """The next part of the ids of a stream, so that it is one that the receiver has not seen."""
        self.made += 1
        return f"{self.run}-{self.made}"

    async def accepted(self, *messages: Message, how: str = "") -> list[str]:
        """Deliver the messages one after the other. Returns a sentence for each that is not accepted."""
        answers = [(message, await self.receiver.deliver(message)) for message in messages]
        return [sentence(message, answer, how) for message, answer in answers if not answer.is_accepted]


def sentence(message: Message, answer: Answer, how: str = "") -> str:
    said = f"{name_of(message)} {how}".strip()
    if answer.status is not None and 300 <= answer.status < 400:
        return f"{said} {answer}, and Ringback follows no redirect."
    return f"{said} {answer}."


Check = Callable[[Examination], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class Rule:
    """`title` is what a receiver does; `advice` says how, and what happens otherwise."""

    name: str
    title: str
    advice: str
    check: Check


@dataclass(slots=True)
class Verdict:
    """The problems of a rule are sentences. None: it was not examined, because the receiver was unreachable."""

    rule: Rule
    problems: list[str] | None = field(default=None)
