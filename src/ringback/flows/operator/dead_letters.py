"""List and replay the dead letters of the outbox and of both queues. A replay is recorded in the audit log."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from ringback.domain.audit import Actor, AuditAction, AuditEntry, AuditLog
from ringback.domain.errors import Permanent, Retryable
from ringback.messages import readable
from ringback.ports import Clock, DeadLetter, MessageQueue

_log = structlog.get_logger(__name__)

#: More than a person reads. Further letters are listed once the first ones are handled.
LISTED = 1000
#: The ids of rows and of SQS. Other text does not come into the audit log.
_LETTER_ID = re.compile(r"[\w-]{1,100}", re.ASCII)


class DeadLetterSource(Protocol):
    """A source of dead letters."""

    async def dead_letter_count(self) -> int: ...
    async def dead_letters(self, limit: int) -> list[DeadLetter]: ...
    async def replay(self, letter_id: str | None, entry: AuditEntry) -> int:
        """Send one letter again, or all for None, and record the entry.

        Returns the number of letters that were still dead.
        """
        ...


@dataclass(frozen=True, slots=True)
class DeadLettersOfQueue:
    """The dead letters of a queue. It is outside the transactions of the database, so the entry is committed before."""

    queue: MessageQueue
    audit: AuditLog

    async def dead_letter_count(self) -> int:
        return await self.queue.dead_letter_count()

    async def dead_letters(self, limit: int) -> list[DeadLetter]:
        return await self.queue.dead_letters(limit)

    async def replay(self, letter_id: str | None, entry: AuditEntry) -> int:
        await self.audit.record(entry)
        return await self.queue.replay(letter_id)


class UnknownSource(Exception):
    """The name belongs to no source."""


@dataclass(frozen=True, slots=True)
class DeadLetterEntry:
    """A dead letter. `name` contains its source: outbox:17."""

    name: str
    letter: DeadLetter


async def _count(letters: DeadLetterSource) -> int | None:
    try:
        return await letters.dead_letter_count()
    except (Retryable, Permanent):
        return None


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The sources by name. All methods raise the sources' errors, and UnknownSource."""

    sources: Mapping[str, DeadLetterSource]
    clock: Clock

    @classmethod
    def of(
        cls, outbox: DeadLetterSource, queues: Mapping[str, MessageQueue], audit: AuditLog, clock: Clock
    ) -> "DeadLetters":
        """Return the sources of an installation: the outbox, and its queues by name."""
        return cls({"outbox": outbox} | {name: DeadLettersOfQueue(one, audit) for name, one in queues.items()}, clock)

    async def counts(self) -> dict[str, int | None]:
        """Return the number of dead letters by source. None: the source is unavailable now."""
        return {source: await _count(letters) for source, letters in self.sources.items()}

    async def list(self, limit: int = LISTED) -> list[DeadLetterEntry]:
        found = []
        for source, letters in self.sources.items():
            found += [
                DeadLetterEntry(f"{source}:{letter.letter_id}", letter) for letter in await letters.dead_letters(limit)
            ]
        return found

    async def find(self, name: str) -> DeadLetter | None:
        """Find one letter. The body of a compressed webhook is readable."""
        source, letter_id = self._parted(name)
        letters = await self.sources[source].dead_letters(LISTED)
        found = next((letter for letter in letters if letter.letter_id == letter_id), None)
        return found and replace(found, body=readable(found.body))

    async def replay(self, name: str, actor: Actor) -> int:
        """Replay one letter by its name, or all of a source by the source's name.

        A second replay changes nothing: a message consumes its dispatch, a webhook its inbox row, and an event keeps
        its id.
        """
        source, letter_id = self._parted(name)
        if letter_id is not None and not _LETTER_ID.fullmatch(letter_id):
            return 0
        entry = AuditEntry(self.clock.now(), actor, AuditAction.DEAD_LETTERS_REPLAYED, f"dead_letter:{name}")
        count = await self.sources[source].replay(letter_id, entry)
        _log.info("dead_letters.replayed", place=source, count=count)
        return count

    def _parted(self, name: str) -> tuple[str, str | None]:
        source, _, letter_id = name.partition(":")
        if source not in self.sources:
            raise UnknownSource(f"{source} is no source of dead letters; the sources are {', '.join(self.sources)}")
        return source, letter_id or None
