"""Pause and resume all dialing. After an acknowledged pause nothing is claimed."""

from typing import Any, Protocol

import structlog

from ringback.domain.abt_event import iso
from ringback.domain.audit import Actor, AuditAction, AuditEntry
from ringback.domain.operations import DialingState, EndedPause
from ringback.ports import Clock

_log = structlog.get_logger(__name__)


class DialingSwitch(Protocol):
    """The switch for dialing. Both methods wait for claims in progress, and raise StoreUnavailable.

    Claims hold the capacity lock until their commit. The entry is recorded if the switch changes anything.
    """

    async def pause(self, reason: str | None, entry: AuditEntry) -> DialingState:
        """Pause dialing as of the entry's time.

        A second pause keeps the time of the first. Its reason, if any, replaces the first.
        """
        ...

    async def resume(self, entry: AuditEntry) -> tuple[DialingState, EndedPause]: ...


async def pause_dialing(switch: DialingSwitch, clock: Clock, reason: str | None, actor: Actor) -> dict[str, Any]:
    """Pause dialing. The pause is durable and in force on return. Calls in progress continue."""
    state = await switch.pause(reason, AuditEntry(clock.now(), actor, AuditAction.DIALING_PAUSED))
    # The reason is not logged: it is an operator's free text, and might name a person.
    _log.warning("dialing.paused", live=state.live)
    return state_as_json(state)


async def resume_dialing(switch: DialingSwitch, clock: Clock, actor: Actor) -> dict[str, Any]:
    """Resume dialing. The scheduler releases due calls in batches, and they start at the configured rate.

    The result names the pause that ended.
    """
    state, ended = await switch.resume(AuditEntry(clock.now(), actor, AuditAction.DIALING_RESUMED))
    _log.warning("dialing.resumed", live=state.live)
    return state_as_json(state) | {"was_paused_at": iso(ended.paused_at), "was_reason": ended.reason}


def state_as_json(state: DialingState) -> dict[str, Any]:
    return {
        "paused": state.paused_at is not None,
        "paused_at": iso(state.paused_at),
        "reason": state.reason,
        "live": state.live,
    }
