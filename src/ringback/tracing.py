"""Traces: a call's spans, from its acceptance to its last event. When off, a span costs one comparison.

The ids of traces and spans follow from the ids of calls and attempts. So every process finds the trace of a call, also
where no context can travel: over a task that waits for days, or a lost webhook. They are hashes, because samplers
expect ids with evenly spread bits. No attribute has a phone, a name, or the text of an error.

The format of `traceparent` is W3C Trace Context, level 1.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Protocol, Self

ATTRIBUTE = "traceparent"  # of a message, and the header of a request
#: In the metadata of a provider's call, which its webhooks repeat. It needs the metadata only where no id is known.
METADATA_KEY = "ringback_traceparent"
_TRACEPARENT = re.compile("00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")
# A quote within a JSON text is escaped, so no transcript matches.
_IN_WEBHOOK = re.compile(f'"{METADATA_KEY}" ?: ?"({_TRACEPARENT.pattern})"'.encode())

Fact = str | int | bool


class SpanKind(StrEnum):
    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    CONSUMER = "consumer"


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span that others may follow. Both ids are lower-case hexadecimal digits: 32 and 16."""

    trace_id: str
    span_id: str

    def __str__(self) -> str:
        """Return the `traceparent`. Every span is recorded unless a sampler drops its whole trace."""
        return f"00-{self.trace_id}-{self.span_id}-01"


@dataclass(frozen=True, slots=True)
class AttemptIds:
    """An attempt and its number within its call, from 1."""

    attempt_id: str
    number: int


@dataclass(frozen=True, slots=True)
class NewSpan:
    """A span that begins at `began_ns` Unix time, None: now. `span_id` None: any id. `parent_id` None: it is a root."""

    name: str
    kind: SpanKind
    trace_id: str
    span_id: str | None
    parent_id: str | None
    link: TraceContext | None
    began_ns: int | None
    facts: Mapping[str, Fact]


class Span(Protocol):
    """A span. It ends with its block. An error of the block is recorded by its type alone."""

    def note(self, **facts: Fact | None) -> None:
        """Add attributes. An absent fact is none."""
        ...

    def carried(self) -> dict[str, str]:
        """Return the attributes of a message, or the headers of a request, that continue this span."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...


class _NoSpan:
    def note(self, **facts: Fact | None) -> None:
        pass

    def carried(self) -> dict[str, str]:
        return {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass


Begin = Callable[[NewSpan], Span]

_begin: Begin | None = None
_NO_SPAN = _NoSpan()


def arm(begin: Begin | None) -> None:
    """Record spans with `begin` from now on. None turns them off."""
    global _begin
    _begin = begin


def now_ns() -> int:
    """Return the Unix time for the begin of a span, 0 when off."""
    return 0 if _begin is None else time.time_ns()


def of_call(call_id: str) -> TraceContext:
    """Return the span of a call's acceptance, the root of its trace."""
    digest = sha256(call_id.encode()).hexdigest()
    return TraceContext(digest[:32], digest[32:48])


def of_attempt(call_id: str, attempt: AttemptIds) -> TraceContext:
    """Return the span of an attempt. A first attempt belongs to the trace of its call.

    A later one may follow after days, when no backend waits for more spans of a trace. It has a trace of its own.
    """
    own = of_call(attempt.attempt_id)
    return own if attempt.number > 1 else TraceContext(of_call(call_id).trace_id, own.span_id)


def read_traceparent(text: object) -> TraceContext | None:
    """Return the context, None for anything else. A wrong one must not harm the message that carries it."""
    found = _TRACEPARENT.fullmatch(text) if isinstance(text, str) else None
    if found is None or set(found[1]) == {"0"} or set(found[2]) == {"0"}:
        return None
    return TraceContext(found[1], found[2])


def attributes_of(call_id: str) -> dict[str, str]:
    """Return the attributes of a message about a call, none when off."""
    return {} if _begin is None else {ATTRIBUTE: str(of_call(call_id))}


def marks_of(call_id: str, attempt: AttemptIds) -> dict[str, str]:
    """Return what an attempt adds to the metadata of the provider's call, nothing when off."""
    return {} if _begin is None else {METADATA_KEY: str(of_attempt(call_id, attempt))}


def span(
    name: str,
    call_id: str | None,
    attempt: AttemptIds | None = None,
    *,
    follows: object = None,
    kind: SpanKind = SpanKind.INTERNAL,
    began_ns: int = 0,
    **facts: Fact,
) -> Span:
    """Begin a span below the span of its attempt or call. What is about no call has none.

    `follows` may be a traceparent that a message carried: the span is then below that one, if it is of this trace.
    """
    if _begin is None or call_id is None:
        return _NO_SPAN
    parent = _followed(follows, of_call(call_id) if attempt is None else of_attempt(call_id, attempt))
    ids = _ids(call_id, attempt)
    return _begin(NewSpan(name, kind, parent.trace_id, None, parent.span_id, None, began_ns or None, ids | facts))


def span_of_call(name: str, call_id: str, *, caused_by: object, began_ns: int) -> Span:
    """Begin the root span of a call. It has a link to the caller's traceparent `caused_by`, if that is one."""
    if _begin is None:
        return _NO_SPAN
    own, link = of_call(call_id), read_traceparent(caused_by)
    return _begin(
        NewSpan(name, SpanKind.SERVER, own.trace_id, own.span_id, None, link, began_ns or None, _ids(call_id, None))
    )


def span_of_attempt(name: str, call_id: str, attempt: AttemptIds, *, follows: object, began_ns: int) -> Span:
    """Begin the span of an attempt. A later attempt than the first has a link to its call instead of a parent."""
    if _begin is None:
        return _NO_SPAN
    own, call = of_attempt(call_id, attempt), _followed(follows, of_call(call_id))
    is_first = own.trace_id == call.trace_id
    parent_id, link = (call.span_id, None) if is_first else (None, call)
    ids = _ids(call_id, attempt)
    kind = SpanKind.CONSUMER
    return _begin(NewSpan(name, kind, own.trace_id, own.span_id, parent_id, link, began_ns or None, ids))


def span_of_webhook(name: str, body: bytes, *, began_ns: int) -> Span:
    """Begin the span of a receipt, below the context in the webhook's metadata. Without that there is none."""
    if _begin is None:
        return _NO_SPAN
    found = _IN_WEBHOOK.search(body)
    parent = read_traceparent(found[1].decode()) if found is not None else None
    if parent is None:
        return _NO_SPAN
    facts = {"bytes": len(body)}
    return _begin(NewSpan(name, SpanKind.SERVER, parent.trace_id, None, parent.span_id, None, began_ns or None, facts))


def span_of_event(name: str, event_id: str, event: Mapping[str, object]) -> Span:
    """Begin the span of an ABT event's delivery. An envelope of another version, which lacks the ids, has none."""
    data = event.get("data") if _begin is not None else None
    if not isinstance(data, dict) or not isinstance(data.get("call_id"), str):
        return _NO_SPAN
    attempt_id, number = data.get("attempt_id"), data.get("attempt")
    attempt = AttemptIds(attempt_id, number) if isinstance(attempt_id, str) and isinstance(number, int) else None
    delivering = span(name, data["call_id"], attempt, kind=SpanKind.CLIENT)
    delivering.note(event_id=event_id, event_type=str(event.get("type")))
    return delivering


def _followed(traceparent: object, otherwise: TraceContext) -> TraceContext:
    """Return the context of the traceparent if it is of the same trace."""
    carried = read_traceparent(traceparent)
    return carried if carried is not None and carried.trace_id == otherwise.trace_id else otherwise


def _ids(call_id: str, attempt: AttemptIds | None) -> dict[str, Fact]:
    ids: dict[str, Fact] = {"call_id": call_id}
    if attempt is not None:
        ids |= {"attempt_id": attempt.attempt_id, "attempt_number": attempt.number}
    return ids
