"""The two worlds of the proof: a provider that remembers idempotency keys, and one that does not."""

from collections.abc import Mapping
from enum import StrEnum


class Mode(StrEnum):
    """With `FORGETFUL` the emulator ignores keys, and the product's one resend under the same key is switched off."""

    REMEMBERS = "idempotency on"
    FORGETFUL = "idempotency off"

    @property
    def provider_remembers(self) -> bool:
        return self is Mode.REMEMBERS


#: Waits are leaped over, so these need not be short; but the create timeout is waited for.
_SETTINGS = {
    "RINGBACK_CREATE_TIMEOUT_S": "2",
    "RINGBACK_SILENCE_DEADLINE_S": "10",
    "RINGBACK_NOT_CONNECTED_DEADLINE_S": "3",
    "RINGBACK_ANALYSIS_DEADLINE_S": "10",
    "RINGBACK_ANALYSIS_GIVE_UP_S": "600",
    "RINGBACK_MAX_CALL_S": "60",
    "RINGBACK_INBOUND_HOLD_S": "120",
}
_OF_MODE = {
    # Behind the third clean look-up, the resend: there is room for two that a busy machine leaves unanswered.
    Mode.REMEMBERS: {"RINGBACK_UNKNOWN_LOOKUPS_S": "1,2,4,8,16,240", "RINGBACK_SAME_KEY_WINDOW_S": "2700"},
    Mode.FORGETFUL: {"RINGBACK_UNKNOWN_LOOKUPS_S": "1,2,4,8", "RINGBACK_SAME_KEY_WINDOW_S": "0"},
}


def product_settings(mode: Mode) -> Mapping[str, str]:
    return {**_SETTINGS, **_OF_MODE[mode]}
