"""The audit log: what a person or a key changed, in rows that are chained by their hashes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol


class Via(StrEnum):
    API = "api"
    CONSOLE = "console"
    COMMAND_LINE = "cli"
    SETTING = "setting"


@dataclass(frozen=True, slots=True)
class Actor:
    """The author of a write: an API key by its name, the user of the machine where a command ran, or a setting."""

    via: Via
    name: str

    def __str__(self) -> str:
        return f"{self.via}:{self.name}"


class AuditAction(StrEnum):
    DIALING_PAUSED = "dialing.paused"
    DIALING_RESUMED = "dialing.resumed"
    CALL_CANCELLED = "call.cancelled"
    SUPPRESSION_ADDED = "suppression.added"
    SUPPRESSION_LIFTED = "suppression.lifted"
    DEAD_LETTERS_REPLAYED = "dead_letters.replayed"
    DELIVERIES_REPLAYED = "deliveries.replayed"
    CALL_RESCHEDULED = "call.rescheduled"
    NOTE_ADDED = "note.added"
    PHONE_REVEALED = "phone.revealed"
    PERSON_ERASED = "person.erased"
    HASHES_RENEWED = "hashes.renewed"
    KEY_CREATED = "key.created"
    KEY_REVOKED = "key.revoked"
    STATISTICS_REBUILT = "statistics.rebuilt"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One write, before it has its place in the chain.

    `object` is a kind and an id, for example `call:01a2…`, or None. `detail` has ids, counts and names of our own: no
    phone, no contact and no free text, because a row outlives the erasure of a person.
    """

    at: datetime
    actor: Actor
    action: AuditAction
    object: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


class AuditLog(Protocol):
    async def record(self, entry: AuditEntry) -> None:
        """Append a row in this unit of work, or in a transaction of its own. Raises StoreUnavailable and Retryable."""
        ...


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A stored row. `detail` is its JSON, as written. `previous_hash` is the hash of the row before."""

    sequence: int
    at: datetime
    actor: str
    action: str
    object: str | None
    detail: str
    previous_hash: str

    @property
    def hash(self) -> str:
        """sha256 in hex over the JSON array of all fields. The time is in UTC with microseconds."""
        at = self.at.astimezone(UTC).isoformat(timespec="microseconds")
        fields = (self.sequence, at, self.actor, self.action, self.object, self.detail, self.previous_hash)
        return hashlib.sha256(json.dumps(fields).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """The rows of a list. None is no condition. `before` is a sequence, and the end of the page before."""

    actor: str | None = None
    action: str | None = None
    object: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class ChainEnds:
    """The ends of the chain, stored apart from its rows: the last row, and the last one that retention deleted."""

    last_sequence: int
    last_hash: str
    purged_sequence: int
    purged_hash: str


class ChainCheck:
    """Compares the rows with their chain. Give it every row, in the order of the sequence, then ask for the end."""

    def __init__(self, ends: ChainEnds) -> None:
        self._ends = ends
        self.sequence = ends.purged_sequence  # of the last row that is right
        self.hash = ends.purged_hash
        self.rows = 0

    def fault_of(self, row: AuditRow) -> str | None:
        """Return a sentence about the break at this row. None: it follows the row before."""
        expected = self.sequence + 1
        if row.sequence <= self._ends.purged_sequence:
            return f"row {row.sequence} was inserted: the rows up to {self._ends.purged_sequence} were purged"
        if row.sequence > self._ends.last_sequence:
            return f"row {row.sequence} was inserted: the last row of the chain is {self._ends.last_sequence}"
        if row.sequence > expected:
            return f"row {expected} was deleted"
        if row.previous_hash != self.hash:
            if self.sequence == self._ends.purged_sequence:
                return f"row {row.sequence} was changed: it does not follow the rows before it"
            return f"row {self.sequence} was changed, or the hash of it in row {row.sequence}"
        self.sequence, self.hash, self.rows = row.sequence, row.hash, self.rows + 1
        return None

    def fault_of_end(self) -> str | None:
        """Return a sentence about the break after the last row. None: the chain is whole."""
        if self.sequence < self._ends.last_sequence:
            return f"row {self.sequence + 1} was deleted"
        if self.hash != self._ends.last_hash:
            return f"row {self.sequence} was changed"
        return None
