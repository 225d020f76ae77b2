"""The connection of one unit of work. Its first statement decides: a connection of its own, or one of a group."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import asyncpg

from ringback.adapters.postgres.groups import Groups, Member
from ringback.adapters.postgres.locks import LOCK_CONTACTS_OF_CALL, LOCK_EVERY_PHONE_OF_CALL
from ringback.adapters.postgres.pool import Connection, Pool, connection_of
from ringback.adapters.postgres.questions import question
from ringback.adapters.postgres.read_ahead import Answer, Asked, answers_of, statement_of, tables_of
from ringback.adapters.postgres.rows import TABLES, Row
from ringback.adapters.postgres.tracked_rows import TrackedRows, Write, write_together
from ringback.domain.attempt import Attempt


class UnitConnection:
    """The statements of a unit's repositories. Each of them sees the unit's own changes.

    A unit that begins with the lock of a call may join a group. There it reads together with the other members, and
    keeps its changes. Before any other statement it goes on alone, on the group's connection.
    """

    def __init__(self, pool: Pool, groups: Groups, stack: AsyncExitStack, *, begins: bool = True) -> None:
        self.rows = TrackedRows()
        self.raw: Connection | None = None
        self._pool = pool
        self._groups = groups
        self._stack = stack  # it ends with the unit
        self._begins = begins  # False: a unit that only reads has no transaction
        self._member: Member | None = None
        self._ahead: list[tuple[Asked, Answer | None]] = []  # reads that were made before they are asked for
        self._kept: list[Write] = []

    @property
    def is_alone(self) -> bool:
        """Whether the transaction has no other unit."""
        return self._member is None

    async def lock_people_of(
        self, call_id: str, *, alone: bool, every_phone: bool, caller: str | None = None
    ) -> tuple[str, str] | None:
        """Lock the phone and the contact of the call, and return them. Returns None if there is no such call."""
        if self.raw is None and self._member is None and not alone and not every_phone:
            self._member = await self._groups.join(call_id, self._stack)
            if self._member is not None:
                return self._member.person
        if every_phone:
            locked = await self.fetch(LOCK_EVERY_PHONE_OF_CALL, call_id, caller)
        else:
            locked = await self.fetch(LOCK_CONTACTS_OF_CALL, call_id)
        return (locked[0]["phone"], locked[0]["contact_id"]) if locked else None

    def _forget(self, table: str) -> None:
        """Forget what was read ahead from a table."""
        self._ahead = [one for one in self._ahead if table not in tables_of(one[0][0])]

    async def read_ahead(self, asked: Sequence[Asked]) -> None:
        """Make these reads in one round trip. `read` then returns their rows, until the unit changes their tables."""
        text, values = statement_of(asked)
        record = await self.read(text, *values)
        assert isinstance(record, asyncpg.Record), "it has one row whatever the reads find"
        self._ahead = list(zip(asked, answers_of(record), strict=True))

    async def read(self, statement: str, *values: Any) -> Answer | None:
        """Return the first row of a statement that changes nothing. It may lock rows of the unit's own call."""
        for asked, answer in self._ahead:
            if asked == (statement, values):
                return answer
        member = self._reading_member()
        put = question(statement, values) if member is not None else None
        if member is not None and put is not None:
            return await member.ask(put)
        return await (await self._ready()).fetchrow(statement, *values)

    async def read_in_turn(self, lock: str, statement: str, *values: Any) -> tuple[asyncpg.Record, int]:
        """Take a lock that all units take, and return one row that is read under it.

        Also returns how many units of the group were given the same row before. They have left the group.
        """
        member = self._reading_member()
        if member is not None:
            return await member.read_in_turn(lock, statement, values)
        await self.execute(lock)
        record = await self.fetchrow(statement, *values)
        assert record is not None
        return record, 0

    async def fetch(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        self._ahead.clear()
        return await (await self._ready()).fetch(statement, *values)

    async def fetchrow(self, statement: str, *values: Any) -> asyncpg.Record | None:
        self._ahead.clear()
        return await (await self._ready()).fetchrow(statement, *values)

    async def fetchval(self, statement: str, *values: Any) -> Any:
        self._ahead.clear()
        return await (await self._ready()).fetchval(statement, *values)

    async def execute(self, statement: str, *values: Any) -> str:
        self._ahead.clear()
        status: str = await (await self._ready()).execute(statement, *values)
        return status

    async def change(self, row: Row) -> None:
        """Insert or save the row, at the latest at the end of the unit. Raises Retryable."""
        is_lent_or_own = self._member is None or self.raw is not None
        if self.rows.must_be_written_before(row, in_order=is_lent_or_own):
            await self._ready()
        is_new = not self.rows.is_known(row)
        # A changed attempt is still the row that its reads find, and the repository knows its changes.
        if self.rows.change(row) and (is_new or not isinstance(row, Attempt)):
            self._forget(TABLES[type(row)][0])

    async def keep(self, write: Write) -> None:
        """Make the write before the unit's next statement, at the latest at its end. Raises Retryable.

        A second write of the same statement may be about the same row, so it is made after the first.
        """
        if any(kept.statement == write.statement for kept in self._kept):
            await self._ready()
        self._kept.append(write)
        for table in tables_of(write.statement.for_several):
            self._forget(table)

    async def finish(self, more: Sequence[Write]) -> None:
        """Write what is left. Called once, before the commit. Raises Retryable."""
        writes = [*self._take_writes(), *more]
        if self._member is not None:
            self._member.writes = writes
        elif writes:
            await write_together(await self._ready(), writes)

    def _reading_member(self) -> Member | None:
        """Return the member, unless it goes on alone, or reads after a change, which it must see."""
        return self._member if self.raw is None and not self.rows.is_changed and not self._kept else None

    def _take_writes(self) -> list[Write]:
        kept, self._kept = self._kept, []
        return [*self.rows.take_writes(), *kept]

    async def _ready(self) -> Connection:
        """Return the connection, once the unit's own changes are written. Raises Retryable."""
        if self.raw is None:
            if self._member is not None:
                self.raw = await self._member.go_on_alone()
            else:
                self.raw = await self._stack.enter_async_context(connection_of(self._pool))
                if self._begins:
                    await self._stack.enter_async_context(self.raw.transaction())
        await write_together(self.raw, self._take_writes())
        return self.raw
