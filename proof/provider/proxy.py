"""The proxy between the product and the provider, in a thread of its own; its log is the second ledger."""

import asyncio
import contextlib
import json
import re
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from proof.harness.http import ANSWER_WITHIN_S, Message, exchange, read_message, reset, response_bytes
from proof.harness.ports import ReservedPort
from proof.provider.acts import PASS, Act, End, Forward, Plan

T = TypeVar("T")
Address = tuple[str, int]
#: Whether the product has applied webhooks with these names to this attempt.
Applied = Callable[[str, Collection[str]], Awaitable[bool]]

CASE_KEY = "proof_case"
CREATE = "/v2/create-phone-call"
LIST = "/v3/list-calls"
GET = "/v2/get-call/"
#: Every redirect points here: a client that follows one is seen.
ELSEWHERE = f"{CREATE}?elsewhere"
_POLL_S = 0.01
_REPEAT_AFTER_S = 0.03
_WEBHOOKS_OF_UNCONNECTED = {"call_ended", "call_analyzed"}
_CALL_ID = re.compile(r'"(?:call_id)": ?"([^"]+)"')


class Entrance(Enum):
    """The treatment of a new connection on the provider's side."""

    OPEN = "open"
    REFUSES = "refuses"
    SLAMS = "slams"  # accepts and closes before it has read anything


@dataclass(slots=True)
class Seen:
    """One request as it came. `answer_bytes` is the length of the provider's whole answer, `sent_bytes` what the client
    was sent of it; None where the provider was not asked."""

    at: float
    case: str
    path: str
    body: bytes
    key: str | None = None
    answer_bytes: int | None = None
    sent_bytes: int | None = None


@dataclass(slots=True)
class _Course:
    """The progress of a case."""

    creates: int = 0
    lookups: int = 0
    lookups_answered: int = 0
    polls: int = 0
    released: bool = False
    webhooks_taken: set[str] = field(default_factory=set)
    first_evidence_at: float | None = None


class Proxy:
    """Two entrances: the provider's, for the product, and the webhooks', for the provider. `log` only grows.

    `have_applied` tells whether the product has applied the webhooks of an attempt. It is called in the proxy's thread.
    """

    def __init__(self, provider: Address, product: Address, plans: Mapping[str, Plan], have_applied: Applied) -> None:
        self._provider = provider
        self._product = product
        self._plans = plans
        self._have_applied = have_applied
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._kept = ReservedPort()
        self._server: asyncio.Server | None = None
        self._webhook_server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._case_of: dict[str, str] = {}  # by attempt id, and by provider call id
        self._courses: dict[str, _Course] = defaultdict(_Course)
        self._entrance = Entrance.OPEN
        self.account_refusal: int | None = None
        self.log: list[Seen] = []
        self.slammed = 0
        self.webhooks_lost = 0
        self.webhook_port = 0

    @property
    def url(self) -> str:
        return self._kept.url

    @property
    def webhook_url(self) -> str:
        return f"http://127.0.0.1:{self.webhook_port}/retell/webhook"

    def open(self) -> None:
        self._thread.start()
        self._run(self._open())

    def close(self) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        self._kept.close()

    def set_entrance(self, entrance: Entrance) -> None:
        """From now on; connections that are open are closed."""
        self._run(self._set_entrance(entrance))

    def release(self, case: str) -> None:
        """Lets a late request arrive."""
        self._courses[case].released = True

    def creates(self, case: str) -> list[Seen]:
        return [seen for seen in tuple(self.log) if seen.case == case and seen.path.startswith(CREATE)]

    def log_of_creates(self) -> list[Seen]:
        return [seen for seen in tuple(self.log) if seen.path.startswith(CREATE)]

    def strays(self) -> list[Seen]:
        return [seen for seen in tuple(self.log) if "elsewhere" in seen.path]

    def evidence_at(self, case: str) -> float | None:
        """Monotonic seconds of the first proof of the call that the product has taken."""
        return self._courses[case].first_evidence_at

    def lookups(self, case: str) -> int:
        return self._courses[case].lookups

    @property
    def busy(self) -> int:
        """Requests that are still to reach the provider."""
        return len(self._tasks)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _open(self) -> None:
        self._webhook_server = await asyncio.start_server(self._take_webhooks, "127.0.0.1", 0, backlog=1000)
        self.webhook_port = self._webhook_server.sockets[0].getsockname()[1]
        await self._set_entrance(Entrance.OPEN)

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self._set_entrance(Entrance.REFUSES)
        if self._webhook_server is not None:
            self._webhook_server.close()
        leftover = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in leftover:
            task.cancel()
        await asyncio.gather(*leftover, return_exceptions=True)

    async def _set_entrance(self, entrance: Entrance) -> None:
        self._entrance = entrance
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._connections):
            writer.transport.abort()
        if entrance is not Entrance.REFUSES:
            port = self._kept.number
            self._server = await asyncio.start_server(
                self._take_requests, "127.0.0.1", port, reuse_port=True, backlog=1000
            )

    async def _take_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._entrance is Entrance.SLAMS:
            self.slammed += 1
            writer.close() if self.slammed % 2 else reset(writer)
            return
        self._connections.add(writer)
        try:
            while (request := await read_message(reader)) and await self._treat(request, reader, writer):
                pass
        except ConnectionError:
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _treat(self, request: Message, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection may have another request."""
        if self.account_refusal is not None and request.path == CREATE:
            self._note(request)
            writer.write(response_bytes(self.account_refusal, b'{"status": "error", "message": "refused"}'))
            return True
        seen, act = self._note(request)
        answer = await self._ask_provider(request, seen, act)
        course = self._courses[seen.case]
        if act.after_webhooks:
            await _until(lambda: course.webhooks_taken >= _WEBHOOKS_OF_UNCONNECTED)
            # Taken is not applied: on a busy machine a refusal could come between, and be believed.
            attempt_id = str(_json(request.body).get("metadata", {}).get("ringback_attempt_id"))
            while not await self._have_applied(attempt_id, _WEBHOOKS_OF_UNCONNECTED):
                await asyncio.sleep(_POLL_S)
        await asyncio.sleep(act.delay_s)
        content = act.form(answer)[: act.cut]
        seen.sent_bytes = len(content)
        await _send(writer, content, act.drip_s)
        self._note_answered(seen, course, answer)
        if act.repeats:
            await asyncio.sleep(_REPEAT_AFTER_S)
            writer.write(content)
        return await _end(act.end, reader, writer)

    def _note(self, request: Message) -> tuple[Seen, Act]:
        path, body = request.path, request.body
        seen = Seen(time.monotonic(), self._case(path, body), path, body)
        course, plan = self._courses[seen.case], self._plans.get(seen.case, Plan())
        act = PASS
        if path.startswith(CREATE):
            seen.key = _json(body).get("idempotency_key")
            act, course.creates = _nth(plan.creates, course.creates), course.creates + 1
        elif path == LIST:
            act, course.lookups = _nth(plan.lookups, course.lookups), course.lookups + 1
        elif path.startswith(GET):
            act, course.polls = _nth(plan.polls, course.polls), course.polls + 1
        self.log.append(seen)
        return seen, act

    def _case(self, path: str, body: bytes) -> str:
        if path.startswith(CREATE):
            metadata = _json(body).get("metadata", {})
            case = str(metadata.get(CASE_KEY, ""))
            self._case_of[str(metadata.get("ringback_attempt_id"))] = case
            return case
        if path == LIST:
            filters = _json(body).get("filter_criteria", {}).get("metadata", [])
            return self._case_of.get(filters[0]["value"], "") if filters else ""
        return self._case_of.get(path.removeprefix(GET), "") if path.startswith(GET) else ""

    async def _ask_provider(self, request: Message, seen: Seen, act: Act) -> Message | None:
        if act.forward is Forward.NEVER:
            return None
        if act.forward is not Forward.NOW:
            task = asyncio.create_task(self._forward_late(request, seen, act))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return None
        return await self._forward(request, seen)

    async def _forward_late(self, request: Message, seen: Seen, act: Act) -> None:
        course, due_at = self._courses[seen.case], time.monotonic() + act.forward_after
        match act.forward:
            case Forward.AFTER_SECONDS:
                await _until(lambda: time.monotonic() >= due_at)
            case Forward.AFTER_LOOKUPS:
                await _until(lambda: course.lookups_answered >= act.forward_after)
            case Forward.AT_RESEND:
                await _until(lambda: course.creates > 1)
            case _:
                await _until(lambda: course.released)
        await self._forward(request, seen)

    async def _forward(self, request: Message, seen: Seen) -> Message:
        answer = await exchange(self._provider, request)
        if request.path == CREATE:
            seen.answer_bytes = len(answer.raw)
            found = _CALL_ID.search(answer.body.decode())
            if found:
                self._case_of[found[1]] = seen.case
        return answer

    def _note_answered(self, seen: Seen, course: _Course, answer: Message | None) -> None:
        if seen.path != LIST:
            return
        course.lookups_answered += 1
        whole = answer is not None and seen.sent_bytes == len(answer.raw)
        if whole and answer is not None and b'"items":[]' not in answer.body and answer.status == 200:
            course.first_evidence_at = course.first_evidence_at or time.monotonic()

    async def _take_webhooks(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await read_message(reader):
                writer.write((await self._pass_webhook(request)).raw)
        except ConnectionError:
            pass  # the sender tries again
        finally:
            writer.close()

    async def _pass_webhook(self, request: Message) -> Message:
        told = _json(request.body)
        case = str((told.get("call", {}).get("metadata") or {}).get(CASE_KEY, ""))
        if self._plans.get(case, Plan()).loses_webhooks:
            self.webhooks_lost += 1
            return Message(b"HTTP/1.1 204 Lost\r\n\r\n", b"")
        answer = await exchange(self._product, request)
        if answer.status < 300:
            course = self._courses[case]
            course.webhooks_taken.add(str(told.get("event")))
            course.first_evidence_at = course.first_evidence_at or time.monotonic()
        return answer


def _nth(acts: tuple[Act, ...], index: int) -> Act:
    return acts[index] if index < len(acts) else PASS


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


async def _until(is_so: Callable[[], bool]) -> None:
    """However long it takes; the end of the proxy cancels it."""
    while not is_so():
        await asyncio.sleep(_POLL_S)


async def _send(writer: asyncio.StreamWriter, content: bytes, drip_s: float) -> None:
    if not drip_s:
        writer.write(content)
    else:
        for start in range(0, len(content), 64):
            writer.write(content[start : start + 64])
            await writer.drain()
            await asyncio.sleep(drip_s)
    await writer.drain()


async def _end(end: End, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    match end:
        case End.KEEP:
            return True
        case End.CLOSE:
            writer.close()
        case End.RESET:
            reset(writer)
        case End.SILENCE:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(), ANSWER_WITHIN_S)  # until the client has given up
    return False
