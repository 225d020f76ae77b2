"""Keep emulated and real calls apart. An installation is emulated or real from its first start on.

Every start, claim and look-up compares the installation's mark with the configured provider. The decision is
docs/decisions/0017-one-side-of-the-border.md.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

import structlog

from ringback.domain.errors import AcrossTheBorder, StartRefused
from ringback.ports import VoiceProvider
from ringback.storage import DueWork, Store

#: At the first start the provider decides. It may be starting at the same time.
IDENTIFIED_WITHIN_S = 10.0
ASK_EVERY_S = 0.5

EMULATED_FOR_REAL = (
    "this database was used with the emulator, and what is planned there would be dialed for real: choose another "
    "--data-dir or RINGBACK_DATABASE_URL, or let RETELL_BASE_URL lead to the emulator"
)
REAL_FOR_EMULATOR = (
    "the calls in this database are real, and the emulator must not take them over: set RETELL_BASE_URL to Retell's "
    "address (https://api.retellai.com), or choose another --data-dir or RINGBACK_DATABASE_URL for the emulator"
)
NOT_IDENTIFIED = (
    "nothing answers at RETELL_BASE_URL, so it is not known whether calls would be real or emulated: start what is to "
    "answer there, or correct the setting"
)

_log = structlog.get_logger(__name__)


class Marked(Protocol):
    async def emulated(self) -> bool | None:
        """The installation's mark. None before its first start. Raises StoreUnavailable."""
        ...


class Identified(Protocol):
    async def is_emulated(self) -> bool | None:
        """Whether the provider is Ringback's emulator. None while nothing responds."""
        ...


class MarkedStore(Store, DueWork, Marked, Protocol):
    """A store that finds due work, with the mark of its installation."""


class IdentifiedProvider(VoiceProvider, Identified, Protocol):
    """A provider that identifies itself as real or emulated."""


class Installation(Marked, Protocol):
    """The mark of an installation. All methods raise StoreUnavailable.

    `emulated` and `evidence` also read a database that is not upgraded yet.
    """

    async def evidence(self) -> bool | None:
        """The side that the newest placed calls show. None if none was placed."""
        ...

    async def mark(self, emulated: bool) -> bool:
        """Write the mark unless there is one. Returns the mark in force.

        Raises StartRefused where the database is not upgraded.
        """
        ...


async def check_border(installation: Marked, provider: Identified) -> None:
    """Check before a question to the provider. Raises AcrossTheBorder unless both are known to be on one side."""
    mark = await installation.emulated()
    if mark is None or await provider.is_emulated() is not mark:
        raise AcrossTheBorder("the provider is not known to be the one that has this installation's calls")


async def stop_call_here(installation: Marked, provider: IdentifiedProvider, provider_call_id: str) -> None:
    """Stop a call of this installation. Raises AcrossTheBorder and ProviderUnavailable.

    The "no such call" of a provider on the other side proves nothing.
    """
    await check_border(installation, provider)
    await provider.stop_call(provider_call_id)


@dataclass(frozen=True, slots=True)
class Border:
    """The check at a start. `before`: the side that the data directory recorded before the mark existed."""

    installation: Installation
    provider: Identified
    before: bool | None = None

    async def enter(self) -> None:
        """Mark the installation at its first start, else compare. Raises StartRefused."""
        await self.check_and_mark(await self.side())

    async def side(self) -> bool:
        """Whether the provider is emulated. Raises StartRefused if it does not respond at a first start.

        With a mark, the process starts without the provider's answer, and the mark decides. Calls are accepted, and are
        neither dialed nor looked up until the provider responds.
        """
        mark = await self.installation.emulated()
        if mark is None:
            return await self.identify()
        emulated = await self.provider.is_emulated()
        if emulated is None:
            _log.warning("provider.unidentified", action="neither dialing nor looking up until it answers")
        return mark if emulated is None else emulated

    async def identify(self) -> bool:
        """Ask the provider until it responds. Raises StartRefused when it does not respond in time."""
        for _ in range(round(IDENTIFIED_WITHIN_S / ASK_EVERY_S)):
            emulated = await self.provider.is_emulated()
            if emulated is not None:
                return emulated
            await asyncio.sleep(ASK_EVERY_S)
        raise StartRefused(NOT_IDENTIFIED)

    async def compare(self, emulated: bool) -> None:
        """Compare the mark with the provider, and change nothing. Raises StartRefused."""
        mark = await self.installation.emulated()
        if mark is None:
            mark = await self.installation.evidence()
        if mark is None:
            mark = self.before
        if mark is not None and mark is not emulated:
            raise StartRefused(EMULATED_FOR_REAL if mark else REAL_FOR_EMULATOR)

    async def check_and_mark(self, emulated: bool) -> None:
        """Compare, then write the mark. Raises StartRefused, also if another process wrote another mark first."""
        await self.compare(emulated)
        mark = await self.installation.mark(emulated)
        if mark is not emulated:
            raise StartRefused(EMULATED_FOR_REAL if mark else REAL_FOR_EMULATOR)
