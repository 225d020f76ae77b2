"""Bugs that are planted in a life of the product; the oracle must notice each."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from ringback.adapters.postgres.store import PostgresStore
from ringback.domain.attempt import Attempt, DialAnswer, DialAnswerKind
from ringback.domain.call import Call
from ringback.domain.follow_up import Deadlines
from ringback.flows import dial_results, reconciliation
from ringback.flows.call_processing import CallProcessing, Claim
from ringback.flows.outbox_delivery import Channel, OutboxRelay
from ringback.messages import CallRequested
from ringback.storage import OutboxRow, UnitOfWork

COMMIT_LATE_S = 0.1

_claiming: ContextVar[bool] = ContextVar("claiming", default=False)


def _sends_before_commit() -> None:
    """The request goes out while the claim is still being committed (against I4)."""
    claim_first, open_transaction = CallProcessing._claim, PostgresStore.transaction

    async def claim(self: CallProcessing, message: CallRequested) -> Claim | None:
        token = _claiming.set(True)
        try:
            return await claim_first(self, message)
        finally:
            _claiming.reset(token)

    @asynccontextmanager
    async def transaction(self: PostgresStore) -> AsyncIterator[Any]:
        whole = open_transaction(self)
        unit = await whole.__aenter__()
        try:
            yield unit
        except BaseException:
            await whole.__aexit__(*sys.exc_info())
            raise
        if _claiming.get():
            _late.add(asyncio.create_task(_commit_late(whole)))
        else:
            await whole.__aexit__(None, None, None)

    CallProcessing._claim = claim  # type: ignore[method-assign]
    PostgresStore.transaction = transaction  # type: ignore[method-assign]


_late: set[asyncio.Task[None]] = set()


async def _commit_late(whole: Any) -> None:
    await asyncio.sleep(COMMIT_LATE_S)
    await whole.__aexit__(None, None, None)


def _marks_before_sending() -> None:
    """Rows of the outbox count as delivered before they are sent (against I1 and I14)."""
    take_first = OutboxRelay.take

    async def take(self: OutboxRelay, channel: Channel, limit: int) -> list[OutboxRow]:
        rows = await take_first(self, channel, limit)
        if rows:
            await self._store.outbox_delivered([row.row_id for row in rows], self._clock.now())
        return rows

    OutboxRelay.take = take  # type: ignore[method-assign]


def _guesses_that_nothing_was_sent() -> None:
    """A claim whose worker died is taken for one that was never sent (against I2)."""

    async def wait_instead(tx: UnitOfWork, call: Call, attempt: Attempt, deadlines: Deadlines, now: datetime) -> None:
        await dial_results._wait(tx, call, attempt, DialAnswer(DialAnswerKind.NOT_SENT, "guessed"), now)

    reconciliation.become_unknown = wait_instead  # type: ignore[attr-defined]


BUGS: Mapping[str, Callable[[], None]] = {
    "the request leaves before the claim is committed": _sends_before_commit,
    "outbox rows are marked before they are sent": _marks_before_sending,
    "a dead worker's claim counts as never sent": _guesses_that_nothing_was_sent,
}


def plant(bug: str) -> None:
    BUGS[bug]()
