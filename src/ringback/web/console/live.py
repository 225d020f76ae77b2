"""Live updates of open pages. One loop reads the database for all viewers of a process, at most once a second."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, Protocol

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.responses import Response

from ringback.domain.errors import Retryable
from ringback.loops import rest
from ringback.ports import Clock
from ringback.storage import CallFilter
from ringback.web.console.rendering import Times
from ringback.web.console.sessions import HEADERS, NOT_STORED, Sessions
from ringback.web.problems import unavailable

Item = dict[str, Any]
#: A text about facts that were read already. It is rendered once for each zone in which viewers see times.
Text = Callable[[Times], str]

#: The shortest time between two updates. The loop also rests twenty times as long as its reads took, so that viewers
#: take at most a twentieth of one connection's time from dialing; but no longer than `LONGEST_REST_S`, after which a
#: page says that it is stale.
EVERY_S = 1.0
REST_TO_WORK = 20
LONGEST_REST_S = 5.0
#: Streams at once in one process. Each is a connection and a few kilobytes.
MOST_VIEWERS = 200
#: Calls among which the new ones of a list are found, and the number above which a list says "more than".
NEWEST = 500
#: Messages that wait for a viewer that does not read. Then its stream is closed, and it begins anew.
MOST_WAITING = 8
#: A browser connects again after this time.
RETRY_MS = 2000


class LiveCalls(Protocol):
    """The reads of live pages. All raise StoreUnavailable."""

    async def newest_calls(self, limit: int) -> list[Item]: ...
    async def marks(self, call_ids: Collection[str]) -> dict[str, str]:
        """Return a mark of each of these calls that exists. It differs after every change of the call's rows."""
        ...


def _nothing(times: Times) -> str:
    return ""


@dataclass(slots=True)
class Round:
    """The reads of one pass of the loop, for every viewer."""

    as_of: Mapping[Times, str]
    marks: Mapping[str, str]
    newest: list[Item]
    now: Text = _nothing
    rows: dict[str, Text] = field(default_factory=dict)
    stories: dict[str, Text] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Viewer:
    """An open page: its session, the calls that it shows, and the messages that it has not got yet.

    `marks` are those of its calls when they were last sent. `messages` ends with None.
    """

    session: str
    times: Times = Times.REPORT
    call_ids: Collection[str] = ()
    marks: Mapping[str, str] = field(default_factory=dict)
    messages: asyncio.Queue[Item | None] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING + 1))

    def changed(self, marks: Mapping[str, str]) -> list[str]:
        return [one for one in self.call_ids if one in marks and marks[one] != self.marks.get(one)]

    def html(self, read: Round) -> str | None:
        """The text of what has changed since the last message. None: nothing."""
        raise NotImplementedError

    def fresh(self, read: Round) -> int | None:
        """Count the calls of the list that the page does not show yet. None: the page shows no such list."""
        return None

    def end(self, why: str | None = None) -> None:
        """Close the stream, after telling why. A viewer without a reason connects again."""
        while not self.messages.empty():
            self.messages.get_nowait()
        if why is not None:
            self.messages.put_nowait({"ended": why})
        self.messages.put_nowait(None)

    def tell(self, read: Round) -> None:
        message = {"as_of": read.as_of[self.times], "html": self.html(read), "fresh": self.fresh(read)}
        self.marks = read.marks
        if self.messages.qsize() >= MOST_WAITING:
            self.end()
        else:
            self.messages.put_nowait({name: value for name, value in message.items() if value is not None})


@dataclass(slots=True, eq=False)
class NowViewer(Viewer):
    shown: str = ""

    def html(self, read: Round) -> str | None:
        now = read.now(self.times)
        if now == self.shown:
            return None
        self.shown = now
        return now


@dataclass(slots=True, eq=False)
class StoryViewer(Viewer):
    """A viewer of one call."""

    def html(self, read: Round) -> str | None:
        return "".join(read.stories[one](self.times) for one in self.changed(read.marks)) or None


@dataclass(slots=True, eq=False)
class ListViewer(Viewer):
    """A viewer of a list of calls. `newest` is the first call of its page; None for a page of older calls."""

    wanted: CallFilter = field(default_factory=CallFilter)
    newest: str | None = None
    known: set[str] | None = None
    found: set[str] = field(default_factory=set)

    def html(self, read: Round) -> str | None:
        changed = [one for one in self.changed(read.marks) if one in read.rows]
        return "".join(read.rows[one](self.times) for one in changed) or None

    def fresh(self, read: Round) -> int | None:
        # Stuck calls are old ones, which are not among the newest.
        if self.newest is None or self.wanted.stuck:
            return None
        matching = {call["call_id"] for call in read.newest if matches(self.wanted, call)}
        if self.known is None:
            self.known = {one for one in matching if one <= self.newest}
        if len(self.found) < NEWEST:
            # A call with a smaller id may be committed later, so it is no question of the order of ids.
            self.found |= matching - self.known
        return len(self.found)


@dataclass(slots=True)
class Live:
    """The loop and its viewers. `render_now`, `render_rows` and `render_story` read, and return what renders; all three
    raise Retryable."""

    calls: LiveCalls
    sessions: Sessions
    clock: Clock
    zone: tzinfo
    render_now: Callable[[], Awaitable[Text]]
    render_rows: Callable[[Collection[str]], Awaitable[dict[str, Text]]]
    render_story: Callable[[str], Awaitable[Text]]
    viewers: set[Viewer] = field(default_factory=set)
    is_over: bool = False

    async def run(self, stop: asyncio.Event) -> None:
        """Tell the viewers once, then rest. At `stop` every stream is closed."""
        began_s = time.monotonic()
        try:
            if self.viewers:
                # The monitoring logs what is unavailable, and a page that hears nothing says since when.
                with suppress(Retryable):
                    await self.tell_all()
            await rest(min(LONGEST_REST_S, max(EVERY_S, REST_TO_WORK * (time.monotonic() - began_s))), stop)
        finally:
            if stop.is_set():
                self.is_over = True
                for viewer in self.viewers:
                    viewer.end()

    async def tell_all(self) -> None:
        """Read what all viewers need, and tell each what has changed. Raises StoreUnavailable, and Retryable."""
        viewers = list(self.viewers)
        in_force = await self.sessions.in_force({viewer.session for viewer in viewers})
        for viewer in viewers:
            if viewer.session not in in_force:
                viewer.end("The session has ended. Sign in again.")
        viewers = [viewer for viewer in viewers if viewer.session in in_force]
        read = await self._read(viewers)
        for viewer in viewers:
            viewer.tell(read)

    async def _read(self, viewers: list[Viewer]) -> Round:
        def of(kind: type[Viewer]) -> list[Viewer]:
            return [viewer for viewer in viewers if isinstance(viewer, kind)]

        lists, stories = of(ListViewer), of(StoryViewer)
        watched = {one for viewer in viewers for one in viewer.call_ids}
        marks = await self.calls.marks(watched) if watched else {}
        newest = await self.calls.newest_calls(NEWEST) if lists else []
        now, zones = self.clock.now(), dict.fromkeys(Times, self.zone) | {Times.UTC: UTC}
        as_of = {times: f"{now.astimezone(zone):%H:%M:%S}" for times, zone in zones.items()}
        read = Round(as_of, marks, newest)
        if of(NowViewer):
            read.now = await self.render_now()
        if changed := {one for viewer in lists for one in viewer.changed(marks)}:
            read.rows = await self.render_rows(changed)
        for one in {one for viewer in stories for one in viewer.changed(marks)}:
            read.stories[one] = await self.render_story(one)
        return read

    def stream(self, viewer: Viewer, method: str) -> Response:
        """Answer with the viewer's messages, until either side closes the stream. Raises Problem 503 if it is full.

        HEAD gets the head alone and no place: its client reads no message, so nothing would end the stream.
        """
        if method == "HEAD":
            return Response(headers=HEADERS | NOT_STORED, media_type="text/event-stream")
        if self.is_over or len(self.viewers) >= MOST_VIEWERS:
            raise unavailable(RETRY_MS // 1000)
        return EventSourceResponse(self._events(viewer), headers=HEADERS | NOT_STORED, ping=0, sep="\n")

    async def _events(self, viewer: Viewer) -> AsyncIterator[ServerSentEvent]:
        self.viewers.add(viewer)
        try:
            yield ServerSentEvent(retry=RETRY_MS, sep="\n")
            while (message := await viewer.messages.get()) is not None:
                yield ServerSentEvent(json.dumps(message, ensure_ascii=False), sep="\n")
        finally:
            self.viewers.discard(viewer)


def matches(wanted: CallFilter, call: Item) -> bool:
    """Whether a list with this filter has the call, apart from `stuck`."""
    asked = {
        name: getattr(wanted, name) for name in ("contact_id", "phone", "status", "reason", "agent_id", "from_number")
    }
    return (
        all(value is None or call[name] == value for name, value in asked.items())
        and (wanted.since is None or call["accepted_at"] >= wanted.since)
        and (wanted.until is None or call["accepted_at"] < wanted.until)
    )
