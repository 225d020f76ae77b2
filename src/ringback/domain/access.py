"""Roles of API keys, and the one table of the permissions of each role."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Role(StrEnum):
    ENGAGE = "engage"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class Permission(StrEnum):
    """A permission that an endpoint needs. The value completes the sentence "may not …"."""

    READ_CALLS = "read calls"
    READ_SUPPRESSIONS = "read suppressions"
    READ_EVENTS = "read events"
    EXPLAIN = "ask why a person is or is not called"
    PLACE_CALLS = "place calls"
    CANCEL_CALLS = "cancel calls"
    SUPPRESS = "suppress a person or lift a suppression"
    ACT = "perform business actions"
    ADD_NOTES = "add a note"
    PAUSE = "pause or resume dialing"
    REPLAY = "replay deliveries or dead letters"
    READ_SETTINGS = "read the settings"
    MANAGE_KEYS = "see, create or revoke API keys"
    READ_ANALYTICS = "read analytics"
    EXPORT = "export rows"
    USE_CONSOLE = "use the console"
    READ_AUDIT = "read the audit log"
    SEE_PHONES = "see whole phone numbers"
    REVEAL = "reveal a phone number"
    ERASE = "erase a person"


#: Names of keys that begin so are reserved for the key of that setting. The processes end its previous key when the
#: setting changes.
RESERVED_NAMES = "RINGBACK_API_KEY"

_P = Permission
_VIEWER = frozenset(
    {_P.READ_CALLS, _P.READ_SUPPRESSIONS, _P.READ_EVENTS, _P.EXPLAIN, _P.READ_ANALYTICS, _P.EXPORT, _P.USE_CONSOLE}
)

#: A viewer only reads. Engage triggers and follows its own calls. An operator stops, and does not place calls. Both get
#: phone numbers masked. Engage knows the numbers, because it sends them.
PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _VIEWER
    | {_P.CANCEL_CALLS, _P.SUPPRESS, _P.PAUSE, _P.READ_SETTINGS, _P.REPLAY, _P.READ_AUDIT, _P.ADD_NOTES},
    Role.ENGAGE: frozenset(
        {
            _P.PLACE_CALLS,
            _P.READ_CALLS,
            _P.CANCEL_CALLS,
            _P.READ_SUPPRESSIONS,
            _P.SUPPRESS,
            _P.ACT,
            _P.READ_EVENTS,
            _P.EXPLAIN,
            _P.READ_ANALYTICS,
            _P.EXPORT,
            _P.SEE_PHONES,
        }
    ),
    Role.ADMIN: frozenset(Permission),
}


@dataclass(frozen=True, slots=True)
class KnownKey:
    """An API key that is valid now."""

    name: str
    role: Role

    def may(self, permission: Permission) -> bool:
        return permission in PERMISSIONS[self.role]


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """The public facts about a key. Only its owner knows the key. `last_used_at` is exact to a minute."""

    name: str
    role: Role
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
