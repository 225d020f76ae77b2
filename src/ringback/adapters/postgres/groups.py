"""Units of work in groups: the units of several calls share a connection, their statements and the commit."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from enum import Enum
from functools import partial
from typing import Any, TypeVar

import asyncpg
import structlog

from ringback.adapters.postgres.locks import TRY_CONTACTS_OF_CALLS
from ringback.adapters.postgres.pool import UNAVAILABLE, Connection, Pool, connection_of
from ringback.adapters.postgres.questions import Question, ask_together
from ringback.adapters.postgres.tracked_rows import Statement, Write, write_together
from ringback.domain.errors import Retryable, StoreUnavailable
from ringback.failpoints import Failpoint, reach
from ringback.loops import location

#: A frozen process keeps the people of a whole group locked, until PostgreSQL ends its transaction.
LIMIT = 32
#: Groups at the same time. One of them works in Python while the other waits for PostgreSQL.
PARALLEL = 2
#: Units without a group at the same time. More would take the connections of other work, and wait for the same locks.
ALONE_AT_ONCE = 4
_SAVEPOINT = "SAVEPOINT unit"
_UNDO = "ROLLBACK TO SAVEPOINT unit"

A = TypeVar("A")
Q = TypeVar("Q")
#: The members that wait for an answer, with what they ask.
_Line = list[tuple[asyncio.Future[A], Q]]


class Grouping(Enum):
    """When units are grouped. Only proofs and tests choose another value than WHEN_BUSY."""

    WHEN_BUSY = "when busy"
    ALWAYS = "always"  # also a group of one
    NEVER = "never"


class Member:
    """A unit of work that begins with the lock of this call."""

    def __init__(self, call_id: str) -> None:
        self.call_id = call_id
        self.person: tuple[str, str] | None = None  # phone and contact id, once they are locked
        self.writes: Sequence[Write] = ()  # complete when it leaves
        self.group: Group | None = None
        self.is_alone = False
        self.joined: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.committed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def ask(self, asked: Question) -> asyncpg.Record | None:
        assert self.group is not None
        return await self.group.wait_in(self.group.questions, asked)

    async def read_in_turn(self, lock: str, statement: str, values: Sequence[Any]) -> tuple[asyncpg.Record, int]:
        assert self.group is not None
        return await self.group.wait_in(self.group.for_turn, (lock, statement, values))

    async def go_on_alone(self) -> Connection:
        """Wait until the other members wait. The connection is this member's until it leaves."""
        assert self.group is not None
        return await self.group.wait_in(self.group.for_connection, None)


class Group:
    """One transaction of several units. It makes its statements when all its members wait.

    A member's failure undoes its own writes only. A failure of the connection or of the commit fails all members.
    So does a value that PostgreSQL refuses in a statement for several members.
    """

    def __init__(self, members: Iterable[Member]) -> None:
        self._members = {member.call_id: member for member in members}
        self._at_work = 0  # members that do not wait
        self._all_wait = asyncio.Event()
        self.questions: _Line[asyncpg.Record | None, Question] = []
        self.for_turn: _Line[tuple[asyncpg.Record, int], tuple[str, str, Sequence[Any]]] = []
        self.for_connection: _Line[Connection, None] = []
        self._unwritten: list[Member] = []  # they have left, and their writes wait
        self._written: list[Member] = []
        self._turn: asyncpg.Record | None = None
        self._turns = 0  # members that were given this row
        self._over: Exception | None = None

    async def run(self, pool: Pool) -> None:
        """Raises what fails the whole group."""
        async with connection_of(pool) as connection, connection.transaction():
            await self._lock_people(connection)
            reach(Failpoint.GROUP_LOCKED)
            await self._serve(connection)
            reach(Failpoint.GROUP_FLUSHING)
            await self._write(connection)
            reach(Failpoint.GROUP_FLUSHED)
        reach(Failpoint.GROUP_COMMITTED)
        self._over = StoreUnavailable("the group has ended")
        for member in self._written:
            if not member.committed.done():
                member.committed.set_result(None)

    async def wait_in(self, line: "_Line[A, Q]", asked: Q) -> A:
        """Wait for the group's answer. Raises Retryable if the group fails."""
        if self._over is not None:
            raise self._over
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        line.append((answer, asked))
        self._rest()
        try:
            return await answer
        finally:
            if answer.cancelled():
                self._at_work += 1

    def leave(self, member: Member, *, keeps: bool) -> None:
        """Called once for each member. `keeps` False: an error has ended the unit, and it writes nothing more."""
        if keeps and self._over is not None:
            member.committed.set_exception(self._over)
        elif keeps:
            self._unwritten.append(member)
        self._rest()

    def _rest(self) -> None:
        self._at_work -= 1
        if not self._at_work:
            self._all_wait.set()

    def _resume(self, answer: asyncio.Future[A], result: A) -> None:
        if not answer.done():  # its unit may have been cancelled
            self._at_work += 1
            answer.set_result(result)

    async def _until_all_wait(self) -> None:
        while self._at_work:
            self._all_wait.clear()
            await self._all_wait.wait()

    async def _lock_people(self, connection: Connection) -> None:
        """Let those members in whose people are locked at once. A person's second member is not let in."""
        people: set[tuple[str, str]] = set()
        for row in await connection.fetch(TRY_CONTACTS_OF_CALLS, list(self._members)):
            own = {("phone", row["phone"]), ("contact", row["contact_id"])}
            member = self._members[row["call_id"]]
            if row["locked"] and not own & people and not member.joined.done():
                people |= own
                member.group, member.person = self, (row["phone"], row["contact_id"])
                self._resume(member.joined, True)
        for member in self._members.values():
            if not member.joined.done():
                member.joined.set_result(False)

    async def _serve(self, connection: Connection) -> None:
        """Answer the members until all have left."""
        while True:
            await self._until_all_wait()
            if self.questions:
                answers = await ask_together(connection, [asked for _, asked in self.questions])
                reach(Failpoint.GROUP_READ)
                resumed, self.questions[:] = list(self.questions), []
                for (answer, _), record in zip(resumed, answers, strict=True):
                    self._resume(answer, record)
            elif self.for_connection:
                await self._lend_connection(connection)
            elif self.for_turn:
                await self._give_turn(connection)
            else:
                return

    async def _give_turn(self, connection: Connection) -> None:
        """Pass the locked row to one member. The last one that had it has left."""
        answer, (lock, statement, values) = self.for_turn[0]
        if self._turn is None:
            await connection.execute(lock)
            self._turn, self._turns = await connection.fetchrow(statement, *values), 0
            assert self._turn is not None
            reach(Failpoint.GROUP_COUNTED)
        del self.for_turn[0]
        self._resume(answer, (self._turn, self._turns))
        self._turns += 1

    async def _lend_connection(self, connection: Connection) -> None:
        """Let one member make any statement. It sees what the others wrote, and the others will see what it writes."""
        await self._write(connection)
        await connection.execute(_SAVEPOINT)
        answer, _ = self.for_connection.pop(0)
        self._resume(answer, connection)
        await self._until_all_wait()
        if self._unwritten:
            (member,) = self._unwritten
            self._conclude(member, await _write_or_undo(connection, member.writes))
        else:
            await connection.execute(_UNDO)
        self._turn = None

    async def _write(self, connection: Connection) -> None:
        """Make the writes of the members that have left. If they fail together, each is tried alone."""
        merged: dict[Statement, list[tuple[Any, ...]]] = {}
        for member in self._unwritten:
            for write in member.writes:
                merged.setdefault(write.statement, []).extend(write.rows)
        if merged:
            await connection.execute(_SAVEPOINT)
            error = await _write_or_undo(connection, [Write(statement, rows) for statement, rows in merged.items()])
            if error is not None:
                for member in list(self._unwritten):
                    await connection.execute(_SAVEPOINT)
                    self._conclude(member, await _write_or_undo(connection, member.writes))
        for member in list(self._unwritten):
            self._conclude(member, None)

    def _conclude(self, member: Member, error: Exception | None) -> None:
        """Note the end of a member's writes. It is told after the commit, or at once of its error."""
        self._unwritten.remove(member)
        if error is None:
            self._written.append(member)
        elif not member.committed.done():
            member.committed.set_exception(error)

    @property
    def calls(self) -> set[str]:
        return set(self._members)

    def fail(self, error: Retryable, *, by_a_value: bool) -> None:
        """Raise the error to all members that wait. `by_a_value`: those who are not let in yet go alone instead."""
        self._over = error
        waiting: list[asyncio.Future[Any]] = []
        for line in (self.questions, self.for_turn, self.for_connection):
            waiting += [answer for answer, _ in line]
        waiting += [member.committed for member in (*self._unwritten, *self._written)]
        for member in self._members.values():
            if by_a_value and not member.joined.done():
                member.joined.set_result(False)
            waiting.append(member.joined)
        for future in waiting:
            if not future.done():
                future.set_exception(error)


async def _write_or_undo(connection: Connection, writes: Sequence[Write]) -> Exception | None:
    """Make the writes. Returns the error after which the savepoint is restored. Raises an error of the connection.

    Each write is a statement of its own: together they would be a new text for each mixture of units.
    """
    try:
        for write in writes:
            await write_together(connection, [write])
    except UNAVAILABLE:
        raise
    except Exception as error:  # noqa: BLE001 - it is raised to the unit
        await connection.execute(_UNDO)
        return error
    return None


class Groups:
    """Forms groups without a timer. Units that arrive while groups are at work form the next one.

    A unit that arrives alone works alone.
    """

    def __init__(self, pool: Pool, grouping: Grouping) -> None:
        self._pool = pool
        self._grouping = grouping
        self._waiting: list[Member] = []
        self._running: set[asyncio.Task[None]] = set()
        self._suspects: set[str] = set()  # calls of a group that a value of one of them has failed
        self._alone = asyncio.Semaphore(ALONE_AT_ONCE)

    async def join(self, call_id: str, unit: AsyncExitStack) -> Member | None:
        """Return a member, with the call's people locked, that leaves its group at the end of the unit.

        Returns None if the unit goes alone: no other arrived, the people are locked, or there is no such call.
        """
        member = Member(call_id)
        await unit.enter_async_context(self._membership(member))
        if call_id in self._suspects:
            self._suspects.remove(call_id)
        elif self._grouping is not Grouping.NEVER:
            self._waiting.append(member)
            # After all units that were woken in the same turn of the event loop.
            asyncio.get_running_loop().call_soon(self._form)
            if await member.joined:
                return member
        await self._alone.acquire()
        member.is_alone = True
        return None

    @asynccontextmanager
    async def _membership(self, member: Member) -> AsyncIterator[None]:
        """End the membership with the unit. A member that has written something waits for the commit."""
        keeps = False
        try:
            yield
            keeps = True
        finally:
            if member.is_alone:
                self._alone.release()
            if member.group is not None:
                member.group.leave(member, keeps=keeps)
        if member.group is not None:
            await member.committed

    def _form(self) -> None:
        """Start groups of those who wait."""
        while len(self._running) < PARALLEL:
            calls: dict[str, Member] = {}
            for member in self._waiting:
                if not member.joined.done() and len(calls) < LIMIT:
                    calls.setdefault(member.call_id, member)
            chosen = set(calls.values())
            self._waiting = [one for one in self._waiting if one not in chosen and not one.joined.done()]
            if not calls:
                return
            if len(calls) == 1 and self._grouping is Grouping.WHEN_BUSY and not self._alone.locked():
                chosen.pop().joined.set_result(False)
                continue
            group = Group(calls.values())
            task = asyncio.create_task(group.run(self._pool))
            self._running.add(task)
            task.add_done_callback(partial(self._end, group))

    def _end(self, group: Group, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if task.cancelled():
            group.fail(StoreUnavailable("the group was cancelled"), by_a_value=False)
        elif isinstance(error := task.exception(), Retryable):
            group.fail(error, by_a_value=False)
        elif isinstance(error, Exception):
            # A value of one of them, probably. Each is tried again alone, and only that one fails again.
            structlog.get_logger().error("group.failed", error=type(error).__name__, at=location(error))
            self._suspects |= group.calls
            group.fail(StoreUnavailable("another unit of the group has failed"), by_a_value=True)
        self._form()
