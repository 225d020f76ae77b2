"""Pause and resume all dialing: once a pause is acknowledged, nothing is claimed."""

from datetime import datetime
from typing import Any, Protocol

import structlog

from ringback.domain.abt_event import iso
from ringback.domain.operations import DialingState
from ringback.ports import Clock

_log = structlog.get_logger(__name__)


class DialingSwitch(Protocol):
    """Both wait for the claims under way, which hold the capacity lock to their commit. Raise StoreUnavailable."""

    async def pause(self, reason: str | None, now: datetime) -> DialingState:
        """A second pause keeps the time of the first; its reason, if it has one, replaces the first's."""
        ...

    async def resume(self) -> DialingState: ...


async def pause_dialing(switch: DialingSwitch, clock: Clock, reason: str | None) -> dict[str, Any]:
    """Durable and in force when this returns. Calls that are ringing or talking go on."""
    state = await switch.pause(reason, clock.now())
    # Not the reason: it is an operator's free text, and might name a person.
    _log.warning("dialing.paused", live=state.live)
    return told(state)


async def resume_dialing(switch: DialingSwitch) -> dict[str, Any]:
    """What became due meanwhile is released in the scheduler's batches, and started at the configured rate."""
    state = await switch.resume()
    _log.warning("dialing.resumed", live=state.live)
    return told(state)


def told(state: DialingState) -> dict[str, Any]:
    return {
        "paused": state.paused_at is not None,
        "paused_at": iso(state.paused_at),
        "reason": state.reason,
        "live": state.live,
    }
