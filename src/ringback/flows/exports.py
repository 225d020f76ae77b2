"""Export attempts, calls and events as CSV or JSON lines, with constant memory and in a stable order."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Protocol

from ringback.domain.abt_event import iso
from ringback.domain.analytics_query import Filter
from ringback.domain.exported_page import Page
from ringback.domain.masking import hide_phones_in
from ringback.ports import Clock

#: The kinds of rows, and the keys by which each can be chosen besides its time.
KINDS: dict[str, frozenset[str]] = {
    "attempts": frozenset({"campaign", "agent", "agent_version", "from_number", "attempt_no", "outcome"}),
    "calls": frozenset({"campaign", "agent", "from_number", "outcome"}),
    "events": frozenset({"call_id", "contact_id", "event_type", "campaign", "agent", "from_number"}),
}
#: A spreadsheet runs text that begins with one of these as a formula.
_RUNS = frozenset("=+-@\t\r")


class ExportRows(Protocol):
    """Each method yields pages in a stable order. All raise StoreUnavailable."""

    def attempts(self, asked: Filter) -> AsyncIterator[Page]:
        """The concluded attempts that were dialed in the range."""
        ...

    def calls(self, asked: Filter) -> AsyncIterator[Page]:
        """The calls that were accepted in the range."""
        ...

    def events(self, asked: Filter) -> AsyncIterator[Page]:
        """The ABT events that were made in the range. Agent and number are those of the event's call."""
        ...


@dataclass(frozen=True, slots=True)
class Exports:
    """The needs of the endpoint of exports."""

    rows: ExportRows
    clock: Clock
    report_zone: tzinfo


def pages_of(rows: ExportRows, kind: str, asked: Filter) -> AsyncIterator[Page]:
    """The pages of one of `KINDS`."""
    return read_ahead({"attempts": rows.attempts, "calls": rows.calls, "events": rows.events}[kind](asked))


async def read_ahead(pages: AsyncIterator[Page]) -> AsyncIterator[Page]:
    """The same pages. The database reads the next one while this process writes and sends the last."""
    reading = asyncio.ensure_future(anext(pages, None))
    try:
        while (page := await reading) is not None:
            reading = asyncio.ensure_future(anext(pages, None))
            yield page
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await reading


async def with_masked_phones(pages: AsyncIterator[Page]) -> AsyncIterator[Page]:
    """The same rows for a reader who may not see phone numbers."""
    async for page in pages:
        yield Page(page.names, [[hide_phones_in(value) for value in row] for row in page.rows])


async def as_csv(pages: AsyncIterator[Page], *, is_safe: bool) -> AsyncGenerator[bytes, None]:
    """RFC 4180 with a header. An export without rows is empty. `is_safe` marks text that a spreadsheet would run."""
    is_first = True
    async for page in pages:
        text = io.StringIO()
        writer = csv.writer(text)
        if is_first:
            writer.writerow(page.names)
            is_first = False
        forms = _SAFE_FORMS if is_safe else _FORMS
        columns = zip(*page.rows, strict=True)
        writer.writerows(zip(*(_written(column, forms) for column in columns), strict=True))
        yield text.getvalue().encode()


def _written(column: Sequence[Any], forms: Mapping[type, Callable[[Any], Any]]) -> Sequence[Any]:
    """The cells of one column, whose values have one type. A million rows have 27 million cells."""
    kind = next((type(value) for value in column if value is not None), type(None))
    form = forms.get(kind)
    return column if form is None else [value if value is None else form(value) for value in column]


def _safe(text: str) -> str:
    return f"'{text}" if text[:1] in _RUNS else text


_FORMS: Mapping[type, Callable[[Any], Any]] = {
    datetime: iso,
    bool: {True: "true", False: "false"}.get,
    dict: json.dumps,
}
_SAFE_FORMS = {**_FORMS, str: _safe}


async def as_json_lines(pages: AsyncIterator[Page]) -> AsyncGenerator[bytes, None]:
    encode = json.JSONEncoder(default=_json).encode  # `json.dumps` would make an encoder for each row
    async for page in pages:
        yield "".join(encode(dict(zip(page.names, row, strict=True))) + "\n" for row in page.rows).encode()


def _json(value: Any) -> Any:
    return iso(value) if isinstance(value, datetime) else str(value)
