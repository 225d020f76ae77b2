"""Spans that begin are kept, and not exported."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ringback import tracing
from ringback.tracing import Fact, NewSpan, TraceContext

#: The id of a span whose id does not follow from its call or attempt.
ANY_SPAN_ID = "00f067aa0ba902b7"


@dataclass
class RecordedSpan:
    new: NewSpan
    facts: dict[str, Fact | None] = field(default_factory=dict)
    has_ended: bool = False

    def note(self, **facts: Fact | None) -> None:
        self.facts |= facts

    def carried(self) -> dict[str, str]:
        return {tracing.ATTRIBUTE: str(TraceContext(self.new.trace_id, self.new.span_id or ANY_SPAN_ID))}

    def __enter__(self) -> "RecordedSpan":
        return self

    def __exit__(self, *error: object) -> None:
        self.has_ended = True


@contextmanager
def recorded_spans() -> Iterator[list[RecordedSpan]]:
    begun: list[RecordedSpan] = []

    def begin(new: NewSpan) -> RecordedSpan:
        begun.append(RecordedSpan(new, dict(new.facts)))
        return begun[-1]

    tracing.arm(begin)
    try:
        yield begun
    finally:
        tracing.arm(None)
