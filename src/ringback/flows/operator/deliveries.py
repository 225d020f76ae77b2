"""Messages to Engage: list them, see what Engage answers, and send them again, with a row of the audit log."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import structlog

from ringback.domain.audit import Actor, AuditAction, AuditEntry
from ringback.domain.deliveries import DeliveryFilter, DeliveryHealth, DeliveryState
from ringback.ports import Clock

_log = structlog.get_logger(__name__)

#: Messages that one replay sends again, the oldest first. The others stay as they are, and can be replayed next.
MOST_REPLAYED = 1000


class DeliveryRows(Protocol):
    """The rows of the outbox for Engage. All methods raise StoreUnavailable."""

    async def page(
        self, wanted: DeliveryFilter, *, cursor: int | None, limit: int
    ) -> tuple[list[dict[str, Any]], int | None]:
        """Return a page, and the next cursor. Waiting and failed ones begin with the oldest, delivered ones with the
        newest."""
        ...

    async def count(self, wanted: DeliveryFilter, most: int) -> int: ...
    async def count_replayable(self, wanted: DeliveryFilter, most: int) -> int:
        """Count the messages that `replay` would make due now."""
        ...

    async def health(self, since: datetime, most: int) -> DeliveryHealth: ...
    async def replay(self, wanted: DeliveryFilter, limit: int, entry: AuditEntry) -> int:
        """Make up to `limit` matching messages due now, the oldest first. Returns their number.

        If there are any, the entry is recorded with their number.

        A failed or delivered one begins all its tries anew. A waiting one keeps them, and none that is being sent at
        this moment is sent twice.
        """
        ...


class NotReplayable(Exception):
    """The text says why these messages are not sent again."""


@dataclass(frozen=True, slots=True)
class Deliveries:
    rows: DeliveryRows
    clock: Clock

    async def replay(self, wanted: DeliveryFilter, actor: Actor) -> int:
        """Send messages again under their own ids. Raises NotReplayable, and StoreUnavailable.

        Engage recognises an id that it has, and a call's events stay in order. A delivered write for the CRM is not
        sent again: a later write may have replaced it.
        """
        if wanted.state is DeliveryState.DELIVERED and wanted.kind != "abt_event":
            raise NotReplayable("Only events are sent again after their delivery, because a later write may count.")
        # The entry is recorded only if a row has the id of the filter, so it has no typed text.
        named = f"call:{wanted.call_id}" if wanted.call_id is not None else f"deliveries:{wanted.state}"
        chosen = {"state": wanted.state, "kind": wanted.kind, "message_id": wanted.message_id}
        detail = {name: value for name, value in chosen.items() if value is not None}
        entry = AuditEntry(self.clock.now(), actor, AuditAction.DELIVERIES_REPLAYED, named, detail)
        count = await self.rows.replay(wanted, MOST_REPLAYED, entry)
        _log.info("deliveries.replayed", state=wanted.state, kind=wanted.kind, call_id=wanted.call_id, count=count)
        return count
